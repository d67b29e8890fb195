"""The Gaussian process as a regressor: known fields, transforms, gaps, areas, order of rows."""

import numpy as np
import pytest

from spatioformer.models.baselines import GaussianProcess, random_forest
from spatioformer.models.baselines.gaussian import groups, posterior
from spatioformer.models.baselines.gaussian import process as module
from spatioformer.models.baselines.gaussian.choice import FEWEST, Trial, best_of, candidates
from spatioformer.models.baselines.gaussian.kernel import (
    JITTER,
    Hyperparameters,
    Inputs,
    covariance,
)
from spatioformer.models.baselines.gaussian.response import TRANSFORMS
from spatioformer.models.baselines.order import canonical_order
from tests.models.baselines.gaussian.plots import counts, table, towns
from tests.models.baselines.gaussian.test_likelihood import columns_of, oracle


def r2(predicted: np.ndarray, y: np.ndarray) -> float:
    return 1 - float(np.mean((predicted - y) ** 2) / np.var(y))


def test_prediction_is_scikit_learns():
    X, y = table(80)
    other = table(30, seed=1)[0]
    ours = GaussianProcess().fit(X, y)
    found = Hyperparameters(ours.found_, 2)
    seen, new = (columns_of(ours._standardised(part), found) for part in (X, other))
    theirs = oracle(found).fit(seen, (y - y.mean()) / y.std())
    expected = y.mean() + y.std() * theirs.predict(new)
    np.testing.assert_allclose(ours.predict(other), expected.clip(y.min(), y.max()), rtol=1e-9)


def test_a_transformed_prediction_is_scikit_learns_posterior():
    """Square root of counts: mean^2 + variance - 3/8 of a process of place and features."""
    X, y = counts(70)
    other = counts(30, seed=1)[0]
    ours = GaussianProcess(effort=0).fit(X, y)
    assert ours.transform_ != "none"
    ours._set_transform("square-root", y)
    order = canonical_order(X, y)
    inputs = ours._standardised(X[order])
    fitted = ours._solved(inputs, ours._target(y[order]))
    ours.weights_, ours.reduction_ = fitted.weights, fitted.reduction
    found = ours._hyperparameters
    seen, new = columns_of(inputs, found), columns_of(ours._standardised(other), found)
    roots = np.sqrt(y + 3 / 8)
    theirs = oracle(found).fit(seen, (roots[order] - roots.mean()) / roots.std())
    mean, sd = theirs.predict(new, return_std=True)  # without noise at the new places
    mean = np.clip(roots.mean() + roots.std() * mean, roots.min(), roots.max())
    variance = roots.var() * np.minimum(sd**2, 1)
    expected = np.clip(mean**2 + variance - 3 / 8, y.min(), y.max())
    np.testing.assert_allclose(ours.predict(other), expected, rtol=1e-6)


def test_a_response_that_changes_with_place_needs_the_product():
    """What no forest of 300 plots learns, nor the process once its product is taken away."""
    X, y = table(400)
    train, test = np.arange(400) < 300, np.arange(400) >= 300
    model = GaussianProcess().fit(X[train], y[train])
    assert r2(model.predict(X[test]), y[test]) > 0.8
    forest = random_forest(0).set_params(n_estimators=50).fit(X[train], y[train])
    assert r2(forest.predict(X[test]), y[test]) < 0.7
    model.found_[2] = -20.0
    order = canonical_order(X[train], y[train])
    fitted = model._solved(model._standardised(X[train][order]), model._target(y[train][order]))
    model.weights_ = fitted.weights
    assert r2(model.predict(X[test]), y[test]) < 0.5


@pytest.mark.slow
def test_what_neighbours_share_is_learned_from_many_plots(monkeypatch):
    """A search that starts at a long range alone ends there, with noise in place of the field."""
    X, y = towns(1500, seed=1)
    short = GaussianProcess(counts=False).fit(X[:1200], y[:1200])
    monkeypatch.setattr(module, "_starts", lambda start, places: [start])
    long = GaussianProcess(counts=False).fit(X[:1200], y[:1200])
    ranges, noise = ([np.exp(model.found_[place]) for model in (short, long)] for place in (4, 3))
    assert ranges[0] == pytest.approx(0.014, rel=0.5)
    assert ranges[1] > 0.5
    assert noise[0] < 0.6 * noise[1]
    error, other = (np.mean((model.predict(X[1200:]) - y[1200:]) ** 2) for model in (short, long))
    assert error < 0.98 * other


