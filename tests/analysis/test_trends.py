"""Theil-Sen, Mann-Kendall, false discoveries and real changes against scipy and by hand."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from spatioformer.analysis import trends
from spatioformer.analysis.trends import (
    Autocorrelation,
    PValues,
    exact_p,
    mann_kendall,
    null_p,
    real_changes,
    red_noise,
    theil_sen,
)

RNG = np.random.default_rng


def series(n: int, count: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Years with gaps (n,), and values (n, count) without ties."""
    rng = RNG(seed)
    years = np.sort(rng.choice(np.arange(1970, 2040), n, replace=False))
    return years, rng.normal(20, 5, (n, count))


@pytest.mark.parametrize("n", [2, 3, 4, 9, 25, 50])
def test_slopes_and_exact_p_are_scipys(n):
    years, values = series(n)
    slope, (s, p) = theil_sen(values, years), mann_kendall(values)
    for i, column in enumerate(values.T):
        assert slope[i] == pytest.approx(stats.theilslopes(column, years).slope, rel=1e-12)
        tau = stats.kendalltau(years, column, method="exact")
        assert p[i] == pytest.approx(tau.pvalue, rel=1e-12)
        assert s[i] == pytest.approx(tau.statistic * n * (n - 1) / 2)


def test_ties_have_the_variance_of_scipy():
    """scipy leaves the continuity out; put back, its normal p is ours."""
    n = 12
    values = RNG(1).integers(0, 6, (n, 50)).astype(float)
    s, p = mann_kendall(values)
    for i, column in enumerate(values.T):
        if s[i] == 0:
            assert p[i] == 1
            continue
        plain = stats.norm.isf(stats.kendalltau(range(n), column, method="asymptotic").pvalue / 2)
        spread = abs(s[i]) / plain
        assert p[i] == pytest.approx(2 * stats.norm.sf((abs(s[i]) - 1) / spread), rel=1e-10)


def test_known_answers():
    rising = np.array([[1.0, 2, 3, 4]]).T
    assert mann_kendall(rising) == (6, pytest.approx(2 / 24))
    assert theil_sen(rising, [0, 2, 4, 6]) == 0.5
    # 4 * 3 * 13 = 156, less 2 * 1 * 9 for the pair, over 18; S = 5 moved to 4.
    tied = np.array([[1.0, 1, 2, 3]]).T
    s, p = mann_kendall(tied)
    assert (s, p) == (5, pytest.approx(2 * stats.norm.sf(4 / np.sqrt(138 / 18))))
    assert mann_kendall(np.full((5, 1), 7.0)) == (0, 1)


@pytest.mark.parametrize("n", [3, 5, 7])
def test_the_exact_distribution_is_that_of_all_orders(n):
    orders = np.array(list(permutations(range(n))), float).T
    s, p = mann_kendall(orders)
    for value in np.unique(np.abs(s)):
        assert exact_p(n)[value] == pytest.approx(np.mean(np.abs(s) >= value), rel=1e-12)
    assert p.min() == pytest.approx(2 / orders.shape[1])


def test_missing_years_are_left_out():
    years, values = series(9)
    holes = values.copy()
    holes[RNG(2).random(values.shape) < 0.4] = np.nan
    slope, (s, p) = theil_sen(holes, years), mann_kendall(holes)
    for i, column in enumerate(holes.T):
        there = np.isfinite(column)
        one = column[there][:, None]
        if there.sum() < 2:
            assert np.isnan([slope[i], p[i]]).all()
        else:
            np.testing.assert_equal(slope[i], theil_sen(one, years[there])[0])
            np.testing.assert_equal((s[i], p[i]), [found[0] for found in mann_kendall(one)])
    nothing = np.full((4, 2), np.nan)
    assert np.isnan(theil_sen(nothing, [1, 2, 3, 4])).all()
    assert np.isnan(mann_kendall(nothing)[1]).all()
    assert theil_sen(np.empty((4, 0)), [1, 2, 3, 4]).shape == (0,)


def test_the_chunks_do_not_matter(monkeypatch):
    years, values = series(9)
    slope, test = theil_sen(values, years), mann_kendall(values)
    monkeypatch.setattr(trends, "CHUNK", 100)
    np.testing.assert_array_equal(theil_sen(values, years), slope)
    np.testing.assert_array_equal(mann_kendall(values), test)


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 12), st.floats(-5, 5), st.floats(0.1, 9), st.integers(0, 2**16))
def test_properties(n, trend, factor, seed):
    """Slopes follow scale and an added trend; the test sees nothing but the order of values."""
    years, values = series(n, 5, seed)
    moved = factor * values + trend * years[:, None] + 3
    expected = factor * theil_sen(values, years) + trend
    np.testing.assert_allclose(theil_sen(moved, years), expected, rtol=1e-9, atol=1e-9)
    s, p = mann_kendall(values)
    np.testing.assert_array_equal(mann_kendall(np.exp(values / 10)), (s, p))
    np.testing.assert_array_equal(mann_kendall(values[::-1]), (-s, p))
    np.testing.assert_array_equal(mann_kendall(-values), (-s, p))


