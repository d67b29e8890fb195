"""Runs with terrain, climate, soil and land cover by name, from servers in the archives' forms."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import rasterio
import yaml
from pyproj import Transformer

import spatioformer as sf
from spatioformer.archives.opening import sources_of
from spatioformer.archives.rows import built_in
from spatioformer.common.errors import ConfigError
from spatioformer.common.progress import SILENT
from spatioformer.config.scenario import load_scenario
from spatioformer.geo.chips import open_chips
from spatioformer.run.runner import Run
from spatioformer.run.scenario_map import other_archives, scenario_imagery
from tests.helpers import archive_run, landscape
from tests.helpers.predictors import (
    HOMOLOSINE,
    chelsa,
    climate_zip,
    elevation_tiles,
    soil,
    year_of_climate,
)
from tests.helpers.servers import FileServer
from tests.helpers.tiny_run import spatioformer

pytestmark = [
    pytest.mark.integration,
    pytest.mark.usefixtures("small_forests_of_module"),
]

WEST, NORTH = int(landscape.WEST), int(landscape.NORTH)


def hills(lon, lat):
    return 400 + 300 * np.sin(3 * lon) * np.cos(2 * lat)


def warmth(lon, lat):
    return 20 + 0.2 * lat + 0.05 * (lon - WEST)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[FileServer]:
    """A server with a folder for each archive."""
    folder = tmp_path_factory.mktemp("archives")
    corners = [(lat, lon) for lat in range(NORTH - 8, NORTH + 1) for lon in range(WEST - 1, 148)]
    elevation_tiles(folder / "dem", corners, hills, per_degree=24)
    climate_zip(folder / "worldclim", warmth, size=180)
    to = Transformer.from_crs("EPSG:4326", HOMOLOSINE, always_xy=True)
    x, y = to.transform(WEST - 1.5, NORTH + 1.0)
    corner = (float(np.round(x / 250) * 250), float(np.round(y / 250) * 250))
    for number, name in enumerate(("clay", "phh2o")):
        raw = 200 + 40 * number
        soil(folder / "soil", f"{name}_0-5cm_mean", lambda x, y, r=raw: r + x * 1e-5, corner,
             tiles=5, pixel=6000)  # fmt: skip
    for year in (2019, 2020, 2021):
        rain = np.full((12, 90, 180), 10.0 + (year - 2019))
        year_of_climate(folder / "terra" / f"TerraClimate_ppt_{year}.nc", "ppt", rain, 0.1)
    future = "2071-2100/GFDL-ESM4/ssp370/bio/CHELSA_bio{}_2071-2100_gfdl-esm4_ssp370_V.2.1.tif"
    for path, more in (("1981-2010/bio/CHELSA_bio{}_1981-2010_V.2.1.tif", 0), (future, 3)):
        chelsa(folder / "chelsa", (1, 12), lambda x, y, m=more: warmth(x, y) + m, size=180,
               path=path)  # fmt: skip
    with FileServer(folder) as running:
        yield running


def sources(url: str) -> list[dict[str, Any]]:
    return [
        {"name": "terrain", "collection": "copernicus-dem-30", "endpoint": f"{url}/dem",
         "bands": ["elevation", "slope", "aspect_sin", "aspect_cos", "relief"]},
        {"name": "climate", "collection": "worldclim-bioclim", "endpoint": f"{url}/worldclim",
         "bands": ["bio1", "bio12"]},
        {"name": "soil", "collection": "soilgrids", "endpoint": f"{url}/soil",
         "bands": ["clay_0_5", "phh2o_0_5"]},
    ]  # fmt: skip


def write(folder: Path, of: list[dict[str, Any]], **changes: Any) -> Path:
    """A configuration without rasters: plots with dates from 2018 to 2023, and sources."""
    values = archive_run.settings(folder)
    values["imagery"] = {
        "sources": of,
        "cache": {"path": "cache", "gb": 0.2},
        "region": archive_run.REGION,
        "grid": archive_run.GRID,
    }
    folder.mkdir(parents=True, exist_ok=True)
    archive_run.plots().to_csv(folder / "plots.csv", index=False)
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(values | changes))
    return path


@pytest.fixture(scope="module")
def whole(server, tmp_path_factory) -> Path:
    """The configuration of a finished run with static sources alone."""
    path = write(tmp_path_factory.mktemp("static"), sources(server.url))
    ended = spatioformer("run", path, "--quiet")
    assert ended.code == 0, ended.err
    return path


def test_plots_of_all_years_get_terrain_climate_and_soil(whole):
    folder = whole.parent / "run"
    store = open_chips(folder / "chips")
    assert len(store.table) == 150  # those without a date too
    assert store.table["composite_year"].isna().all()
    names = [
        *(f"terrain_{name}" for name in ("elevation", "slope", "aspect_sin", "aspect_cos")),
        *("terrain_relief", "climate_bio1", "climate_bio12", "soil_clay_0_5", "soil_phh2o_0_5"),
    ]
    with rasterio.open(folder / "imagery.tif") as raster:
        assert list(raster.descriptions) == names
        values = dict(zip(names, raster.read(), strict=True))
        lon, lat = landscape.WEST + 0.1 * 32.5, landscape.NORTH - 0.1 * 20.5
        assert values["climate_bio1"][20, 32] == pytest.approx(warmth(lon, lat), abs=0.15)
        assert values["climate_bio12"][20, 32] == pytest.approx(12 * warmth(lon, lat), abs=2)
        assert values["terrain_elevation"][20, 32] == pytest.approx(hills(lon, lat), abs=10)
        np.testing.assert_allclose(values["soil_clay_0_5"], 20, atol=20)
        assert 0.3 < values["terrain_slope"].max() < 1
        assert all(np.isfinite(value).all() for value in values.values())
    assert sorted(p.name for p in (folder / "archives").iterdir()) == [
        *("composites.json", "imagery_static.item.json", "imagery_static.tif", "items.json")
    ]
    opened = Run(whole)
    assert {name: opened.reason(name) for name in opened.stages} == dict.fromkeys(opened.stages)


def test_the_report_names_the_licences_and_what_they_forbid(whole):
    folder = whole.parent / "run"
    text = (folder / "report.html").read_text()
    for words in ("no commercial use", "CC-BY-4.0", "Copernicus WorldDEM-30", "10.1002/joc.5086"):
        assert words in text, words
    assert "the same in all years" in text
    assert "without a date" not in text
    assert "10.5194/soil-7-217-2021" in (folder / "CITATIONS.bib").read_text()
    item = json.loads((folder / "archives/imagery_static.item.json").read_text())
    assert item["properties"]["start_datetime"] == "1970-01-01T00:00:00Z"
    assert item["properties"]["end_datetime"] == "2020-12-31T23:59:59Z"


def test_search_lists_what_would_be_read_and_reads_none_of_it(whole, server, tmp_path):
    sent = len(server.sent)
    path = write(tmp_path, sources(server.url))
    ended = spatioformer("imagery", "search", path, "--json")
    assert ended.code == 0, ended.err
    terrain, climate, soil_ = json.loads(ended.out)
    assert (terrain["years"][0]["items"], terrain["years"][0]["plots"]) == (64, 150)
    assert climate["years"][0]["items"] == 1
    assert climate["licence"].startswith("WorldClim terms (non-commercial")
    assert soil_["bands"] == ["clay_0_5", "phh2o_0_5"]
    asked = {entry.path.rsplit(".", 1)[-1] for entry in server.sent[sent:]}
    assert asked == {"txt", "vrt"}
    shown = spatioformer("imagery", "search", path)
    assert "no date" in shown.out
    assert "bio1: annual mean temperature, degC" in shown.out
    checked = spatioformer("check", path)
    assert checked.code == 0, checked.err
    assert "the same in all years" in checked.out + checked.err


def test_climate_of_the_plots_year_beside_climate_of_all_years(server, tmp_path):
    yearly = {"name": "rain", "collection": "terraclimate", "endpoint": f"{server.url}/terra",
              "bands": ["ppt"], "years": [2019, 2021]}  # fmt: skip
    path = write(tmp_path, [yearly, sources(server.url)[1]])
    ended = spatioformer("run", path, "--until", "chips", "--quiet")
    assert ended.code == 0, ended.err
    store = open_chips(tmp_path / "run" / "chips")
    assert store.bands == ["rain_ppt", "climate_bio1", "climate_bio12"]
    years = store.table["composite_year"].to_numpy(int)
    assert set(years) == {2019, 2020, 2021}
    rain = np.asarray(store.chips)[..., 0].reshape(len(years), -1).mean(axis=1)
    np.testing.assert_allclose(rain, 12 * (10 + years - 2019), rtol=1e-5)


def scenario_file(path: Path, *of: dict[str, Any]) -> Path:
    imagery = {"sources": list(of), "cache": {"path": "cache", "gb": 0.2}}
    path.write_text(yaml.safe_dump({"name": "later", "imagery": imagery}))
    return path


def test_a_scenario_names_a_future_climate(server, tmp_path):
    today = landscape.write_raster(
        tmp_path / "today.tif", np.ones((1, 8, 9), np.float32), names=("mean",)
    )
    choose = {"scenario": "ssp370", "model": "gfdl-esm4", "period": "2071-2100"}
    later = {"name": "climate", "collection": "chelsa-bioclim-future", "choose": choose,
             "bands": ["bio1", "bio12"], "endpoint": f"{server.url}/chelsa"}  # fmt: skip
    scenario = load_scenario(scenario_file(tmp_path / "later.yaml", later))
    folder = tmp_path / "out"
    out = scenario_imagery(scenario, folder, today, False, SILENT)
    with rasterio.open(out) as raster:
        assert raster.descriptions == ("climate_bio1", "climate_bio12")
        assert raster.shape == (8, 9)
        lon, lat = landscape.WEST + 0.1 * 4.5, landscape.NORTH - 0.1 * 3.5
        np.testing.assert_allclose(raster.read()[:, 3, 4], warmth(lon, lat) + 3, atol=0.2)
    sent, written = len(server.sent), out.stat().st_mtime_ns
    assert scenario_imagery(scenario, folder, today, False, SILENT) == out
    assert (len(server.sent), out.stat().st_mtime_ns) == (sent, written)  # nothing is read again
    assert sources_of(scenario.imagery)[0].credit["licence"] == "CC0-1.0"


def test_another_archive_than_that_of_the_run_is_said(tmp_path):
    later = scenario_file(
        tmp_path / "a.yaml", {"name": "climate", "collection": "chelsa-bioclim-future"}
    )
    credit = {"source": "climate", "title": "WorldClim 2.1", "citation": "Fick"}
    (tmp_path / "imagery.json").write_text(json.dumps({"sources": [credit]}))
    (note,) = other_archives(load_scenario(later), tmp_path)
    assert note.startswith("the source climate is CHELSA 2.1, bioclimatic")
    same = built_in()["chelsa-bioclim"].citation
    (tmp_path / "imagery.json").write_text(json.dumps({"sources": [credit | {"citation": same}]}))
    assert other_archives(load_scenario(later), tmp_path) == []


def test_a_scenario_reads_no_imagery_of_years(tmp_path):
    dated = {"name": "s2", "collection": "sentinel-2-l2a", "years": [2020, 2021]}
    with pytest.raises(ConfigError, match=r"the source s2 of `sources` has years, .* with --stack"):
        load_scenario(scenario_file(tmp_path / "a.yaml", dated))


def test_in_python(server, tmp_path):
    stack = sf.read_imagery(
        "worldclim-bioclim",
        region=archive_run.REGION,
        resolution=0.1,
        crs="EPSG:4326",
        years=None,
        bands=["bio1"],
        endpoint=f"{server.url}/worldclim",
        cache={"path": str(tmp_path / "cache"), "gb": 0.2},
    )
    assert (stack.bands, stack.years) == (["worldclim-bioclim_bio1"], ())
    values = stack.to_xarray()
    assert values.dims == ("band", "y", "x")
    assert float(values[0, 20, 32]) == pytest.approx(warmth(143.25, -22.05), abs=0.15)
    assert list(stack.search()["id"]) == ["worldclim-2.1-bio_earth"]
    written = stack.write(tmp_path / "out")
    assert [path.name for path in written.values()] == ["imagery_static.tif"]
    plots = archive_run.plots(40)
    plots["date"] = pd.to_datetime(plots["date"], errors="coerce")
    lost = stack.cut(plots, 3, tmp_path / "chips")
    assert lost.empty
    assert stack.composite().bands == stack.bands
