"""Sun days, mosaics and composites of a year, against values worked out by hand or by numpy."""

import warnings
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.items import Item
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.yearly import FailedItems, composite, days, mosaic, read_year, sun_day
from spatioformer.geo.grid import Grid
from tests.helpers.scenes import COLLECTION, CORNER, UTM55, source, without_masks, write_scene

NATIVE = Grid(CRS.from_user_input(UTM55), CORNER, 8, 8)
ALL = Window(0, 0, 8, 8)


def item(name: str, when: str, west: float, east: float) -> Item:
    start = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return Item(name, "toy", start, start, (west, -40, east, -38), {})


def test_an_overpass_is_one_day_though_utc_changes_its_date():
    """In eastern Australia a morning begins on the day before, in UTC."""
    before, after = (
        item("a", "2021-06-14T23:55:00", 146, 148),
        item("b", "2021-06-15T00:05:00", 146, 148),
    )
    assert sun_day(before) == sun_day(after) == date(2021, 6, 15)
    assert sun_day(item("c", "2021-06-15T00:05:00", -71, -69)) == date(2021, 6, 14)
    across = item("d", "2021-06-15T22:00:00", 179.5, -179.5)
    assert sun_day(across) == date(2021, 6, 16)
    later = item("e", "2021-06-16T00:05:00", 146, 148)
    assert [[i.id for i in day] for day in days([after, later, before])] == [["a", "b"], ["e"]]


def test_a_mosaic_takes_the_first_complete_pixel():
    nan = np.nan
    first = np.array([[[1, nan, 3, nan, nan]], [[1, 2, nan, nan, nan]]], np.float32)
    second = np.array([[[9, 9, 9, nan, nan]], [[9, 9, 9, 9, nan]]], np.float32)
    out = mosaic([first, second])
    np.testing.assert_array_equal(out[:, 0], [[1, 9, 9, nan, nan], [1, 9, 9, 9, nan]])
    assert np.isnan(first[0, 0, 1]), "the scenes stay as they are"


@pytest.fixture
def observations():
    rng = np.random.default_rng(0)
    values = rng.random((7, 2, 8, 8)).astype(np.float32)
    values[(rng.random((7, 8, 8)) < 0.4)[:, None].repeat(2, 1)] = np.nan
    return values


def made(**section):
    two = replace(COLLECTION, bands=COLLECTION.bands[1:])  # red, nir
    return source([], two, **section)


