"""Compute windows of a stack on threads, processes or a Dask cluster, into arrays on disk.

Each window is kept under the hash of all that it depends on. So a killed run continues, and if an
item has to be left out, only the windows that it touches are computed again: the result is that of
a run without the item, whichever window met the fault first.
"""

import contextlib
import ctypes
import math
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, lru_cache
from multiprocessing import get_context
from typing import Any

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.stack import SourceStack
from spatioformer.archives.yearly import FailedItems
from spatioformer.common.cache import Arrays
from spatioformer.common.errors import ImageryError, OutputError
from spatioformer.common.progress import SILENT, Console

THREADS, PROCESSES = "threads", "processes"
AHEAD = 2  # windows submitted for each worker
SHARES = 4  # windows of each worker, at least, unless they would be very small
NOTICE, WORKER_TIMEOUT = 10.0, 120.0  # seconds without a worker: it is said, the run ends
PATIENCE = 20  # seconds to wait for a Dask scheduler
COPIES = 4  # arrays of all observations that exist at once: read, mosaicked, sorted, masked
SMALLEST, LARGEST = 256, 2048
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # numbers of glibc's mallopt
HELD = 2**28  # bytes of free memory that a process keeps for its next arrays
BASE = 400e6  # bytes that a process holds before it reads a window
NO_DASK = "a scheduler needs Dask, which is not installed; pip install 'spatioformer[dask]'"

Outcome = np.ndarray | FailedItems


def window_size(stack: SourceStack, year: int, workers: int, memory: float) -> int:
    """Side of the windows, pixels, with which `workers` stay under `memory` GB together.

    There are several windows for each worker, so that no one waits long for the last of another.
    """
    bands = max(len(source.read) for source in stack.sources)
    pixel = 4 * (COPIES * max(1, stack.most_days(year)) * bands + 2 * len(stack.bands))
    free = max(memory * 1e9 - BASE, 0.1 * memory * 1e9) / max(1, workers)
    largest = min(LARGEST, max(SMALLEST, math.sqrt(free / pixel)))
    longest = max(stack.grid.shape)
    pieces = max(math.ceil(longest / largest), math.ceil(math.sqrt(SHARES * workers)))
    pieces += pieces % 2 if workers > 1 else 0
    return max(SMALLEST, math.ceil(longest / pieces))


def compute_windows(
    stack: SourceStack,
    year: int,
    windows: Sequence[Window],
    store: Arrays,
    *,
    halo: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    console: Console = SILENT,
) -> SourceStack:
    """Compute all windows into `store`, under `stack.key(window, year)` of the returned stack.

    A window without any value is kept as an empty array; `load_window` fills it in.

    Args:
        scheduler: None or "threads", "processes", or the address of a dask.distributed scheduler.

    Returns:
        The stack without the items that could not be read.

    Raises:
        ImageryError: an item cannot be read, and the source's `on_error` is stop.
        OutputError: the scheduler does not answer, or the disk is full.
    """
    count = workers or os.cpu_count() or 1
    with _pool(scheduler, count, console) as submit:
        with console.task(f"imagery {year}", len(windows)) as advance:
            done = 0
            while True:
                keys = {stack.key(window, year): window for window in windows}
                missing = [(k, w) for k, w in keys.items() if not store.path(k).exists()]
                if len(windows) - len(missing) > done:
                    advance(len(windows) - len(missing) - done)
                    done = len(windows) - len(missing)
                reasons: dict[str, str] = {}
                for key, outcome in _outcomes(stack, year, missing, halo, submit, count):
                    if isinstance(outcome, FailedItems):
                        reasons |= outcome.reasons
                        continue
                    store.save(key, outcome)
                    done += 1
                    advance(1)
                if not reasons:
                    return stack
                for name, reason in reasons.items():
                    console.say(f"  left out {name}: {reason}")
                stack = stack.without(reasons)


