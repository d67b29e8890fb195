"""The stack in closed form, and trees that leave out blocks."""

from copy import copy
from itertools import pairwise

import numpy as np
import pytest
from sklearn.base import clone

from spatioformer.common.errors import EvaluationError
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.baselines import closed_form as module
from spatioformer.models.baselines.areas_left_out import (
    CLUSTER,
    REGIONS,
    areas,
    sample,
    to_nearest_outside,
)
from spatioformer.models.baselines.block_trees import BlockTrees, left_out
from spatioformer.models.baselines.closed_form import PRIOR, PROCESSES, ClosedFormStack
from spatioformer.models.baselines.gaussian import groups
from spatioformer.models.baselines.gaussian.kernel import TERMS
from spatioformer.models.skops_file import canonical
from spatioformer.models.stacking import Reach, convex_weights, to_nearest
from tests.models.baselines.gaussian.plots import counts, table


@pytest.fixture(scope="module")
def fitted() -> tuple[ClosedFormStack, np.ndarray, np.ndarray]:
    X, y = counts(160)
    return ClosedFormStack(effort=0).fit(X[:110], y[:110]), X, y


def test_members_lack_the_fields_that_they_should(fitted):
    stack, _, _ = fitted
    for process, changes in zip(stack.processes_, PROCESSES.values(), strict=True):
        variances = process._hyperparameters.variances
        absent = [name in changes.get("without", ()) for name in TERMS]
        np.testing.assert_array_equal(variances < 1e-9, absent)
        assert process.transform_ == stack.processes_[0].transform_


def test_a_process_that_is_fitted_already_changes_nothing(fitted, monkeypatch):
    stack, X, y = fitted
    process = GaussianProcess(seed=3, effort=0).fit(X[:110], y[:110])
    monkeypatch.setattr(GaussianProcess, "fit", None)  # would fail
    shared = ClosedFormStack(effort=0).fit(X[:110], y[:110], process)
    assert canonical(shared.processes_) == canonical(stack.processes_)
    np.testing.assert_array_equal(shared.weights_, stack.weights_)
    assert process.seed == 3
    np.testing.assert_array_equal(shared.predict(X), stack.predict(X))


def test_weights_are_convex_and_near_the_prior_with_few_plots(fitted):
    stack, X, y = fitted
    np.testing.assert_allclose(stack.weights_.sum(axis=1), 1)
    assert stack.weights_.min() >= 0
    assert sum(PRIOR.values()) == pytest.approx(1)
    few = ClosedFormStack(effort=0).fit(X[:12], y[:12])
    assert (
        np.abs(few.weights_ - list(PRIOR.values())).max()
        < np.abs(stack.weights_ - list(PRIOR.values())).max()
    )


def test_it_is_about_as_good_as_its_best_member(fitted):
    stack, X, y = fitted
    errors = [
        np.mean((member.predict(X[110:]) - y[110:]) ** 2)
        for member in (*stack.processes_, *stack.trees_)
    ]
    own = np.mean((stack.predict(X[110:]) - y[110:]) ** 2)
    assert own < 1.2 * min(errors) < 0.5 * max(errors)
    assert y[:110].min() <= stack.predict(X).min()
    assert stack.predict(X).max() <= y[:110].max()


def test_left_out_predictions_have_the_errors_of_new_plots(fitted):
    stack, X, y = fitted
    assert (110, 4) == stack.left_out_.shape == stack.distances_.shape
    np.testing.assert_allclose(stack.residuals_, stack.left_out_ - y[stack.rows_, None])
    left = np.mean(stack.residuals_[:, 0] ** 2)
    fresh = np.mean((stack.predict(X[110:]) - y[110:]) ** 2)
    fitted_error = np.mean((stack.predict(X[:110]) - y[:110]) ** 2)
    assert fitted_error < 0.8 * left
    assert 0.4 < left / fresh < 2.5


def test_its_residuals_give_intervals():
    """90 % of fresh plots lie within the 90 % quantile of the residuals of single sites."""
    held = []
    for seed in range(3):
        X, y = counts(200, seed=seed)
        stack = ClosedFormStack(effort=0).fit(X[:100], y[:100])
        half = np.quantile(np.abs(stack.residuals_[:, 0]), 0.9)
        held.append(np.mean(np.abs(stack.predict(X[100:]) - y[100:]) <= half))
    assert 0.84 < np.mean(held) < 0.96


