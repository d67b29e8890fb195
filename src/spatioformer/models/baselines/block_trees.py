"""Extremely randomised trees that each leave out whole blocks of plots.

A forest's out-of-bag predictions are too good where plots are clustered, since a tree has seen the
neighbours of a plot that it has not seen. Here a tree leaves out whole blocks. So each plot is
predicted by the trees that saw nothing of its block, and that costs no further training.
"""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.tree import ExtraTreeRegressor

LEFT_OUT = 0.2  # share of the blocks that a tree leaves out


class BlockTrees(RegressorMixin, BaseEstimator):
    """Mean of extremely randomised trees (Geurts et al. 2006), each grown on most of the blocks.

    Args:
        trees: number of trees.
        leaf: smallest number of plots in a leaf.
        seed: of the trees and of the blocks that they leave out.
    """

    def __init__(self, trees: int = 300, leaf: int = 2, seed: int = 0):
        self.trees = trees
        self.leaf = leaf
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray, block: np.ndarray | None = None) -> "BlockTrees":
        """Grow the trees.

        Args:
            X: (n, features), NaN where a feature is missing.
            y: (n,).
            block: (n,), label of the block of each plot; None: each plot is a block.

        Sets `left_out_`, (n,): each plot's prediction by the trees that left out its block.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        labels = np.arange(len(y)) if block is None else block
        number = np.unique(labels, return_inverse=True)[1].reshape(-1)
        count = int(number.max()) + 1
        rng = np.random.default_rng(self.seed)
        total, votes = np.zeros(len(y)), np.zeros(len(y))
        self.estimators_: list[ExtraTreeRegressor] = []
        for _ in range(self.trees):
            out = left_out(count, rng)[number]
            tree = ExtraTreeRegressor(
                min_samples_leaf=self.leaf,
                max_features=1.0,
                random_state=int(rng.integers(2**31)),
            )
            self.estimators_.append(tree.fit(X[~out], y[~out]) if count > 1 else tree.fit(X, y))
            total[out] += tree.predict(X[out]) if out.any() else 0.0
            votes += out
        # A plot whose block no tree left out has the mean of all plots.
        self.left_out_ = np.where(votes > 0, total / np.maximum(votes, 1), y.mean())
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Mean of the trees, (n,)."""
        X = np.asarray(X, np.float64)
        return np.asarray(sum(tree.predict(X) for tree in self.estimators_) / self.trees)


def left_out(count: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks that a tree leaves out, bool (count,): LEFT_OUT of them, at least 1 and never all."""
    share = min(max(1, round(LEFT_OUT * count)), count - 1)
    return np.isin(np.arange(count), rng.choice(count, share, replace=False))
