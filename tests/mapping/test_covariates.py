"""Maps of models of plot tables: what their tags say."""

import pandas as pd
import rasterio

import spatioformer
from spatioformer.common.files import read_json
from spatioformer.geo.covariates import Covariates
from spatioformer.mapping import Output
from spatioformer.mapping.covariates import tags_of_map
from tests.helpers.maps import echo, noise

PLOTS = pd.DataFrame({"rain": [10.0, 20.0, 30.0], "area_m2": [10.0, 100.0, 1000.0]})


def covariates(*names: str) -> Covariates:
    return Covariates.of(PLOTS, dict.fromkeys(names), ["area_m2"])


def test_the_plot_size_of_a_map_is_the_one_it_predicts():
    known = covariates("rain", "area_m2")
    tags = tags_of_map(known, {"area_m2": "4e2", "rain": "5"})
    assert tags == {"GRAIN": "plots of 400 m2", "FIXED": "area_m2=4e2; rain=5"}
    assert tags_of_map(known, {}) == {"GRAIN": "plots of the raster's area_m2"}
    assert tags_of_map(covariates("rain"), {}) == {}


def test_the_stated_plot_size_stands_in_the_map_and_in_its_item(tmp_path):
    source = noise(tmp_path / "a.tif", (16, 16))
    out = tmp_path / "map.tif"
    tags = {"GRAIN": "plots of 400 m2"}
    output = Output(year=2020, stac=True)
    spatioformer.map_raster(echo(), source, out, samples=0, output=output, tags=tags)
    with rasterio.open(out) as opened:
        assert opened.tags()["GRAIN"] == "plots of 400 m2"
    item = read_json(tmp_path / "map.item.json")
    assert item["properties"]["spatioformer:grain"] == "plots of 400 m2"
