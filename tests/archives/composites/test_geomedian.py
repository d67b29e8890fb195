import importlib

import numpy as np
import pytest
from scipy.optimize import minimize

from spatioformer.archives.composites.geomedian import geomedian
from spatioformer.common.errors import ArgumentError
from tests.archives.composites.series import series

NAN = np.float32("nan")


@pytest.fixture(params=["numba", "numpy"])
def implementation(request, monkeypatch):
    """Each test runs with the compiled kernels and without."""
    if request.param == "numpy":
        module = importlib.import_module("spatioformer.archives.composites.geomedian")
        monkeypatch.setattr(module, "kernels", lambda: None)
    return request.param


def of_points(points) -> np.ndarray:
    """The geometric median of points (n, band)."""
    return geomedian(np.asarray(points, np.float32)[..., None, None])[:, 0, 0]


def complete(values: np.ndarray) -> list[np.ndarray]:
    """Complete observations (n, band) of each pixel, float64."""
    pixels = values.reshape(*values.shape[:2], -1).astype(np.float64)
    return [pixel[np.isfinite(pixel).all(axis=1)] for pixel in np.moveaxis(pixels, 2, 0)]


def distances(points: np.ndarray, y: np.ndarray) -> float:
    return float(np.linalg.norm(points - y, axis=1).sum())


def gradient(points: np.ndarray, y: np.ndarray) -> np.ndarray:
    apart = y - points
    return (apart / np.maximum(np.linalg.norm(apart, axis=1), 1e-300)[:, None]).sum(axis=0)


def minimum(points: np.ndarray) -> np.ndarray:
    """Minimum by scipy in float64, from the mean and from the best observation."""
    at = min(points, key=lambda point: distances(points, point))
    candidates = [at]
    for start in (points.mean(axis=0), at + 1e-3 * (points.mean(axis=0) - at)):
        found = minimize(
            lambda y: distances(points, y),
            start,
            jac=lambda y: gradient(points, y),
            method="BFGS",
            options={"gtol": 1e-9},
        )
        candidates.append(found.x)
    return min(candidates, key=lambda y: distances(points, y))


@pytest.mark.parametrize(("seed", "dates", "bands"), [(0, 20, 6), (1, 6, 6), (2, 4, 3), (3, 9, 10)])
def test_is_the_minimum_that_scipy_finds(implementation, seed, dates, bands):
    values = series(seed, dates, 7, 11, bands)
    medians = geomedian(values, eps=1e-5).reshape(bands, -1).T
    for points, median in zip(complete(values), medians, strict=True):
        if len(points) < 3:
            continue
        best = minimum(points)
        least = distances(points, best)
        assert distances(points, median) <= least * (1 + 2e-6)
        if len(points) > 5:  # of fewer the valley may be flat
            assert np.linalg.norm(median - best) <= 2e-3 * least / len(points)


def test_triangles(implementation):
    corners = [(0, 0), (1, 0), (0.5, np.sqrt(0.75))]
    np.testing.assert_allclose(of_points(corners), (0.5, np.sqrt(0.75) / 3), atol=1e-6)
    # An angle of 120 degrees or more: its corner, exactly.
    assert of_points([(0.1, 0.3), (1.1, 0.4), (-0.9, 0.4)]).tolist() == pytest.approx([0.1, 0.3])
    obtuse = np.array([(0.1, 0.3), (1.1, 0.4), (-0.9, 0.4)], np.float32)
    np.testing.assert_allclose(of_points(obtuse), obtuse[0], rtol=2e-7)


def test_a_square_has_its_middle(implementation):
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    np.testing.assert_allclose(of_points(square), (0.5, 0.5), atol=1e-6)
    # A quadrangle has the crossing of its diagonals.
    np.testing.assert_allclose(of_points([(0, 0), (3, 0), (3, 3), (0, 1)]), (0.75, 0.75), atol=1e-4)


def test_on_a_line_it_is_the_median(implementation):
    for values in ([0.1, 0.2, 0.9], [0.5, 0.1, 0.2, 0.4, 0.3], [1, 5, 2, 9, 3, 4, 8]):
        points = np.array([(v, 2 * v, 1 - v) for v in values])
        median = np.median(values)
        expected = (median, 2 * median, 1 - median)
        np.testing.assert_allclose(of_points(points), expected, atol=1e-4 * np.ptp(values))


