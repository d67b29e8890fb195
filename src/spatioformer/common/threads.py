"""Limits on the threads of linear algebra (BLAS) and OpenMP."""

import sys
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any

from threadpoolctl import ThreadpoolController


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


@lru_cache(maxsize=1)
def _controller(modules: int) -> ThreadpoolController:
    """The loaded libraries, at a number of imported modules."""
    return ThreadpoolController()
