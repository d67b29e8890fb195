"""Trees that leave out blocks: what they must not see, and errors of few trees."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from spatioformer.models.baselines.block_trees import BlockTrees, Growth, Votes, left_out


def plots(n: int = 120) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features, target and block of plots, 10 a block."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3))
    return X, 5 * X[:, 0] + rng.normal(size=n), np.arange(n) // 10


def test_a_prediction_left_out_sees_nothing_of_its_block():
    X, y, block = plots()
    before = BlockTrees(trees=40, leaf=1).fit(X, y, block)
    changed = np.where(block == 4, y + 1000, y)
    after = BlockTrees(trees=40, leaf=1).fit(X, changed, block)
    # Splits of trees that left the block out are the same, so their predictions are too.
    np.testing.assert_array_equal(after.left_out_[block == 4], before.left_out_[block == 4])
    assert (after.left_out_[block != 4] > before.left_out_[block != 4] + 10).any()
    assert after.predict(X[block == 4]).min() > 100


def test_predictions_left_out_are_those_of_a_forest():
    X, y, block = plots()
    model = BlockTrees(trees=100, leaf=2).fit(X, y, block)
    held_out = np.empty(len(y))
    for number in range(12):
        out = block == number
        held_out[out] = BlockTrees(trees=100, leaf=2).fit(X[~out], y[~out]).predict(X[out])
    assert np.corrcoef(model.left_out_, held_out)[0, 1] > 0.97
    assert np.mean((model.predict(X) - y) ** 2) < np.mean((model.left_out_ - y) ** 2) / 2


def test_gaps_and_single_blocks():
    X, y, block = plots()
    gaps = X.copy()
    gaps[::3, 1] = np.nan
    assert np.isfinite(BlockTrees(trees=5).fit(gaps, y, block).predict(gaps)).all()
    alone = BlockTrees(trees=5).fit(X, y, np.zeros(len(y)))
    np.testing.assert_array_equal(alone.left_out_, y.mean())


@pytest.mark.parametrize(("count", "share"), [(1, 0), (2, 1), (4, 1), (10, 2), (101, 20)])
def test_a_fifth_of_the_blocks_is_left_out(count, share):
    assert left_out(count, np.random.default_rng(0)).sum() == share


def test_a_missing_target_is_an_error():
    X = np.random.default_rng(0).normal(size=(30, 3))
    y = np.where(np.arange(30) == 7, np.nan, X[:, 0])
    with pytest.raises(ValueError, match="NaN"):
        BlockTrees(trees=2).fit(X, y, np.arange(30) // 5)


@pytest.mark.parametrize("kind", [DecisionTreeRegressor, ExtraTreeRegressor])
def test_plots_of_weight_zero_are_no_samples(kind):
    """A tree with weights is the tree of the other plots alone."""
    X, y, _ = plots()
    X = X.astype(np.float32)
    out = np.arange(len(y)) % 3 == 0
    (tree,) = Growth(kind, 3, 1.0).trees(X, y, [out], Votes.none(len(y)), 7)
    alone = kind(min_samples_leaf=3, random_state=tree.random_state).fit(X[~out], y[~out])
    np.testing.assert_allclose(tree.predict(X), alone.predict(X), rtol=1e-12)


def test_the_error_of_few_trees_is_that_of_many():
    """Trees scatter by 3 around 2 with a target of 1: the error is 1, not 1 + 9/k."""
    rng = np.random.default_rng(0)
    n = 20_000
    votes = Votes.none(n)
    for _ in range(4):
        votes.add(np.ones(n, bool), rng.normal(2, 3, n))
    errors = votes.squared_errors(np.ones(n))
    assert errors.mean() == pytest.approx(1.0, abs=4 * errors.std() / np.sqrt(n))
    assert np.mean((votes.mean(0.0) - 1) ** 2) == pytest.approx(1 + 9 / 4, rel=0.05)
