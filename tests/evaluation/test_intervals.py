"""Scores of intervals and ensembles: known answers, integrals, MAPIE's numbers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.intervals import (
    calibration_curve,
    crps,
    ensemble_bounds,
    interval_scores,
    interval_scores_by,
    quantile_bins,
)

OBSERVED = np.array([1.0, 5.0, 9.0, 20.0])
BOUNDS = np.array([[0.0, 2.0], [5.0, 7.0], [10.0, 11.0], [10.0, 15.0]])


def test_interval_scores_by_hand():
    # misses by 1 and 5; widths 2 2 1 5; penalty 2 / 0.2 = 10 a unit
    assert interval_scores(OBSERVED, BOUNDS, 0.8) == pytest.approx(
        {"n": 4, "coverage": 0.5, "width": 2.5, "interval_score": (10 + 10 * 6) / 4}
    )


def test_scores_by_label():
    by = interval_scores_by(["in", "in", "out", "out"], OBSERVED, BOUNDS, 0.8)
    assert by["in"]["coverage"] == 1
    expected = {"n": 2, "coverage": 0, "width": 3, "interval_score": 33}
    assert by["out"] == pytest.approx(expected)


def test_interval_score_is_best_at_the_true_quantiles():
    rng = np.random.default_rng(0)
    observed = rng.normal(size=20_000)
    score = {}
    for z in (1.0, norm.ppf(0.95), 2.4):
        bounds = np.tile([-z, z], (len(observed), 1))
        score[z] = interval_scores(observed, bounds, 0.9)["interval_score"]
    assert min(score, key=score.get) == norm.ppf(0.95)


def test_scores_are_those_of_mapie():
    metrics = pytest.importorskip("mapie.metrics.regression")
    rng = np.random.default_rng(1)
    observed = rng.normal(size=200)
    bounds = np.sort(rng.normal(size=(200, 2)), axis=1)
    got = interval_scores(observed, bounds, 0.8)
    theirs = bounds[:, :, None]
    coverage = metrics.regression_coverage_score(observed, theirs)[0]
    assert got["coverage"] == pytest.approx(coverage, rel=1e-12)
    width = metrics.regression_mean_width_score(theirs)[0]
    assert got["width"] == pytest.approx(width, rel=1e-12)
    score = metrics.regression_mwi_score(observed, theirs, 0.8)
    assert got["interval_score"] == pytest.approx(score, rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
@settings(max_examples=20, deadline=None)
def test_crps_is_the_integral_of_squared_differences(seed, count):
    rng = np.random.default_rng(seed)
    members, observed = np.round(rng.normal(size=count), 1), np.round(rng.normal(), 1)
    steps = np.unique([*members, observed])
    middle = (steps[1:] + steps[:-1]) / 2
    below = (members <= middle[:, None]).mean(axis=1)
    expected = np.sum(np.diff(steps) * (below - (observed <= middle)) ** 2)
    got = crps([observed], members[None])
    assert got == pytest.approx([expected], abs=1e-12)


def test_crps_of_many_normal_members_is_the_closed_form():
    members = norm.ppf((np.arange(2000) + 0.5) / 2000)[None]
    y = np.array([-1.0, 0.0, 2.5])
    closed = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert crps(y, members) == pytest.approx(closed, abs=1e-3)
    assert crps([3.0], [[1.0]]).tolist() == [2.0]


def test_calibration_curve_shows_overconfidence():
    rng = np.random.default_rng(2)
    observed = rng.normal(0, 2, 5000)  # the model believes in 1
    levels = [0.9, 0.5]
    curve = calibration_curve(
        observed, {p: np.tile(norm.interval(p), (len(observed), 1)) for p in levels}
    )
    assert curve["level"].tolist() == [0.5, 0.9]
    expected = [2 * norm.cdf(norm.ppf((1 + p) / 2) / 2) - 1 for p in (0.5, 0.9)]
    assert curve["coverage"] == pytest.approx(expected, abs=0.02)
    assert curve["width"] == pytest.approx(2 * norm.ppf([0.75, 0.95]))


def test_ensemble_bounds_are_central_quantiles():
    members = np.tile(np.arange(101.0), (3, 1))
    assert ensemble_bounds(members, 0.9) == pytest.approx(np.tile([5, 95], (3, 1)))


def test_quantile_bins_hold_equal_counts():
    values = np.random.default_rng(0).permutation(100)
    label, edges = quantile_bins(values, 4)
    assert np.bincount(label).tolist() == [25] * 4
    assert edges == pytest.approx([0, 24.75, 49.5, 74.25, 99])
    label, edges = quantile_bins([0, 0, 0, 0, 1], 4)
    assert label.tolist() == [0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((OBSERVED, BOUNDS, 1), "coverage 1 must lie between 0 and 1"),
        (
            (OBSERVED, BOUNDS[:, ::-1], 0.9),
            r"interval row 0 \(2, 0\) has its lower bound above its upper bound; give lower first",
        ),
        ((OBSERVED, BOUNDS[:, :1], 0.9), "2 columns"),
        ((OBSERVED[:2], BOUNDS, 0.9), "interval bounds have 4 rows where 2 are expected"),
        ((OBSERVED, BOUNDS * np.nan, 0.9), "interval bounds hold 8 NaN"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        interval_scores(*arguments)


def test_members_of_another_length_are_refused():
    with pytest.raises(EvaluationError, match="ensemble members have 3 rows where 4"):
        crps(OBSERVED, np.zeros((3, 5)))
