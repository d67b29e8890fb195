"""Spread of a pixel's observations round their geometric median: three median absolute deviations.

Source: Roberts, Dunn & Mueller 2018, "Open Data Cube Products Using High-Dimensional Statistics of
Time Series", doi:10.1109/IGARSS.2018.8518312. With observation x, geometric median m and sums over
bands, each is the median over dates of a distance:

    smad    1 - x.m / (|x| |m|)                  cosine; of the shape of a spectrum alone
    emad    |x - m|                              Euclidean; in the unit of the values
    bcmad   sum |x_b - m_b| / sum |x_b + m_b|    Bray-Curtis; a share
"""

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.composites.blocks import (
    Bools,
    Floats,
    blocks,
    in_threads,
    is_value,
    observations,
)
from spatioformer.archives.composites.reduce import quantiles
from spatioformer.common.errors import ArgumentError

NAMES = ("smad", "emad", "bcmad")

Doubles = NDArray[np.float64]


def deviations(values: Floats, median: Floats, *, threads: int = 1) -> Floats:
    """Compute the three deviations over time.

    As for the geometric median, an observation counts only with all of its bands. Without any, or
    where no observation has a distance (a spectrum of zeros has no direction), the result is NaN.

    Args:
        values: (time, band, y, x) float32, NaN where missing.
        median: their geometric median, (band, y, x).
        threads: blocks at a time; the result is the same for any number.

    Returns:
        (3, y, x) float32, in the order of `NAMES`.

    Raises:
        ArgumentError: if the two arrays do not have the same bands and pixels.
    """
    values = observations(values)
    if median.shape != values.shape[1:]:
        raise ArgumentError(
            f"a median of shape {median.shape} does not belong to observations of shape "
            f"{values.shape}: it needs {values.shape[1:]}"
        )
    result = np.full((len(NAMES), *median.shape[1:]), np.nan, np.float32)

    def block(window: tuple[slice, slice]) -> None:
        distances = _distances(values[:, :, *window], median[:, *window])
        for number, distance in enumerate(distances):
            medians = quantiles(distance.reshape(len(values), -1), [50.0])
            result[number, *window] = medians.reshape(result[number, *window].shape)

    if values.size:
        in_threads(block, blocks(values), threads)
    return result


def _distances(values: Floats, median: Floats) -> Floats:
    """Distances (3, T, y, x) of a block, NaN where an observation has none."""
    distances = np.empty((len(NAMES), len(values), *median.shape[1:]), np.float32)
    middle = median.astype(np.float64)
    norm = np.sqrt(_sum(middle * middle))
    for t, date in enumerate(values):
        clear: Bools = np.logical_and.reduce(is_value(date), axis=0)
        x = np.where(clear, date, np.nan).astype(np.float64)
        apart = x - middle
        with np.errstate(invalid="ignore", divide="ignore"):
            cosine = _sum(x * middle) / (np.sqrt(_sum(x * x)) * norm)
            distances[0, t] = np.maximum(1 - cosine, 0)
            distances[1, t] = np.sqrt(_sum(apart * apart))
            distances[2, t] = _sum(np.abs(apart)) / _sum(np.abs(x + middle))
    return distances


def _sum(terms: Doubles) -> Doubles:
    """Sum over bands, in order."""
    total = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total
