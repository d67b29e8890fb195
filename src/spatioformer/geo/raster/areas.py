"""Areas and sides of pixels on the ellipsoid."""

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from rasterio.windows import Window

from spatioformer.common.earth import WGS84_ECCENTRICITY2, WGS84_SEMI_MAJOR_KM
from spatioformer.geo.grid import Grid

Floats = NDArray[np.float64]
LATTICE_KM = 25.0  # spacing at which pixel areas are computed; interpolation errs by 2e-6
LATTICE = 64  # largest spacing, pixels


def pixel_areas(grid: Grid, window: Window) -> Floats:
    """Areas (y, x) of the pixels of a window on the ellipsoid, km2; 0 for pixels off the Earth.

    |across x along| of the vectors between the midpoints of opposite sides: relative error 3e-5 for
    pixels of one degree. A pixel whose sides do not all have their midpoint on the Earth, at the
    rim of a projection of one hemisphere, counts as off the Earth.
    """
    row, col = window.row_off + window.height / 2, window.col_off + window.width / 2
    size = float(np.sqrt(_areas_at(grid, np.array(row), np.array(col))))
    if size > 0:
        step = float(np.clip(LATTICE_KM / size, 1, LATTICE))
        (rows, from_rows), (cols, from_cols) = (
            _lattice(first, count, step)
            for first, count in ((window.row_off, window.height), (window.col_off, window.width))
        )
        areas = _areas_at(grid, rows[:, None], cols[None])
        if (areas > 0).all():
            return from_rows @ areas @ from_cols.T
    # Nodes off the Earth say nothing of the pixels beside them.
    rows = np.arange(window.row_off, window.row_off + window.height)
    cols = np.arange(window.col_off, window.col_off + window.width)
    return _areas_at(grid, rows[:, None], cols[None])


def pixel_sides(grid: Grid, row: float, col: float) -> tuple[float, float]:
    """Lengths on the ellipsoid, m, of the lines through a pixel's centre: along its row, column.

    Args:
        row, col: place in the grid; (0, 0) is the centre of the first pixel.
    """
    rows, cols = row + np.array([0, 0, -0.5, 0.5]), col + np.array([-0.5, 0.5, 0, 0])
    lon, lat = grid.lonlat(rows, cols)
    _, _, sides = Geod(ellps="WGS84").inv(lon[[0, 2]], lat[[0, 2]], lon[[1, 3]], lat[[1, 3]])
    return float(sides[0]), float(sides[1])


def _lattice(first: int, count: int, step: float) -> tuple[Floats, Floats]:
    """Evenly spaced nodes (k,) among `count` pixels, and linear weights (count, k) of the nodes."""
    pixels = np.arange(first, first + count)
    places = np.linspace(pixels[0], pixels[-1], int(np.ceil((count - 1) / step)) + 1)
    if count == 1:
        return places, np.ones((1, 1))
    spacing = places[1] - places[0]
    return places, np.maximum(0, 1 - np.abs(pixels[:, None] - places) / spacing)


def _areas_at(grid: Grid, rows: Floats, cols: Floats) -> Floats:
    with np.errstate(invalid="ignore"):  # coordinates off the Earth are infinite
        across = _vectors(grid, rows, cols + 0.5) - _vectors(grid, rows, cols - 0.5)
        along = _vectors(grid, rows + 0.5, cols) - _vectors(grid, rows - 0.5, cols)
        areas = np.linalg.norm(np.cross(across, along), axis=-1)
    return np.nan_to_num(areas, nan=0.0)


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
