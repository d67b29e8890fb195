"""From STAC items to ours; odc-stac finds the same files, bands and grids."""

import dataclasses
import math

import odc.stac
import pystac
import pytest

from spatioformer.archives.catalogues.convert import item_of, moment_of
from spatioformer.archives.collections import collection_of
from spatioformer.common.errors import ImageryError
from tests.helpers.catalogues import scene, source

LANDSAT = collection_of(source())
SENTINEL = collection_of(source("sentinel-2-l2a"))
PROJECTION = "https://stac-extensions.github.io/projection/v1.1.0/schema.json"
EO = "https://stac-extensions.github.io/eo/v1.1.0/schema.json"
RASTER = "https://stac-extensions.github.io/raster/v1.1.0/schema.json"


def sentinel(**properties):
    """An item as Earth Search writes it: grids, nodata, scale and offset of each asset."""
    item = scene("S2", "2023-06-01", (14, 45, 15.4, 46), bands=(), **properties)
    for key in ("proj:transform", "proj:shape"):
        del item["properties"][key]
    item["stac_extensions"] = [PROJECTION, EO, RASTER]
    item["collection"] = "sentinel-2-l2a"
    for key, size, name in (("red", 10, "red"), ("swir16", 20, "swir16"), ("scl", 20, None)):
        raster = {"nodata": 0, "data_type": "uint16", "spatial_resolution": size}
        if name:
            raster |= {"scale": 0.0001, "offset": -0.1}
        item["assets"][key] = {
            "href": f"https://files.example.org/{key}.tif",
            "type": "image/tiff; application=geotiff; profile=cloud-optimized",
            "roles": ["data"],
            "raster:bands": [raster],
            "proj:shape": [109800 // size, 109800 // size],
            "proj:transform": [size, 0, 399960, 0, -size, 5100000],
        }
        if name:
            item["assets"][key]["eo:bands"] = [{"name": name, "common_name": name}]
    return item


def test_an_item_of_earth_search_agrees_with_odc_stac():
    raw = sentinel()
    item = item_of(raw, SENTINEL, "s")
    [parsed] = odc.stac.parse_items([pystac.Item.from_dict(raw)])
    assert set(item.assets) == {"red", "swir1", "scl"}
    for ours, theirs in (("red", "red"), ("swir1", "swir16"), ("scl", "scl")):
        oracle = parsed[theirs]
        asset = item.assets[ours]
        assert asset.href == oracle.uri
        assert asset.number == oracle.band
        assert asset.nodata == oracle.meta.nodata == 0
        assert asset.pixel == oracle.geobox.resolution.x
    assert item.crs == str(parsed["red"].geobox.crs)
    assert item.transform == tuple(parsed["red"].geobox.transform[:6])
    assert item.shape == tuple(parsed["red"].geobox.shape)
    assert (item.assets["red"].scale, item.assets["red"].offset) == (0.0001, -0.1)
    assert (item.assets["scl"].scale, item.assets["scl"].offset) == (None, None)


def test_stac_1_1_reads_alike():
    raw = sentinel()
    new = sentinel(**{"proj:code": "EPSG:32633"})
    del new["properties"]["proj:epsg"]
    new["stac_version"] = "1.1.0"
    for asset in new["assets"].values():
        old = asset.pop("raster:bands")[0]
        asset.pop("eo:bands", None)
        asset["bands"] = [
            {
                "nodata": old["nodata"],
                **{f"raster:{k}": old[k] for k in ("scale", "offset") if k in old},
            }
        ]
    ours, same = item_of(raw, SENTINEL, "s"), item_of(new, SENTINEL, "s")
    assert same.assets == ours.assets
    assert (same.crs, same.transform) == (ours.crs, ours.transform)


def several(**asset):
    item = scene("m", "2020-01-01", (10, 40, 11, 41), bands=())
    bands = [{"name": "B4", "common_name": "red"}, {"name": "B5", "common_name": "nir08"}]
    item["assets"] = {"data": {"href": "https://files.example.org/m.tif", "eo:bands": bands}}
    item["assets"]["data"] |= asset
    item["stac_extensions"] = [PROJECTION, EO, RASTER]
    return item


def test_bands_of_one_file_agree_with_odc_stac():
    raw = several(roles=["data"], type="image/tiff; application=geotiff")
    raw["assets"]["data"]["raster:bands"] = [{"nodata": 1}, {"nodata": 2, "scale": 3}]
    item = item_of(raw, LANDSAT, "s")
    [parsed] = odc.stac.parse_items([pystac.Item.from_dict(raw)])
    assert item.assets["red"].number == parsed["red"].band == 1
    assert item.assets["nir"].number == parsed["nir08"].band == 2
    assert (item.assets["nir"].nodata, item.assets["nir"].scale) == (2, 3)
    assert item.assets["red"].nodata == 1


def test_one_key_for_several_bands_with_names():
    bands = tuple(dataclasses.replace(band, keys=("data",)) for band in LANDSAT.bands[2:4])
    held = dataclasses.replace(LANDSAT, bands=bands, masks=())
    raw = several(**{"eo:bands": [{"name": "nir"}, {"name": "red"}]})
    item = item_of(raw, held, "s")
    assert [item.assets[name].number for name in ("red", "nir")] == [2, 1]


def test_pictures_are_no_measurements():
    raw = several(roles=["visual"])
    assert item_of(raw, LANDSAT, "s").assets == {}
    raw = several(roles=["data"])
    raw["assets"] = {"visual": raw["assets"]["data"]}
    assert item_of(raw, LANDSAT, "s").assets == {}


def test_the_finest_of_several_resolutions():
    raw = scene("m", "2020-01-01", (10, 40, 11, 41), bands=())
    for size in (60, 10, 20):
        raw["assets"][f"B04_{size}m"] = {
            "href": f"https://files.example.org/{size}.jp2",
            "roles": ["data"],
            "gsd": size,
            "eo:bands": [{"name": "B04"}],
        }
    assert item_of(raw, SENTINEL, "s").assets["red"].href.endswith("/10.jp2")


def test_masks_of_another_satellite_are_left_out():
    names = set(item_of(scene("a", "2020-01-01", (0, 0, 1, 1)), LANDSAT, "s").assets)
    assert "saturation_oli" in names
    assert "saturation_tm" not in names
    old = scene("a", "2000-01-01", (0, 0, 1, 1), platform="landsat-5")
    assert "saturation_tm" in item_of(old, LANDSAT, "s").assets


@pytest.mark.parametrize(
    ("href", "base", "address"),
    [
        ("s3://dea-public-data/a/b.tif", None,
         "https://dea-public-data.s3.ap-southeast-2.amazonaws.com/a/b.tif"),
        ("./b.tif", "https://a.org/x/item.json", "https://a.org/x/b.tif"),
        ("../b.tif", "/data/x/item.json", "/data/x/../b.tif"),
        ("/data/b.tif", "https://a.org/item.json", "/data/b.tif"),
        ("https://b.org/b.tif", "https://a.org/item.json", "https://b.org/b.tif"),
    ],
)  # fmt: skip
def test_addresses(href, base, address):
    raw = scene("a", "2015-01-01", (140, -30, 141, -29), bands=("nbart_red",))
    raw["assets"]["nbart_red"]["href"] = href
    raw["links"] = [{"rel": "self", "href": base}] if base else []
    dea = collection_of(source("ga_ls8cls9c_gm_cyear_3"))
    assert item_of(raw, dea, "s").assets["red"].href == address


def test_times():
    assert moment_of("2024-01-09T18:47:54.430000123Z").microsecond == 430000
    assert moment_of("2024-01-09T18:47:54").isoformat() == "2024-01-09T18:47:54+00:00"
    assert moment_of("2024-01-10T04:00:00+10:00").isoformat() == "2024-01-09T18:00:00+00:00"
    raw = scene("a", "2015-07-01", (140, -30, 141, -29))
    raw["properties"] |= {
        "start_datetime": "2015-01-01T00:00:00Z",
        "end_datetime": "2015-12-31T23:59:59.999999Z",
    }
    item = item_of(raw, LANDSAT, "s")
    assert (item.start.month, item.end.month) == (1, 12)


def test_numbers_that_json_cannot_hold():
    raw = several(roles=["data"])
    raw["assets"]["data"]["raster:bands"] = [{"nodata": "nan"}, {"nodata": "nan"}]
    assert math.isnan(item_of(raw, LANDSAT, "s").assets["red"].nodata)


@pytest.mark.parametrize("damage", [{"properties": {}}, {"bbox": None, "geometry": None}])
def test_what_is_no_item(damage):
    raw = {**scene("a", "2015-01-01", (0, 0, 1, 1)), **damage}
    with pytest.raises(ImageryError, match="s: the item 'a' of the catalogue is not a STAC item"):
        item_of(raw, LANDSAT, "s")
