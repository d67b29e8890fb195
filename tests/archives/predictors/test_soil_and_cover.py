"""SoilGrids in homolosine, and shares of the classes of WorldCover."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.windows import Window

from spatioformer.archives.predictors.vrt import parse_vrt
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from tests.helpers.predictors import HOMOLOSINE, chelsa, land_cover_tile, opened, soil

UTM = CRS.from_epsg(32632)


def everything(of: Grid) -> Window:
    return Window(0, 0, of.width, of.height)


@pytest.fixture
def place():
    """A grid in UTM, and the corner of a mosaic in homolosine that holds it."""
    grid = Grid(UTM, Affine(250, 0, 500_000, 0, -250, 5_400_000), 20, 30)
    lon, lat = grid.lonlat(np.array([-12]), np.array([-12]))
    x, y = Transformer.from_crs("EPSG:4326", HOMOLOSINE, always_xy=True).transform(lon, lat)
    return grid, (float(np.round(x[0] / 250) * 250), float(np.round(y[0] / 250) * 250))


def test_soil_in_homolosine_has_its_conventional_units(served, tmp_path, place):
    grid, corner = place
    to = Transformer.from_crs(UTM, HOMOLOSINE, always_xy=True)

    def raw(x, y):
        return np.round((x - corner[0]) / 50)

    for band in ("clay_0-5cm_mean", "bdod_0-5cm_mean"):
        soil(served.folder, band, raw, corner)
    reader, items = opened(
        "soilgrids", served.url, grid, tmp_path / "c", bands=("clay_0_5", "bdod_0_5")
    )
    assert 1 < len(items) <= 4
    clay, density = reader.read(items, everything(grid))
    cols, rows = np.meshgrid(np.arange(30) + 0.5, np.arange(20) + 0.5)
    x, y = to.transform(*(grid.transform @ (cols, rows)))
    # A pixel of 250 m is 5 raw numbers wide; the mean is within a tenth of one of its centre's.
    np.testing.assert_allclose(clay, raw(x, y) / 10, atol=0.3)
    np.testing.assert_allclose(density, raw(x, y) / 100, atol=0.03)
    part = Window(7, 3, 11, 9)
    np.testing.assert_array_equal(reader.read(items, part)[0], clay[3:12, 7:18])


def test_pixels_on_the_cut_of_the_projection_have_no_data(served, tmp_path):
    # The cut at 40 degrees west goes through Greenland.
    to = Transformer.from_crs("EPSG:4326", HOMOLOSINE, always_xy=True)
    x, y = to.transform(-40.0001, 70.0)
    corner = (float(np.round(x / 250) * 250) - 32 * 250, float(np.round(y / 250) * 250) + 8000)
    soil(served.folder, "clay_0-5cm_mean", lambda x, y: 300 + 0 * x, corner)
    grid = Grid(CRS.from_epsg(32624), Affine(1000, 0, 455_000, 0, -1000, 7_770_000), 10, 20)
    reader, items = opened("soilgrids", served.url, grid, tmp_path / "c", bands=("clay_0_5",))
    out = reader.read(items, everything(grid))[0]
    lon, _ = grid.lonlat(*np.mgrid[:10, :20])
    assert np.isfinite(out).any()
    np.testing.assert_allclose(out[np.isfinite(out)], 30)
    assert np.isnan(out[lon > -39.98]).all()


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("<VRTDataset", "<!DOCTYPE x><VRTDataset", "defines a document type"),
        ('relativeToVRT="1"', 'relativeToVRT="0"', "not relative to it"),
        ("tileSG-000-000/", "../../../", "outside its folder"),
        ('yOff="0" xSize="32" ySize="32"/><DstRect', 'yOff="0" xSize="16" ySize="16"/><DstRect',
         "resamples or cuts its tiles"),
        ("<NODATA>", "<ScaleRatio>2</ScaleRatio><NODATA>", r"changes the values .*ScaleRatio"),
        ("</VRTDataset>", "", "is no VRT that can be read"),
    ],
)  # fmt: skip
def test_a_vrt_that_is_more_than_a_mosaic_is_refused(tmp_path, before, after, sentence):
    soil(tmp_path, "clay_0-5cm_mean", lambda x, y: 0 * x, (0.0, 5_000_000.0), tiles=1)
    text = (tmp_path / "clay" / "clay_0-5cm_mean.vrt").read_text()
    assert before in text
    with pytest.raises(ImageryError, match=sentence):
        parse_vrt(text.replace(before, after).encode(), "https://x.org/clay.vrt", "source s")


def test_classes_become_shares_of_a_pixel(served, tmp_path):
    codes = np.full((300, 300), 10)
    codes[:, 150:] = 40
    codes[0:10, 0:10] = 0  # no class
    codes[10:20, 0:5] = 100
    land_cover_tile(served.folder, "N48E009", 9.0, 51.0, codes)
    grid = Grid(CRS.from_epsg(4326), Affine(0.1, 0, 9, 0, -0.1, 51), 30, 31)
    reader, items = opened("worldcover-2021", served.url, grid, tmp_path / "c")
    values = reader.read(items, everything(grid))
    names = [band.name for band in reader.source.wanted]
    shares = dict(zip(names, values, strict=True))
    assert np.isnan(values[:, 0, 0]).all()
    assert shares["moss_lichen"][1, 0] == pytest.approx(0.5)
    assert shares["tree_cover"][1, 0] == pytest.approx(0.5)
    assert shares["tree_cover"][5, 14] == 1
    assert shares["cropland"][5, 15] == 1
    known = np.isfinite(values).all(axis=0)
    np.testing.assert_allclose(values.sum(axis=0)[known], 1, rtol=1e-6)
    assert np.isnan(values[:, :, 30]).all()  # beyond the tile


def test_a_region_without_a_tile_is_said(served, tmp_path):
    land_cover_tile(served.folder, "N48E009", 9.0, 51.0, np.full((30, 30), 10))
    grid = Grid(CRS.from_epsg(4326), Affine(0.1, 0, -30, 0, -0.1, 20), 10, 10)
    _, items = opened("worldcover-2021", served.url, grid, tmp_path / "c")
    assert items == ()


def test_files_of_other_sizes_are_not_mixed(served, tmp_path):
    chelsa(served.folder, (1,), lambda lon, lat: 10 + 0 * lon)
    chelsa(served.folder, (2,), lambda lon, lat: 10 + 0 * lon, size=18)
    grid = Grid(CRS.from_epsg(4326), Affine(5, 0, 0, 0, -5, 50), 4, 4)
    reader, items = opened(
        "chelsa-bioclim", served.url, grid, tmp_path / "c", bands=("bio1", "bio2")
    )
    with pytest.raises(ImageryError, match=r"has 18 x 36 pixels, and 36 x 72 were expected"):
        reader.read(items, everything(grid))
