"""Intervals of counts and compact regions: known answers, properties, bad input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import LeaveRegionOut, Regions, count_bounds, dispersion

MEANS = np.array([0.3, 1.0, 4.7, 20.0, 55.5, 180.0])


@pytest.mark.parametrize("k", [0.001, 0.05, 0.4, 2.0])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_rounded_up_they_are_scipys_negative_binomial(k, level):
    bounds = count_bounds(MEANS, k, level)
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    expected = stats.nbinom.ppf(tails, 1 / k, 1 / (1 + k * MEANS[:, None]))
    assert np.array_equal(np.ceil(bounds - 1e-6), expected)
    within = bounds > 0  # below 0 there is nothing to be continued
    reached = stats.beta.sf(k * MEANS[:, None] / (1 + k * MEANS[:, None]), bounds + 1, 1 / k)
    np.testing.assert_allclose(reached[within], np.broadcast_to(tails, (6, 2))[within], rtol=1e-6)


def test_without_dispersion_they_are_scipys_poisson():
    expected = stats.poisson.ppf([0.05, 0.95], MEANS[:, None])
    assert np.array_equal(np.ceil(count_bounds(MEANS, 0, 0.9) - 1e-6), expected)
    np.testing.assert_allclose(
        count_bounds(MEANS, 1.1e-6, 0.9), count_bounds(MEANS, 0, 0.9), rtol=1e-3
    )


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 3), st.floats(0.1, 0.98), st.floats(0, 200), st.floats(0, 50))
def test_bounds_rise_with_the_mean_and_widen_with_the_level(k, level, mean, more):
    low, high = count_bounds([mean, mean + more], k, level)
    assert (high >= low - 1e-6).all()
    wider = count_bounds([mean], k, level + 0.01)[0]
    assert wider[0] <= low[0] + 1e-6
    assert wider[1] >= low[1] - 1e-6


def test_no_species_expected_is_none():
    assert np.array_equal(count_bounds([0, -3], 0.2, 0.9), np.zeros((2, 2)))


def test_the_dispersion_is_found():
    rng = np.random.default_rng(0)
    mean = rng.uniform(5, 60, 40_000)
    drawn = rng.poisson(mean * rng.gamma(1 / 0.3, 0.3, 40_000))
    assert dispersion(drawn, mean) == pytest.approx(0.3, rel=0.03)
    assert dispersion(rng.poisson(mean), mean) < 0.002
    assert dispersion(mean, mean) == 0, "less scatter than counts have"
    assert dispersion([0.0, 1], [0.0, -1]) == 0
    y, m = np.array([3.0, 9, 12]), np.array([5.0, 5, 5])
    assert dispersion(y, m) == pytest.approx((4 + 16 + 49 - 15) / 75, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (([1.0], -0.1, 0.9), r"dispersion -0.1 must be at least 0 \(0 means Poisson counts\)"),
        (([1.0], np.nan, 0.9), "dispersion nan must be at least 0"),
        (([1.0], 0.1, 1.0), "coverage 1.0 must lie between 0 and 1"),
        (([np.nan], 0.1, 0.9), "means hold 1 NaN"),
    ],
)
def test_bad_counts(arguments, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        count_bounds(*arguments)


def towns(n: int = 300) -> np.ndarray:
    """Lon, lat (3 n, 2) around three places, one beyond the date line from another."""
    rng = np.random.default_rng(1)
    centres = np.repeat([[179.0, -20], [-165, -20], [140, 50]], n, axis=0)
    lonlat = centres + rng.normal(0, 1, (3 * n, 2))
    return np.column_stack([(lonlat[:, 0] + 180) % 360 - 180, lonlat[:, 1]])


def test_regions_are_k_means_on_the_sphere():
    lonlat = towns()
    found = Regions.of(lonlat, 3)
    label = found.at(lonlat)
    assert len(np.unique(np.column_stack([label, LeaveRegionOut(3).assign(lonlat)]), axis=0)) == 3
    order = np.argsort(found.centres[:, 0])
    np.testing.assert_allclose(found.centres[order], [[-165, -20], [140, 50], [179, -20]], atol=0.2)
    assert np.array_equal(found.at([[-179.0, -21]]), label[:1])


def test_small_regions_are_dissolved():
    lonlat = np.vstack([towns(100), [[10.0, 10], [11, 10]]])
    assert len(Regions.of(lonlat, 4).centres) == 4
    found = Regions.of(lonlat, 4, least=50)
    assert len(found.centres) == 3
    assert np.bincount(found.at(lonlat)).min() >= 50
    assert len(Regions.of(lonlat, 5, least=200).centres) == 1
    assert len(Regions.of(np.ones((9, 2)), 5).centres) == 1, "one place, one region"
    with pytest.raises(EvaluationError, match="302 plots are too few for a region of 400; lower"):
        Regions.of(lonlat, 5, least=400)