def test_no_trend_is_called_one_as_often_as_said():
    _, p = mann_kendall(RNG(3).normal(size=(9, 40_000)))
    attained = exact_p(9)[exact_p(9) <= 0.05].max()
    assert attained == pytest.approx(0.0446, abs=1e-4)  # whole S: no level lies nearer to .05
    assert np.mean(p <= 0.05) == pytest.approx(attained, abs=3 * np.sqrt(attained / 40_000))


@pytest.mark.parametrize(("n", "rho"), [(6, 0.3), (9, 0.0), (9, 0.6), (20, 0.4)])
def test_the_autocorrelation_of_short_series_is_found(n, rho):
    """Trends, levels and pixels with a gap make no difference."""
    values = red_noise(n, 20_000, rho, RNG(6))
    found = Autocorrelation(n)
    found.add(values[:, :5_000])
    found.add(values[:, 5_000:] + np.arange(n)[:, None] * RNG(7).normal(size=15_000) + 30)
    assert found.rho == pytest.approx(rho, abs=0.02)
    before = found.rho
    values[3] = np.nan
    found.add(values)
    assert found.rho == before


def test_too_few_years_tell_nothing_of_autocorrelation():
    found = Autocorrelation(4)
    found.add(red_noise(4, 1_000, 0.9, RNG(6)))
    assert found.rho == 0
    assert Autocorrelation(9).rho == 0


def test_noise_that_goes_on_is_called_a_trend_as_often_as_said(monkeypatch):
    """The classical test calls it one nearly three times as often."""
    monkeypatch.setattr(trends, "SIMULATED", 2**17)
    null_p.cache_clear()
    values = red_noise(9, 40_000, 0.4, RNG(8))
    assert np.mean(mann_kendall(values)[1] <= 0.05) > 0.12
    p = mann_kendall(values, 0.4)[1]
    for level in (0.2, 0.05, 0.01):
        attained = null_p(9, 0.4)[null_p(9, 0.4) <= level].max()
        assert 0.5 * level < attained <= level
        spread = np.sqrt(attained / 40_000 + attained / 2**17)
        assert np.mean(p <= level) == pytest.approx(attained, abs=3 * spread)
    null_p.cache_clear()


def test_simulated_noise_without_memory_has_the_exact_distribution(monkeypatch):
    monkeypatch.setattr(trends, "SIMULATED", 2**17)
    null_p.cache_clear()
    found = null_p(7, 1e-12)
    np.testing.assert_allclose(found, exact_p(7), atol=4 * np.sqrt(0.25 / 2**17))
    null_p.cache_clear()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.floats(0.01, 0.3))
def test_false_discoveries_are_scipys(numbers, level):
    p = np.float32((np.array(numbers) / 40) ** 3)
    counted = PValues()
    for part in np.array_split(p, 3):  # as windows come
        counted.add(part)
    adjusted = stats.false_discovery_control(p.astype(float))
    close = np.isclose(adjusted, level, rtol=1e-9)
    np.testing.assert_array_equal(
        (p <= counted.threshold(level))[~close], (adjusted <= level)[~close]
    )
    assert counted.total == len(p)


def test_a_step_up_is_more_than_its_first_step():
    """0.04 is above 0.05 / 4 and 0.05 x 2 / 4, yet all four are found."""
    counted = PValues()
    counted.add(np.array([0.03, 0.035, 0.04, 0.045, np.nan]))
    assert counted.threshold(0.05) == np.float32(0.045)
    counted.add(np.array([0.9]))
    assert counted.threshold(0.05) < 0
    assert PValues().threshold(0.05) < 0


def test_a_change_larger_than_its_interval():
    mean = np.array([[10.0, 10, 10, 10], [14, 16, 2, np.nan]])
    half = np.array([3.0, 4])[:, None]  # the change's: 5
    lower, upper = mean - half, mean + half
    np.testing.assert_array_equal(real_changes(mean, lower, upper), [[0, 1, -1, 0]])
    # A rise of 6 is looked at from the upper end of the first year and the lower end of the second.
    lower[0, 1], upper[1, 1] = -90, 90
    assert real_changes(mean, lower, upper)[0, 1] == 1
    upper[0, 1] = 18
    assert real_changes(mean, lower, upper)[0, 1] == 0


@pytest.mark.parametrize(("correlation", "named"), [(0.0, 0.1), (0.5, 0.02)])
def test_no_change_is_rarely_named(correlation, named):
    """Intervals of 90 %: one in ten when errors are independent, fewer when they go together."""
    covariance = [[1, correlation], [correlation, 1]]
    errors = RNG(4).multivariate_normal([0, 0], covariance, 20_000).T
    half = stats.norm.ppf(0.95)
    share = np.mean(real_changes(errors, errors - half, errors + half) != 0)
    assert share == pytest.approx(named, abs=0.01)
