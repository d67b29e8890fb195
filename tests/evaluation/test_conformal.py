"""Conformal intervals: ranks by hand, guarantees, MAPIE's numbers, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import KFold

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.conformal import (
    Conformal,
    ConformalRegressor,
    LocalConformal,
    QuantilePair,
    RegionConformal,
    conformal_quantile,
)
from spatioformer.evaluation.intervals import interval_scores
from spatioformer.evaluation.splits import SpatialBlockKFold

ZEROS = np.zeros(19)


def richness(seed: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """A regression task with noise that grows with the first predictor."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(0, 1, (n, 3))
    return X, 20 * X[:, 0] + 5 * X[:, 1] + rng.normal(0, 1 + 4 * X[:, 0])


def test_rank_by_hand():
    scores = np.arange(1.0, 20)[::-1]  # 19 scores: ceil(20 * 0.9) = 18th smallest
    assert conformal_quantile(scores, 0.9) == 18
    assert conformal_quantile(scores, 0.95) == 19
    assert conformal_quantile(scores, 0.5) == 10
    assert conformal_quantile(scores[:9], 0.9) == 19  # 9 are just enough


@given(st.integers(1, 60), st.floats(0.02, 0.98))
@settings(max_examples=60, deadline=None)
def test_the_smallest_calibration_set_is_the_one_named(n, level):
    try:
        conformal_quantile(np.arange(float(n)), level)
    except EvaluationError as error:
        needed = int(str(error).split("use at least ")[1].split(",")[0])
        assert n < needed
        conformal_quantile(np.arange(float(needed)), level)
        with pytest.raises(EvaluationError):
            conformal_quantile(np.arange(float(needed - 1)), level)


def test_intervals_by_hand():
    observed = np.arange(1.0, 20)
    plain = Conformal(0.9).calibrate(observed, ZEROS)
    assert plain.interval([100, 0]).tolist() == [[82, 118], [-18, 18]]
    scaled = Conformal(0.9).calibrate(observed, ZEROS, scale=observed / 3)
    assert scaled.interval([100], scale=[2.0]).tolist() == [[94, 106]]
    quantiles = np.column_stack([ZEROS - 1, ZEROS + 5])  # above by -4..14, the 18th is 13
    wide = Conformal(0.9).calibrate(observed, quantiles)
    assert wide.interval([[10, 20]]).tolist() == [[-3, 33]]


def test_quantiles_too_wide_are_narrowed_and_never_cross():
    observed = np.arange(1.0, 20)
    narrowed = Conformal(0.9).calibrate(observed, np.column_stack([ZEROS - 20, ZEROS + 39]))
    assert narrowed.margin_ == -21  # max(-20 - y, y - 39) ends in ... -21 (y = 1, 18), -20 (y = 19)
    assert narrowed.interval([[0, 60], [0, 10]]).tolist() == [[21, 39], [5, 5]]


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None)
def test_coverage_is_guaranteed_on_average(seed):
    """Over calibration sets and new observations, coverage is ceil((n + 1) level) / (n + 1)."""
    rng = np.random.default_rng(seed)
    errors = rng.exponential(size=(4000, 30))  # 29 to calibrate, one new
    margins = np.array([conformal_quantile(row[:-1], 0.8) for row in errors])
    assert np.mean(errors[:, -1] <= margins) == pytest.approx(0.8, abs=4 * np.sqrt(0.16 / 4000))


def test_regions_have_margins_of_their_own():
    observed = np.concatenate([np.arange(1.0, 20), 10 * np.arange(1.0, 20)])
    region = np.repeat(["calm", "wild"], 19)
    both = RegionConformal(0.9).calibrate(observed, np.zeros(38), region)
    assert both.margins_ == {"calm": 18, "wild": 180}
    bounds = both.interval([0, 0, 0], ["wild", "calm", "wild"])
    assert bounds[:, 1].tolist() == [180, 18, 180]


