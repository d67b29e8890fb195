"""The stack in closed form, and trees that leave out blocks."""

import numpy as np
import pytest

from spatioformer.common.errors import EvaluationError
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.baselines.bank import PRIOR, PROCESSES, ProcessBank, to_nearest_outside
from spatioformer.models.baselines.block_trees import BlockTrees, left_out
from spatioformer.models.baselines.gaussian.kernel import TERMS
from spatioformer.models.stacking import to_nearest
from tests.models.baselines.gaussian.plots import counts, table


@pytest.fixture(scope="module")
def fitted() -> tuple[ProcessBank, np.ndarray, np.ndarray]:
    X, y = counts(160)
    return ProcessBank(effort=0).fit(X[:110], y[:110]), X, y


def test_members_lack_the_fields_that_they_should(fitted):
    bank, _, _ = fitted
    for process, changes in zip(bank.estimators_, PROCESSES.values(), strict=True):
        variances = process._hyperparameters.variances
        absent = [name in changes.get("without", ()) for name in TERMS]
        np.testing.assert_array_equal(variances < 1e-9, absent)
        assert process.transform_ == bank.estimators_[0].transform_
    smooth = bank.estimators_[-1]._hyperparameters
    np.testing.assert_allclose(smooth.ranges, 2 * 0.5)


def test_weights_are_convex_and_near_the_prior_with_few_plots(fitted):
    bank, X, y = fitted
    np.testing.assert_allclose(bank.weights_.sum(axis=1), 1)
    assert bank.weights_.min() >= 0
    assert sum(PRIOR.values()) == pytest.approx(1)
    few = ProcessBank(effort=0).fit(X[:12], y[:12])
    assert (
        np.abs(few.weights_ - list(PRIOR.values())).max()
        < np.abs(bank.weights_ - list(PRIOR.values())).max()
    )


def test_it_is_about_as_good_as_its_best_member(fitted):
    bank, X, y = fitted
    errors = [
        np.mean((member.predict(X[110:]) - y[110:]) ** 2)
        for member in (*bank.estimators_, bank.trees_)
    ]
    own = np.mean((bank.predict(X[110:]) - y[110:]) ** 2)
    assert own < 1.2 * min(errors) < 0.5 * max(errors)
    assert y[:110].min() <= bank.predict(X).min()
    assert bank.predict(X).max() <= y[:110].max()


def test_left_out_predictions_have_the_errors_of_new_plots(fitted):
    bank, X, y = fitted
    assert len(bank.left_out_) == 110
    order = np.lexsort([y[:110], *X[:110].T])
    left = np.mean((bank.left_out_ - y[:110][order]) ** 2)
    fresh = np.mean((bank.predict(X[110:]) - y[110:]) ** 2)
    fitted_error = np.mean((bank.predict(X[:110]) - y[:110]) ** 2)
    assert fitted_error < 0.8 * left
    assert 0.4 < left / fresh < 2.5


def test_the_order_of_rows_changes_no_digit(fitted):
    bank, X, y = fitted
    order = np.random.default_rng(0).permutation(110)
    again = ProcessBank(effort=0).fit(X[order], y[order])
    np.testing.assert_array_equal(again.predict(X[110:]), bank.predict(X[110:]))


def test_all_plots_at_one_place_are_refused():
    X, y = counts(30)
    X[:, 2:] = 3.0
    with pytest.raises(EvaluationError):
        ProcessBank(effort=0).fit(X, y)


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
