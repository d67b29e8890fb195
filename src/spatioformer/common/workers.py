"""Worker processes of one thread each: forks of a server that imports the libraries once."""

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import (
    get_all_start_methods,
    get_context,
    parent_process,
    resource_tracker,
)
from multiprocessing.context import BaseContext
from typing import TypeVar

from spatioformer.common.allocation import keep_freed_memory
from spatioformer.common.threads import keep_to_one_thread

T = TypeVar("T")
Task = Callable[[], T]
"""A call that a worker process can receive."""

_started = False
"""Whether this process has started the server."""


def start_server(modules: Sequence[str] = ()) -> None:
    """Start the server of the worker processes, and do not wait for its imports.

    A later `results` then finds the libraries imported. Nothing happens if the server runs already,
    or on a system without such servers.

    Args:
        modules: what the server imports.
    """
    global _started
    if "forkserver" not in get_all_start_methods():  # Windows
        return
    from multiprocessing import forkserver

    if not _started:
        forkserver.set_forkserver_preload([*modules])
    _started = True
    resource_tracker.ensure_running()  # its start would lift the block
    with _blocked_interrupts():
        forkserver.ensure_running()


def results(
    tasks: Sequence[Task[T]], workers: int, urgent: Callable[[], Task[T] | None] = lambda: None
) -> Generator[T, None, None]:
    """Call tasks in `workers` processes, and yield each result when it is there.

    If the block ends early, the processes are stopped at once.

    Args:
        tasks: in the order of their start.
        urgent: asked for a task after each result; that task precedes the waiting ones. While it
            works, each process has one more task to go on with.

    Raises:
        BrokenProcessPool: a process was killed.
    """
    waiting = deque(tasks)
    running: set[Future[T]] = set()
    pool = ProcessPoolExecutor(workers, _started_context(), initializer=_begin)
    try:
        while True:
            if (task := urgent()) is not None:
                waiting.appendleft(task)
            with _blocked_interrupts():
                while waiting and len(running) < 2 * workers:
                    running.add(pool.submit(waiting.popleft()))
            if not running:
                break
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BaseException:
        _stop(pool)
        raise
    pool.shutdown()


@contextmanager
def beside(task: Task[T], *, wanted: bool = True) -> Iterator[Task[T]]:
    """Call a task in a worker process while the block runs, if this process has started the server.

    Args:
        wanted: whether a second process is wanted.

    Yields:
        Function that waits for the task's result. It calls the task itself if there is no server,
        if no second process is wanted, or if the worker process was killed.
    """
    if not (_started and wanted):
        yield task
        return
    pool = ProcessPoolExecutor(1, _started_context(), initializer=_begin)

    def result() -> T:
        try:
            return future.result()
        except BrokenProcessPool:
            return task()

    try:
        with _blocked_interrupts():
            future = pool.submit(task)
        yield result
    except BaseException:
        _stop(pool)
        raise
    pool.shutdown()


def _started_context() -> BaseContext:
    """Start method of the workers, whose server has imported all.

    A server process imports the libraries once, and every worker is a fork of it. The server has no
    threads of its own at work, so the forks are safe; forks of this process would not be.
    """
    if "forkserver" not in get_all_start_methods():  # Windows
        return get_context("spawn")
    start_server()
    context = get_context("forkserver")
    # Wait until the server has imported all. A Ctrl-C that reaches another thread of this process
    # interrupts the wait; a worker that the pool had requested would then come up unknown to it.
    with _blocked_interrupts():
        first = context.Process(target=_do_nothing, daemon=True)
        first.start()
    first.join()
    return context


def _do_nothing() -> None:
    pass


@contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Block SIGINT, so that worker processes started here inherit the block.

    The parent process stops the workers after Ctrl-C, and they print no tracebacks.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin() -> None:
    """Initialise a worker: one thread, keep freed memory, and exit when the parent process ends.

    A worker whose parent was killed would otherwise wait, and hold memory, for ever.
    """
    keep_to_one_thread()
    keep_freed_memory()

    parent = parent_process()
    assert parent is not None  # this process is a worker

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _stop(pool: ProcessPoolExecutor) -> None:
    """Stop the worker processes at once."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    # Wait for the pool's thread: at exit Python would wake it while it closes its pipe.
    pool.shutdown(cancel_futures=True)