def test_one_region_is_plain():
    X, y = richness(0, 200)
    plain = Conformal(0.8).calibrate(y, X[:, 0])
    region = RegionConformal(0.8).calibrate(y, X[:, 0], np.zeros(200))
    assert region.interval(X[:, 1], np.zeros(200)).tolist() == plain.interval(X[:, 1]).tolist()


def test_local_margin_by_hand():
    """Two clumps: scores of the near one count, weights follow distance."""
    n = 80
    places = np.concatenate([np.linspace(0, 1, n), np.linspace(1000, 1001, n)])
    places = np.column_stack([places, 0 * places])
    scores = np.concatenate([np.arange(n), 1000 + np.arange(n)]).astype(float)
    local = LocalConformal(0.8, neighbours=n, space="projected")
    local.calibrate(scores, 0 * scores, places)
    new = np.array([[0.0, 0.0], [1001.0, 0.0]])
    expected = []
    for place, near in zip(new, (slice(0, n), slice(n, 2 * n)), strict=True):
        apart = np.abs(places[near, 0] - place[0])
        weights = np.exp(-2 * (apart / apart.max()) ** 2)
        enough = np.cumsum(weights) >= 0.8 * (weights.sum() + 1)
        expected.append(scores[near][np.argmax(enough)])
    assert local.interval([0, 0], new)[:, 1].tolist() == expected


def test_local_with_all_plots_at_one_distance_is_plain():
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 2 * np.pi, 99)
    ring = np.column_stack([np.cos(angle), np.sin(angle)]) * 1000
    observed = rng.normal(size=99)
    local = LocalConformal(0.9, neighbours=99, space="projected")
    local.calibrate(observed, np.zeros(99), ring)
    # At the middle every weight is exp(-2): the rank is that of 0.9 (99 + exp(2)) plots.
    rank = int(np.ceil(0.9 * (99 + np.exp(2)))) - 1
    expected = np.sort(np.abs(observed))[rank]
    assert local.interval([0], [[0.0, 0.0]])[0, 1] == expected


def test_local_on_repeated_places_and_a_single_column():
    observed = np.arange(100.0)
    same = LocalConformal(0.8, neighbours=50, space="geographic")
    same.calibrate(observed, np.zeros(100), np.zeros((100, 2)))
    assert np.isfinite(same.interval([1.0], [[0.0, 0.0]])).all()
    by_di = LocalConformal(0.8, neighbours=50, space="feature")
    by_di.calibrate(observed, np.zeros(100), observed[:, None])
    widths = by_di.interval([0, 0], [[5.0], [95.0]])[:, 1]
    assert widths[0] < 50 < widths[1]


def test_local_covers_where_plain_does_not():
    rng = np.random.default_rng(3)
    places = rng.uniform(0, 100_000, (3000, 2))
    noise = rng.normal(0, np.where(places[:, 0] < 50_000, 1, 6))
    fit, new = slice(0, 2000), slice(2000, 3000)
    east = places[new, 0] > 60_000
    plain = Conformal(0.9).calibrate(noise[fit], np.zeros(2000))
    local = LocalConformal(0.9, neighbours=200, space="projected")
    local.calibrate(noise[fit], np.zeros(2000), places[fit])
    covered = {
        "plain": interval_scores(noise[new][east], plain.interval(np.zeros(1000))[east], 0.9),
        "local": interval_scores(
            noise[new][east], local.interval(np.zeros(1000), places[new])[east], 0.9
        ),
    }
    assert covered["plain"]["coverage"] < 0.85
    assert covered["local"]["coverage"] == pytest.approx(0.9, abs=0.03)


# The estimator


