"""Forests that choose their leaf size and the features of a split by plots that they left out."""

from collections.abc import Callable, Sequence
from typing import Literal, TypedDict, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from spatioformer.models.baselines.areas import PARTS, divisions, parts
from spatioformer.models.baselines.block_trees import Growth, Votes

TREES = 300
LEAVES = (1, 2, 3, 5, 10)
FEATURES = (1.0, 1 / 2, 1 / 3)
USUAL = (2, 1 / 2)
"""Leaf size and share of features that were best on plots that no published score uses."""
TREES_OF_PART = 4, 12
"""Number of trees that leave out the same part of the plots, at least and at most."""
TREES_OF_PLOTS = 4000
"""That number times plots: few plots need more trees and cost less."""
PULL = 0.2
"""Relative decrease of the squared error that a step away from USUAL needs, times sqrt(plots)."""


Value = TypeVar("Value", int, float)


class Settings(TypedDict):
    """Settings of a forest, named as in scikit-learn."""

    min_samples_leaf: int
    max_features: float


class TunedForest(RegressorMixin, BaseEstimator):
    """scikit-learn's random forest or extremely randomised trees, tuned on the training plots.

    Each setting grows a few trees that leave out whole areas: sites, and blocks (`areas`). The
    setting with the smallest squared error of the plots left out is chosen: first the leaf size,
    then the share of features. Then the forest is grown on all plots.

    Args:
        kind: "random" (Breiman 2001) or "extra" (Geurts et al. 2006).
        n_estimators: number of trees.
        min_samples_leaf: smallest number of plots in a leaf; None: one of LEAVES is chosen.
        max_features: share of the features that a split chooses from; None: one of FEATURES is
            chosen.
        random_state: seed.
    """

    def __init__(
        self,
        kind: Literal["random", "extra"] = "random",
        n_estimators: int = TREES,
        min_samples_leaf: int | None = None,
        max_features: float | None = None,
        random_state: int = 0,
    ):
        self.kind = kind
        self.n_estimators = n_estimators
        self.min_samples_leaf = min_samples_leaf
        self.max_features = max_features
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> "TunedForest":
        """Choose the settings and grow the forest.

        Args:
            X: (n, features), NaN where a feature is missing; the last two columns are longitude and
                latitude, degrees.
            y: (n,).

        Sets `forest_`, scikit-learn's fitted forest, and `chosen_`, its settings.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        self.chosen_ = self.chosen(X, y)
        self.forest_ = self.unfitted(**self.chosen_).fit(X, y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Mean of the trees, (n,)."""
        return np.asarray(self.forest_.predict(X))

    def unfitted(
        self, min_samples_leaf: int, max_features: float
    ) -> RandomForestRegressor | ExtraTreesRegressor:
        """scikit-learn's forest with these settings."""
        forest = RandomForestRegressor if self.kind == "random" else ExtraTreesRegressor
        return forest(
            self.n_estimators,
            min_samples_leaf=min_samples_leaf,
            max_features=max_features,
            random_state=self.random_state,
            n_jobs=1,
        )

    def chosen(self, X: np.ndarray, y: np.ndarray) -> Settings:
        """Settings for X and y of `fit`: those stated, or those with the smallest error."""
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        leaves = LEAVES if self.min_samples_leaf is None else (self.min_samples_leaf,)
        shares = FEATURES if self.max_features is None else (self.max_features,)
        search = Search(self.kind == "random", X, y, divisions(X), self.random_state)
        share = USUAL[1] if USUAL[1] in shares else shares[0]
        leaf = best(leaves, USUAL[0], lambda leaf: search.error(leaf, share), len(y))
        share = best(shares, USUAL[1], lambda share: search.error(leaf, share), len(y))
        return {"min_samples_leaf": leaf, "max_features": share}


class Search:
    """Errors of forests on plots that their trees left out.

    Args:
        bootstrap: whether trees are those of a random forest; else they are extremely randomised.
        X, y: features (n, features) and target (n,).
        divisions: areas of the plots, int (n,) each.
        seed: of trees and parts.
    """

    def __init__(
        self,
        bootstrap: bool,
        X: np.ndarray,
        y: np.ndarray,
        divisions: list[np.ndarray],
        seed: int,
    ):
        self.bootstrap, self.X, self.y, self.seed = bootstrap, X, y, seed
        rng = np.random.default_rng(seed)
        count = int(np.clip(TREES_OF_PLOTS // len(y), *TREES_OF_PART))
        drawn = [parts(division, rng) for division in divisions]
        # Trees of one part have the same plots, as those of the final forest do. Predictions
        # averaged over other plots would be smoother than those of the final forest.
        self.outs = [[part == k for k in range(PARTS) for _ in range(count)] for part in drawn]
        self.errors: dict[tuple[int, float], float] = {}

    def error(self, leaf: int, features: float) -> float:
        """Mean over the divisions of the squared error of plots that the trees left out."""
        if (leaf, features) not in self.errors:
            kind = DecisionTreeRegressor if self.bootstrap else ExtraTreeRegressor
            growth = Growth(kind, leaf, features, self.bootstrap)
            means = []
            for outs in self.outs:
                votes = Votes.none(len(self.y))
                for _ in growth.trees(self.X, self.y, outs, votes, self.seed):
                    pass
                means.append(float(votes.squared_errors(self.y).mean()))
            self.errors[leaf, features] = float(np.mean(means)) if means else 1.0
        return self.errors[leaf, features]


def best(
    values: Sequence[Value], usual: Value, error: Callable[[Value], float], plots: int
) -> Value:
    """The value with the smallest error, where each step away from the usual value costs.

    With few plots the errors are uncertain, so a step has to lower the error by PULL / sqrt(plots).

    Args:
        values: in order; a single one is returned without a trial.
        usual: the value that is best most often.
        error: squared error of a value.
        plots: number of plots.
    """
    if len(values) == 1:
        return values[0]
    step, centre = PULL / np.sqrt(plots), values.index(usual)
    costs = [error(value) * (1 + step * abs(i - centre)) for i, value in enumerate(values)]
    return values[int(np.argmin(costs))]
