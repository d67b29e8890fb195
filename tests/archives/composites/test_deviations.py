import warnings

import numpy as np
import pytest

from spatioformer.archives.composites.deviations import deviations
from spatioformer.archives.composites.geomedian import geomedian
from spatioformer.common.errors import ArgumentError
from tests.archives.composites.series import series


def direct(points: np.ndarray, m: np.ndarray) -> tuple[float, float, float]:
    """The three formulas for one pixel, points (n, band) float64."""
    cosine = 1 - points @ m / (np.linalg.norm(points, axis=1) * np.linalg.norm(m))
    euclidean = np.linalg.norm(points - m, axis=1)
    bray_curtis = np.abs(points - m).sum(axis=1) / np.abs(points + m).sum(axis=1)
    return np.median(cosine), np.median(euclidean), np.median(bray_curtis)


@pytest.mark.parametrize("dates", [1, 2, 5, 12])
def test_the_three_formulas(dates):
    values = series(dates, dates, 6, 7)
    median = geomedian(values)
    found = deviations(values, median)
    for y, x in np.ndindex(6, 7):
        points = values[:, :, y, x].astype(np.float64)
        points = points[np.isfinite(points).all(axis=1)]
        if not len(points):
            assert np.isnan(found[:, y, x]).all()
            continue
        expected = direct(points, median[:, y, x].astype(np.float64))
        np.testing.assert_allclose(found[:, y, x], expected, rtol=1e-6, atol=1e-12)


def test_as_the_reference_implementation():
    geomad = pytest.importorskip("geomad")
    values = series(1, 9, 8, 9)
    values = np.where(np.isnan(values).any(axis=1, keepdims=True), np.float32("nan"), values)
    median = geomedian(values)
    theirs = np.ascontiguousarray(values.transpose(2, 3, 1, 0))
    middle = np.ascontiguousarray(median.transpose(1, 2, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = [
            way(theirs, middle, num_threads=1)
            for way in (geomad.smad_pcm, geomad.emad_pcm, geomad.bcmad_pcm)
        ]
    np.testing.assert_allclose(deviations(values, median), expected, rtol=1e-5, atol=1e-7)


def test_known_answers():
    values = np.array([(3, 4), (6, 8), (0, 0)], np.float32)[..., None, None]
    median = np.array([3, 4], np.float32)[:, None, None]
    smad, emad, bcmad = deviations(values, median)[:, 0, 0]
    assert smad == 0  # zeros have no direction: two dates are left
    assert emad == 5
    assert bcmad == pytest.approx(7 / 21)  # of 0, 7/21 and 1


def test_pixels_and_threads():
    values = series(2, 8, 70, 80)
    median = geomedian(values)
    whole = deviations(values, median)
    np.testing.assert_array_equal(deviations(values, median, threads=2), whole)
    part = deviations(values[:, :, 5:9, 1:2], median[:, 5:9, 1:2])
    np.testing.assert_array_equal(part, whole[:, 5:9, 1:2])
    nothing = deviations(np.empty((0, 6, 70, 80), np.float32), median)
    assert np.isnan(nothing).all()


def test_refuses_a_median_of_other_bands():
    with pytest.raises(ArgumentError, match="does not belong"):
        deviations(np.zeros((3, 2, 4, 4), np.float32), np.zeros((3, 4, 4), np.float32))
