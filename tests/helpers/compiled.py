"""Kernels that one worker compiles while the others wait, and then read from numba's cache."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


@contextmanager
def compiled_once(folder: Path) -> Iterator[None]:
    """Let one process at a time compile numba's functions, nested compilations included.

    Args:
        folder: holds the lock file, which the processes share.
    """
    if "numba" not in sys.modules or fcntl is None:  # no test of this session needs it
        yield
        return
    from numba.core.compiler_lock import global_compiler_lock
    from numba.core.dispatcher import Dispatcher

    compile_, depth = Dispatcher.compile, [0]

    def alone(dispatcher, signature):
        with global_compiler_lock, open(folder / "numba.lock", "w") as file:
            if depth[0] == 0:
                fcntl.flock(file, fcntl.LOCK_EX)
            depth[0] += 1
            try:
                return compile_(dispatcher, signature)
            finally:
                depth[0] -= 1

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dispatcher, "compile", alone)
        yield
