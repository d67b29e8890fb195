"""Which source pixels make up a target pixel, and with what weights.

`geo.raster.resampling` warps with GDAL. It takes 1 s for 64 bands of 256 x 256 pixels, and on a
grid in degrees 0.5 % of its values differ between windows in the last bit, because positions count
from the window's corner. Positions here count from the grid's corner, so a pixel's weights are the
same bits in every window.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.windows import Window

from spatioformer.geo.grid import Grid

Method = Literal["nearest", "bilinear", "average", "smooth"]
"""How target pixels get values; "smooth" is the mean, over the pixel, of the bilinear surface.

An average takes a source pixel to be level, so a slope gets steps where pixels of the two grids are
of similar size. The mean of the bilinear surface of a plane is exact.
"""
Floats = NDArray[np.float64]

TORN = 100.0
"""Width, in widths of other pixels, from which a pixel lies on a cut of the source's projection."""
EDGE = 21  # points on each edge of a window whose position is looked at first


@dataclass(frozen=True)
class Footprints:
    """The footprint of each target pixel: a box in source pixels, along its rows and columns.

    Arrays are (y, x), in pixels of the source counted from its corner; NaN where a target pixel has
    no position in the source's coordinate reference system.

    Attributes:
        top, left: upper and left edge.
        height, width: size; 1 for "bilinear", 0 for "nearest", one pixel more for "smooth".
        smooth: whether weights are those of a mean of the bilinear surface.
    """

    top: Floats
    left: Floats
    height: Floats
    width: Floats
    smooth: bool = False

    def box(self) -> tuple[int, int, int, int] | None:
        """First row, first column, and the row and column after the last ones; None if empty."""
        placed = np.isfinite(self.top) & np.isfinite(self.left)
        if not placed.any():
            return None
        top, left = self.top[placed], self.left[placed]
        bottom, right = top + self.height[placed], left + self.width[placed]
        first = int(np.floor(top.min())), int(np.floor(left.min()))
        return *first, int(np.floor(bottom.max())) + 1, int(np.floor(right.max())) + 1

    def part(self, rows: slice, cols: slice) -> "Footprints":
        """The footprints of some rows and columns."""
        arrays = (self.top, self.left, self.height, self.width)
        top, left, height, width = (array[rows, cols] for array in arrays)
        return Footprints(top, left, height, width, self.smooth)

    def weights(self, row: int, col: int) -> tuple[NDArray[np.int64], NDArray[np.int64], Floats]:
        """Rows (n,), columns (m,) and weights (n, m) of one footprint; empty without a position."""
        place = slice(row, row + 1), slice(col, col + 1)
        if not (np.isfinite(self.top[row, col]) and np.isfinite(self.left[row, col])):
            return np.empty(0, np.int64), np.empty(0, np.int64), np.empty((0, 0))
        rows, row_weights = _all_along(self.top[place], self.height[place], self.smooth)
        cols, col_weights = _all_along(self.left[place], self.width[place], self.smooth)
        return rows, cols, row_weights[:, None] * col_weights

    def terms(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]:
        """Row, column and weight of one source pixel of every footprint after another, (y, x) each.

        The weights of a footprint sum to 1. The order is that of rows, then columns; footprints
        with fewer pixels than others get weights of 0.
        """
        placed = np.isfinite(self.top) & np.isfinite(self.left)
        # Pixels without a position get any footprint, and no weight.
        height = np.where(placed, self.height, np.nanmax(self.height))
        width = np.where(placed, self.width, np.nanmax(self.width))
        rows = _along(np.where(placed, self.top, 0.0), height, self.smooth)
        columns = list(_along(np.where(placed, self.left, 0.0), width, self.smooth))
        for row, row_weight in rows:
            row_weight = np.where(placed, row_weight, 0.0)
            for column, weight in columns:
                yield row, column, row_weight * weight


def _all_along(start: Floats, size: Floats, smooth: bool) -> tuple[NDArray[np.int64], Floats]:
    """Numbers and weights of the pixels that one box overlaps."""
    pixels, weights = zip(*_along(start, size, smooth), strict=True)
    return np.concatenate(pixels).ravel(), np.concatenate(weights).ravel()


def _along(start: Floats, size: Floats, smooth: bool) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Number and weight of the pixels along one axis that boxes from `start` overlap."""
    first = np.floor(start).astype(np.int64)
    most = int((np.floor(start + size) - first).max(initial=0)) + 1
    for step in range(most):
        pixel = first + step
        if not size.any():
            yield pixel, np.ones(start.shape)
            continue
        if smooth:  # the box reaches half a pixel beyond the target pixel on each side
            low, high = start + 0.5 - (pixel + 0.5), start + size - 0.5 - (pixel + 0.5)
            yield pixel, (_under_hat(high) - _under_hat(low)) / (size - 1)
            continue
        overlap = np.minimum(start + size, pixel + 1) - np.maximum(start, pixel)
        yield pixel, np.maximum(overlap, 0.0) / size


def _under_hat(place: Floats) -> Floats:
    """Area under the hat of bilinear interpolation, 1 at 0 and 0 at -1 and 1, up to a place."""
    inside = np.clip(place, -1, 1)
    return np.where(inside < 0, (inside + 1) ** 2 / 2, 1 - (1 - inside) ** 2 / 2)


class Turned:
    """A transformation to degrees whose longitudes lie within half a turn of a meridian.

    Args:
        plain: the transformation.
        middle: the meridian, degrees.
    """

    def __init__(self, plain: Transformer, middle: float):
        self._plain, self._middle = plain, middle

    def transform(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `Transformer.transform`."""
        lon, lat = self._plain.transform(x, y)
        with np.errstate(invalid="ignore"):
            return lon + 360 * np.round((self._middle - lon) / 360), lat


