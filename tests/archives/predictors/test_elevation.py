"""Tiles of elevation: no seams, true slopes, sea without a tile, faults of the server."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.predictors import reader as predictors
from spatioformer.archives.predictors.reader import margin
from spatioformer.geo import terrain
from spatioformer.geo.grid import Grid
from tests.helpers.predictors import elevation_tiles, opened
from tests.helpers.servers import first, status, truncated

ALL = ("elevation", "slope", "aspect_sin", "aspect_cos", "relief", "wetness")
RISE = 20_000.0  # m a degree of longitude


def plane(lon, lat):
    return 1000 + RISE * (lon - 10) + 5000 * (lat - 59)


def whole(grid: Grid) -> Window:
    return Window(0, 0, grid.width, grid.height)


def degrees(lon: float, lat: float, size: float, height: int, width: int) -> Grid:
    return Grid(CRS.from_epsg(4326), Affine(size, 0, lon, 0, -size, lat), height, width)


@pytest.fixture
def tiles(served):
    elevation_tiles(served.folder, [(59, 9), (59, 10), (60, 9), (60, 10)], plane)
    return served


def test_a_plane_has_no_seam_where_four_tiles_of_two_widths_meet(tiles, tmp_path):
    # At 60 degrees pixels become 4/3 as wide; the grid's pixels are 3.1 rows high.
    grid = degrees(9.7, 60.35, 3.1 / 120, 27, 25)
    reader, items = opened(
        "copernicus-dem-30", tiles.url, grid, tmp_path / "c", bands=("elevation", "slope")
    )
    assert len(items) == 4
    elevation, slope = reader.read(items, whole(grid))
    lon, lat = grid.lonlat(*np.mgrid[:27, :25])
    np.testing.assert_allclose(elevation, plane(lon, lat), atol=0.01)
    east, north = RISE / 55_800, 5000 / 111_412  # m a degree at 60 degrees north
    expected = np.degrees(np.arctan(np.hypot(east, north)))
    np.testing.assert_allclose(slope, expected, rtol=0.02)
    assert slope.std() < 0.01 * expected


def test_values_do_not_depend_on_the_window(tiles, tmp_path, monkeypatch):
    grid = Grid(CRS.from_epsg(32632), Affine(1000, 0, 545_000, 0, -1000, 6_670_000), 40, 44)
    reader, items = opened("copernicus-dem-30", tiles.url, grid, tmp_path / "c", bands=ALL)
    values = reader.read(items, whole(grid))
    assert values.shape == (6, 40, 44)
    assert np.isfinite(values).all()
    monkeypatch.setattr(predictors, "PART", 9)
    np.testing.assert_array_equal(reader.read(items, whole(grid)), values)
    for part in (Window(0, 0, 7, 5), Window(30, 20, 14, 20), Window(11, 13, 1, 1)):
        rows = slice(part.row_off, part.row_off + part.height)
        cols = slice(part.col_off, part.col_off + part.width)
        np.testing.assert_array_equal(reader.read(items, part), values[:, rows, cols])


def test_sea_without_a_tile_has_no_data_and_the_coast_keeps_its_slope(served, tmp_path):
    elevation_tiles(served.folder, [(59, 9)], plane)
    grid = degrees(9.5, 59.75, 1 / 60, 30, 60)  # from 9.5 to 10.5 E; land ends at 10 E
    reader, items = opened("copernicus-dem-30", served.url, grid, tmp_path / "c", bands=ALL)
    assert [item.id for item in items] == [
        "copernicus-dem-30m_Copernicus_DSM_COG_10_N59_00_E009_00_DEM"
    ]
    names = [band.name for band in reader.source.wanted]
    values = dict(zip(names, reader.read(items, whole(grid)), strict=True))
    for name, value in values.items():
        assert np.isfinite(value[:, :29]).all(), name
        assert np.isnan(value[:, 31:]).all(), name
    slope = values["slope"][:, :29]
    assert np.ptp(slope[:, :28], axis=1).max() < 0.001
    # The last pixel reaches 0.25 of a pixel into the sea, and its mean is that of its land.
    np.testing.assert_allclose(slope[:, 28], slope[:, 27], rtol=0.15)
    assert values["aspect_sin"][5, 5] == pytest.approx(-0.99, abs=0.01)  # it falls to the west


def test_a_region_across_the_antimeridian(served, tmp_path):
    corners = [(-17, 179), (-17, -180)]

    def field(x, y):
        return 1000 * ((x - 179) % 360)

    elevation_tiles(served.folder, corners, field)
    grid = Grid(CRS.from_epsg(32760), Affine(500, 0, 790_000, 0, -500, 8_200_000), 60, 120)
    reader, items = opened(
        "copernicus-dem-30", served.url, grid, tmp_path / "c", bands=("elevation",)
    )
    assert len(items) == 2
    out = reader.read(items, whole(grid))[0]
    lon, _ = grid.lonlat(*np.mgrid[:60, :120])
    known = np.isfinite(out)
    assert known.all()
    assert (lon > 0).any()
    assert (lon < 0).any()
    np.testing.assert_allclose(out, 1000 * ((lon - 179) % 360), atol=1)


def test_faults_of_the_server_change_nothing(tiles, tmp_path):
    grid = degrees(9.8, 60.1, 1 / 120, 20, 30)
    keys = {"bands": ("elevation",)}
    reader, items = opened("copernicus-dem-30", tiles.url, grid, tmp_path / "a", **keys)
    expected = reader.read(items, whole(grid))
    for fault in (status(503), truncated()):
        tiles.plan = first(1, fault)
        reader, items = opened("copernicus-dem-30", tiles.url, grid, tmp_path / fault.kind, **keys)
        np.testing.assert_array_equal(reader.read(items, whole(grid)), expected)


def test_margins():
    class Of:
        def __init__(self, derive):
            self.derive = derive

    assert margin([Of(None)]) == 0
    assert margin([Of(None), Of("slope")]) == 1
    assert margin([Of("relief"), Of("wetness")]) == terrain.REACH + 1
