"""The catalogue entry of a map: core fields by pystac's schemas, extension fields by hand."""

import json

import numpy as np
import pystac
import pytest
import rasterio

from spatioformer.geo.stac import raster_item
from spatioformer.mapping import Output, map_raster
from tests.helpers.landscape import write_raster
from tests.helpers.maps import noise, small


def entries(tmp_path, **output):
    out = tmp_path / "richness.tif"
    scene = noise(tmp_path / "a.tif", (40, 50))
    map_raster(small(), scene, out, samples=2, output=Output(year=2019, stac=True, **output))
    return [
        json.loads((tmp_path / f"richness.{w}.json").read_text()) for w in ("item", "collection")
    ]


def test_core_fields_are_valid(tmp_path):
    """Without the extensions, whose schemas live on the network."""
    item, collection = entries(tmp_path)
    pystac.Collection.from_dict(collection).validate()
    pystac.Item.from_dict(item | {"stac_extensions": []}).validate()
    with pytest.raises(pystac.errors.STACValidationError):
        pystac.Item.from_dict(item | {"stac_extensions": [], "geometry": {"type": "x"}}).validate()


def test_place_time_bands_and_model(tmp_path):
    item, collection = entries(tmp_path)
    mapped = [140.1, -23.9, 144.9, -20.1]  # a chip has a margin of one pixel
    assert item["bbox"] == mapped
    assert collection["extent"]["spatial"]["bbox"] == [mapped]
    assert collection["license"] == "proprietary"
    properties = item["properties"]
    assert properties["start_datetime"] == "2019-01-01T00:00:00Z"
    assert properties["proj:epsg"] == 4326
    assert properties["proj:shape"] == [40, 50]
    assert properties["proj:transform"] == [0.1, 0, 140, 0, -0.1, -20]
    assert properties["spatioformer:grain"] == "plots of 400 m2"
    assert properties["mlm:name"] == "small"
    assert properties["mlm:architecture"] == "PaperSpatioformer"
    assert properties["mlm:tasks"] == ["regression"]
    assert properties["mlm:input"][0]["bands"] == ["a", "b"]
    assert properties["mlm:input"][0]["input"]["shape"] == [-1, 3, 3, 2]
    assert len(properties["mlm:hyperparameters"]["spatioformer:model_id"]) == 16
    bands = item["assets"]["map"]["raster:bands"]
    assert [band["name"].split(", ")[1] for band in bands] == ["mean", "standard deviation"]
    assert {band["unit"] for band in bands} == {"species"}
    assert {band["nodata"] for band in bands} == {"nan"}
    with rasterio.open(tmp_path / item["assets"]["map"]["href"]) as source:
        assert source.count == len(bands)


def test_files_and_scales(tmp_path):
    item, _ = entries(tmp_path, separate=True, dtype="uint16")
    assert set(item["assets"]) == {"mean", "sd"}
    band = item["assets"]["sd"]["raster:bands"][0]
    assert (band["data_type"], band["scale"], band["nodata"]) == ("uint16", 0.01, 65535)
    assert (tmp_path / item["assets"]["sd"]["href"]).exists()


def test_the_licence_of_the_configuration(tmp_path):
    model = small()
    model.facts["licence"] = "CC-BY-4.0"
    scene = noise(tmp_path / "a.tif", (16, 16))
    map_raster(model, scene, tmp_path / "m.tif", samples=0, output=Output(year=2019, stac=True))
    collection = json.loads((tmp_path / "m.collection.json").read_text())
    assert collection["license"] == "CC-BY-4.0"


def test_a_raster_without_a_value_has_its_own_box(tmp_path):
    path = write_raster(tmp_path / "a.tif", np.full((8, 8), np.nan, np.float32), nodata=np.nan)
    whole = raster_item(path, {"a": path}, (2019, 2019), {})["bbox"]
    assert raster_item(path, {"a": path}, (2019, 2019), {}, of_values=True)["bbox"] == whole