def transformer(grid: Grid, source: Grid) -> Transformer | Turned:
    """From the coordinates of a grid to those of a source; degrees lie near the grid's middle."""
    plain = Transformer.from_crs(grid.crs, source.crs, always_xy=True)
    return Turned(plain, middle_of(grid)) if source.crs.is_geographic else plain


def middle_of(grid: Grid) -> float:
    """Longitude of the middle of a grid, degrees."""
    west, east, _, _ = grid.region
    return west + ((east - west) % 360 or 360) / 2


def footprints(
    window: Window, grid: Grid, to_source: Transformer | Turned, source: Affine, method: Method
) -> Footprints:
    """Footprints of the pixels of a window of `grid` in a source raster.

    With "average" the box has the width and height of the target pixel in the source, which is the
    pixel itself where the axes are parallel, and has its area where they are turned. With
    "bilinear" it has the size of a source pixel, so that overlaps are bilinear weights. With
    "smooth" it is that of "average" and half a source pixel more on each side.

    Args:
        to_source: from the grid's coordinate reference system to the source's.
        source: transform of the source.
    """
    row = np.arange(window.row_off, window.row_off + window.height + 1)[:, None]
    col = np.arange(window.col_off, window.col_off + window.width + 1)[None, :]
    x, y = _positions(row, col, grid.transform, to_source, source)
    dx_col, dx_row = _mean(np.diff(x, axis=1), 0), _mean(np.diff(x, axis=0), 1)
    dy_col, dy_row = _mean(np.diff(y, axis=1), 0), _mean(np.diff(y, axis=0), 1)
    width, height = _size(dx_col, dx_row), _size(dy_col, dy_row)
    torn = _far_larger(width) | _far_larger(height)
    if method == "smooth":
        width, height = width + 1, height + 1
    elif method != "average":
        width = height = np.full(dx_col.shape, float(method == "bilinear"))
    centre_x, centre_y = _mean(_mean(x, 0), 1), _mean(_mean(y, 0), 1)
    top, left, height, width = (
        np.where(torn, np.nan, values)
        for values in (centre_y - height / 2, centre_x - width / 2, height, width)
    )
    return Footprints(top, left, height, width, method == "smooth")


def may_meet(
    window: Window,
    grid: Grid,
    to_source: Transformer | Turned,
    source: Affine,
    box: tuple[int, int, int, int],
) -> bool:
    """Whether a window of `grid` may overlap a box of source pixels, judged by its outline.

    Args:
        box: first row, first column, and the row and column after the last ones.
    """
    bottom, right = window.row_off + window.height, window.col_off + window.width
    rows = np.linspace(window.row_off, bottom, EDGE)
    cols = np.linspace(window.col_off, right, EDGE)
    outline_rows = np.concatenate(
        [rows, rows, np.full(EDGE, window.row_off), np.full(EDGE, bottom)]
    )
    outline_cols = np.concatenate([np.full(EDGE, window.col_off), np.full(EDGE, right), cols, cols])
    x, y = _positions(outline_rows, outline_cols, grid.transform, to_source, source)
    finite = np.isfinite(x) & np.isfinite(y)
    if not finite.all():
        return bool(finite.any())
    margin = 2 + 0.05 * max(np.ptp(x), np.ptp(y))  # edges are curves between the points
    first_row, first_col, last_row, last_col = box
    return bool(
        x.max() + margin > first_col
        and x.min() - margin < last_col
        and y.max() + margin > first_row
        and y.min() - margin < last_row
    )


def _positions(
    row: np.ndarray,
    col: np.ndarray,
    transform: Affine,
    to_source: Transformer | Turned,
    source: Affine,
) -> tuple[Floats, Floats]:
    """Column and row in the source, as numbers from its corner, of corners of target pixels."""
    a, b, c, d, e, f = transform[:6]
    x, y = a * col + b * row + c, d * col + e * row + f
    x, y = np.broadcast_arrays(x, y)
    x, y = to_source.transform(x, y)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = np.where(finite, x, np.nan), np.where(finite, y, np.nan)
    return (x - source.c) / source.a, (y - source.f) / source.e


def _far_larger(sizes: Floats) -> NDArray[np.bool_]:
    """Sizes of pixels of which two corners lie on different lobes of an interrupted projection."""
    finite = sizes[np.isfinite(sizes)]
    return sizes > TORN * np.median(finite) if finite.size else np.zeros(sizes.shape, bool)


def _mean(values: Floats, axis: int) -> Floats:
    """Mean of neighbours along an axis."""
    if axis == 0:
        return (values[1:] + values[:-1]) / 2
    return (values[:, 1:] + values[:, :-1]) / 2


def _size(along_columns: Floats, along_rows: Floats) -> Floats:
    """Size of a pixel along one axis of the source, however the pixel is turned."""
    return np.sqrt(along_columns**2 + along_rows**2)
