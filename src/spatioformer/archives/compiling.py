"""How numba compiles the kernels of this folder."""

from numba import njit

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def kernel(function):
    """Compile at the first call, release the interpreter while running, cache the compiled code."""
    try:
        return njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba finds no folder to write its cache to
        return njit(**_OPTIONS)(function)
