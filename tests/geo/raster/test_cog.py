"""Cloud Optimized GeoTIFFs that are filled window by window."""

import numpy as np
import pytest
import rasterio
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.common.errors import OutputError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.cog import cog, cog_in_parts, cog_profile
from spatioformer.geo.raster.writing import check_written

GRID = Grid.from_bounds(CRS.from_epsg(32755), (0, 0, 6000, 5500), (10, 10))
PROFILE = cog_profile(GRID, 2, "float32", float("nan"))


@pytest.fixture
def values():
    values = np.random.default_rng(0).normal(size=(2, *GRID.shape)).astype(np.float32)
    values[:, :300, :300] = np.nan
    return values


def describe(raw):
    raw.set_band_description(1, "a")
    raw.update_tags(YEAR="2021")


def parts(path, values, side, threads=1):
    with cog_in_parts(path, path, PROFILE, describe, threads) as write:
        for window in GRID.windows(side):
            rows, cols = window.toslices()
            write(np.ones((2, window.height, window.width), np.float32), window)  # replaced
            write(values[:, rows, cols], window)
    return path.read_bytes()


def test_windows_of_any_size_give_the_bytes_of_one(tmp_path, values):
    """Also where a window replaces values with none."""
    whole = tmp_path / "whole.tif"
    with cog(whole, whole, PROFILE) as raw:
        describe(raw)
        raw.write(values)
    for side, threads in ((1000, 1), (200, 2)):
        assert parts(tmp_path / f"{side}.tif", values, side, threads) == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1000.tif", "200.tif", "whole.tif"]
    with rasterio.open(whole) as raster:
        np.testing.assert_array_equal(raster.read(), values)
        assert raster.descriptions == ("a", None)


def test_a_fault_between_windows_leaves_nothing(tmp_path):
    out = tmp_path / "a.tif"

    def interrupted():
        with cog_in_parts(out, out, PROFILE, describe, 1) as write:
            write(np.ones((2, 10, 10), np.float32), Window(0, 0, 10, 10))
            raise KeyError("fault")

    with pytest.raises(KeyError, match="fault"):
        interrupted()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("threads", [1, 3])
def test_values_that_did_not_reach_the_disk_are_missed(tmp_path, values, threads):
    out = tmp_path / "a.tif"
    parts(out, values, 1000)
    counts = np.isfinite(values).sum(axis=(1, 2)).tolist()
    check_written(out, out, counts, threads)
    with pytest.raises(OutputError, match="only a part of it reached the disk"):
        check_written(out, out, [counts[0], counts[1] + 1], threads)