def load_window(
    stack: SourceStack, year: int, window: Window, store: Arrays, halo: int = 0
) -> np.ndarray | None:
    """A computed window; None where it is damaged or absent."""
    values = store.load(stack.key(window, year))
    if values is None or values.size:
        return values
    return np.full(
        (len(stack.bands), window.height + 2 * halo, window.width + 2 * halo), np.nan, np.float32
    )


Submit = Callable[..., "Future[Any]"]


def _outcomes(
    stack: SourceStack,
    year: int,
    missing: Sequence[tuple[str, Window]],
    halo: int,
    submit: Submit,
    workers: int,
) -> Iterator[tuple[str, Outcome]]:
    """Outcomes as they finish; after the first failure no further windows are begun."""
    from concurrent.futures import FIRST_COMPLETED, wait

    packed = pickle.dumps(stack)
    waiting = iter(missing)
    jobs: dict[Future[Any], str] = {}
    failed = False
    while True:
        while not failed and len(jobs) < AHEAD * workers:
            entry = next(waiting, None)
            if entry is None:
                break
            key, window = entry
            jobs[submit(compute_window, packed, year, window.flatten(), halo)] = key
        if not jobs:
            return
        for job in wait(jobs, return_when=FIRST_COMPLETED).done:
            outcome = job.result()
            failed |= isinstance(outcome, FailedItems)
            yield jobs.pop(job), outcome


def compute_window(
    packed: bytes, year: int, window: tuple[int, int, int, int], halo: int
) -> Outcome:
    """The values of one window, or why some items cannot be read; runs on a worker.

    Args:
        window: column, row, width, height.
    """
    _keep_memory()
    try:
        values = _unpacked(packed).read(Window(*window), year, halo)
    except FailedItems as error:
        return error
    return values if np.isfinite(values).any() else values[:0]


@cache
def _keep_memory() -> None:
    """Undo a setting of Dask's workers that makes temporary arrays slow.

    They are started with MALLOC_TRIM_THRESHOLD_=65536: the C library then returns each freed array
    to the system and gets it anew, page by page, which takes half as long again as the work.
    """
    if sys.platform.startswith("linux") and "MALLOC_TRIM_THRESHOLD_" in os.environ:
        with contextlib.suppress(OSError, AttributeError):  # another C library
            library = ctypes.CDLL(None)
            for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
                library.mallopt(parameter, HELD)


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> SourceStack:
    stack: SourceStack = pickle.loads(packed)  # our own bytes, sent a moment ago
    return stack


@contextmanager
def _pool(scheduler: str | None, workers: int, console: Console) -> Iterator[Submit]:
    """A function that submits a call, and gives a `concurrent.futures.Future`."""
    if scheduler in (None, THREADS, PROCESSES):
        pool: Executor
        if scheduler == PROCESSES:
            pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
        else:
            pool = ThreadPoolExecutor(workers)
        try:
            yield pool.submit
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise OutputError(NO_DASK) from error
    try:
        client = Client(scheduler, timeout=PATIENCE, set_as_default=False)
    except (OSError, ValueError) as error:
        raise OutputError(
            f"no Dask scheduler answers at {scheduler}; start one with `dask scheduler`, or "
            "correct --scheduler"
        ) from error
    with client:
        _wait_for_workers(client, scheduler, console)
        with client.get_executor(pure=False) as executor:
            yield executor.submit


def _wait_for_workers(client: Any, address: str | None, console: Console) -> None:
    """Return when the scheduler has a worker; say so while it has none.

    Raises:
        OutputError: it has none for too long.
    """
    for seconds in (NOTICE, WORKER_TIMEOUT - NOTICE):
        try:
            client.wait_for_workers(1, timeout=seconds)
            return
        except TimeoutError:
            console.say(f"  the Dask scheduler at {address} has no worker")
    raise OutputError(
        f"the Dask scheduler at {address} has had no worker for {WORKER_TIMEOUT:g} s; start one "
        f"with `dask worker {address}` and run again, which keeps the finished windows"
    )


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
