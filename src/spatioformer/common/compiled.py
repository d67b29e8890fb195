"""Functions that numba compiles at their first call (extra `fast`)."""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

Function = Callable[..., Any]


@cache
def has_numba() -> bool:
    """Whether numba is installed and works: it refuses versions of numpy that it does not know."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return False
    return True


def kernel(function: Function) -> Function:
    """Compile at the first call, release the interpreter while running, cache the compiled code.

    Only modules that need numba call it.
    """
    from numba import njit

    try:
        return njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # numba finds no folder to write its cache to
        return njit(nogil=True, error_model="numpy")(function)