@pytest.mark.parametrize("many", [False, True])
def test_the_order_of_rows_changes_no_digit(many, monkeypatch):
    """Also with groups, inducing plots, plots that coincide, and gaps."""
    if many:
        monkeypatch.setattr(groups, "WHOLE", 60)
        monkeypatch.setattr(groups, "GROUP", 30)
        monkeypatch.setattr(groups, "CLUSTER", 6)
        monkeypatch.setattr(groups, "SAMPLE", 40)
    X, y = counts(120)
    X[::5, 1], X[1::9] = np.nan, X[2::9][: len(X[1::9])]
    new = counts(40, seed=1)[0]
    inducing = 50 if many else 4000
    expected = GaussianProcess(inducing=inducing, effort=0).fit(X, y).predict(new)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(120)
        model = GaussianProcess(inducing=inducing, effort=0).fit(X[order], y[order])
        np.testing.assert_array_equal(model.predict(new), expected)


def test_groups_are_about_as_good_as_all_plots(monkeypatch):
    monkeypatch.setattr(groups, "WHOLE", 200)
    monkeypatch.setattr(groups, "GROUP", 100)
    monkeypatch.setattr(groups, "CLUSTER", 10)
    monkeypatch.setattr(groups, "SAMPLE", 100)
    X, y = table(400)
    train, test = slice(0, 250), slice(250, None)
    some = GaussianProcess().fit(X[train], y[train])
    again = GaussianProcess(seed=1).fit(X[train], y[train])
    np.testing.assert_array_equal(again.found_, some.found_)
    monkeypatch.undo()
    whole = GaussianProcess().fit(X[train], y[train])
    assert not np.array_equal(whole.found_, some.found_)
    difference = r2(some.predict(X[test]), y[test]) - r2(whole.predict(X[test]), y[test])
    assert abs(difference) < 0.02


# --- the response ---------------------------------------------------------------------------------


def test_counts_of_even_relative_noise_are_transformed(monkeypatch):
    """And the mean is not biased on the way back, as it would be without the variance."""
    X, y = counts(400)
    known, new = slice(0, 200), slice(200, None)
    assert GaussianProcess(effort=0).fit(X[known], y[known]).transform_ != "none"
    monkeypatch.setattr(module, "best_of", lambda trials: "logarithm")
    model = GaussianProcess(effort=0).fit(X[known], y[known])
    predicted = model.predict(X[new])
    assert r2(predicted, y[new]) > 0.8
    shift = np.mean(y[new] - predicted) / np.mean(y[new])
    assert abs(shift) < 0.04


def test_even_noise_and_other_targets_stay_as_they_are():
    X, y = table(200)
    assert GaussianProcess().fit(X, np.rint(y).clip(0)).transform_ == "none"
    areas, numbers = counts(150)
    assert GaussianProcess(effort=0).fit(areas, numbers).transform_ != "none"
    assert GaussianProcess(effort=0, counts=False).fit(areas, numbers).transform_ == "none"
    assert candidates(y) == ["none"]  # continuous
    assert candidates(np.array([0.5, 0.2] * 20)) == ["none"]  # a proportion
    assert candidates(np.arange(-3.0, 30)) == ["none"]  # below zero
    assert candidates(np.arange(FEWEST - 1.0)) == ["none"]  # few
    assert candidates(np.arange(30.0)) == ["none", "square-root", "logarithm"]


def test_the_best_log_score_is_chosen_unless_it_misses_the_mean():
    found = Hyperparameters.usual(1)
    none, better, slightly = (Trial(s, 1.0, found) for s in (-5.0, -4.0, -4.95))
    exploding = Trial(-3.0, 1.3, found)
    assert best_of({"none": none, "square-root": slightly}) == "none"
    assert best_of({"none": none, "square-root": better}) == "square-root"
    trials = {"none": none, "square-root": better, "logarithm": exploding}
    assert best_of(trials) == "square-root"
    for error, chosen in ((0.99, "logarithm"), (1.01, "square-root")):
        trials["logarithm"] = Trial(-3.0, error, found)
        assert best_of(trials) == chosen
    far = Trial(-5.0, 2.0, found)
    assert best_of({"none": far, "square-root": Trial(-4.99, 1.0, found)}) == "square-root"


