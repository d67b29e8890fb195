"""Geometric median of each pixel's observations: the point with the smallest sum of distances.

    y* = argmin_y f(y),   f(y) = sum_t |x_t - y|        x_t: all bands of a date, Euclidean distance

Unlike a median of each band it keeps the bands of a pixel together (Roberts, Mueller & McIntyre
2017, doi:10.1109/TGRS.2017.2723896). Bands are not scaled; a band with larger numbers counts more.

The iteration starts at the mean. Weiszfeld's step, which cannot make f larger, is

    r(y) = (sum_t (x_t - y) / d_t) / (sum_t 1 / d_t),   d_t = |x_t - y|,

shortened on an observation as Vardi & Zhang (2000, doi:10.1073/pnas.97.4.1423) have it. It is slow
where bands go up and down together, so Newton's step is tried first: n(y) = H^-1 sum_t (x_t - y) /
d_t with the second derivative H of f. If f grows, the pixel takes Weiszfeld's step instead. Where
Newton's step reaches over the nearest observation, that observation is tried: f has a kink there.

A pixel is finished when both |r(y)| and |n(y)|, an estimate of the whole way that is left, are at
most `eps` times n / (sum_t 1 / d_t), the harmonic mean distance of its n observations: a far cloud
does not loosen it. On made-up series of 20 dates and 6 bands, that is after 5 iterations on
average, where Weiszfeld alone needs 8 to 40.

The kernels compute in float32, with observations less their mean. What is lost is about 1e-7 of
the largest number of a pixel's observations.
"""

import numpy as np

from spatioformer.archives.composites.blocks import (
    Floats,
    blocks,
    flat,
    in_threads,
    kernels,
    observations,
)
from spatioformer.archives.composites.plain import geomedian as plain_geomedian
from spatioformer.common.errors import ArgumentError

ROWS = 64
"""Rows that a thread computes in one call."""
EPS, LIMIT = 1e-4, 50
SMALLEST = 1e-6
"""Of float32 numbers no smaller share of their distances is left."""


def geomedian(
    values: Floats, *, eps: float = EPS, max_iterations: int = LIMIT, threads: int = 1
) -> Floats:
    """Compute the geometric median over time.

    An observation counts only with all of its bands. Without any the result is NaN; one observation
    is the result; of two the result is their middle (every point between them is a minimum).

    Args:
        values: (time, band, y, x) float32, NaN where missing. It is not copied if contiguous,
            otherwise in blocks.
        eps: distance to the minimum that may be left, as a share of the harmonic mean distance of
            a pixel's observations; an estimate, from 1e-6.
        max_iterations: a pixel that needs more keeps its best value.
        threads: pixels in so many parts at a time; the result is the same for any number.

    Returns:
        (band, y, x) float32.

    Raises:
        ArgumentError: for another number of axes, an `eps` below 1e-6 or fewer than one iteration
            or thread.
    """
    values = observations(values)
    if not SMALLEST <= eps <= 1 or max_iterations < 1:
        raise ArgumentError(
            f"a geometric median needs eps from {SMALLEST:g} to 1 and an iteration or more, "
            f"not eps {eps:g} and {max_iterations} iterations"
        )
    bands, height, width = values.shape[1:]
    result = np.full((bands, height, width), np.nan, np.float32)
    if not values.size:
        return result
    compiled = kernels()
    if compiled is not None and values.flags.c_contiguous:
        data, target = flat(values), result.reshape(bands, -1)
        step = min(ROWS, height) * width

        def part(start: int) -> None:
            stop = min(start + step, height * width)
            compiled.geomedian(data, target, start, stop, np.float32(eps), max_iterations)

        in_threads(part, range(0, height * width, step), threads)
        return result

    def block(window: tuple[slice, slice]) -> None:
        data = flat(values[:, :, *window])
        if compiled is None:
            medians = plain_geomedian(data, eps, max_iterations)
        else:
            medians = np.empty(data.shape[1:], np.float32)
            compiled.geomedian(data, medians, 0, data.shape[2], np.float32(eps), max_iterations)
        result[:, *window] = medians.reshape(result[:, *window].shape)

    in_threads(block, blocks(values), threads)
    return result
