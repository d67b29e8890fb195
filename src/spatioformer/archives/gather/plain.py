"""Values of a raster at places, in numpy.

Arguments: values, float32 (band, h, w), NaN where there is no data; u and v, float64 (y, x), column
and row of each place in them, NaN for places without a value. Results are float32 (band, y, x).
"""

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Places = NDArray[np.float64]
Numbers = NDArray[np.intp]


def nearest(values: Values, u: Places, v: Places) -> Values:
    """The value of the pixel in which each place lies."""
    return _at(values, *_pixels(u, v))


def bilinear(values: Values, u: Places, v: Places) -> Values:
    """Mean of the four pixels round each place, those with a value; the nearest must have one."""
    total, weights = np.zeros((2, len(values), *u.shape))
    row, col = _pixels(u - 0.5, v - 0.5)
    with np.errstate(invalid="ignore"):
        across, down = u - 0.5 - col, v - 0.5 - row
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (down if i else 1 - down) * (across if j else 1 - across)
            _add(values, row + i, col + j, weight, total, weights)
        out = (total / weights).astype(np.float32)
    out[~np.isfinite(nearest(values, u, v))] = np.nan
    return out


def average(
    values: Values, u: Places, v: Places, width: float, height: float, least: float
) -> Values:
    """Mean over a rectangle round each place, weighted by area.

    Args:
        width, height: of the rectangle, pixels.
        least: area that must hold values.
    """
    total, weights = np.zeros((2, len(values), *u.shape))
    left, top = u - width / 2, v - height / 2
    row, col = _pixels(left, top)
    with np.errstate(invalid="ignore"):
        for i in range(int(np.ceil(height)) + 1):
            down = np.minimum(row + i + 1, top + height) - np.maximum(row + i, top)
            for j in range(int(np.ceil(width)) + 1):
                across = np.minimum(col + j + 1, left + width) - np.maximum(col + j, left)
                weight = np.maximum(down, 0) * np.maximum(across, 0)
                _add(values, row + i, col + j, weight, total, weights)
        out = (total / weights).astype(np.float32)
    out[(weights < least) | np.isnan(u)] = np.nan
    return out


def _add(
    values: Values,
    row: Numbers,
    col: Numbers,
    weight: Places,
    total: Places,
    weights: Places,
) -> None:
    value = _at(values, row, col)
    present = np.isfinite(value)
    total += np.where(present, value, 0) * weight
    weights += np.where(present, weight, 0)


def _pixels(u: Places, v: Places) -> tuple[Numbers, Numbers]:
    """Row and column of the pixel in which each place lies; a far one where there is no place."""
    row, col = (
        np.floor(np.where(np.isnan(place), -9e9, place)).astype(np.intp) for place in (v, u)
    )
    return row, col


def _at(values: Values, row: Numbers, col: Numbers) -> Values:
    """Values at pixels, NaN outside."""
    bands, height, width = values.shape
    inside = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    flat = np.where(inside, row * width + col, 0)
    out = values.reshape(bands, -1)[:, flat]
    out[:, ~inside] = np.nan
    return out
