"""Median, mean, percentiles and number of each pixel's observations, band by band."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.composites.blocks import (
    Floats,
    blocks,
    in_threads,
    is_value,
    kernels,
    observations,
)
from spatioformer.archives.composites.plain import all_bands
from spatioformer.common.errors import ArgumentError


def reduce(
    values: Floats, how: str, percentiles: Sequence[float] = (), *, threads: int = 1
) -> Floats:
    """Reduce the dates of each band to one value, or one value a percentile.

    A band's missing values leave its other dates, and other bands, as they are. Without any the
    result is NaN. Means are summed in float64.

    Args:
        values: (time, band, y, x) float32, NaN where missing.
        how: "median", "mean", "percentiles" (linear between values, as numpy has them) or "count"
            (that of `count_clear`).
        percentiles: from 0 to 100.
        threads: blocks at a time; the result is the same for any number.

    Returns:
        (band, y, x) float32; for percentiles (band * percentile, y, x), all percentiles of the
        first band first; for the count (1, y, x).

    Raises:
        ArgumentError: for an unknown `how` or a percentile outside 0 to 100.
    """
    values = observations(values)
    if how == "count":
        return count_clear(values)[None].astype(np.float32)
    if how not in ("median", "mean", "percentiles"):
        raise ArgumentError(f"observations are reduced by median, mean or percentiles, not {how}")
    shares = [50.0] if how == "median" else list(percentiles)
    if how == "percentiles" and (not shares or not all(0 <= share <= 100 for share in shares)):
        raise ArgumentError(f"percentiles are numbers from 0 to 100, one at least, not {shares}")
    each = len(shares) if how == "percentiles" else 1
    bands, height, width = values.shape[1:]
    result = np.full((bands, each, height, width), np.nan, np.float32)

    def block(window: tuple[slice, slice]) -> None:
        for band in range(bands):
            data = values[:, band, *window].reshape(len(values), -1)
            reduced = _mean(data) if how == "mean" else quantiles(data, shares)
            result[band, :, *window] = reduced.reshape(result[band, :, *window].shape)

    if values.size:
        in_threads(block, blocks(values), threads)
    return result.reshape(bands * each, height, width)


def count_clear(values: Floats) -> NDArray[np.uint16]:
    """Count the dates (time, band, y, x) on which a pixel has a value in every band: (y, x)."""
    values = observations(values)
    count = np.zeros(values.shape[2:], np.uint16)
    for date in values:
        count += all_bands(date[None])[0]
    return count


def _mean(data: Floats) -> Floats:
    """Mean over dates (T, P) as (1, P); the sum has the order of the dates."""
    total, count = np.zeros(data.shape[1]), np.zeros(data.shape[1])
    for date in data:
        here = is_value(date)
        total += np.where(here, date, 0)
        count += here
    mean = total / np.maximum(count, 1)
    return np.where(count > 0, mean, np.nan).astype(np.float32)[None]


def quantiles(data: Floats, percentiles: Sequence[float]) -> Floats:
    """Percentiles over dates (T, P) as (percentile, P), linear between values, NaN without one."""
    here = is_value(data)
    count = here.sum(axis=0)
    ordered = np.where(here, data, np.float32(np.inf))
    compiled = kernels()
    if compiled is None:
        ordered.sort(axis=0)
    else:
        compiled.sort_dates(ordered)
    result = np.empty((len(percentiles), data.shape[1]), np.float32)
    last, pixels = np.maximum(count - 1, 0), np.arange(data.shape[1])
    for row, percentile in zip(result, percentiles, strict=True):
        position = last * (percentile / 100)
        below = np.floor(position).astype(np.intp)
        above = np.minimum(below + 1, last)
        row[:] = _between(ordered[below, pixels], ordered[above, pixels], position - below)
        row[count == 0] = np.nan
    return result


def _between(low: Floats, high: Floats, share: NDArray[np.float64]) -> Floats:
    """Interpolate as numpy.percentile does, from the nearer end and in float32."""
    share = share.astype(np.float32)
    with np.errstate(invalid="ignore"):
        apart = high - low
        nearer = np.where(share < 0.5, low + apart * share, high - apart * (1 - share))
        return np.where(share == 0.5, (low + high) / 2, nearer)  # as numpy.median