@pytest.mark.parametrize("how", ["median", "mean"])
def test_a_median_and_a_mean_are_numpys_where_enough_dates_are_clear(observations, how):
    out = composite(made(composite=how, min_clear=4, count=True), observations)
    function = {"median": np.nanmedian, "mean": np.nanmean}[how]
    count = np.isfinite(observations[:, 0]).sum(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        expected = function(observations.astype(float), axis=0)
    expected[:, count < 4] = np.nan
    assert 5 < (count < 4).sum() < 60
    np.testing.assert_allclose(out[:2], expected, rtol=1e-6)
    np.testing.assert_array_equal(out[2], count)


def test_percentiles_are_named_and_ordered_band_by_band(observations):
    of = made(composite="percentiles", percentiles=(10, 90), indices=["NDVI"])
    assert of.band_names == [
        "s_red_p10", "s_red_p90", "s_nir_p10", "s_nir_p90", "s_NDVI_p10", "s_NDVI_p90",
    ]  # fmt: skip
    out = composite(of, observations)
    red, nir = observations[:, 0].astype(float), observations[:, 1].astype(float)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for place, (values, share) in enumerate(
            [(v, q) for v in (red, nir, (nir - red) / (nir + red)) for q in (10, 90)]
        ):
            expected = np.nanpercentile(values, share, axis=0)
            np.testing.assert_allclose(out[place], expected, rtol=2e-5, atol=1e-6)


def test_indices_of_a_geometric_median_come_from_its_bands(observations):
    of = made(composite="geomedian", indices=["NDVI"], deviations=True, count=True)
    assert of.band_names == [
        f"s_{n}" for n in ("red", "nir", "NDVI", "smad", "emad", "bcmad", "count")
    ]
    out = composite(of, observations)
    assert out.shape == (7, 8, 8)
    np.testing.assert_allclose(out[2], (out[1] - out[0]) / (out[1] + out[0]), rtol=1e-5)
    # Of a geometric median no step in any direction lowers the sum of distances.
    points = observations[:, :, 2, 3].astype(float)
    points = points[np.isfinite(points).all(1)]
    found = out[:2, 2, 3].astype(float)

    def total(place):
        return np.linalg.norm(points - place, axis=1).sum()

    for step in ([1e-3, 0], [-1e-3, 0], [0, 1e-3], [0, -1e-3]):
        assert total(found) <= total(found + step) + 1e-7


def test_bands_that_only_an_index_needs_are_read_but_not_given():
    two = replace(COLLECTION, bands=COLLECTION.bands[1:])
    of = source([], two, bands=["red"], indices=["NDVI"])
    assert [band.name for band in of.read] == ["red", "nir"]
    assert of.band_names == ["s_red", "s_NDVI"]
    values = np.random.default_rng(1).random((5, 2, 8, 8)).astype(np.float32)
    out = composite(of, values)
    assert out.shape == (2, 8, 8)
    assert np.isfinite(out).all()


def test_without_any_date_there_is_no_data_and_a_count_of_zero():
    for how in ("geomedian", "median", "percentiles"):
        of = made(composite=how, count=True, indices=["NDVI"])
        out = composite(of, np.zeros((0, 2, 8, 8), np.float32))
        assert out.shape == (len(of.band_names), 8, 8)
        assert np.isnan(out[:-1]).all()
        assert (out[-1] == 0).all()


def test_overlapping_tiles_of_a_day_are_one_observation(tmp_path):
    red = np.full((8, 8), 1000, np.uint16)
    scl = np.full((8, 8), 4)
    cloudy = scl.copy()
    cloudy[:, :4] = 9
    items = [
        write_scene(tmp_path, "b1", {"red": red}, "2021-06-15T00:10:00", scl=cloudy),
        write_scene(tmp_path, "b2", {"red": red * 2}, "2021-06-15T00:10:20", scl=scl),
        write_scene(tmp_path, "c1", {"red": red * 4}, "2021-06-25T00:10:00", scl=scl),
    ]
    of = source(items, bands=["red"], composite="mean", count=True)
    out = read_year(SceneReader(of, NATIVE), items, ALL)
    assert (out[1] == 2).all()
    np.testing.assert_allclose(out[0, :, :4], (0.2 + 0.4) / 2, rtol=1e-6)
    np.testing.assert_allclose(out[0, :, 4:], (0.1 + 0.4) / 2, rtol=1e-6)


def test_annual_tiles_are_mosaicked_as_published(tmp_path):
    left, right = np.full((8, 4), 1000, np.uint16), np.full((8, 8), 3000, np.uint16)
    items = [
        write_scene(tmp_path, "x1", {"red": left}),
        write_scene(tmp_path, "x2", {"red": right}, transform=CORNER @ Affine.translation(3, 0)),
    ]
    annual = replace(without_masks(), kind="annual")
    of = source(items, annual, bands=["red"])
    out = read_year(SceneReader(of, NATIVE), items, ALL)
    np.testing.assert_allclose(out[0, 0], [0.1] * 4 + [0.3] * 4, rtol=1e-6)


def test_all_items_that_cannot_be_read_are_named(tmp_path):
    good = write_scene(tmp_path, "a", {"red": np.ones((8, 8), np.uint16)})
    bad = write_scene(tmp_path, "b", {"nir": np.ones((8, 8), np.uint16)})
    other = write_scene(tmp_path, "c", {"red": np.ones((8, 8), np.uint16)})
    (tmp_path / "c_red.tif").write_bytes((tmp_path / "c_red.tif").read_bytes()[:200])
    items = [good, bad, other]
    of = source(items, without_masks(), bands=["red"])
    with pytest.raises(FailedItems) as caught:
        read_year(SceneReader(of, NATIVE), items, ALL)
    assert list(caught.value.reasons) == ["b", "c"]