def test_estimator_holds_out_calibrates_and_refits():
    X, y = richness(1, 120)
    folds = list(KFold(4, shuffle=True, random_state=0).split(X))
    model = ConformalRegressor(LinearRegression(), folds, Conformal(0.8)).fit(X, y)
    held_out = np.empty(120)
    for train, test in folds:
        held_out[test] = LinearRegression().fit(X[train], y[train]).predict(X[test])
    assert model.held_out_ == pytest.approx(held_out)
    margin = np.sort(np.abs(y - held_out))[int(np.ceil(121 * 0.8)) - 1]
    whole = LinearRegression().fit(X, y).predict(X)
    assert model.predict(X) == pytest.approx(whole)
    assert model.predict_interval(X) == pytest.approx(np.stack([whole - margin, whole + margin], 1))
    assert model.score(X, y) > 0.5
    assert clone(model).get_params()["conformal__level"] == 0.8


def test_estimator_with_spatial_folds_and_places():
    X, y = richness(2, 300)
    lonlat = 10 * X[:, :2]
    folds = list(SpatialBlockKFold(5, size=2.0).split(lonlat))
    forest = RandomForestRegressor(20, random_state=0)
    local = LocalConformal(0.9, neighbours=100)
    model = ConformalRegressor(forest, folds, local).fit(X, y, where=lonlat)
    bounds = model.predict_interval(X, where=lonlat)
    width = bounds[:, 1] - bounds[:, 0]
    assert width[X[:, 0] > 0.7].mean() > 1.5 * width[X[:, 0] < 0.3].mean()


def test_estimator_with_a_quantile_pair_is_cqr():
    X, y = richness(3, 300)
    pair = QuantilePair(
        GradientBoostingRegressor(loss="quantile", alpha=0.1, n_estimators=30, random_state=0),
        GradientBoostingRegressor(loss="quantile", alpha=0.9, n_estimators=30, random_state=0),
    )
    model = ConformalRegressor(pair, KFold(3), Conformal(0.8)).fit(X, y)
    assert model.held_out_.shape == (300, 2)
    new, truth = richness(4, 2000)
    bounds = model.predict_interval(new)
    assert interval_scores(truth, bounds, 0.8)["coverage"] == pytest.approx(0.8, abs=0.05)
    assert model.predict(new) == pytest.approx(model.estimator_.predict(new).mean(axis=1))
    width = bounds[:, 1] - bounds[:, 0]
    assert width[new[:, 0] > 0.7].mean() > 1.5 * width[new[:, 0] < 0.3].mean()


# Agreement with MAPIE


@pytest.mark.parametrize(("level", "n"), [(0.9, 157), (0.8, 101), (0.95, 83)])
def test_split_conformal_is_that_of_mapie(level, n):
    mapie = pytest.importorskip("mapie.regression")
    X, y = richness(5, 100 + n)
    model = LinearRegression().fit(X[:100], y[:100])
    theirs = mapie.SplitConformalRegressor(model, confidence_level=level, prefit=True)
    theirs.conformalize(X[100:], y[100:])
    new = richness(6, 50)[0]
    ours = Conformal(level).calibrate(y[100:], model.predict(X[100:]))
    assert ours.interval(model.predict(new)) == pytest.approx(
        theirs.predict_interval(new)[1][:, :, 0], rel=1e-12
    )


def test_regions_are_mapie_region_by_region():
    mapie = pytest.importorskip("mapie.regression")
    X, y = richness(7, 300)
    model = LinearRegression().fit(X[:100], y[:100])
    region, new = X[100:, 2] > 0.5, richness(8, 60)[0]
    ours = RegionConformal(0.9).calibrate(y[100:], model.predict(X[100:]), region)
    bounds = ours.interval(model.predict(new), new[:, 2] > 0.5)
    for side in (False, True):
        theirs = mapie.SplitConformalRegressor(model, confidence_level=0.9, prefit=True)
        theirs.conformalize(X[100:][region == side], y[100:][region == side])
        rows = (new[:, 2] > 0.5) == side
        expected = theirs.predict_interval(new[rows])[1][:, :, 0]
        assert bounds[rows] == pytest.approx(expected, rel=1e-12)


