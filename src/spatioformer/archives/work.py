"""Compute windows of a stack on threads, processes or a Dask cluster, into arrays on disk.

Each window is kept under the hash of all that it depends on. So a killed run continues, and if an
item has to be left out, only the windows that it touches are computed again: the result is that of
a run without the item, whichever window met the fault first.
"""

import math
import os
import pickle
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import lru_cache

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.pools import Pool
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.yearly import FailedItems
from spatioformer.common.allocation import keep_freed_memory
from spatioformer.common.cache import Arrays
from spatioformer.common.progress import SILENT, Console

SHARES = 4  # windows of each worker, at least, unless they would be very small
COPIES = 4  # arrays of all observations that exist at once: read, mosaicked, sorted, masked
SMALLEST, LARGEST = 256, 2048
BASE = 400e6  # bytes that a process holds before it reads a window

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
    pool: Pool,
    *,
    computed: Callable[[str, Window, np.ndarray], None] = lambda key, window, values: None,
    console: Console = SILENT,
) -> SourceStack:
    """Compute all windows into `store`, under `stack.key(window, year)` of the returned stack.

    A window without any value is kept as an empty array; `load_window` fills it in.

    Args:
        computed: called with the key and the values of each window when it is computed, while
            others are. Windows that an item touches come again when the item is left out.

    Returns:
        The stack without the items that could not be read.

    Raises:
        ImageryError: an item cannot be read, and the source's `on_error` is stop.
        OutputError: the scheduler does not answer, or the disk is full.
    """
    with console.task(f"imagery {year}", len(windows)) as advance:
        done = 0
        while True:
            keys = {stack.key(window, year): window for window in windows}
            missing = [(k, w) for k, w in keys.items() if not store.path(k).exists()]
            if len(windows) - len(missing) > done:
                advance(len(windows) - len(missing) - done)
                done = len(windows) - len(missing)
            reasons: dict[str, str] = {}
            calls = _calls(pickle.dumps(stack), year, missing, reasons)
            for key, outcome in pool.results(compute_window, calls):
                if isinstance(outcome, FailedItems):
                    reasons |= outcome.reasons
                    continue
                store.save(key, outcome)
                computed(key, keys[key], outcome)
                done += 1
                advance(1)
            if not reasons:
                return stack
            for name, reason in reasons.items():
                console.say(f"  left out {name}: {reason}")
            stack = stack.without(reasons)


def load_window(stack: SourceStack, year: int, window: Window, store: Arrays) -> np.ndarray:
    """A computed window; it is read anew where it is absent, or damaged since it was written."""
    values = store.load(stack.key(window, year))
    if values is None:
        return stack.read(window, year)
    return values if values.size else nothing(stack, window)


def nothing(stack: SourceStack, window: Window) -> np.ndarray:
    """A window without any value: float32 (band, y, x)."""
    return np.full((len(stack.bands), window.height, window.width), np.nan, np.float32)


def _calls(
    packed: bytes, year: int, missing: Sequence[tuple[str, Window]], failed: Collection
) -> Iterator[tuple[str, tuple]]:
    """Key and arguments of each window's call, until something is in `failed`."""
    for key, window in missing:
        if failed:
            return
        yield key, (packed, year, window.flatten())


def compute_window(packed: bytes, year: int, window: tuple[int, int, int, int]) -> Outcome:
    """The values of one window, or why some items cannot be read; runs on a worker.

    Args:
        window: column, row, width, height.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        # Dask starts its workers with 65536, with which they return each array to the system at
        # once. To get the next one then takes half as long as the work itself.
        keep_freed_memory()
    try:
        values = _unpacked(packed).read(Window(*window), year)
    except FailedItems as error:
        return error
    return values if np.isfinite(values).any() else values[:0]


@lru_cache(maxsize=2)
def _unpacked(packed: bytes) -> SourceStack:
    stack: SourceStack = pickle.loads(packed)  # our own bytes, sent a moment ago
    return stack