@pytest.mark.parametrize("name", list(TRANSFORMS))
def test_means_and_slopes_of_transforms(name):
    """By simulation and by differences; without variance the mean is the inverse."""
    transform, y = TRANSFORMS[name], np.array([0.0, 1, 7, 300])
    np.testing.assert_allclose(transform.mean(transform.forward(y), np.zeros(4)), y, atol=1e-9)
    step = 1e-6
    slope = (transform.forward(y + step) - transform.forward(y - step)) / (2 * step)
    np.testing.assert_allclose(transform.log_slope(y), np.log(slope), atol=1e-6)
    draws = 2.0 + 0.3 * np.random.default_rng(0).normal(size=400_000)
    inverse = {"none": draws, "square-root": draws**2 - 3 / 8, "logarithm": np.expm1(draws)}[name]
    expected = transform.mean(np.array(2.0), np.array(0.09))
    assert expected == pytest.approx(inverse.mean(), rel=1e-3)


def test_far_from_all_plots_it_predicts_the_mean():
    X, y = table(60)
    far = X[:5].copy()
    far[:, :2] += 1e4
    far[:, 2:] = [-60.0, 60.0]
    model = GaussianProcess().fit(X, y)
    model.found_[4:6] = np.log(0.05)
    np.testing.assert_allclose(model.predict(far), y.mean(), atol=1e-6)


def test_predictions_stay_between_the_least_and_the_largest_count():
    """Also at areas a million times larger, where the line of species and area goes on."""
    X, y = counts(150)
    for targets in (y, np.where(y < 20, 0, y)):
        model = GaussianProcess(effort=0).fit(X, targets)
        far = X.copy()
        far[:, 0] += np.linspace(-6, 6, 150)
        far[:, 2:] *= np.linspace(1, 9, 150)[:, None]
        predicted = model.predict(far)
        assert targets.min() <= predicted.min() <= predicted.max() <= targets.max()


# --- areas and gaps -------------------------------------------------------------------------------


def test_species_and_area_are_learned_beyond_the_features():
    """Of plots of 100 to 10,000 m2, those up to 100,000 m2 are predicted by the area's own term."""
    X, y = counts(250)
    y = np.rint(y * np.exp(-0.5 * X[:, 1]))  # area alone
    small = X[:, 0] < 4
    bound = y.max()
    predicted = {}
    for effort in (None, 0):
        model = GaussianProcess(effort=effort).fit(X[small], y[small])
        model.limits_ = np.array([0.0, bound])  # without the bound
        predicted[effort] = np.mean(np.abs(model.predict(X[~small]) - y[~small]))
    assert predicted[0] < 0.85 * predicted[None]
    constant = X.copy()
    constant[:, 0] = 2.0
    model = GaussianProcess(effort=0).fit(constant, y)
    assert model.area_ is None
    assert model.effort_ is None


def test_an_unknown_feature_is_the_mean_of_the_known_ones_and_says_so():
    X, y = table(80)
    holes = np.random.default_rng(1).random((80, 2)) < 0.3
    gaps, filled = X.copy(), X.copy()
    gaps[:, :2][holes] = np.nan
    known = np.nanmean(gaps[:, :2], axis=0)
    filled[:, :2] = np.where(holes, known, X[:, :2])
    process = GaussianProcess().fit(gaps, y)
    np.testing.assert_allclose(process.centre_, known, rtol=1e-12)
    np.testing.assert_allclose(process.scale_, np.nanstd(gaps[:, :2], axis=0), rtol=1e-12)
    inputs = process._standardised(gaps)
    np.testing.assert_array_equal(inputs.features[:, 2:], holes)
    expected = (filled[:, :2] - known) / process.scale_
    np.testing.assert_allclose(inputs.features[:, :2], expected, atol=1e-12)
    nothing = gaps.copy()
    nothing[:, 1] = np.nan
    alone = GaussianProcess().fit(nothing, y).predict(nothing)
    assert np.isfinite(alone).all()
    assert np.corrcoef(alone, y)[0, 1] > 0.8


