"""Areas and sides of pixels: those of geodesic polygons and lines on the ellipsoid."""

import numpy as np
import pytest
from pyproj import CRS, Geod, Transformer
from rasterio.transform import from_origin
from rasterio.windows import Window

from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.areas import pixel_areas, pixel_sides

EARTH = Geod(ellps="WGS84")
HEMISPHERE = "+proj=ortho +lat_0=-25 +lon_0=134 +datum=WGS84"


def exact_area(grid: Grid, row: int, col: int) -> float:
    rows, cols = np.array([0, 0, 1, 1]) - 0.5 + row, np.array([0, 1, 1, 0]) - 0.5 + col
    return abs(EARTH.polygon_area_perimeter(*grid.lonlat(rows, cols))[0]) / 1e6


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3577", "EPSG:32755", "EPSG:3857"])
def test_areas_of_pixels_are_those_on_the_ellipsoid(crs):
    to = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    (x, right), (y, _) = to.transform([147.0, 147.9], [-30.0, -30.0])
    grid = Grid.from_bounds(
        CRS.from_user_input(crs), (x, y - 90 * (right - x) / 90, right, y), ((right - x) / 90,) * 2
    )
    areas = pixel_areas(grid, Window(3, 5, 70, 80))
    assert areas.shape == (80, 70)
    for row, col in ((0, 0), (79, 69), (17, 33)):
        assert areas[row, col] == pytest.approx(exact_area(grid, row + 5, col + 3), rel=1e-5)


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_pixels_off_the_earth_have_no_area_and_spoil_none_beside_them():
    """The corners of a map of one hemisphere lie off the Earth."""
    grid = Grid(CRS.from_user_input(HEMISPHERE), from_origin(-7e6, 7e6, 1e5, 1e5), 140, 140)
    areas = pixel_areas(grid, Window(0, 0, 140, 140))
    y, x = 69.5 - np.arange(140)[:, None], np.arange(140) - 69.5
    distance = 1e5 * np.hypot(x, y)
    assert (areas[distance > 6.5e6] == 0).all()
    assert (areas[distance < 6.2e6] > 0).all()
    for row, col in ((69, 69), (30, 40), (100, 20)):
        assert areas[row, col] == pytest.approx(exact_area(grid, row, col), rel=2e-3)


def test_sides_of_a_pixel_are_lines_through_its_centre():
    grid = Grid(CRS.from_epsg(4326), from_origin(20, 61, 0.5, 0.25), 8, 8)
    along_row, along_column = pixel_sides(grid, 3, 2)
    lat = 61 - 0.25 * 3.5
    assert along_row == pytest.approx(EARTH.line_length([21, 21.5], [lat, lat]), abs=1e-3)
    assert along_column == pytest.approx(
        EARTH.line_length([21.25, 21.25], [lat - 0.125, lat + 0.125]), abs=1e-3
    )
