"""Trees that each leave out whole blocks of plots.

A forest's out-of-bag predictions are too good where plots are clustered, since a tree has seen the
neighbours of a plot that it has not seen. Here a tree leaves out whole blocks. So each plot is
predicted by the trees that saw nothing of its block, and that costs no further training.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from sklearn import config_context
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

LEFT_OUT = 0.2  # share of the blocks that a tree leaves out


class BlockTrees(RegressorMixin, BaseEstimator):
    """Mean of randomised trees, each grown on most of the blocks.

    Args:
        trees: number of trees.
        leaf: smallest number of plots in a leaf.
        features: share of the features that a split chooses from.
        seed: of the trees and of the blocks that they leave out.
        bootstrap: whether trees are those of a random forest, which choose the best splits of plots
            drawn with replacement (Breiman 2001); else they are extremely randomised (Geurts et al.
            2006).
    """

    bootstrap: bool = False  # in files without it

    def __init__(
        self,
        trees: int = 300,
        leaf: int = 2,
        features: float = 1.0,
        seed: int = 0,
        bootstrap: bool = False,
    ):
        self.trees = trees
        self.leaf = leaf
        self.features = features
        self.seed = seed
        self.bootstrap = bootstrap

    def fit(self, X: np.ndarray, y: np.ndarray, block: np.ndarray | None = None) -> "BlockTrees":
        """Grow the trees, in one thread.

        Args:
            X: (n, features), NaN where a feature is missing.
            y: (n,).
            block: (n,), label of the block of each plot; None: each plot is a block.

        Sets `left_out_`, (n,): each plot's prediction by the trees that left out its block.
        """
        y = np.asarray(y, np.float64)
        labels = np.arange(len(y)) if block is None else block
        number = np.unique(labels, return_inverse=True)[1].reshape(-1)
        rng = np.random.default_rng(self.seed)
        outs = (left_out(int(number.max()) + 1, rng)[number] for _ in range(self.trees))
        kind = DecisionTreeRegressor if self.bootstrap else ExtraTreeRegressor
        growth = Growth(kind, self.leaf, self.features, self.bootstrap)
        votes = Votes.none(len(y))
        self.estimators_ = list(growth.trees(X, y, outs, votes, self.seed))
        # A plot whose block no tree left out has the mean of all plots.
        self.left_out_ = votes.mean(y.mean())
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Mean of the trees, (n,)."""
        X = np.ascontiguousarray(X, np.float32)
        return np.asarray(sum(predicted_by(tree, X) for tree in self.estimators_) / self.trees)


@dataclass(frozen=True)
class Growth:
    """How trees are grown.

    Attributes:
        kind: scikit-learn's class of a tree.
        leaf: smallest number of plots in a leaf.
        features: share of the features that a split chooses from.
        bootstrap: whether a tree draws its plots with replacement, as those of a random forest.
    """

    kind: type[DecisionTreeRegressor]
    leaf: int
    features: float
    bootstrap: bool = False

    def trees(
        self, X: np.ndarray, y: np.ndarray, outs: Iterable[np.ndarray], votes: "Votes", seed: int
    ) -> Iterator[DecisionTreeRegressor]:
        """Grow a tree without each set of plots of `outs`, and add its predictions to `votes`.

        Args:
            X: (n, features), NaN where a feature is missing.
            y: (n,), finite.
            outs: plots that each tree leaves out, bool (n,).
            votes: gets the predictions of the plots left out.
            seed: of the trees and of the plots that they draw, which are the same for each `kind`,
                `leaf` and `features`.
        """
        X, y = np.ascontiguousarray(X, np.float32), np.asarray(y, np.float64)  # as trees need them
        # scikit-learn's checks of its input would take a third of the time of trees of 300 plots.
        # They also say where features are missing, which a tree has to know, and refuse a target
        # with gaps.
        checks = not (np.isfinite(X).all() and np.isfinite(y).all())
        rng = np.random.default_rng(seed)
        for out in outs:
            tree = self.kind(
                min_samples_leaf=self.leaf,
                max_features=self.features,
                random_state=int(rng.integers(2**31)),
            )
            # Plots of weight 0 are no samples of a tree, so no table has to be copied.
            weight = (~out).astype(np.float64)
            if self.bootstrap:
                kept = np.flatnonzero(~out)
                drawn = rng.choice(kept, len(kept))
                weight = np.bincount(drawn, minlength=len(y)).astype(np.float64)
            with config_context(skip_parameter_validation=not checks):
                tree.fit(X, y, sample_weight=weight, check_input=checks)
            if out.any():
                votes.add(out, predicted_by(tree, X[out]))
            yield tree


@dataclass(frozen=True)
class Votes:
    """Predictions of plots by the trees that left them out.

    Attributes:
        total, squares: sum of the predictions of each plot and of their squares, (n,).
        count: number of predictions of each plot, (n,).
    """

    total: np.ndarray
    squares: np.ndarray
    count: np.ndarray

    @classmethod
    def none(cls, plots: int) -> "Votes":
        """No predictions yet."""
        return cls(*np.zeros((3, plots)))

    def add(self, out: np.ndarray, predictions: np.ndarray) -> None:
        """Add a tree's predictions of the plots `out`, bool (n,)."""
        self.total[out] += predictions
        self.squares[out] += predictions**2
        self.count[out] += 1

    def mean(self, otherwise: float) -> np.ndarray:
        """Mean prediction of each plot, (n,); `otherwise` where there is none."""
        return np.where(self.count > 0, self.total / np.maximum(self.count, 1), otherwise)

    def squared_errors(self, y: np.ndarray) -> np.ndarray:
        """Squared error of each plot, (n,), by a forest of many such trees; NaN where unknown.

        The mean of k predictions has the error of the forest plus the variance of the trees / k.
        Without that term, few trees suffice to compare forests whose trees differ in variance.
        """
        k = np.where(self.count > 1, self.count, np.nan)
        mean = self.total / k
        variance = (self.squares - k * mean**2) / (k - 1)
        return np.asarray((mean - y) ** 2 - variance / k)


def left_out(count: int, rng: np.random.Generator) -> np.ndarray:
    """Blocks that a tree leaves out, bool (count,): LEFT_OUT of them, at least 1 and never all."""
    share = min(max(1, round(LEFT_OUT * count)), count - 1)
    out = np.zeros(count, bool)
    out[rng.choice(count, share, replace=False)] = True
    return out


def predicted_by(tree: DecisionTreeRegressor, X: np.ndarray) -> np.ndarray:
    """Predictions (n,) for X, float32 (n, features), without scikit-learn's checks of X."""
    return np.asarray(tree.tree_.predict(X).reshape(len(X)))
