"""Slope, aspect, relief and topographic wetness index of elevation on any grid.

Distances are those on the ellipsoid, not those of the grid's coordinates: in degrees a column is
cos(latitude) as wide as a row, and in Web Mercator at 60 degrees a metre of the grid is half a
metre. Aspect counts from true north. A value depends on the pixels around it alone, so it is the
same, to the last bit, in every window.

Arrays are (y, x), float64; elevation is in metres, NaN where missing.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from rasterio.windows import Window

from spatioformer.common.earth import WGS84_ECCENTRICITY2, WGS84_SEMI_MAJOR_KM
from spatioformer.geo.grid import Grid

Floats = NDArray[np.float64]

REACH = 32
"""Longest path, in pixels, on which water reaches a pixel of the wetness index."""
FLATTEST = 0.001
"""Smallest tangent of the slope in the wetness index, so that flat land has a finite one."""
DIVERGENCE = 1.1
"""Exponent of the slope by which water divides among lower neighbours: Freeman (1991)."""
NODE = 16  # pixels between places whose distances are computed; those between are interpolated
BLOCK = 256  # side of a part of a window whose flow is computed at once

AXIS = WGS84_SEMI_MAJOR_KM * 1000  # m

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))
"""Row and column of the eight neighbours."""


def steps(grid: Grid, window: Window) -> Floats:
    """Metres to the east and to the north of one column, and of one row, at each pixel.

    Args:
        window: of the grid, or beyond it.

    Returns:
        (2, 2, y, x): [column or row, east or north]; NaN where the grid has no place.
    """
    rows = window.row_off + np.arange(window.height)
    cols = window.col_off + np.arange(window.width)
    node_rows = np.arange(rows[0] // NODE, rows[-1] // NODE + 2) * NODE
    node_cols = np.arange(cols[0] // NODE, cols[-1] // NODE + 2) * NODE
    nodes = _exact_steps(grid, node_rows[:, None], node_cols[None, :])
    row, down = np.divmod((rows - node_rows[0]) / NODE, 1)
    col, across = np.divmod((cols - node_cols[0]) / NODE, 1)
    i, j = row.astype(np.intp), col.astype(np.intp)
    lines = nodes[..., i, :] * (1 - down)[:, None] + nodes[..., i + 1, :] * down[:, None]
    return lines[..., j] * (1 - across) + lines[..., j + 1] * across


def _exact_steps(grid: Grid, rows: np.ndarray, cols: np.ndarray) -> Floats:
    """As `steps`, at the pixels (rows, cols)."""
    rows, cols = np.broadcast_arrays(rows, cols)
    found = []
    for down, across in ((0.0, 0.5), (0.5, 0.0)):
        lon, lat = grid.lonlat(rows - down, cols - across)
        other_lon, other_lat = grid.lonlat(rows + down, cols + across)
        with np.errstate(invalid="ignore"):
            turned = (other_lon - lon + 180) % 360 - 180
            middle = np.radians((lat + other_lat) / 2)
            curve = 1 - WGS84_ECCENTRICITY2 * np.sin(middle) ** 2
            east = np.radians(turned) * AXIS / np.sqrt(curve) * np.cos(middle)
            north = np.radians(other_lat - lat) * AXIS * (1 - WGS84_ECCENTRICITY2) / curve**1.5
        found.append(np.stack([east, north]))
    out = np.stack(found)
    return np.where(np.isfinite(out), out, np.nan)


def gradient(elevation: Floats, lengths: Floats) -> tuple[Floats, Floats]:
    """Rise of elevation to the east and to the north, m/m: Horn (1981).

    A missing neighbour is taken to lie on the line through the pixel and the neighbour opposite, so
    that a plane keeps its slope at the coast.

    Args:
        elevation: (y + 2, x + 2), with one pixel more on each side.
        lengths: of `steps`, (2, 2, y, x).
    """
    nw, n, ne, w, e, sw, s, se = (_neighbour(elevation, *at) for at in AROUND)
    along_col = (ne + 2 * e + se - nw - 2 * w - sw) / 8
    along_row = (sw + 2 * s + se - nw - 2 * n - ne) / 8
    (east_col, north_col), (east_row, north_row) = lengths
    area = east_col * north_row - north_col * east_row
    with np.errstate(invalid="ignore", divide="ignore"):
        east = (along_col * north_row - along_row * north_col) / area
        north = (along_row * east_col - along_col * east_row) / area
    return east, north


def _neighbour(elevation: Floats, row: int, col: int) -> Floats:
    """Elevation of one neighbour of each inner pixel; a missing one is extrapolated."""
    centre, there = _shifted(elevation, 0, 0), _shifted(elevation, row, col)
    opposite = _shifted(elevation, -row, -col)
    beyond = np.where(np.isfinite(opposite), 2 * centre - opposite, centre)
    return np.where(np.isfinite(there), there, beyond)


def _shifted(values: Floats, row: int, col: int) -> Floats:
    """The values at an offset from the inner pixels, all but the outermost ones."""
    height, width = values.shape
    return values[1 + row : height - 1 + row, 1 + col : width - 1 + col]


def slope(east: Floats, north: Floats) -> Floats:
    """Slope, degrees, from the gradient."""
    return np.degrees(np.arctan(np.hypot(east, north)))


def aspect(east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of the direction in which the land falls, from true north; 0 where flat."""
    steep = np.hypot(east, north)
    with np.errstate(invalid="ignore", divide="ignore"):
        sine, cosine = -east / steep, -north / steep
    flat = steep == 0
    return np.where(flat, 0.0, sine), np.where(flat, 0.0, cosine)


