"""Where windows are computed: on threads, in processes, or on a Dask cluster."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any, Protocol

from spatioformer.archives.composites.blocks import kernels
from spatioformer.archives.placement import compiled
from spatioformer.common.cluster import connected
from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console

THREADS, PROCESSES = "threads", "processes"
AHEAD = 2  # calls submitted for each worker


class Pool(Protocol):
    """Workers that take calls."""

    def results(
        self, function: Callable[..., object], calls: Iterable[tuple[str, tuple]]
    ) -> Iterator[tuple[str, Any]]:
        """Yield (key, result) of calls as they finish.

        Args:
            calls: key and arguments of each call. One is taken only when it can be submitted.
        """


@contextmanager
def open_pool(scheduler: str | None, workers: int, console: Console = SILENT) -> Iterator[Pool]:
    """A pool of workers, which begin to import what they need.

    Args:
        scheduler: None or "threads", "processes", or the address of a dask.distributed scheduler.
        workers: their number; that of a cluster is its own.

    Raises:
        OutputError: the scheduler does not answer.
    """
    if scheduler_of(scheduler) not in (None, THREADS, PROCESSES):
        assert scheduler is not None
        with connected(scheduler, "window", console=console) as cluster:
            cluster.prepare(prepare)
            yield cluster
        return
    executor: Executor
    if scheduler == PROCESSES:
        context = get_context("spawn")
        executor = ProcessPoolExecutor(workers, mp_context=context, initializer=prepare)
    else:
        executor = ThreadPoolExecutor(workers)
    try:
        yield _Here(executor, workers)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def prepare() -> None:
    """Import what a window needs, and its compiled kernels; runs on a worker."""
    import spatioformer.archives.stack  # noqa: F401

    kernels()
    compiled()


class _Here:
    """Threads or processes of this machine."""

    def __init__(self, executor: Executor, workers: int):
        self._executor, self._most = executor, AHEAD * workers

    def results(
        self, function: Callable[..., object], calls: Iterable[tuple[str, tuple]]
    ) -> Iterator[tuple[str, Any]]:
        jobs: dict[Future[Any], str] = {}
        for key, arguments in calls:
            jobs[self._executor.submit(function, *arguments)] = key
            while len(jobs) >= self._most:
                yield from _finished(jobs)
        while jobs:
            yield from _finished(jobs)


def _finished(jobs: dict["Future[Any]", str]) -> Iterator[tuple[str, Any]]:
    """Wait for at least one job, and yield and remove the finished ones."""
    for job in wait(jobs, return_when=FIRST_COMPLETED).done:
        yield jobs.pop(job), job.result()


def scheduler_of(text: str | None) -> str | None:
    """A scheduler as the user names it.

    Raises:
        ImageryError: it is neither threads, processes, nor an address.
    """
    if text in (None, THREADS, PROCESSES) or "://" in str(text):
        return text
    raise ImageryError(
        f"the scheduler {text!r} is unknown; give threads, processes, or an address such as "
        "tcp://127.0.0.1:8786"
    )
