"""Masks of a configuration: the user's raster by class names, and land cover of an archive."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.common.files import read_json
from spatioformer.config.imagery import ImagerySection, MaskSection
from spatioformer.run.imagery import build_imagery
from spatioformer.run.masks import check_mask, codes_of
from spatioformer.run.runner import Run
from tests.helpers import archive_run, landscape
from tests.helpers.scenes import write_raster
from tests.helpers.tiny_run import spatioformer

CORNER = Affine(0.01, 0, 20, 0, -0.01, 10.3)
CODES = np.array([[10, 40, 50, 80], [0, 10, 95, 60], [30, 30, 40, 10]], np.uint8)
WANTED = np.array([[1, 0, 0, 0], [0, 1, 1, 1], [1, 1, 0, 1]], bool)
"""Where the study would predict: not on cropland, built-up, water, nor where no class is known."""


def predicted(tmp_path, mask: dict, **keys) -> tuple[np.ndarray, dict]:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    layer = write_raster(tmp_path / "a.tif", values, "EPSG:4326", CORNER)
    section = ImagerySection.model_validate(
        {"layers": [{"path": str(layer), "name": "a"}], "masks": [mask]} | keys
    )
    summary = build_imagery(section, tmp_path / "out" / "stack.tif")
    with rasterio.open(tmp_path / "out" / "stack.tif") as stack:
        return stack.read_masks(1) > 0, summary


@pytest.fixture(autouse=True)
def out_folder(tmp_path):
    (tmp_path / "out").mkdir()


def test_names_and_codes_exclude_the_same_pixels(tmp_path):
    path = str(write_raster(tmp_path / "cover.tif", CODES, "EPSG:4326", CORNER, nodata=0))
    mask = {"path": path, "name": "cover"}
    named = mask | {"legend": "esa-worldcover", "exclude": ["cropland", "water", "built-up"]}
    by_name, _ = predicted(tmp_path, named)
    by_code, _ = predicted(tmp_path, mask | {"exclude": [40, 50, 80]})
    np.testing.assert_array_equal(by_name, WANTED)
    np.testing.assert_array_equal(by_code, WANTED)


def test_with_a_legend_its_code_without_class_is_not_predicted(tmp_path):
    """Although the file states no nodata."""
    path = str(write_raster(tmp_path / "cover.tif", CODES, "EPSG:4326", CORNER))
    mask = {"path": path, "name": "cover", "exclude": ["cropland", "water", "built-up"]}
    wanted, _ = predicted(tmp_path, mask | {"legend": "esa-worldcover"})
    np.testing.assert_array_equal(wanted, WANTED)


def test_a_raster_with_other_codes_is_refused(tmp_path):
    igbp = np.array([[0, 1, 12], [13, 16, 10]], np.uint8)
    path = str(write_raster(tmp_path / "cover.tif", igbp, "EPSG:4326", CORNER))
    mask = {"path": path, "name": "cover", "legend": "modis-mcd12q1", "exclude": ["water"]}
    with pytest.raises(ConfigError, match=r"masks\[0\] \(cover\): .*cover.tif holds the code 0"):
        predicted(tmp_path, mask)


def test_land_cover_of_an_archive_is_written_beside_the_stack(tmp_path):
    tile = tmp_path / "tiles" / "ESA_WorldCover_10m_2021_v200_N10E020_Map.tif"
    write_raster(tile, CODES, "EPSG:4326", CORNER, nodata=0)
    mask = {
        "collection": "esa-worldcover",
        "exclude": ["cropland", "water", "built-up"],
        "kind": "folder",
        "endpoint": str(tile.parent),
    }
    wanted, summary = predicted(tmp_path, mask)
    np.testing.assert_array_equal(wanted, WANTED)
    (facts,) = summary["masks"]
    assert (facts["collection"], facts["year"], facts["items"]) == ("esa-worldcover", 2021, 1)
    with rasterio.open(tmp_path / "out" / "archives" / "mask_0_esa-worldcover.tif") as raster:
        np.testing.assert_array_equal(raster.read(1), np.where(CODES == 0, -1, CODES.astype(int)))


def test_a_written_mask_is_used_again(tmp_path):
    """By a run that is continued, and by the maps of all years."""
    tile = tmp_path / "tiles" / "ESA_WorldCover_10m_2021_v200_N10E020_Map.tif"
    write_raster(tile, CODES, "EPSG:4326", CORNER, nodata=0)
    mask = {"collection": "esa-worldcover", "exclude": ["water"], "kind": "folder"}
    mask["endpoint"] = str(tile.parent)
    first, summary = predicted(tmp_path, mask)
    tile.write_bytes(b"")
    again, other = predicted(tmp_path, mask)
    np.testing.assert_array_equal(again, first)
    assert other["masks"] == summary["masks"]
    with pytest.raises(ImageryError, match="ESA_WorldCover"):
        predicted(tmp_path, mask | {"exclude": ["water", "cropland"]})


def test_a_run_with_sources_takes_land_cover_of_the_year_of_its_map(tmp_path):
    values = np.where(np.arange(64) < 16, 80, 10).astype(np.uint8) * np.ones((64, 1), np.uint8)
    for year, codes in ((2020, values), (2021, values[:, ::-1])):
        landscape.write_raster(tmp_path / "cover" / f"WorldCover_{year}_Map.tif", codes)
    mask = {"collection": "esa-worldcover", "exclude": ["water"], "kind": "folder"}
    mask["endpoint"] = "cover"
    settings = archive_run.settings(tmp_path, masks=[mask], year=2020)
    run = Run(archive_run.write(tmp_path, settings)).stage("imagery")
    with rasterio.open(run / "imagery.tif") as stack:
        wanted = stack.read_masks(1) > 0
    assert not wanted[:, :16].any()
    assert wanted[:, 16:].mean() > 0.95
    summary = read_json(run / "imagery.json")
    assert [facts["year"] for facts in summary["masks"]] == [2020]
    ended = spatioformer("check", tmp_path / "toy.yaml")
    assert "no prediction in the classes water" in " ".join(ended.out.split())
    assert ended.code == 0


def test_the_names_are_checked_without_reading_a_file():
    mask = MaskSection(path="a.tif", name="m", legend="esa-worldcover", exclude=("watr",))
    with pytest.raises(ConfigError, match=r"names the class 'watr'.*did you mean water"):
        check_mask(mask, 0, None)


def test_codes_alone_are_as_they_were():
    mask = MaskSection(path="a.tif", name="m", exclude=(0, 12))
    assert codes_of(mask, 0) == (0, 12)
    assert "legend" not in mask.model_dump()
