"""Limits on the threads of linear algebra (BLAS), OpenMP and torch."""

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController

VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Environment variables that libraries read when they are loaded."""


def limited_threads(limit: int, user_api: str | None = None) -> AbstractContextManager[Any]:
    """A context in which the libraries of this process use at most `limit` threads.

    Does what `threadpoolctl.threadpool_limits` does. That function searches the loaded libraries at
    each call, which takes 4 ms and more. This one searches them once, and again after an import,
    since only an import loads such a library; the other calls take 0.03 ms.

    Args:
        limit: number of threads.
        user_api: "blas" or "openmp"; None is both.
    """
    controller: Any = _controller(len(sys.modules))
    context: AbstractContextManager[Any] = controller.limit(limits=limit, user_api=user_api)
    return context


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch and the linear algebra of this process, and OpenMP in this thread, use one thread.

    Sums in one order give the same numbers, whatever the number of cores. Processes or threads that
    work beside each other need this limit: with more threads than cores, a thread keeps its core
    busy while it waits for one that has none (docs/log.md, 2026-11-30). A library that the block
    itself loads is not limited, so import torch before.
    """
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 1
    with limited_threads(1):
        if torch:
            torch.set_num_threads(1)
        try:
            yield
        finally:
            if torch:
                torch.set_num_threads(before)


def keep_to_one_thread() -> None:
    """Let this process use one thread from now on, in libraries that it loads later too."""
    os.environ.update(dict.fromkeys(VARIABLES, "1"))
    _controller(len(sys.modules)).limit(limits=1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """The loaded libraries, at a number of imported modules."""
    return ThreadpoolController()
