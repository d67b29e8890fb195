import importlib
import warnings

import numpy as np
import pytest

from spatioformer.archives.composites.reduce import count_clear, reduce
from spatioformer.common.errors import ArgumentError
from tests.archives.composites.series import series


@pytest.fixture(params=["numba", "numpy"], autouse=True)
def implementation(request, monkeypatch):
    if request.param == "numpy":
        module = importlib.import_module("spatioformer.archives.composites.reduce")
        monkeypatch.setattr(module, "kernels", lambda: None)


def quiet(function, *args, **kwargs):
    """numpy warns where there is nothing but NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return function(*args, **kwargs)


@pytest.mark.parametrize("dates", [1, 2, 3, 5, 8, 13, 20, 33])
def test_as_numpy_has_it(dates):
    values = series(dates, dates, 9, 13, bands=3, missing=0.5)
    values[:, :, 0, 0] = np.nan
    np.testing.assert_array_equal(reduce(values, "median"), quiet(np.nanmedian, values, axis=0))
    mean = quiet(np.nanmean, values.astype(np.float64), axis=0).astype(np.float32)
    np.testing.assert_allclose(reduce(values, "mean"), mean, rtol=1e-7)
    shares = (0, 5, 10, 37.5, 50, 75, 90, 100)
    expected = quiet(np.nanpercentile, values, shares, axis=0)
    found = reduce(values, "percentiles", shares).reshape(3, len(shares), 9, 13)
    np.testing.assert_allclose(np.moveaxis(found, 1, 0), expected, rtol=2e-7, atol=1e-9)
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(expected[:, 0]))


def test_percentiles_of_a_band_lie_together():
    values = np.arange(11, dtype=np.float32)[:, None, None, None] * np.array([1, 10])[:, None, None]
    found = reduce(values.astype(np.float32), "percentiles", (10, 50, 90))
    assert found[:, 0, 0].tolist() == [1, 5, 9, 10, 50, 90]


def test_count():
    values = series(3, 9, bands=3)
    expected = np.isfinite(values).all(axis=1).sum(axis=0)
    np.testing.assert_array_equal(count_clear(values), expected)
    np.testing.assert_array_equal(reduce(values, "count")[0], expected)


def test_huge_numbers_are_missing():
    values = np.array([1, 2, -3.4e38, np.inf, -np.inf, np.nan, 6], np.float32)[:, None, None, None]
    assert reduce(values, "median").item() == 2
    assert reduce(values, "mean").item() == 3
    assert count_clear(values).item() == 3


def test_without_dates_there_is_no_data():
    nothing = np.empty((0, 2, 3, 4), np.float32)
    for way in ("median", "mean"):
        assert np.isnan(reduce(nothing, way)).all()
    assert np.isnan(reduce(nothing, "percentiles", (10, 90))).all()
    assert (reduce(nothing, "count") == 0).all()


def test_blocks_and_threads_change_nothing():
    values = series(1, 9, 90, 100)
    for way in ("median", "mean"):
        whole = reduce(values, way)
        np.testing.assert_array_equal(reduce(values, way, threads=3), whole)
        np.testing.assert_array_equal(reduce(values[..., 7:9, 3:], way), whole[..., 7:9, 3:])


def test_refuses():
    values = np.zeros((3, 2, 4, 4), np.float32)
    with pytest.raises(ArgumentError, match="mode"):
        reduce(values, "mode")
    for shares in ((), (50, 101)):
        with pytest.raises(ArgumentError, match="0 to 100"):
            reduce(values, "percentiles", shares)
