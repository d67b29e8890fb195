"""Bring a scene onto a grid, so that a pixel's value never depends on the window that is read.

GDAL's warper computes positions from the corner of each window, and its results differ in the last
bit between windows. Here a position depends on the numbers of the pixel's row and column alone.

Positions in the scene are computed exactly at every `step`-th row and column of the grid and
interpolated between them: over STRETCH metres, the curvature of one map projection on another moves
a pixel by less than a centimetre.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from pyproj import Transformer
from rasterio.windows import Window

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.geo.grid import Grid
from spatioformer.geo.place import full_turn

STRETCH = 400.0  # metres between exact positions
MOST = 32  # pixels between exact positions
SNAP = (
    2.0**20
)  # positions are rounded to this fraction of a pixel, so that equal grids meet exactly
COARSER = 1.5  # source pixels a pixel of the grid from which the default is their average
AREAS = ("average", "mode")  # methods that weight pixels by their area
ENOUGH = 0.5  # share of a pixel's area that must hold values for their average

Read = Callable[[Window], np.ndarray]
"""Reads a window inside the raster: float32 (band, y, x), NaN where there is no data."""


@dataclass(frozen=True)
class Placement:
    """Where the pixels of a grid lie in a raster.

    Attributes:
        own: the raster's grid.
        grid: the target grid.
    """

    own: Grid
    grid: Grid

    def positions(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Column and row in the raster of the centre of each pixel of a window: float64 (y, x).

        Pixel i of the raster lies between i and i + 1. Infinite where there is no such place.
        """
        rows = window.row_off + np.arange(window.height) + 0.5
        cols = window.col_off + np.arange(window.width) + 0.5
        step = self._step
        if step == 1:
            return self._exact(rows[:, None], cols[None, :])
        node_rows = np.arange(np.floor(rows[0] / step), np.floor(rows[-1] / step) + 2) * step
        node_cols = np.arange(np.floor(cols[0] / step), np.floor(cols[-1] / step) + 2) * step
        exact = self._exact(node_rows[:, None], node_cols[None, :])
        down, row = _between(rows, node_rows[0], step)
        across, col = _between(cols, node_cols[0], step)
        found = []
        for values in exact:
            with np.errstate(invalid="ignore"):
                top = values[down] * (1 - row)[:, None] + values[down + 1] * row[:, None]
                place = top[:, across] * (1 - col) + top[:, across + 1] * col
                found.append(np.round(place * SNAP) / SNAP)
        return found[0], found[1]

    @cached_property
    def size(self) -> tuple[float, float]:
        """Width and height of a pixel of the grid in pixels of the raster, at its middle."""
        col, row = self._middle
        u, v = self._exact(row + np.array([0, 0, -0.5, 0.5]), col + np.array([-0.5, 0.5, 0, 0]))
        sides = np.hypot(u[1] - u[0], u[3] - u[2]), np.hypot(v[1] - v[0], v[3] - v[2])
        # Sums of such fractions are exact, whatever the corner of the window that is read.
        width, height = (max(1.0, float(np.round(side * SNAP / 2))) * 2 / SNAP for side in sides)
        return width, height

    @property
    def default_method(self) -> str:
        """Average where pixels of the grid are clearly larger than the raster's, else bilinear."""
        return "average" if max(self.size) > COARSER else "bilinear"

    @cached_property
    def _middle(self) -> tuple[float, float]:
        """Column and row on the grid of the middle of the raster."""
        x, y = self.own.transform @ (self.own.width / 2, self.own.height / 2)
        if not self._same_crs:
            x, y = self._to_own.transform(x, y, direction="INVERSE")
        col, row = ~self.grid.transform @ (x, y)
        return col, row

    @cached_property
    def _same_crs(self) -> bool:
        return bool(self.own.crs.equals(self.grid.crs, ignore_axis_order=True))

    @cached_property
    def _to_own(self) -> Transformer:
        return Transformer.from_crs(self.grid.crs, self.own.crs, always_xy=True)

    @cached_property
    def _step(self) -> int:
        if self._same_crs:
            return 1
        side = abs(self.grid.transform.a) + abs(self.grid.transform.b)
        metres = side * (KM_PER_DEGREE * 1000 if self.grid.crs.is_geographic else 1.0)
        return int(max(1, min(MOST, STRETCH // metres)))

    def _exact(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Column and row in the raster of places on the grid, given in rows and columns."""
        a, b, c, d, e, f = self.grid.transform[:6]
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        if not self._same_crs:
            x, y = self._to_own.transform(*np.broadcast_arrays(x, y))
        if self.own.crs.is_geographic:  # counted as the raster counts its longitudes
            turn = full_turn(self.own.crs)
            middle = (self.own.transform @ (self.own.width / 2, 0))[0]
            with np.errstate(invalid="ignore"):
                x = x + turn * np.round((middle - x) / turn)
        a, b, c, d, e, f = (~self.own.transform)[:6]
        with np.errstate(invalid="ignore"):
            u, v = a * x + b * y + c, d * x + e * y + f
            return np.round(u * SNAP) / SNAP, np.round(v * SNAP) / SNAP


def resample(
    placement: Placement,
    window: Window,
    method: str,
    read: Read,
    positions: tuple[np.ndarray, np.ndarray] | None = None,
) -> np.ndarray | None:
    """Values of a raster on a window of the grid: float32 (band, y, x); None: it lies elsewhere.

    "nearest" takes the pixel in which the centre lies. "bilinear" weights the four pixels round the
    centre that hold values; without a value in the nearest one there is none. "average" weights
    pixels by their area inside the grid's pixel; values must cover half of it. "mode" takes the
    value of the largest area by the same rule, of equal ones the smallest; where pixels of the grid
    are not larger than the raster's it is "nearest".

    Args:
        method: nearest, bilinear, average or mode.
        positions: of `Placement.positions` for the window, where they are known.
    """
    u, v = placement.positions(window) if positions is None else positions
    if method == "mode" and max(placement.size) <= 1:
        method = "nearest"
    width, height = placement.size if method in AREAS else (1.0, 1.0)
    own = placement.own
    reach = np.array([width, height]) / 2
    near = (
        (u > -reach[0]) & (u < own.width + reach[0]) & (v > -reach[1]) & (v < own.height + reach[1])
    )
    if not near.any():
        return None
    part = _needed(u[near], v[near], reach, own)
    values = read(part)
    u, v = u - part.col_off, v - part.row_off
    if method in AREAS:
        kernel = _average if method == "average" else _mode
        return kernel(values, u, v, near, width, height)
    return {"nearest": _nearest, "bilinear": _bilinear}[method](values, u, v, near)


def _between(places: np.ndarray, first: float, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Number of the node before each place, and how far it is to the next one, 0 to 1."""
    steps = (places - first) / step
    before = np.floor(steps).astype(np.intp)
    return before, steps - before


def _needed(u: np.ndarray, v: np.ndarray, reach: np.ndarray, own: Grid) -> Window:
    """Pixels of the raster of which some place takes a value."""
    left, top = (max(0, int(np.floor(w.min() - r))) for w, r in zip((u, v), reach, strict=True))
    right = min(own.width, int(np.floor(u.max() + reach[0])) + 1)
    bottom = min(own.height, int(np.floor(v.max() + reach[1])) + 1)
    return Window(left, top, right - left, bottom - top)


def _at(values: np.ndarray, rows: np.ndarray, cols: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Values (band, n) at pixels, NaN outside."""
    inside = (
        wanted & (rows >= 0) & (rows < values.shape[1]) & (cols >= 0) & (cols < values.shape[2])
    )
    flat = np.where(inside, rows * values.shape[2] + cols, 0)
    out = values.reshape(len(values), -1)[:, flat]
    out[:, ~inside] = np.nan
    return out


def _pixels(u: np.ndarray, v: np.ndarray, near: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column (int) of the pixel in which each place lies."""
    safe = np.where(near, v, 0), np.where(near, u, 0)
    return tuple(np.floor(place).astype(np.intp) for place in safe)


def _nearest(values: np.ndarray, u: np.ndarray, v: np.ndarray, near: np.ndarray) -> np.ndarray:
    return _at(values, *_pixels(u, v, near), near)


def _bilinear(values: np.ndarray, u: np.ndarray, v: np.ndarray, near: np.ndarray) -> np.ndarray:
    total = np.zeros((len(values), *u.shape))
    weights = np.zeros_like(total)
    row, col = _pixels(u - 0.5, v - 0.5, near)
    with np.errstate(invalid="ignore"):
        across, down = u - 0.5 - col, v - 0.5 - row
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (down if i else 1 - down) * (across if j else 1 - across)
            value = _at(values, row + i, col + j, near)
            present = np.isfinite(value)
            total += np.where(present, value, 0) * weight
            weights += np.where(present, weight, 0)
        out = (total / weights).astype(np.float32)
    out[~np.isfinite(_nearest(values, u, v, near))] = np.nan
    return out


def _average(
    values: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    near: np.ndarray,
    width: float,
    height: float,
) -> np.ndarray:
    out = np.full((len(values), *u.shape), np.nan, np.float32)
    total, weights = np.zeros((2, len(values), int(near.sum())))
    for weight, value in _areas(values, u[near], v[near], width, height):
        present = np.isfinite(value)
        total += np.where(present, value, 0) * weight
        weights += np.where(present, weight, 0)
    with np.errstate(invalid="ignore"):
        mean = (total / weights).astype(np.float32)
    mean[weights < ENOUGH * width * height * (1 - 1e-9)] = np.nan
    out[:, near] = mean
    return out


def _mode(
    values: np.ndarray,
    u: np.ndarray,
    v: np.ndarray,
    near: np.ndarray,
    width: float,
    height: float,
) -> np.ndarray:
    out = np.full((len(values), *u.shape), np.nan, np.float32)
    classes = np.unique(values[np.isfinite(values)])
    if not classes.size:
        return out
    weights = np.zeros((len(classes), len(values), int(near.sum())))
    for weight, value in _areas(values, u[near], v[near], width, height):
        for number, code in enumerate(classes):
            weights[number] += np.where(value == code, weight, 0)
    mode = classes[weights.argmax(axis=0)]
    mode[weights.sum(axis=0) < ENOUGH * width * height * (1 - 1e-9)] = np.nan
    out[:, near] = mode
    return out


def _areas(
    values: np.ndarray, u: np.ndarray, v: np.ndarray, width: float, height: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pixels that each place's area may touch: the area (n,) and the value (band, n) of each."""
    left, top = u - width / 2, v - height / 2
    col, row = np.floor(left).astype(np.intp), np.floor(top).astype(np.intp)
    everywhere = np.ones(u.shape, bool)
    for i in range(int(np.ceil(height)) + 1):
        down = np.minimum(row + i + 1, top + height) - np.maximum(row + i, top)
        for j in range(int(np.ceil(width)) + 1):
            across = np.minimum(col + j + 1, left + width) - np.maximum(col + j, left)
            weight = np.maximum(down, 0) * np.maximum(across, 0)
            yield weight, _at(values, row + i, col + j, everywhere)
