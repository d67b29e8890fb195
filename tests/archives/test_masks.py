"""Land cover of archives: years, tiles, resampling, codes that do not fit."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from spatioformer.archives.masks import candidate_years, mask_collection, write_mask
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.common.progress import Console
from spatioformer.config.archives import MaskSourceSection
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from tests.helpers.scenes import write_raster

STEP = 0.01
TILE = 30  # pixels


def write_tiles(folder, year=2021, seed=0, classes=(10, 40, 50, 80)) -> np.ndarray:
    """Two adjoining tiles as ESA WorldCover names them; returns both side by side."""
    codes = np.random.default_rng(seed).choice(classes, (TILE, 2 * TILE)).astype(np.uint8)
    codes[:3, :3] = 0  # sea
    for part, name in ((codes[:, :TILE], "N10E020"), (codes[:, TILE:], "N10E023")):
        west = 20 if name.endswith("20") else 20 + TILE * STEP
        corner = Affine(STEP, 0, west, 0, -STEP, 10 + TILE * STEP)
        path = folder / f"ESA_WorldCover_10m_{year}_v200_{name}_Map.tif"
        write_raster(path, part, "EPSG:4326", corner, nodata=0)
    return codes


def mask(folder, **keys) -> MaskSourceSection:
    values = {"collection": "esa-worldcover", "exclude": ["cropland", "water", "built-up"]}
    return MaskSourceSection.model_validate(
        values | {"kind": "folder", "endpoint": str(folder)} | keys
    )


def section(of: MaskSourceSection) -> ImagerySection:
    layer = {"path": "a.tif", "name": "a"}
    return ImagerySection.model_validate({"layers": [layer], "masks": [of]})


def written(of, grid, out, year=2021, **keys) -> tuple[np.ndarray, dict]:
    facts = write_mask(of, 0, section(of), grid, year, out, **keys)
    with rasterio.open(out) as raster:
        assert raster.nodata == -1
        return raster.read(1), facts


GRID = Grid(CRS.from_epsg(4326), Affine(STEP, 0, 20, 0, -STEP, 10.3), TILE, 2 * TILE)


def test_on_their_own_grid_the_codes_of_both_tiles_are_kept(tmp_path):
    codes = write_tiles(tmp_path / "cover").astype(int)
    out, facts = written(mask(tmp_path / "cover"), GRID, tmp_path / "m.tif")
    np.testing.assert_array_equal(out, np.where(codes == 0, -1, codes))
    assert facts["excluded"] == {"40": "Cropland", "50": "Built-up", "80": "Permanent water bodies"}
    assert (facts["year"], facts["items"], facts["licence"]) == (2021, 2, "CC-BY-4.0")
    assert "ESA WorldCover" in facts["attribution"]


def test_a_larger_pixel_holds_the_most_frequent_class(tmp_path):
    codes = write_tiles(tmp_path / "cover", seed=3)
    coarse = Grid(GRID.crs, GRID.transform @ Affine.scale(5), TILE // 5, 2 * TILE // 5)
    out, _ = written(mask(tmp_path / "cover"), coarse, tmp_path / "m.tif")
    blocks = codes.reshape(6, 5, 12, 5).transpose(0, 2, 1, 3).reshape(6, 12, 25)
    for row, line in enumerate(blocks):
        for col, block in enumerate(line):
            counts = np.bincount(block[block > 0])
            assert counts[out[row, col]] == counts.max()


def test_nearest_takes_one_pixel(tmp_path):
    codes = write_tiles(tmp_path / "cover", seed=4)
    coarse = Grid(GRID.crs, GRID.transform @ Affine.scale(3), TILE // 3, 2 * TILE // 3)
    of = mask(tmp_path / "cover", resampling="nearest")
    out, _ = written(of, coarse, tmp_path / "m.tif")
    middle = codes[1::3, 1::3].astype(int)
    np.testing.assert_array_equal(out, np.where(middle == 0, -1, middle))


@pytest.mark.parametrize(("year", "used"), [(2015, 2020), (2020, 2020), (2023, 2021), (None, 2021)])
def test_the_nearest_year_is_used_and_said(tmp_path, year, used, capsys):
    codes = {y: write_tiles(tmp_path / "cover", y, seed=y).astype(int) for y in (2020, 2021)}
    out, facts = written(
        mask(tmp_path / "cover"), GRID, tmp_path / "m.tif", year, console=Console(quiet=False)
    )
    np.testing.assert_array_equal(out, np.where(codes[used] == 0, -1, codes[used]))
    assert facts["year"] == used
    said = f"land cover of {used}, the nearest year to {year}" in capsys.readouterr().err
    assert said == (year not in (None, used))


def test_a_year_without_tiles_gives_way_to_the_next(tmp_path):
    write_tiles(tmp_path / "cover", 2020)
    _, facts = written(mask(tmp_path / "cover"), GRID, tmp_path / "m.tif", 2023)
    assert facts["year"] == 2020


def test_of_two_years_as_near_the_earlier_is_asked_first():
    of = MaskSourceSection(
        collection="dea-land-cover-level3", exclude=["water"], years=[1990, 2000]
    )
    collection, _ = mask_collection(of, None, "m")
    assert candidate_years(of, collection, 1993) == [1993, 1992, 1994, 1991, 1995]
    alone = of.model_copy(update={"years": (1990, 1994, 1998)})
    assert candidate_years(alone, collection, 1996) == [1994, 1998, 1990]


def test_years_that_a_collection_lacks_are_refused():
    of = MaskSourceSection(collection="esa-worldcover", exclude=["water"], years=[2010, 2012])
    collection, _ = mask_collection(of, None, "m")
    with pytest.raises(ConfigError, match="has the years 2020 to 2021, none of `years`"):
        candidate_years(of, collection, 2011)


def test_no_tile_on_the_grid_is_one_sentence(tmp_path):
    write_tiles(tmp_path / "cover")
    far = Grid(GRID.crs, Affine(STEP, 0, 100, 0, -STEP, 10.3), 10, 10)
    with pytest.raises(ImageryError, match=r"masks\[0\] .* has no item .* in the years 2020, 2021"):
        written(mask(tmp_path / "cover"), far, tmp_path / "m.tif")


def test_codes_beside_the_legend_are_refused(tmp_path):
    write_tiles(tmp_path / "cover", classes=(1, 12, 17))
    with pytest.raises(ConfigError, match=r"holds the code 1, .* fits the legend modis-mcd12q1"):
        written(mask(tmp_path / "cover"), GRID, tmp_path / "m.tif")
    assert not (tmp_path / "m.tif").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("modis-mcd12q1", "is a legend without a collection; .*`legend: modis-mcd12q1`"),
        ("sentinel-2-l2a", "holds measurements, not classes"),
        ("esa-worldcovr", "did you mean esa-worldcover"),
    ],
)
def test_collections_without_classes_are_refused(name, words):
    of = MaskSourceSection(collection=name, exclude=["water"])
    with pytest.raises(ConfigError, match=words):
        mask_collection(of, None, "imagery.masks[0]")


def test_windows_leave_no_trace(tmp_path, monkeypatch):
    write_tiles(tmp_path / "cover", seed=5)
    grid = Grid.from_bounds(
        CRS.from_epsg(32634), (390_000, 1_100_000, 470_000, 1_150_000), (700, 700)
    )
    whole, _ = written(mask(tmp_path / "cover"), grid, tmp_path / "a.tif")
    monkeypatch.setattr("spatioformer.archives.masks.WINDOW", 16)
    pieces, _ = written(mask(tmp_path / "cover"), grid, tmp_path / "b.tif", workers=2)
    assert len(np.unique(whole)) > 3
    np.testing.assert_array_equal(pieces, whole)
