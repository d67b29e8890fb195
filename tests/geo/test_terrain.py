"""Slope, aspect, relief and wetness against known answers: planes, a cone, distances on Earth."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Geod
from rasterio.windows import Window

from spatioformer.geo import terrain
from spatioformer.geo.grid import Grid

GRIDS = {
    "degrees": Grid(CRS.from_epsg(4326), Affine(1 / 3600, 0, 10, 0, -1 / 3600, 60.05), 360, 360),
    "mercator": Grid(CRS.from_epsg(3857), Affine(60, 0, 1.1e6, 0, -60, 8.4e6), 360, 360),
    "utm": Grid(CRS.from_epsg(32632), Affine(30, 0, 5e5, 0, -30, 6.66e6), 360, 360),
    "laea": Grid(CRS.from_epsg(3035), Affine(100, 0, 2.6e6, 0, -100, 3.9e6), 360, 360),
}
"""Grids at 60 degrees north, where a degree of longitude is half as long as at the equator; in the
last one the columns are turned from north by many degrees."""

AT = Window(90, 90, 70, 70)


def metres(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Geodesic metres to the east and north of the window's middle."""
    lon, lat = grid.lonlat(*np.mgrid[90:160, 90:160])
    lon0, lat0 = np.full(lon.shape, lon[35, 35]), np.full(lon.shape, lat[35, 35])
    azimuth, _, far = Geod(ellps="WGS84").inv(lon0, lat0, lon, lat)
    return far * np.sin(np.radians(azimuth)), far * np.cos(np.radians(azimuth))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize(("east", "north"), [(0.3, 0.4), (-1.0, 0.0), (0.0, -0.05)])
def test_slope_and_aspect_of_a_tilted_plane(name, east, north):
    grid = GRIDS[name]
    x, y = metres(grid)
    plane = 500 + east * x + north * y
    gradient = terrain.gradient(plane, terrain.steps(grid, AT)[..., 1:-1, 1:-1])
    middle = (34, 34)
    steep = np.hypot(east, north)
    assert terrain.slope(*gradient)[middle] == pytest.approx(np.degrees(np.arctan(steep)), 1e-6)
    sine, cosine = terrain.aspect(*gradient)
    assert sine[middle] == pytest.approx(-east / steep, abs=1e-6)
    assert cosine[middle] == pytest.approx(-north / steep, abs=1e-6)


@pytest.mark.parametrize("name", GRIDS)
def test_steps_are_geodesic_distances_and_the_same_in_every_window(name):
    grid = GRIDS[name]
    lengths = terrain.steps(grid, Window(0, 0, 360, 360))
    geod = Geod(ellps="WGS84")
    for row, col in ((3, 5), (200, 331)):
        for number, (down, across) in enumerate(((0, 0.5), (0.5, 0))):
            lon, lat = grid.lonlat(
                np.array([row - down, row + down]), np.array([col - across, col + across])
            )
            azimuth, _, far = geod.inv(lon[0], lat[0], lon[1], lat[1])
            east, north = lengths[number, :, row, col]
            assert np.hypot(east, north) == pytest.approx(far, rel=1e-6)
            assert np.sin(np.arctan2(east, north) - np.radians(azimuth)) == pytest.approx(
                0, abs=1e-4
            )
    part = terrain.steps(grid, Window(17, 33, 40, 50))
    np.testing.assert_array_equal(part, lengths[..., 33:83, 17:57])
    assert np.isfinite(terrain.steps(grid, Window(-40, -40, 30, 30))).all()  # beyond the grid


def test_flat_land_has_no_aspect_and_a_plane_keeps_its_slope_beside_missing_pixels():
    lengths = terrain.steps(GRIDS["utm"], Window(0, 0, 8, 8))
    flat = terrain.gradient(np.full((10, 10), 7.0), lengths)
    assert (terrain.slope(*flat) == 0).all()
    assert all((part == 0).all() for part in terrain.aspect(*flat))
    plane = np.tile(10.0 * np.arange(10), (10, 1))
    whole = terrain.slope(*terrain.gradient(plane, lengths))
    plane[:, 6:] = np.nan
    part = terrain.slope(*terrain.gradient(plane, lengths))
    np.testing.assert_allclose(part[:, :5], whole[:, :5])
    assert np.isnan(part[:, 5:]).all()


def test_relief_of_three_by_three_pixels():
    values = np.zeros((5, 5))
    values[1, 1], values[3, 3] = 40, -2
    values[0, 0] = np.nan
    relief = terrain.relief(values)
    np.testing.assert_array_equal(relief, [[40, 40, 0], [40, 42, 2], [0, 2, 2]])


def metric(size: float, side: int) -> np.ndarray:
    """Steps of a grid whose pixels are `size` metres wide."""
    lengths = np.zeros((2, 2, side, side))
    lengths[0, 0], lengths[1, 1] = size, -size
    return lengths


def test_wetness_of_a_plane_is_that_of_the_pixels_above():
    # Each pixel of a plane passes its water down one row, so REACH rows reach a pixel, and its own.
    side, size = 40 + 2 * (terrain.REACH + 1), 30.0
    plane = np.tile(-0.1 * size * np.arange(side)[:, None], (1, side))
    expected = np.log((terrain.REACH + 1) * size / 0.1)
    index = terrain.wetness(plane, metric(size, side))
    np.testing.assert_allclose(index, expected, rtol=1e-9)


def test_wetness_of_a_cone_is_that_of_its_sectors():
    # Water of a sector gathers between the top and the pixel: a = r / 2 on a cone.
    reach, size = terrain.REACH, 10.0
    half = reach + 1 + 20
    y, x = np.mgrid[-half : half + 1, -half : half + 1] * size
    far = np.hypot(x, y)
    index = terrain.wetness(1000 - 0.2 * far, metric(size, 2 * half + 1))
    inner = far[reach + 1 : -reach - 1, reach + 1 : -reach - 1]
    ring = (inner > 8 * size) & (inner < 18 * size)
    expected = np.log(inner[ring] / 2 / 0.2)
    assert np.abs(index[ring] - expected).mean() < 0.12
    assert np.abs(index[ring] - expected).max() < 0.35
    # A valley is wetter than the ridge beside it.
    hollow = terrain.wetness(np.abs(x) - 0.05 * y, metric(size, 2 * half + 1))
    assert hollow[20, 20] > hollow[20, 5] + 2


def test_wetness_is_the_same_in_every_window_and_missing_in_the_sea():
    rng = np.random.default_rng(1)
    border = terrain.REACH + 1
    side = 30 + 2 * border
    land = rng.normal(0, 5, (side, side)).cumsum(axis=0) + 400
    land[border + 3, border + 4] = np.nan
    index = terrain.wetness(land, metric(25, side))
    assert np.isnan(index).sum() == 1
    part = slice(7, 7 + 12 + 2 * border)
    lengths = metric(25, part.stop - part.start)
    np.testing.assert_array_equal(terrain.wetness(land[part, part], lengths), index[7:19, 7:19])
    flat = terrain.wetness(np.zeros((side, side)), metric(25, side))
    np.testing.assert_allclose(flat, np.log(25 / terrain.FLATTEST))


def test_blocks_of_a_large_window_have_no_seams(monkeypatch):
    rng = np.random.default_rng(2)
    border = terrain.REACH + 1
    side = 50 + 2 * border
    land = rng.normal(0, 5, (side, side)).cumsum(axis=1)
    whole = terrain.wetness(land, metric(25, side))
    monkeypatch.setattr(terrain, "BLOCK", 16)
    np.testing.assert_array_equal(terrain.wetness(land, metric(25, side)), whole)