def relief(elevation: Floats) -> Floats:
    """Highest minus lowest elevation of 3 x 3 pixels, m; missing ones are left out.

    Args:
        elevation: (y + 2, x + 2), with one pixel more on each side.
    """
    centre = _shifted(elevation, 0, 0)
    high, low = centre.copy(), centre.copy()
    for at in AROUND:
        there = _shifted(elevation, *at)
        high, low = np.fmax(high, there), np.fmin(low, there)
    return np.where(np.isfinite(centre), high - low, np.nan)


def wetness(elevation: Floats, lengths: Floats) -> Floats:
    """Topographic wetness index ln(a / tan b): Beven and Kirkby (1979).

    a is the area from which water reaches the pixel on paths of at most REACH pixels, divided by
    the width of a pixel, m; b is the slope, at least FLATTEST. Water divides among all lower
    neighbours by their slope (`DIVERGENCE`). Depressions are not filled: water ends there.

    Args:
        elevation: with REACH + 1 pixels more on each side.
        lengths: of `steps`, for the same pixels.
    """
    border = REACH + 1
    height, width = (side - 2 * border for side in elevation.shape)
    out = np.empty((height, width))
    for rows, cols in _blocks(height, width):
        wide = (
            slice(rows.start, rows.stop + 2 * border),
            slice(cols.start, cols.stop + 2 * border),
        )
        out[rows, cols] = _wetness(elevation[wide], lengths[..., wide[0], wide[1]])
    return out


def _blocks(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for row in range(0, height, BLOCK):
        for col in range(0, width, BLOCK):
            yield (
                slice(row, min(row + BLOCK, height)),
                slice(col, min(col + BLOCK, width)),
            )


def _wetness(elevation: Floats, lengths: Floats) -> Floats:
    (east_col, north_col), (east_row, north_row) = lengths[..., 1:-1, 1:-1]
    area = np.abs(east_col * north_row - north_col * east_row)
    area = np.where(np.isfinite(_shifted(elevation, 0, 0)) & np.isfinite(area), area, 0.0)
    caught = _caught(_shares(elevation, lengths), area)
    inner = slice(REACH, -REACH), slice(REACH, -REACH)
    steep = np.hypot(*gradient(elevation, lengths[..., 1:-1, 1:-1]))[inner]
    with np.errstate(invalid="ignore", divide="ignore"):
        per_width = caught[inner] / np.sqrt(area[inner])
        index = np.log(per_width / np.maximum(steep, FLATTEST))
    return np.where(np.isfinite(index), index, np.nan)


def _shares(elevation: Floats, lengths: Floats) -> list[Floats]:
    """Share of a pixel's water that flows to each of its neighbours, for all but the outermost."""
    centre = _shifted(elevation, 0, 0)
    (east_col, north_col), (east_row, north_row) = lengths[..., 1:-1, 1:-1]
    shares = []
    for row, col in AROUND:
        far = np.hypot(row * east_row + col * east_col, row * north_row + col * north_col)
        with np.errstate(invalid="ignore", divide="ignore"):
            fall = (centre - _shifted(elevation, row, col)) / far
        shares.append(np.where(fall > 0, fall, 0.0) ** DIVERGENCE)
    total = np.sum(shares, axis=0)
    total[total == 0] = 1.0
    return [share / total for share in shares]


def _caught(shares: list[Floats], area: Floats) -> Floats:
    """Area from which water reaches each pixel on paths of at most REACH pixels, m2."""
    height, width = area.shape
    caught = area
    for _ in range(REACH):
        gathered = area.copy()
        for (row, col), share in zip(AROUND, shares, strict=True):
            flow = share * caught
            to = _overlap(height, row), _overlap(width, col)
            of = _overlap(height, -row), _overlap(width, -col)
            gathered[to] += flow[of]
        caught = gathered
    return caught


def _overlap(size: int, shift: int) -> slice:
    """Where an axis shifted by one pixel lies on itself."""
    return slice(max(0, shift), size + min(0, shift))
