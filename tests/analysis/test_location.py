"""Effect of location for functions of the place, and for functions without it."""

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatioformer.analysis import location as module
from spatioformer.analysis.location import location_effect, mean_chip, write_effect
from tests.helpers.known import model, plots
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, write_raster

RNG = np.random.default_rng(7)


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """A map that lacks its ten southern rows, all of whose pixels are places."""
    monkeypatch.setattr(module, "PLACES", SIDE * SIDE)
    values = np.ones((SIDE, SIDE), np.float32)
    values[-10:] = np.nan
    return write_raster(tmp_path / "map.tif", values, nodata=np.nan)


@pytest.mark.parametrize("patch", [1, 3])
def test_the_effect_of_a_slope_is_the_slope(mapped, patch):
    store = plots(RNG.normal(5, 1, (80, 2)), patch)
    effect = location_effect(
        model(lambda x, lon, lat: 3 * x[:, 0] + 2 * lat, patch=patch), store, mapped
    )
    assert effect.values.shape == (SIDE, SIDE)
    lat = NORTH - (np.arange(SIDE - 10) + 0.5) * STEP
    expected = np.tile((2 * (lat - lat.mean()))[:, None], (1, SIDE))
    np.testing.assert_allclose(effect.values[:-10], expected, atol=1e-4)
    assert np.isnan(effect.values[-10:]).all()
    assert effect.mean == pytest.approx(3 * store.chips[..., 0].mean() + 2 * lat.mean(), abs=1e-3)
    assert effect.varies


def test_a_model_without_location_has_no_effect(mapped):
    store = plots(RNG.normal(5, 1, (80, 2)))
    effect = location_effect(model(lambda x, *_: 3 * x[:, 0]), store, mapped)
    np.testing.assert_allclose(effect.values[:-10], 0, atol=1e-6)
    assert not effect.varies


def test_a_large_map_has_a_coarse_grid_of_the_same_extent(mapped, monkeypatch):
    monkeypatch.setattr(module, "PLACES", 200)
    monkeypatch.setattr(module, "LONGEST", 32)
    store = plots(RNG.normal(5, 1, (80, 2)))
    effect = location_effect(model(lambda x, lon, lat: lon), store, mapped)
    assert np.isfinite(effect.values).sum() <= 220
    width = effect.values.shape[1]
    assert effect.grid.bounds == pytest.approx(
        (WEST, NORTH - SIDE * STEP, WEST + SIDE * STEP, NORTH)
    )
    lon = effect.grid.lonlat(np.zeros(width), np.arange(width))[0]
    row = effect.values[0]
    np.testing.assert_allclose(row - row.mean(), lon - lon.mean(), atol=1e-4)


def test_nothing_is_mapped(tmp_path):
    path = write_raster(tmp_path / "map.tif", np.full((8, 8), np.nan, np.float32), nodata=np.nan)
    assert location_effect(model(lambda x, *_: x[:, 0]), plots(np.ones((9, 2))), path) is None


def test_the_mean_chip_has_the_mean_of_the_bands_and_a_real_pattern():
    store = plots(RNG.normal(5, 1, (60, 2)), patch=3)
    store.chips[:] += RNG.normal(0, 0.5, store.chips.shape).astype(np.float32)
    chip = mean_chip(store)
    np.testing.assert_allclose(chip.mean(axis=(0, 1)), store.chips.mean(axis=(0, 1, 2)), rtol=1e-5)
    patterns = store.chips - store.chips.mean(axis=(1, 2), keepdims=True)
    differences = np.abs(patterns - (chip - chip.mean(axis=(0, 1)))).max(axis=(1, 2, 3))
    assert differences.min() < 1e-5


def test_the_file(mapped, tmp_path):
    fitted = model(lambda x, lon, lat: lat)
    effect = location_effect(fitted, plots(RNG.normal(5, 1, (80, 2))), mapped)
    write_effect(effect, fitted, tmp_path / "effect.tif")
    with rasterio.open(tmp_path / "effect.tif") as source:
        np.testing.assert_allclose(source.read(1), effect.values, atol=1e-6)
        assert source.transform.almost_equals(Affine(STEP, 0, WEST, 0, -STEP, NORTH))
        assert source.units == ("species",)
        assert source.descriptions == ("effect of location on the prediction of the mean imagery",)
