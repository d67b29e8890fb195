"""Forests that choose their leaf size and the features of a split by plots that they left out."""

from typing import Literal, TypedDict

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.tree import DecisionTreeRegressor, ExtraTreeRegressor

from spatioformer.evaluation.choice import standard_error
from spatioformer.models.baselines.areas import divisions, held_out
from spatioformer.models.baselines.block_trees import Growth, Votes
from spatioformer.models.baselines.order import in_canonical_order

TREES = 200
"""Number of trees. 300 would have an r2 .0004 to .0008 higher, and cost half as much again."""
DEFAULT = (1, 1.0)
"""Leaf size and share of features that scikit-learn takes."""
OTHERS = ((3, 1.0), (1, 1 / 2), (3, 1 / 2), (2, 1 / 3), (5, 1 / 3), (10, 1 / 3))
"""Settings that replace DEFAULT where the plots left out say that one is better."""
CLEAR = 1.0
"""Standard errors by which a setting has to be better than DEFAULT."""
TREES_OF_PART = 4, 12
"""Number of trees that leave out the same part of the plots, at least and at most."""
TREES_OF_PLOTS = 4000
"""That number times plots: few plots need more trees and cost less."""


class Settings(TypedDict):
    """Settings of a forest, named as in scikit-learn."""

    min_samples_leaf: int
    max_features: float


class TunedForest(RegressorMixin, BaseEstimator):
    """scikit-learn's random forest or extremely randomised trees, tuned on the training plots.

    Each setting grows a few trees that leave out whole areas: sites, and blocks (`areas`). The
    setting with the smallest squared error of the plots left out is chosen, among those that are
    better than scikit-learn's defaults by a standard error; if there is none, the defaults. So the
    noise of few plots hardly ever makes the forest worse. Then it is grown on all plots.

    Args:
        kind: "random" (Breiman 2001) or "extra" (Geurts et al. 2006).
        n_estimators: number of trees.
        min_samples_leaf: smallest number of plots in a leaf; None: it is chosen.
        max_features: share of the features that a split chooses from; None: it is chosen.
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

        Sets `forest_`, scikit-learn's fitted forest, and `chosen_`, its settings. The order of the
        rows changes nothing.
        """
        X, y = in_canonical_order(X, y)
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
        """Settings for X and y as `in_canonical_order` gives them; a stated one is kept."""
        leaf, share = self.min_samples_leaf, self.max_features
        tried = [
            (usual if leaf is None else leaf, features if share is None else share)
            for usual, features in (DEFAULT, *OTHERS)
        ]
        search = Search(self.kind == "random", X, y, divisions(X), self.random_state)
        best_leaf, best_share = search.best(list(dict.fromkeys(tried)))
        return {"min_samples_leaf": best_leaf, "max_features": best_share}


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
        self.divisions = divisions
        rng = np.random.default_rng(seed)
        count = int(np.clip(TREES_OF_PLOTS // len(y), *TREES_OF_PART))
        # Trees of one part have the same plots, as those of the final forest do. Predictions
        # averaged over other plots would be smoother than those of the final forest.
        self.outs = [
            [out for out in held_out(division, rng) for _ in range(count)] for division in divisions
        ]
        self.scored = [np.any(outs, axis=0) for outs in self.outs]

    def best(self, settings: list[tuple[int, float]]) -> tuple[int, float]:
        """The setting with the smallest error of those that are clearly better than the first.

        Args:
            settings: leaf size and share of features of each; a single one is returned untried.

        Returns:
            The first one where no other is better by CLEAR standard errors.
        """
        if len(settings) == 1 or not self.divisions:
            return settings[0]
        errors = [self.squared_errors(*setting) for setting in settings]
        ahead = [errors[0] - other for other in errors]  # (divisions, n) each
        gains = np.array([np.mean([gain.mean() for gain in self.known(rows)]) for rows in ahead])
        clear = gains > CLEAR * np.array([self.standard_error(gain) for gain in ahead])
        return settings[int(np.where(clear, gains, 0.0).argmax())]

    def squared_errors(self, leaf: int, features: float) -> np.ndarray:
        """Squared error (divisions, n) of each plot by the trees that left it out, or NaN."""
        kind = DecisionTreeRegressor if self.bootstrap else ExtraTreeRegressor
        growth = Growth(kind, leaf, features, self.bootstrap)
        rows = []
        for outs in self.outs:
            votes = Votes.none(len(self.y))
            for _ in growth.trees(self.X, self.y, outs, votes, self.seed):
                pass
            rows.append(votes.squared_errors(self.y))
        return np.array(rows)

    def known(self, values: np.ndarray) -> list[np.ndarray]:
        """Values (divisions, n) of the plots that were left out, for each division."""
        return [row[scored] for row, scored in zip(values, self.scored, strict=True)]

    def standard_error(self, values: np.ndarray) -> float:
        """Standard error of the mean of values (divisions, n), which are correlated within areas.

        It is that of a single division, since the values of two divisions are correlated, too.
        """
        squares = []
        areas = zip(self.divisions, self.scored, strict=True)
        for row, area in zip(
            self.known(values), (area[scored] for area, scored in areas), strict=True
        ):
            number, counts = np.unique(area, return_inverse=True, return_counts=True)[1:]
            sums = np.bincount(number, row).astype(np.float64)[:, None]
            squares.append(float(standard_error(sums, counts)[0]) ** 2)
        return float(np.sqrt(np.mean(squares)))
