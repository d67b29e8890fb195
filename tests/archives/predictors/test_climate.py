"""WorldClim, CHELSA and TerraClimate: units, archives that are fetched whole, options."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.collections import collection_of
from spatioformer.archives.predictors import whole
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.config.archives import SourceSection
from spatioformer.geo.grid import Grid
from tests.helpers.predictors import (
    chelsa,
    climate_tile,
    climate_zip,
    opened,
    year_of_climate,
)
from tests.helpers.servers import first, stall, truncated


def field(lon, lat):
    return np.where(lon > 100, np.nan, 10 + 0.1 * lon)


def grid(step: float = 5.0, west: float = -60.0, width: int = 24) -> Grid:
    return Grid(CRS.from_epsg(4326), Affine(step, 0, west, 0, -step, 60), 12, width)


def everything(of: Grid) -> Window:
    return Window(0, 0, of.width, of.height)


def read(collection, served, cache, of=None, **keys):
    of = of or grid()
    reader, items = opened(collection, served.url, of, cache, **keys)
    return reader.read(items, everything(of))


def test_worldclim_comes_from_members_of_a_zip(served, tmp_path):
    climate_zip(served.folder, field)
    values = read("worldclim-bioclim", served, tmp_path / "c")
    lon, lat = grid().lonlat(*np.mgrid[:12, :24])
    assert values.shape == (19, 12, 24)
    for number in (1, 7, 19):  # the grid is that of the files
        np.testing.assert_allclose(values[number - 1], number * field(lon, lat), rtol=1e-6)
    asked = [sent for sent in served.sent if sent.path.endswith(".zip")]
    size = (served.folder / "wc2.1_10m_bio.zip").stat().st_size
    assert sum(sent.bytes for sent in asked) == size  # once for 19 bands


def test_sea_of_worldclim_is_missing(served, tmp_path):
    climate_zip(served.folder, field)
    of = grid(west=90.0, width=6)
    values = read("worldclim-bioclim", served, tmp_path / "c", of, bands=("bio1",))
    assert np.isfinite(values[0, :, :2]).all()
    assert np.isnan(values[0, :, 2:]).all()


@pytest.mark.parametrize("fault", [truncated(), stall(0.3)])
def test_a_broken_download_of_worldclim_is_resumed(served, tmp_path, fault):
    climate_zip(served.folder, field)
    served.plan = first(1, fault)
    values = read("worldclim-bioclim", served, tmp_path / fault.kind, bands=("bio12",))
    lon, lat = grid().lonlat(*np.mgrid[:12, :24])
    np.testing.assert_allclose(values[0], 12 * field(lon, lat), rtol=1e-6)


def test_offline_uses_the_archive_in_the_cache(served, tmp_path, monkeypatch):
    climate_zip(served.folder, field)
    expected = read("worldclim-bioclim", served, tmp_path / "c", bands=("bio2",))
    monkeypatch.setattr(whole, "_known", {})
    sent = len(served.sent)
    reader, items = opened("worldclim-bioclim", served.url, grid(), tmp_path / "c", bands=("bio2",))
    from dataclasses import replace

    reader.source = replace(reader.source, access=replace(reader.source.access, offline=True))
    np.testing.assert_array_equal(reader.read(items, everything(grid())), expected)
    assert len(served.sent) == sent
    monkeypatch.setattr(whole, "_known", {})
    reader.source = replace(
        reader.source, access=replace(reader.source.access, cache=tmp_path / "empty")
    )
    reader._mosaics.clear()
    with pytest.raises(ImageryError, match=r"is not in the cache .* run once without --offline"):
        reader.read(items, everything(grid()))


def test_tiles_of_thirty_seconds_are_numbered_from_the_northwest(served, tmp_path):
    climate_tile(served.folder / "tile_7_wc2.1_30s_bio.tif", field, 0, 90)
    climate_tile(served.folder / "tile_19_wc2.1_30s_bio.tif", field, 0, 60)
    of = Grid(CRS.from_epsg(4326), Affine(0.5, 0, 10, 0, -0.5, 65), 20, 8)
    values = read("worldclim-bioclim-30s", served, tmp_path / "c", of, bands=("bio1", "bio10"))
    lon, lat = of.lonlat(*np.mgrid[:20, :8])
    np.testing.assert_allclose(values[0], field(lon, lat), rtol=1e-6)
    np.testing.assert_allclose(values[1], 10 * field(lon, lat), rtol=1e-6)


@pytest.mark.parametrize("tags", [True, False])
def test_chelsa_is_scaled_once_whether_its_files_say_so_or_not(served, tmp_path, tags):
    chelsa(served.folder, (1, 12), lambda lon, lat: 12 + lat / 5, tags=tags)
    values = read("chelsa-bioclim", served, tmp_path / "c", bands=("bio1", "bio12"))
    _, lat = grid().lonlat(*np.mgrid[:12, :24])
    np.testing.assert_allclose(values[0], 12 + lat / 5, atol=0.051)  # raw numbers are tenths
    np.testing.assert_allclose(values[1], 12 + lat / 5, atol=0.051)


def test_a_scale_that_the_table_does_not_expect_is_refused(served, tmp_path):
    chelsa(served.folder, (1,), lambda lon, lat: 12 + lat / 5)
    import rasterio

    path = served.folder / "1981-2010/bio/CHELSA_bio1_1981-2010_V.2.1.tif"
    with rasterio.open(path, "r+") as raster:
        raster.scales = (1.0,)
    with pytest.raises(
        ImageryError, match=r"band bio1 .* states scale 0.1 and offset -273.15, and"
    ):
        read("chelsa-bioclim", served, tmp_path / "c", bands=("bio1",))


def test_a_future_climate_is_chosen_by_scenario_model_and_period(served, tmp_path):
    form = "2071-2100/UKESM1-0-LL/ssp370/bio/CHELSA_bio{}_2071-2100_ukesm1-0-ll_ssp370_V.2.1.tif"
    chelsa(served.folder, (1,), lambda lon, lat: 17 + lat / 5, path=form)
    choose = {"scenario": "ssp370", "model": "ukesm1-0-ll", "period": "2071-2100"}
    reader, items = opened(
        "chelsa-bioclim-future", served.url, grid(), tmp_path / "c", choose=choose, bands=("bio1",)
    )
    assert (items[0].start.year, items[0].end.year) == (2071, 2100)
    values = reader.read(items, everything(grid()))
    _, lat = grid().lonlat(*np.mgrid[:12, :24])
    np.testing.assert_allclose(values[0], 17 + lat / 5, atol=0.051)
    with pytest.raises(ImageryError, match=r"bio1_2011-2040.* does not exist \(404\)"):
        read("chelsa-bioclim-future", served, tmp_path / "c", bands=("bio1",))


def test_worldclims_future_is_one_file_of_many_bands(served, tmp_path):
    name = "2.5m/MRI-ESM2-0/ssp585/wc2.1_2.5m_bioc_MRI-ESM2-0_ssp585_2081-2100.tif"
    climate_tile(served.folder / name, field, -15, 75)
    of = Grid(CRS.from_epsg(4326), Affine(0.5, 0, 0, 0, -0.5, 60), 8, 8)
    choose = {"pixel": "2.5m", "model": "MRI-ESM2-0", "scenario": "ssp585", "period": "2081-2100"}
    keys = {"choose": choose, "bands": ("bio4", "bio19")}
    values = read("worldclim-bioclim-future", served, tmp_path / "c", of, **keys)
    lon, lat = of.lonlat(*np.mgrid[:8, :8])
    np.testing.assert_allclose(values[0], 4 * field(lon, lat), rtol=1e-6)
    np.testing.assert_allclose(values[1], 19 * field(lon, lat), rtol=1e-6)


def test_months_of_terraclimate_become_a_sum_or_a_mean_of_the_year(served, tmp_path):
    months = np.arange(12.0)[:, None, None]
    lon = -180 + (np.arange(72) + 0.5) * 5
    rain = np.where(lon > 100, np.nan, 30 + months + 0 * lon) + np.zeros((12, 36, 72))
    rain[3, 20, 40] = np.nan  # a month is missing
    year_of_climate(served.folder / "TerraClimate_ppt_2005.nc", "ppt", rain, 0.1)
    year_of_climate(served.folder / "TerraClimate_tmax_2005.nc", "tmax", rain - 20, 0.01)
    of = Grid(CRS.from_epsg(4326), Affine(5, 0, -180, 0, -5, 90), 36, 72)
    keys = {"bands": ("ppt", "tmax"), "year": 2005}
    values = read("terraclimate", served, tmp_path / "c", of, **keys)
    np.testing.assert_allclose(values[0, :, :56][np.isfinite(values[0, :, :56])], 426, rtol=1e-5)
    np.testing.assert_allclose(values[1, 0, 0], 15.5, rtol=1e-5)
    assert np.isnan(values[:, 20, 40]).all()
    assert np.isnan(values[:, :, 56:]).all()
    assert np.isfinite(values[:, :, :56]).sum() == 2 * (36 * 56 - 1)


def test_a_year_of_fewer_months_is_no_year(served, tmp_path):
    rain = np.full((8, 36, 72), 30.0)
    year_of_climate(served.folder / "TerraClimate_ppt_2025.nc", "ppt", rain, 0.1)
    of = Grid(CRS.from_epsg(4326), Affine(5, 0, -180, 0, -5, 90), 36, 72)
    with pytest.raises(
        ImageryError, match=r"holds 8 steps of time, fewer than the 12 months of 20"
    ):
        read("terraclimate", served, tmp_path / "c", of, bands=("ppt",), year=2025)


def section(**keys):
    return SourceSection(**({"name": "s", "collection": "chelsa-bioclim-future"} | keys))


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"years": (2000,)}, r"chelsa-bioclim-future has no years \(it describes 2011 to 2100\)"),
        ({"choose": {"scenario": "ssp245"}}, r"'ssp245' is no scenario .*choose ssp126, ssp370"),
        ({"choose": {"gcm": "x"}}, r"no option 'gcm' in `choose`; its options are scenario, model"),
        ({"kind": "stac-api", "endpoint": "https://x.org"}, r"is read from files, not from `kind"),
        ({"collection": "terraclimate"}, r"terraclimate needs `years`"),
        ({"indices": ("NDVI",)}, r"holds single images, so `indices` means nothing"),
        ({"composite": "mean"}, r"holds single images, so `composite` means nothing"),
        ({"collection": "sentinel-2-l2a", "years": (2020,), "choose": {"a": "b"}}, "it has none"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_sentence(keys, sentence):
    with pytest.raises(ConfigError, match=sentence):
        collection_of(section(**keys))


def test_a_pixel_of_the_chosen_size():
    bioclim = SourceSection(name="s", collection="worldclim-bioclim", choose={"pixel": "5m"})
    assert collection_of(bioclim).resolution == 9300