def test_equal_observations(implementation):
    point = np.array([0.1, 0.7, 0.3], np.float32)
    for times in (1, 2, 3, 7, 20):
        assert (of_points([point] * times) == point).all()
    # More than half of them at one place: that place.
    others = [(0.5, 0.5, 0.5), (0.9, 0.1, 0.3)]
    np.testing.assert_allclose(of_points([point] * 3 + others), point, rtol=2e-7)


def test_few_observations(implementation):
    a, b = np.array([0.25, 0.5], np.float32), np.array([0.75, 0.125], np.float32)
    gap = np.array([0.9, NAN], np.float32)  # not complete: left out
    fill = np.array([-3.4e38, 0.2], np.float32)  # a fill value that nobody masked
    endless = np.array([np.inf, 0.2], np.float32)
    assert np.isnan(of_points([gap, gap])).all()
    assert (of_points([gap, a, fill, endless]) == a).all()
    assert (of_points([a, gap, b, fill]) == (a + b) / 2).all()
    assert np.isnan(geomedian(np.empty((0, 2, 3, 4), np.float32))).all()
    assert geomedian(np.empty((3, 2, 0, 4), np.float32)).shape == (2, 0, 4)


def test_a_pixel_does_not_depend_on_others(implementation):
    values = series(4, 12, 40, 90)
    whole = geomedian(values)
    for rows, columns in ((slice(3, 4), slice(5, 6)), (slice(0, 17), slice(11, 90))):
        part = geomedian(np.ascontiguousarray(values[:, :, rows, columns]))
        np.testing.assert_array_equal(part, whole[:, rows, columns])
        view = geomedian(values[:, :, rows, columns])  # not contiguous
        np.testing.assert_array_equal(view, whole[:, rows, columns])
    np.testing.assert_array_equal(geomedian(values, threads=3), whole)
    turned = np.ascontiguousarray(values.transpose(2, 3, 1, 0)).transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(geomedian(turned, threads=2), whole)


def test_the_order_of_dates_changes_no_more_than_rounding(implementation):
    values = series(5, 11)
    whole, turned = geomedian(values, eps=1e-6), geomedian(values[::-1], eps=1e-6)
    np.testing.assert_allclose(turned, whole, atol=1e-5)
    assert np.nanmean(np.abs(turned - whole)) < 1e-7


def test_scale_and_shift(implementation):
    values = series(6, 9)
    expected = geomedian(values)
    np.testing.assert_allclose(geomedian(values * np.float32(1e4)) / 1e4, expected, atol=2e-5)
    np.testing.assert_allclose(geomedian(values * np.float32(1e-6)) * 1e6, expected, atol=2e-5)
    # Temperatures in K: far from zero next to their spread.
    np.testing.assert_allclose(geomedian(values + np.float32(300)) - 300, expected, atol=1e-4)


def test_outliers_pull_no_more_the_farther_they_are(implementation):
    near = series(7, 20, missing=0)
    far = near.copy()
    near[2] += 100
    far[2] += 1000
    np.testing.assert_allclose(geomedian(far), geomedian(near), atol=1e-3)


def test_both_implementations_agree(monkeypatch):
    module = importlib.import_module("spatioformer.archives.composites.geomedian")
    for dates in (1, 2, 3, 4, 7, 20):
        values = series(dates, dates, 20, 30)
        compiled = geomedian(values)
        with monkeypatch.context() as patch:
            patch.setattr(module, "kernels", lambda: None)
            np.testing.assert_allclose(geomedian(values), compiled, atol=1e-5)


def test_refuses():
    values = np.zeros((3, 2, 4, 4), np.float32)
    for wrong in ({"eps": 1e-9}, {"eps": np.nan}, {"max_iterations": 0}, {"threads": 0}):
        with pytest.raises(ArgumentError):
            geomedian(values, **wrong)
    with pytest.raises(ArgumentError, match=r"\(3, 4, 4\)"):
        geomedian(values[:, 0])
