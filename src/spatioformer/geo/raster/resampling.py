"""Resample a raster to windows of another grid, round the Earth where longitudes are counted anew.

Longitudes may run from -180 to 180 in one raster and from 0 to 360 in the other, and either may
cross the antimeridian.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling, transform_bounds
from rasterio.windows import Window

from spatioformer.geo.grid import Grid
from spatioformer.geo.place import full_turn

Read = Callable[[Window], np.ndarray]
"""Reads a window inside the raster: float (band, y, x), NaN where there is no data."""


class _Turns(NamedTuple):
    """How the longitudes of a raster meet those of a grid.

    Attributes:
        shifts: whole turns to add to the raster's longitudes; each gives a part of the grid.
        ring: whether the raster is read on over its last column.
        crossing: whether the grid crosses the antimeridian in another CRS than the raster's.
    """

    shifts: tuple[int, ...] = (0,)
    ring: bool = False
    crossing: bool = False


class Resampler:
    """Reader of windows of any grid from a raster on its own grid.

    Args:
        grid: the raster's grid.
        bands: number of bands that are read.
    """

    def __init__(self, grid: Grid, bands: int):
        self.grid, self.bands = grid, bands
        self._known: tuple[Grid, _Turns, tuple[float, float]] | None = None

    def resample(self, window: Window, grid: Grid, method: str, read: Read) -> np.ndarray:
        """Resample to a window of `grid`: (band, y, x), NaN where there is no data."""
        turns, kernel = self._meeting(grid)
        parts = [
            part
            for shift in turns.shifts
            if (part := self._part(window, grid, shift, turns, kernel, method, read)) is not None
        ]
        if not parts:
            return np.full((self.bands, window.height, window.width), np.nan, np.float32)
        out = parts[0]
        for part in parts[1:]:
            out = np.where(np.isfinite(out), out, part)
        return out

    def is_aligned(self, window: Window, grid: Grid) -> bool:
        """Whether a window of another grid is read without resampling."""
        return _aligned_window(self.grid, window, grid) is not None

    def source_window(self, window: Window, grid: Grid) -> Window | None:
        """Source pixels that contribute to a window of another grid; None if there are none.

        Of several parts round the Earth, the largest one.
        """
        turns, _ = self._meeting(grid)
        parts = [self._needed(window, grid, shift, turns) for shift in turns.shifts]
        return max(
            (part for part in parts if part is not None),
            key=lambda part: part.width * part.height,
            default=None,
        )

    def read_padded(self, window: Window, read: Read, ring: bool = False) -> np.ndarray:
        """Read source values; NaN where the window extends beyond the raster, or on round a ring.

        Args:
            ring: whether the column after the last one is the first one.
        """
        if not ring:
            return self._padded(window, read)
        pieces, col, end = [], window.col_off, window.col_off + window.width
        while col < end:
            first = col % self.grid.width
            width = min(end - col, self.grid.width - first)
            pieces.append(self._padded(Window(first, window.row_off, width, window.height), read))
            col += width
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces, axis=2)

    def _padded(self, window: Window, read: Read) -> np.ndarray:
        r0, c0 = max(0, window.row_off), max(0, window.col_off)
        r1 = min(self.grid.height, window.row_off + window.height)
        c1 = min(self.grid.width, window.col_off + window.width)
        if r1 <= r0 or c1 <= c0:
            return np.full((self.bands, window.height, window.width), np.nan, np.float32)
        values = read(Window(c0, r0, c1 - c0, r1 - r0))
        if values.shape[1:] == (window.height, window.width):
            return values
        out = np.full((self.bands, window.height, window.width), np.nan, values.dtype)
        rows = slice(r0 - window.row_off, r1 - window.row_off)
        cols = slice(c0 - window.col_off, c1 - window.col_off)
        out[:, rows, cols] = values
        return out

    def _part(
        self,
        window: Window,
        grid: Grid,
        shift: int,
        turns: _Turns,
        kernel: tuple[float, float],
        method: str,
        read: Read,
    ) -> np.ndarray | None:
        """The window from the raster shifted by whole turns, or None where they do not meet."""
        source_grid = self._shifted(shift)
        aligned = _aligned_window(source_grid, window, grid)
        if aligned is not None:
            return self.read_padded(aligned, read, turns.ring)
        source = self._needed(window, grid, shift, turns)
        if source is None:
            return None
        values = self.read_padded(source, read, turns.ring)
        transform = source_grid.transform @ Affine.translation(source.col_off, source.row_off)
        out = _warped(values, transform, self.grid.crs, window, grid, method, kernel)
        if turns.crossing:
            # PROJ gives longitudes from -180 to 180, so that the part beyond 180 is warped again.
            again = Affine.translation(-full_turn(self.grid.crs), 0) @ transform
            beyond = _warped(values, again, self.grid.crs, window, grid, method, kernel)
            out = np.where(np.isfinite(out), out, beyond)
        return out

    def _shifted(self, shift: int) -> Grid:
        if not shift:
            return self.grid
        move = Affine.translation(shift * full_turn(self.grid.crs), 0)
        return Grid(self.grid.crs, move @ self.grid.transform, *self.grid.shape)

    def _meeting(self, grid: Grid) -> tuple[_Turns, tuple[float, float]]:
        """How longitudes meet, and target pixels a source pixel, across and down, at most 1.

        The latter are GDAL's XSCALE and YSCALE, computed for the whole grid, because GDAL's default
        differs between windows.
        """
        if self._known is not None and self._known[0] is grid:
            return self._known[1:]
        edges = _pixels(self.grid, Window(0, 0, grid.width, grid.height), grid)
        turns, kernel = _Turns(), (1.0, 1.0)
        if edges is not None:
            c0, r0, c1, r1 = edges
            kernel = min(1.0, grid.width / (c1 - c0)), min(1.0, grid.height / (r1 - r0))
            turns = self._turns(edges, grid)
        self._known = grid, turns, kernel
        return turns, kernel

    def _turns(self, edges: tuple[float, ...], grid: Grid) -> _Turns:
        turn, width = self.grid.turn, self.grid.width
        if turn is None:
            return _Turns()
        left, _, right, _ = edges
        # From another CRS, a grid over the antimeridian gets longitudes beyond 180 from `_pixels`.
        east = max((self.grid.transform @ (column, 0))[0] for column in (left, right))
        half = full_turn(self.grid.crs) / 2
        crossing = grid.crs != self.grid.crs and east > half * (1 + 1e-9)
        if crossing:  # windows of the grid may lie on either side
            return _Turns((0,) if self.grid.is_ring else (0, 1, -1), self.grid.is_ring, True)
        if left > -0.01 and right < width + 0.01:
            return _Turns()
        if self.grid.is_ring:
            return _Turns((0,), True)
        toward = -1 if self.grid.transform.a > 0 else 1  # columns of a raster shifted by a turn
        meets = [
            shift
            for shift in (0, 1, -1, 2, -2)
            if left + toward * shift * turn < width and right + toward * shift * turn > 0
        ]
        return _Turns(tuple(meets) or (0,))

    def _needed(self, window: Window, grid: Grid, shift: int, turns: _Turns) -> Window | None:
        pixels = _pixels(self._shifted(shift), window, grid)
        if pixels is None:
            return None
        c0, r0, c1, r1 = pixels
        ratio = max((c1 - c0) / window.width, (r1 - r0) / window.height, 1)
        margin = math.ceil(3 * ratio) + 2  # cubic, the widest kernel, spans two target pixels
        c0, r0 = math.floor(c0) - margin, max(0, math.floor(r0) - margin)
        c1, r1 = math.ceil(c1) + margin, min(self.grid.height, math.ceil(r1) + margin)
        if not turns.ring:
            c0, c1 = max(0, c0), min(self.grid.width, c1)
        return Window(c0, r0, c1 - c0, r1 - r0) if c1 > c0 and r1 > r0 else None


def _aligned_window(source: Grid, window: Window, grid: Grid) -> Window | None:
    """The same window in source pixels if both grids share one lattice, else None."""
    if grid.crs != source.crs:
        return None
    step = ~source.transform @ grid.transform
    shift = np.array([step.c, step.f])
    same = np.allclose([step.a, step.b, step.d, step.e], [1, 0, 0, 1], rtol=0, atol=1e-9)
    if not same or np.abs(shift - np.round(shift)).max() > 1e-4:
        return None
    col, row = np.round(shift).astype(int)
    return Window(window.col_off + col, window.row_off + row, window.width, window.height)


def _pixels(source: Grid, window: Window, grid: Grid) -> tuple[float, ...] | None:
    """A window of `grid` in pixels of `source`: (left, top, right, bottom) edges."""
    part = Grid(
        grid.crs,
        grid.transform @ Affine.translation(window.col_off, window.row_off),
        window.height,
        window.width,
    )
    try:
        left, bottom, right, top = transform_bounds(
            grid.crs.to_wkt(), source.crs.to_wkt(), *part.bounds, densify_pts=21
        )
    except RasterioError:
        return None
    if left > right and source.crs.is_geographic:
        right += full_turn(source.crs)  # over the antimeridian
    box = [(left, bottom), (left, top), (right, bottom), (right, top)]
    columns, rows = zip(*(~source.transform @ corner for corner in box), strict=True)
    edges = min(columns), min(rows), max(columns), max(rows)
    return edges if all(map(math.isfinite, edges)) else None


def _warped(
    values: np.ndarray,
    transform: Affine,
    crs: CRS,
    window: Window,
    grid: Grid,
    method: str,
    kernel: tuple[float, float],
) -> np.ndarray:
    """Warp an array (band, y, x) with GDAL to a window of `grid`."""
    with (
        memory_raster(values, transform, crs) as dataset,
        WarpedVRT(
            dataset,
            crs=grid.crs.to_wkt(),
            transform=grid.transform @ Affine.translation(window.col_off, window.row_off),
            height=window.height,
            width=window.width,
            nodata=np.nan,
            resampling=Resampling[method],
            # Exact positions, and one kernel width for the whole grid, so that a pixel's value
            # does not depend on the window.
            tolerance=1e-7,
            XSCALE=str(kernel[0]),
            YSCALE=str(kernel[1]),
        ) as warped,
    ):
        return warped.read()


@contextmanager
def memory_raster(data: np.ndarray, transform: Affine, crs: CRS) -> Iterator:
    """Open an array (band, y, x), float32 or float64, as a raster in memory with NaN as nodata."""
    profile = {
        "driver": "GTiff",
        "dtype": data.dtype.name,
        "count": len(data),
        "nodata": np.nan,
        "height": data.shape[1],
        "width": data.shape[2],
        "transform": transform,
        "crs": crs.to_wkt(),
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(data)
        with memory.open() as dataset:
            yield dataset
