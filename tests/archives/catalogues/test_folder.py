"""Folders of scenes whose names say what they are."""

import dataclasses
import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from spatioformer.archives.catalogues.folder import _band_key
from spatioformer.archives.collections import collection_of
from spatioformer.archives.search import look_up
from spatioformer.common.errors import ImageryError
from tests.helpers.catalogues import access_to, scene, source

REGION = (14.9, 15.2, 44.9, 45.1)  # round (500000, 4983000) in UTM zone 33

OLI = "LC08_L2SP_192029_20200301_20200310_02_T1"
TM = "LT05_L2SP_192029_20000301_20200310_02_T1"
S2 = "S2A_MSIL2A_20200301T100021_N0214_R122_T33TWL_20200301T131500"


def raster(path, bands=1, crs="EPSG:32633", size=20, names=(), step=30.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    transform = from_origin(500000, 4983000, step, abs(step))
    if step < 0:  # rows from south to north
        transform = rasterio.Affine(-step, 0, 500000, 0, -step, 4983000)
    with rasterio.open(
        path, "w", driver="GTiff", height=size, width=size, count=bands, dtype="uint16", crs=crs,
        transform=transform,
    ) as out:  # fmt: skip
        out.write(np.ones((bands, size, size), np.uint16))
        for i, name in enumerate(names):
            out.set_band_description(i + 1, name)
    return path


def found(folder, year=2020, collection="landsat-c2-l2", changes=None, **values):
    section = source(collection, kind="folder", endpoint=str(folder), **values)
    held = dataclasses.replace(collection_of(section), **(changes or {}))
    return look_up(section, held, REGION, year, access_to(folder / "cache")).items


def test_landsat_products(tmp_path):
    for band in ("SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B6", "SR_B7", "QA_PIXEL", "QA_RADSAT"):
        raster(tmp_path / OLI / f"{OLI}_{band}.TIF")
    for band in ("SR_B1", "SR_B2", "SR_B3", "SR_B4", "SR_B5", "SR_B7", "QA_PIXEL", "QA_RADSAT"):
        raster(tmp_path / TM / f"{TM}_{band}.TIF")
    [new], [old] = found(tmp_path), found(tmp_path, 2000)
    # Band 4 is red of Landsat 8, near infrared of Landsat 5.
    assert new.assets["red"].href == str(tmp_path / OLI / f"{OLI}_SR_B4.TIF")
    assert old.assets["nir"].href == str(tmp_path / TM / f"{TM}_SR_B4.TIF")
    assert (new.id, f"{new.start:%Y-%m-%d}") == (OLI, "2020-03-01")
    assert {"saturation_oli", "qa_pixel"} < set(new.assets)
    assert old.properties["platform"] == "landsat-5"
    assert (new.crs, new.shape) == ("EPSG:32633", (20, 20))
    assert new.transform == (30, 0, 500000, 0, -30, 4983000)
    assert new.bbox == pytest.approx((15, 44.995, 15.0076, 45), abs=1e-3)


def test_sentinel_products(tmp_path):
    place = tmp_path / f"{S2}.SAFE" / "GRANULE" / "L2A" / "IMG_DATA"
    for band in ("B02", "B03", "B04", "B08", "TCI"):
        raster(place / "R10m" / f"T33TWL_20200301T100021_{band}_10m.jp2".replace("jp2", "tif"))
    for band in ("B04", "B05", "B06", "B07", "B8A", "B11", "B12", "SCL", "AOT"):
        raster(place / "R20m" / f"T33TWL_20200301T100021_{band}_20m.tif")
    [item] = found(tmp_path, collection="sentinel-2-l2a")
    assert item.id == S2
    assert item.assets["red"].href.endswith("B04_10m.tif")
    assert item.assets["scl"].href.endswith("SCL_20m.tif")
    assert item.properties["s2:processing_baseline"] == "02.14"
    assert f"{item.start:%H:%M:%S}" == "10:00:21"


@pytest.mark.parametrize("name", ["a_20200301_{}.tif", "2020-03-01/{}.tif", "x/2020_03_01_{}.tiff"])
def test_names_with_a_date_and_a_band(tmp_path, name):
    for band in ("red", "nir08", "qa_pixel", "qa_radsat"):
        raster(tmp_path / name.format(band))
    [item] = found(tmp_path, bands=("red", "nir"), changes={"masks": ()})
    assert {"red", "nir"} == set(item.assets)
    assert f"{item.start:%Y-%m-%d}" == "2020-03-01"
    assert found(tmp_path, 2021, bands=("red", "nir")) == ()


def test_yearly_images_and_several_bands(tmp_path):
    names = ("nbart_red", "nbart_nir", "count")
    raster(tmp_path / "gm_2020.tif", bands=3, names=names)
    raster(tmp_path / "gm_2021.tif", bands=3, names=names)
    raster(tmp_path / "slope_2020.tif")  # one band that is none of the collection's
    [item] = found(tmp_path, collection="ga_ls8cls9c_gm_cyear_3", bands=("red", "nir"))
    assert [item.assets[name].number for name in ("red", "nir", "count")] == [1, 2, 3]
    assert (item.start.month, item.end.month) == (1, 12)


def test_bands_by_their_numbers(tmp_path):
    raster(tmp_path / "2020-05-01.tif", bands=3)
    held = collection_of(source())
    bands = tuple(dataclasses.replace(b, number=i + 1) for i, b in enumerate(held.bands[:3]))
    [item] = found(tmp_path, changes={"bands": bands, "masks": ()}, bands=("blue", "red"))
    assert (item.assets["blue"].number, item.assets["red"].number) == (1, 3)


def test_rows_from_south_to_north(tmp_path):
    for band in ("red", "nir08"):
        raster(tmp_path / f"20200301_{band}.tif", step=-30.0)
    [item] = found(tmp_path, bands=("red", "nir"), changes={"masks": ()})
    assert item.bbox[1] < item.bbox[3]


def test_bands_that_nothing_names(tmp_path):
    path = raster(tmp_path / "2020-05-01.tif", bands=3, names=("x", "y", "z"))
    with pytest.raises(ImageryError) as error:
        found(tmp_path)
    assert str(error.value) == (
        f"imagery.sources[0]: {path} does not say which of its 3 bands is which (descriptions: x, "
        "y, z); name the file after its band, such as 2020-05-01_blue.tif, describe its bands, or "
        "give each band of the collection its `number`"
    )


def test_rasters_that_cannot_be_placed_or_read(tmp_path):
    raster(tmp_path / "20200301_red.tif", crs=None)
    with pytest.raises(ImageryError, match="has no coordinate system; set one"):
        found(tmp_path)
    (tmp_path / "20200301_red.tif").write_bytes(b"no raster")
    with pytest.raises(ImageryError, match=r"cannot be read .* remove it from the folder"):
        found(tmp_path)


@pytest.mark.parametrize(
    ("stem", "key", "rest"),
    [
        ("a_B04", "B04", "a"),
        ("a_b04_10m", "B04", "a"),
        ("B04", "B04", ""),
        ("a.qa_pixel", "qa_pixel", "a"),
        ("ab04", "", "ab04"),
        ("a_B0", "", "a_B0"),
    ],
)
def test_ends_of_names(stem, key, rest):
    assert _band_key(stem, {"B04", "pixel", "qa_pixel"}) == (key, rest)


BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22", "qa_pixel", "qa_radsat")


def test_files_that_would_not_be_read_are_named(tmp_path):
    """A band without a date, and a scene beside STAC items of others."""
    for band in BANDS:
        raster(tmp_path / f"20200301_{band}.tif")
    assert len(found(tmp_path)) == 1
    undated = raster(tmp_path / "summer_red.tif")
    with pytest.raises(ImageryError, match=r"summer_red.tif says its band but no date"):
        found(tmp_path)
    undated.unlink()
    item = scene("a", "2020-03-01", (14.9, 44.9, 15.2, 45.1))
    for key, asset in item["assets"].items():
        asset["href"] = f"20200301_{key}.tif"
    (tmp_path / "a.json").write_text(json.dumps(item))
    raster(tmp_path / "20200301_hillshade.tif")
    assert [item.id for item in found(tmp_path)] == ["a"]
    raster(tmp_path / "20200402_red.tif")
    with pytest.raises(ImageryError, match=r"holds STAC items, but none .* names 20200402_red.tif"):
        found(tmp_path)