def test_cqr_is_that_of_mapie():
    mapie = pytest.importorskip("mapie.regression")
    X, y = richness(9, 400)
    fitted = [
        GradientBoostingRegressor(
            loss="quantile", alpha=alpha, n_estimators=30, random_state=0
        ).fit(X[:200], y[:200])
        for alpha in (0.05, 0.95, 0.5)
    ]
    theirs = mapie.ConformalizedQuantileRegressor(fitted, confidence_level=0.9, prefit=True)
    theirs.conformalize(X[200:], y[200:])
    new = richness(10, 50)[0]
    expected = theirs.predict_interval(new, symmetric_correction=True)[1][:, :, 0]
    quantiles = [np.stack([m.predict(rows) for m in fitted[:2]], axis=1) for rows in (X[200:], new)]
    ours = Conformal(0.9).calibrate(y[200:], quantiles[0]).interval(quantiles[1])
    assert ours == pytest.approx(expected, rel=1e-12)


def test_held_out_calibration_is_the_cross_method_of_mapie():
    mapie = pytest.importorskip("mapie.regression")
    X, y = richness(11, 150)
    folds = KFold(5, shuffle=True, random_state=1)
    theirs = mapie.CrossConformalRegressor(
        LinearRegression(), confidence_level=0.9, method="base", cv=folds
    ).fit_conformalize(X, y)
    new = richness(12, 40)[0]
    ours = ConformalRegressor(LinearRegression(), folds).fit(X, y)
    expected = theirs.predict_interval(new)[1][:, :, 0]
    assert ours.predict_interval(new) == pytest.approx(expected, rel=1e-12)


def test_parity_would_break_without_the_finite_sample_rank():
    scores = np.random.default_rng(0).normal(size=157)
    assert conformal_quantile(scores, 0.9) != np.quantile(scores, 0.9, method="higher")


# Bad input


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (Conformal(0.9), ([1.0] * 8, [0.0] * 8), r"8 calibration plot\(s\), .* at least 9"),
        (Conformal(0.95), ([1.0] * 18, [0.0] * 18), "at least 19"),
        (Conformal(1.0), ([1.0], [0.0]), "coverage 1.0 must lie between 0 and 1"),
        (Conformal(0), ([1.0], [0.0]), "coverage 0 must lie"),
        (Conformal(90), ([1.0], [0.0]), "coverage 90 must lie"),
        (Conformal(), ([1.0, np.nan], [0.0, 0]), "observed values hold 1 NaN"),
        (Conformal(), (ZEROS, ZEROS[:5]), "predicted values have 5 rows where 19"),
        (Conformal(), (ZEROS, np.zeros((5, 2))), "predicted values have 5 rows where 19"),
        (Conformal(), (ZEROS, ZEROS, None, ZEROS), "scale 0 must be above 0"),
        (RegionConformal(), (ZEROS, ZEROS), "regional intervals need `where`"),
        (RegionConformal(), (ZEROS, ZEROS, ["a"]), "regions have 1 rows where 19"),
        (
            RegionConformal(),
            (ZEROS, ZEROS, ["a"] * 15 + ["b"] * 4),
            r"region b has 4 calibration plot\(s\), too few for coverage 0.9; use at least 9",
        ),
        (LocalConformal(), (ZEROS, ZEROS), "local intervals need `where`"),
        (LocalConformal(), (ZEROS, ZEROS, np.zeros((19, 2))), "use at least 67 of both"),
        (LocalConformal(neighbours=20), (np.zeros(90), np.zeros(90), np.zeros((90, 2))), "67"),
        (LocalConformal(), (ZEROS, ZEROS, np.zeros((4, 2))), "coordinates have 4 rows where 19"),
    ],
)
def test_bad_input_is_one_sentence(kind, arguments, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        kind.calibrate(*arguments)


def test_unknown_regions_are_refused():
    known = RegionConformal().calibrate(ZEROS, ZEROS, ["a"] * 19)
    with pytest.raises(EvaluationError, match="region z has no calibration plots"):
        known.interval([1.0, 2], ["a", "z"])