def test_gaps_that_mean_something_are_learned():
    """Where the first feature is missing, richness is higher; the mean alone hides it."""
    rng = np.random.default_rng(0)
    X, _ = table(300)
    missing = rng.random(300) < 0.4
    y = 20 + 10 * missing + 0.5 * rng.normal(size=300)
    X[missing, 0] = np.nan
    model = GaussianProcess().fit(X[:200], y[:200])
    assert r2(model.predict(X[200:]), y[200:]) > 0.9
    model = GaussianProcess().fit(X[~missing], y[~missing])  # no gap in training is no error
    assert model.predict(X[missing]).max() < 22


def test_equal_gaps_share_an_indicator():
    """And a column of 0 and 1 that says where they are needs none."""
    X, y = table(60)
    gaps = np.arange(60) % 3 == 0
    X[gaps, :2] = np.nan
    assert GaussianProcess().fit(X, y).indicated_.tolist() == [0]
    with_column = np.column_stack([gaps, X])
    assert GaussianProcess().fit(with_column, y).indicated_.tolist() == []


# --- many plots, odd plots ------------------------------------------------------------------------


def test_many_plots_teach_through_some():
    """Inducing all but one plot differs little from all; a third is better than a third alone."""
    X, y = table(150)
    new, truth = table(200, seed=1)
    exact = GaussianProcess().fit(X, y)
    error = {}
    for count in (149, 50):
        some = GaussianProcess(inducing=count).fit(X, y)
        np.testing.assert_array_equal(some.found_, exact.found_)
        assert len(some.weights_) == count
        error[count] = np.abs(some.predict(new) - exact.predict(new)).max() / y.std()
    assert error[149] < 0.05 < error[50]
    few = GaussianProcess().fit(X[:50], y[:50])
    assert np.mean((some.predict(new) - truth) ** 2) < np.mean((few.predict(new) - truth) ** 2)


def test_inducing_weights_are_the_equations():
    """(K_mn K_nm + noise K_mm)^-1 K_mn y: Rasmussen & Williams 2006, eq. 8.14."""
    X, y = table(50)
    model = GaussianProcess(inducing=12).fit(X, y)
    seen, known = model._standardised(X), Inputs(model.features_, model.places_)
    found = model._hyperparameters
    own = covariance(known, known, found) + JITTER * np.eye(12)
    shared = covariance(known, seen, found)
    target = (y - y.mean()) / y.std()
    expected = np.linalg.solve(shared @ shared.T + found.noise * own, shared @ target)
    np.testing.assert_allclose(model.weights_, expected, rtol=1e-6)


def test_chunks_change_nothing(monkeypatch):
    X, y = counts(90)
    whole = [GaussianProcess(inducing=n, effort=0).fit(X, y) for n in (30, 90)]
    monkeypatch.setattr(module, "CHUNK", 7 * 30)
    monkeypatch.setattr(posterior, "BLOCK", 7 * 30)
    for model in whole:
        again = GaussianProcess(inducing=model.inducing, effort=0).fit(X, y)
        np.testing.assert_allclose(again.predict(X), model.predict(X), rtol=1e-7)


def test_plots_that_coincide_columns_that_are_constant_and_one_plot():
    X, y = table(30)
    X = np.hstack([np.ones((30, 1)), X])
    X, y = np.vstack([X, X[:5]]), np.append(y, y[:5] + 2)
    assert np.isfinite(GaussianProcess().fit(X, y).predict(X)).all()
    alone = GaussianProcess().fit(X[:1], y[:1])
    np.testing.assert_array_equal(alone.predict(X[:3]), np.full(3, y[0]))
    twice = GaussianProcess().fit(np.repeat(X[:1], 40, axis=0), np.arange(40.0))
    assert twice.predict(X[:1]) == pytest.approx(19.5, abs=0.5)


def test_units_and_the_seam_of_longitude_do_not_matter():
    X, y = table(60)
    X[:, 2] += 45  # 165 to 195 degrees
    expected = GaussianProcess().fit(X, y).predict(X)
    other = X * [1000, 1, 1, 1] + [5, 0, 0, 0]
    other[:, 2] = np.where(X[:, 2] > 180, X[:, 2] - 360, X[:, 2])
    np.testing.assert_allclose(GaussianProcess().fit(other, y).predict(other), expected, rtol=1e-4)


def test_without_features_places_are_enough():
    X, y = counts(80)
    y = np.rint(20 + 10 * np.sin(X[:, 2]))
    assert r2(GaussianProcess().fit(X[:60, 2:], y[:60]).predict(X[60:, 2:]), y[60:]) > 0.7
