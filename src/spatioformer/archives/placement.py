"""Bring a scene onto a grid, so that a pixel's value never depends on the window that is read.

GDAL's warper computes positions from the corner of each window, and its results differ in the last
bit between windows. Here a position depends on the numbers of the pixel's row and column alone.

Positions in the scene are computed exactly at every `step`-th row and column of the grid and
interpolated between them: over STRETCH metres, the curvature of one map projection on another moves
a pixel by less than a centimetre.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from types import ModuleType
from typing import NamedTuple

import numpy as np
from pyproj import Transformer
from rasterio.windows import Window

from spatioformer.archives.gather import plain
from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.geo.grid import Grid
from spatioformer.geo.place import full_turn

STRETCH = 400.0  # metres between exact positions
MOST = 32  # pixels between exact positions
SNAP = 2.0**20
"""Parts of a pixel to which positions are rounded, so that equal grids meet exactly."""
COARSER = 1.5  # source pixels a pixel of the grid from which the default is their average
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
            x, y = np.broadcast_arrays(x, y)
            x, y = self._to_own.transform(x, y)
        if self.own.crs.is_geographic:  # counted as the raster counts its longitudes
            turn = full_turn(self.own.crs)
            middle = (self.own.transform @ (self.own.width / 2, 0))[0]
            with np.errstate(invalid="ignore"):
                x = x + turn * np.round((middle - x) / turn)
        a, b, c, d, e, f = (~self.own.transform)[:6]
        with np.errstate(invalid="ignore"):
            u, v = a * x + b * y + c, d * x + e * y + f
            return np.round(u * SNAP) / SNAP, np.round(v * SNAP) / SNAP


class Places(NamedTuple):
    """Where the pixels of one window take their values from a raster.

    Attributes:
        part: the pixels of the raster that are needed.
        u, v: column and row in `part` of the centre of each pixel, float64 (y, x); NaN for a pixel
            that the raster does not cover.
        method: nearest, bilinear, average or mode.
        width, height: of a pixel of the grid, in pixels of the raster.
    """

    part: Window
    u: np.ndarray
    v: np.ndarray
    method: str
    width: float
    height: float


def places_of(placement: Placement, window: Window, method: str) -> Places | None:
    """Where the pixels of a window take their values; None: the raster lies elsewhere.

    "nearest" takes the pixel in which the centre lies. "bilinear" weights the four pixels round the
    centre that hold values; without a value in the nearest one there is none. "average" weights
    pixels by their area inside the grid's pixel; values must cover half of it. "mode" takes the
    value of the largest area by the same rule, of equal ones the smallest; where pixels of the grid
    are not larger than the raster's it is "nearest".
    """
    u, v = placement.positions(window)
    if method == "mode" and max(placement.size) <= 1:
        method = "nearest"
    width, height = placement.size if method in ("average", "mode") else (1.0, 1.0)
    own = placement.own
    across, down = width / 2, height / 2
    near = (u > -across) & (u < own.width + across) & (v > -down) & (v < own.height + down)
    if not near.any():
        return None
    part = _needed(u[near], v[near], np.array([across, down]), own)
    u -= part.col_off
    v -= part.row_off
    far = ~near
    u[far], v[far] = np.nan, np.nan
    return Places(part, u, v, method, width, height)


def resample(places: Places, read: Read) -> np.ndarray:
    """Values of a raster at places: float32 (band, y, x), NaN where there is no data."""
    part, u, v, method, width, height = places
    values = np.ascontiguousarray(read(part))
    gather = compiled() or plain
    if method == "nearest":
        return gather.nearest(values, u, v)
    if method == "bilinear":
        return gather.bilinear(values, u, v)
    least = ENOUGH * width * height * (1 - 1e-9)
    if method == "average":
        return gather.average(values, u, v, width, height, least)
    return np.stack([_mode(band, u, v, width, height, least) for band in values])


def _mode(
    values: np.ndarray, u: np.ndarray, v: np.ndarray, width: float, height: float, least: float
) -> np.ndarray:
    """The value (y, x) of the largest area around each place, from a band (y, x) of a raster."""
    present = np.isfinite(values)
    classes = np.unique(values[present])
    if not classes.size:
        return np.full(u.shape, np.nan, np.float32)
    gather = compiled() or plain
    best = np.full(u.shape, -1.0, np.float32)
    mode = np.full(u.shape, np.nan, np.float32)
    for code in classes:
        here = np.where(present, np.float32(1) * (values == code), np.float32(np.nan))[None]
        share = gather.average(here, u, v, width, height, least)[0]
        larger = share > best
        best[larger], mode[larger] = share[larger], code
    return mode


@cache
def compiled() -> ModuleType | None:
    """The compiled module of sums, or None where numba (extra `fast`) is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    from spatioformer.archives.gather import compiled

    return compiled


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