def test_with_many_plots_a_sample_is_left_out(monkeypatch):
    monkeypatch.setattr(module, "MOST", 100)
    monkeypatch.setattr(module, "SAMPLED", 60)
    X, y = counts(160)
    stack = ClosedFormStack(effort=0).fit(X[:110], y[:110])
    assert len(stack.rows_) == len(stack.residuals_) == 60
    assert len(stack.trees_) == 1
    assert np.mean((stack.predict(X[110:]) - y[110:]) ** 2) < 0.7 * np.var(y[110:])


def test_small_members_have_fewer_inducing_plots_with_many_plots(monkeypatch):
    """And as many as the whole process has where that one is exact."""
    monkeypatch.setattr(module, "LIGHT", 40)
    few = {name: settings | {"trees": 4} for name, settings in module.FORESTS.items()}
    monkeypatch.setattr(module, "FORESTS", few)
    X, y = counts(110)
    exact = ClosedFormStack(effort=0).fit(X, y)
    assert [len(each.weights_) for each in exact.processes_] == [110, 110, 110]
    whole = GaussianProcess(inducing=90, effort=0).fit(X, y)
    stack = ClosedFormStack(effort=0).fit(X, y, whole)
    assert [len(each.weights_) for each in stack.processes_] == [90, 40, 40]
    apart = stack.predict(X) - exact.predict(X)
    assert 0 < np.abs(apart).mean() < 0.2 * y.std()


def test_the_order_of_rows_changes_no_digit(fitted):
    stack, X, y = fitted
    order = np.random.default_rng(0).permutation(110)
    again = ClosedFormStack(effort=0).fit(X[order], y[order])
    np.testing.assert_array_equal(again.predict(X[110:]), stack.predict(X[110:]))


def test_all_plots_at_one_place_are_refused():
    X, y = counts(30)
    X[:, 2:] = 3.0
    with pytest.raises(EvaluationError):
        ClosedFormStack(effort=0).fit(X, y)


def test_a_process_with_a_field_left_out_is_not_the_whole():
    X, y = table(120)
    whole = GaussianProcess().fit(X, y)
    place = GaussianProcess(without=("response", "local response")).fit_like(whole, X, y)
    moved = X.copy()
    moved[:, :2] += 1.0
    np.testing.assert_allclose(place.predict(moved), place.predict(X), rtol=1e-8)
    assert np.abs(whole.predict(moved) - whole.predict(X)).max() > 1


def test_distances_to_plots_of_other_units_are_those_of_a_search():
    rng = np.random.default_rng(0)
    places, unit = rng.uniform(0, 5, (200, 2)), rng.integers(0, 3, 200)
    places[:60] = places[0] + rng.normal(size=(60, 2)) * 1e-3
    unit[:60] = 3  # its plots have no other unit among their 16 nearest
    expected = [to_nearest(places[[i]], places[unit != unit[i]])[0] for i in range(200)]
    np.testing.assert_allclose(to_nearest_outside(places, unit), expected, rtol=1e-9)


def test_trees_predict_blocks_that_they_have_not_seen():
    """In blocks of equal richness, a tree that saw a plot's block knows it, and others cannot."""
    rng = np.random.default_rng(0)
    block = np.repeat(np.arange(20), 10)
    X, y = block[:, None] + 0.1 * rng.random((200, 1)), rng.normal(size=20)[block]
    trees = BlockTrees(trees=60, leaf=1).fit(X, y, block)
    assert np.mean((trees.predict(X) - y) ** 2) < 0.2 * np.var(y)
    assert np.mean((trees.left_out_ - y) ** 2) > 0.8 * np.var(y)
    alone = BlockTrees(trees=60, leaf=1).fit(X, y)
    assert np.mean((alone.left_out_ - y) ** 2) < 0.01 * np.var(y)
    gaps = X.copy()
    gaps[::7] = np.nan
    assert np.isfinite(BlockTrees(trees=5).fit(gaps, y, block).predict(gaps)).all()


@pytest.mark.parametrize(("count", "share"), [(2, 1), (5, 1), (20, 4), (1, 0)])
def test_some_blocks_are_left_out_and_never_all(count, share):
    assert left_out(count, np.random.default_rng(0)).sum() == share


