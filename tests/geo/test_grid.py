"""Grid: pixels to degrees and back, clipping, windows that lose no pixel."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import LONLAT, Grid

DEGREE = Grid.from_bounds(LONLAT, (112.0, -44.0, 154.0, -10.0), (0.5, 0.5))
UTM = Grid(CRS.from_epsg(32755), Affine(30, 0, 600000, 0, -30, 6000000), 50, 40)
ROTATED = Grid(CRS.from_epsg(32755), UTM.transform @ Affine.rotation(30), 50, 40)
SOUTH_UP = Grid(LONLAT, Affine(0.1, 0, 10, 0, 0.2, -5), 30, 20)


def test_known_pixel_centres():
    lon, lat = DEGREE.lonlat([0, 67], [0, 83])
    np.testing.assert_allclose(lon, [112.25, 153.75])
    np.testing.assert_allclose(lat, [-10.25, -43.75])
    assert DEGREE.shape == (68, 84)
    assert DEGREE.region == (112.0, 154.0, -44.0, -10.0)


@pytest.mark.parametrize("grid", [DEGREE, UTM, ROTATED, SOUTH_UP])
def test_pixel_of_its_centre_is_itself(grid):
    rows, cols = np.mgrid[: grid.height, : grid.width]
    back = grid.pixel(*grid.lonlat(rows, cols))
    np.testing.assert_array_equal(back[0], rows)
    np.testing.assert_array_equal(back[1], cols)


def test_longitudes_wrap_at_the_antimeridian():
    pacific = Grid.from_bounds(LONLAT, (170.0, -10.0, 190.0, 0.0), (1.0, 1.0))
    lon, _ = pacific.lonlat(0, np.arange(20))
    assert lon[9] == 179.5
    assert lon[10] == -179.5
    _, cols = pacific.pixel(np.array([-179.5, 179.5]), np.array([-0.5, -0.5]))
    np.testing.assert_array_equal(cols, [10, 9])


def test_float64_is_kept():
    lon, _ = UTM.lonlat(0, 0)
    assert lon.dtype == np.float64
    step = UTM.lonlat(0, 1)[0] - lon
    assert abs(step * 111_320 * np.cos(np.radians(36.1)) / 30 - 1) < 0.02


@given(height=st.integers(1, 70), width=st.integers(1, 70), size=st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_windows_cover_every_pixel_once(height, width, size):
    grid = Grid(LONLAT, Affine(1, 0, 0, 0, -1, 0), height, width)
    count = np.zeros((height, width), int)
    for w in grid.windows(size):
        count[w.row_off : w.row_off + w.height, w.col_off : w.col_off + w.width] += 1
    assert (count == 1).all()


def test_clip_keeps_the_lattice():
    part = DEGREE.clip((120.2, 121.0, -20.0, -19.1))
    assert part.shape == (2, 2)
    assert part.bounds == (120.0, -20.0, 121.0, -19.0)
    whole = DEGREE.clip((100, 170, -60, 0))
    assert whole == DEGREE


def test_clip_outside_is_refused():
    with pytest.raises(ImageryError, match=r"\[0, 1, 0, 1\] lies outside the imagery"):
        DEGREE.clip((0, 1, 0, 1))


def test_points_the_crs_cannot_place_are_outside():
    rows, cols = UTM.pixel(np.array([np.inf]), np.array([0.0]))
    assert not UTM.holds(rows, cols)[0]
