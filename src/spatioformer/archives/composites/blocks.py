"""Blocks of pixels, small enough for the processor's cache, one or several at a time."""

import importlib.util
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.errors import ArgumentError

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Part = TypeVar("Part")

PIXELS = 4096
"""Pixels of a block: with 20 dates of one band, 320 KB."""
LARGEST = np.float32(1e18)
"""Numbers beyond it are missing; their squares would not fit into float32."""


@cache
def kernels() -> ModuleType | None:
    """The module of compiled kernels, or None where numba (extra `fast`) is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    from spatioformer.archives.composites import kernels

    return kernels


def observations(values: NDArray[np.generic]) -> Floats:
    """Check an array of observations (time, band, y, x) and return it as float32.

    Raises:
        ArgumentError: if it has not four axes, or no band.
    """
    if values.ndim != 4 or values.shape[1] == 0:
        raise ArgumentError(
            f"observations are an array (time, band, y, x) with a band at least, "
            f"not of shape {values.shape}"
        )
    return np.asarray(values, dtype=np.float32)


def is_value(values: Floats) -> Bools:
    """Whether each number is a measurement; NaN, infinite and huge numbers are missing."""
    with np.errstate(invalid="ignore"):
        return np.abs(values) <= LARGEST


def blocks(values: Floats, pixels: int = PIXELS) -> Iterator[tuple[slice, slice]]:
    """Cut the plane of an array (..., y, x) into windows of about `pixels` pixels."""
    height, width = values.shape[-2:]
    across = min(width, pixels)
    down = max(1, pixels // max(across, 1))
    for top in range(0, height, down):
        for left in range(0, width, across):
            yield slice(top, min(top + down, height)), slice(left, min(left + across, width))


def flat(values: Floats) -> Floats:
    """View or copy of an array (..., y, x) as (..., pixel)."""
    return np.ascontiguousarray(values).reshape(*values.shape[:-2], -1)


def in_threads(work: Callable[[Part], None], parts: Iterable[Part], threads: int) -> None:
    """Call `work` on each part, in as many threads; it writes its own part of the result.

    Raises:
        ArgumentError: if the number of threads is not positive.
    """
    if threads < 1:
        raise ArgumentError(f"threads must be 1 or more, not {threads}")
    if threads == 1:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, parts):
            pass
