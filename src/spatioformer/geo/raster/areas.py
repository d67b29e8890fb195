"""Areas of pixels on the ellipsoid."""

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.common.earth import WGS84_ECCENTRICITY2, WGS84_SEMI_MAJOR_KM
from spatioformer.geo.grid import Grid

Floats = NDArray[np.float64]
LATTICE_KM = 25.0  # spacing at which pixel areas are computed; interpolation errs by 2e-6
LATTICE = 64  # largest spacing, pixels


def pixel_areas(grid: Grid, window: Window) -> Floats:
    """Areas (y, x) of the pixels of a window on the ellipsoid, km2.

    |across x along| of the vectors between the midpoints of opposite sides: relative error 3e-5 for
    pixels of one degree.
    """
    row, col = window.row_off + window.height / 2, window.col_off + window.width / 2
    size = float(np.sqrt(_areas_at(grid, np.array(row), np.array(col))))
    step = float(np.clip(LATTICE_KM / size, 1, LATTICE))
    (rows, from_rows), (cols, from_cols) = (
        _lattice(first, count, step)
        for first, count in ((window.row_off, window.height), (window.col_off, window.width))
    )
    return from_rows @ _areas_at(grid, rows[:, None], cols[None]) @ from_cols.T


def _lattice(first: int, count: int, step: float) -> tuple[Floats, Floats]:
    """Evenly spaced nodes (k,) among `count` pixels, and linear weights (count, k) of the nodes."""
    pixels = np.arange(first, first + count)
    places = np.linspace(pixels[0], pixels[-1], int(np.ceil((count - 1) / step)) + 1)
    if count == 1:
        return places, np.ones((1, 1))
    spacing = places[1] - places[0]
    return places, np.maximum(0, 1 - np.abs(pixels[:, None] - places) / spacing)


def _areas_at(grid: Grid, rows: Floats, cols: Floats) -> Floats:
    across = _vectors(grid, rows, cols + 0.5) - _vectors(grid, rows, cols - 0.5)
    along = _vectors(grid, rows + 0.5, cols) - _vectors(grid, rows - 0.5, cols)
    return np.linalg.norm(np.cross(across, along), axis=-1)


def _vectors(grid: Grid, rows: Floats, cols: Floats) -> Floats:
    """Vectors (..., 3) from the Earth's centre to points on the ellipsoid, km."""
    lon, lat = np.radians(grid.lonlat(rows, cols))
    across = WGS84_SEMI_MAJOR_KM / np.sqrt(1 - WGS84_ECCENTRICITY2 * np.sin(lat) ** 2)
    return np.stack(
        [
            across * np.cos(lat) * np.cos(lon),
            across * np.cos(lat) * np.sin(lon),
            across * (1 - WGS84_ECCENTRICITY2) * np.sin(lat),
        ],
        axis=-1,
    )