def test_areas_are_nested_and_grow():
    places = np.random.default_rng(0).uniform(0, 10, (400, 2))
    places[:40] = places[40:80]
    divisions = areas(places)
    counts = [division.max() + 1 for division in divisions]
    assert counts == sorted(counts, reverse=True)
    assert (counts[0], counts[-1]) == (360, REGIONS)
    for small, large in pairwise(divisions[:3]):
        assert all(len(np.unique(large[small == area])) == 1 for area in range(small.max() + 1))


def test_a_sample_consists_of_clusters():
    places = np.random.default_rng(0).uniform(0, 10, (2000, 2))
    rows = sample(places, 200)
    assert len(np.unique(rows)) == 200
    nearest = [np.sort(np.hypot(*(places[rows] - place).T))[1] for place in places[rows]]
    thinned = [np.sort(np.hypot(*(places[::10] - place).T))[1] for place in places[::10]]
    assert np.median(nearest) < 0.6 * np.median(thinned)
    assert CLUSTER < 200
    np.testing.assert_array_equal(sample(places[:150], 200), np.arange(150))


@pytest.mark.parametrize("model", [GaussianProcess(effort=0), ClosedFormStack(effort=0)])
def test_orders_of_rows_give_one_score(model, monkeypatch):
    """With gaps, duplicates and more plots than one likelihood group."""
    monkeypatch.setattr(groups, "WHOLE", 60)
    monkeypatch.setattr(groups, "GROUP", 40)
    X, y = counts(200)
    X[::9, 1] = np.nan
    X[110:135], y[110:135] = X[:25], y[:25]
    scores = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(140)
        predictions = clone(model).fit(X[order], y[order]).predict(X[140:])
        assert np.isfinite(predictions).all()
        scores.append(1 - np.mean((predictions - y[140:]) ** 2) / np.var(y[140:]))
    assert min(scores) > 0.3
    assert np.ptp(scores) < 0.005


def test_far_from_all_plots_it_stays_between_the_smallest_and_the_largest_count(fitted):
    stack, X, y = fitted
    far = X[:20].copy()
    far[:, :2] *= 50
    far[:, 2:] += 60
    predictions = stack.predict(far)
    assert predictions.min() >= y[:110].min() >= 0
    assert predictions.max() <= y[:110].max()


def test_the_noise_of_few_trees_does_not_count():
    """Two members of equal skill, of which one is blurred only while it is weighed."""
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(4000, 2))
    blurred = errors + np.array([0.0, 1.0]) * rng.normal(size=(4000, 2))
    half, far = np.array([0.5, 0.5]), rng.random(4000)
    raw = convex_weights(blurred, far, half, 0.0)
    np.testing.assert_allclose(raw[:, 1], 1 / 3, atol=0.06)
    mended = convex_weights(blurred, far, half, 0.0, np.tile([0.0, 1.0], (4000, 1)))
    np.testing.assert_allclose(mended, 0.5, atol=0.08)
    same = convex_weights(errors, far, half, 0.0, np.zeros((4000, 2)))
    np.testing.assert_allclose(same, convex_weights(errors, far, half, 0.0), atol=1e-6)


def test_a_forest_of_best_splits_gets_the_weight_where_thresholds_rule():
    rng = np.random.default_rng(0)
    X = np.hstack([rng.normal(size=(200, 4)), rng.uniform([140, -30], [150, -20], (200, 2))])
    y = np.where(X[:, 0] > 0.2, 60.0, np.where(X[:, 1] > 0, 25.0, 8.0))
    weights = ClosedFormStack().fit(X, y).weights_
    assert weights[:, list(PRIOR).index("forest")].mean() > 2 * PRIOR["forest"]


def test_a_stack_without_the_last_member_still_predicts(fitted):
    """Files of before have no forest of best splits, and no weights for it."""
    stack, X, _ = fitted
    former = copy(stack)
    del former.forest_
    former.weights_ = stack.weights_[:, :-1]
    left = stack.predict(X) - combine_last(stack, X)
    np.testing.assert_allclose(former.predict(X), left, atol=1e-9)


def combine_last(stack: ClosedFormStack, X: np.ndarray) -> np.ndarray:
    """What the last member adds to the predictions (n,) of a stack."""
    share = Reach(*stack.reach_).share(to_nearest(X[:, -2:], stack.places_))
    near, far = stack.weights_[:, -1]
    return stack._member("forest", X) * ((1 - share) * near + share * far)
