"""Kriging and regression kriging: Gaussian processes on location.

`evaluation.correlation` defines the covariance function. `ForestKriging` adds a random forest as
the trend (regression kriging).
"""

import numpy as np
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ModelError
from spatioformer.evaluation.correlation import apart, correlation, likeliest, ranges_of
from spatioformer.models.baselines.block_trees import Votes, predicted_by
from spatioformer.models.baselines.features import floor_of, lonlat, not_below
from spatioformer.models.baselines.order import in_canonical_order
from spatioformer.models.baselines.trees import tuned_random_forest
from spatioformer.models.baselines.tuned_forest import Settings, TunedForest

NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
CHUNK = 8192  # predictions computed at once; larger chunks share more systems of equations
SYSTEMS = 32  # systems solved at once; 32 of 64 x 64 take 1 MB, which fits the processor cache
PATCHES = 24  # groups of plots that the covariance is estimated on, if there are many plots


class Kriging(RegressorMixin, BaseEstimator):
    """Simple kriging (mean 0) from the nearest plots.

    With at most `neighbours` plots this is the exact Gaussian process. With more plots, each
    prediction uses the nearest ones only.

    Args:
        range_km: e-folding distance of the correlation, km; None estimates it.
        nugget_share: share of noise in the variance, 0-1; None estimates it. With 0 the field
            interpolates the data, and no two plots may have the same coordinates.
        neighbours: number of plots that a prediction uses.
        seed: of the random choice of plots for the estimate.
    """

    def __init__(
        self,
        range_km: float | None = None,
        nugget_share: float | None = None,
        neighbours: int = 64,
        seed: int = 0,
    ):
        self.range_km = range_km
        self.nugget_share = nugget_share
        self.neighbours = neighbours
        self.seed = seed

    def fit(self, X: np.ndarray, y: np.ndarray) -> "Kriging":
        """Fit the field to the plots.

        Args:
            X: (n, features), the last two columns longitude and latitude, degrees.
            y: (n,), values with mean 0.

        Raises:
            ModelError: two plots have the same coordinates and `nugget_share` is 0.
        """
        self.points_ = on_sphere(lonlat(X))
        duplicates = len(self.points_) - len(np.unique(self.points_, axis=0))
        if duplicates and self.nugget_share == 0:
            raise ModelError(
                f"{duplicates} plots share coordinates with another plot, and nugget_share 0 "
                "allows only one value at a place; give a share above 0, or None to estimate it"
            )
        self.values_ = np.asarray(y, np.float64)
        self.tree_ = KDTree(self.points_)
        self.range_km_, self.nugget_share_ = likeliest(
            self.points_,
            self.values_,
            self._patches(),
            ranges_of(self.points_) if self.range_km is None else [self.range_km],
            NUGGET_SHARES if self.nugget_share is None else [self.nugget_share],
        )
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected value of the field without noise, (n,), at the last two columns of X."""
        targets = on_sphere(lonlat(X))
        out = np.zeros(len(targets))
        if self.nugget_share_ == 1:
            return out
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = self._expected(targets[part])
        return out

    def __getstate__(self) -> dict:
        """State without the k-d tree, which only pickle can store; `__setstate__` rebuilds it."""
        return {name: value for name, value in super().__getstate__().items() if name != "tree_"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "points_" in state:
            self.tree_ = KDTree(self.points_)

    def _expected(self, targets: np.ndarray) -> np.ndarray:
        """Expected value (n,) at points on the sphere (n, 3).

        Neighbouring pixels often have the same nearest plots, so each distinct set of plots is
        solved once.
        """
        count = min(self.neighbours, len(self.values_))
        distance, near = self.tree_.query(targets, k=[*range(1, count + 1)])  # (n, k) each
        shared = (1 - self.nugget_share_) * np.exp(-distance / self.range_km_)
        # Sort each set, so that a pixel gets the same digits in any tile.
        order = np.argsort(near, axis=1)
        sets, which = _distinct(np.take_along_axis(near, order, axis=1))
        weighted = np.concatenate(
            [self._solve(part) for part in np.array_split(sets, -(-len(sets) // SYSTEMS))]
        )
        return np.sum(np.take_along_axis(shared, order, axis=1) * weighted[which], axis=1)

    def _solve(self, sets: np.ndarray) -> np.ndarray:
        """Kriging weights (sets, k): inverse covariance of each set of plots times their values."""
        covariance = correlation(apart(self.points_[sets]), self.range_km_, self.nugget_share_)
        return np.linalg.solve(covariance, self.values_[sets][..., None])[..., 0]

    def _patches(self) -> np.ndarray:
        """Groups of plots for the estimate of the covariance: rows, (groups, k).

        Few plots form a single group. Otherwise half of the groups are nearest neighbours, which
        determine the nugget and short ranges; half are scattered, which determine long ranges.
        """
        n, k = len(self.values_), min(self.neighbours, len(self.values_))
        if n <= 4 * k:
            return np.arange(n)[None]
        rng = np.random.default_rng(self.seed)
        centres = rng.choice(n, PATCHES // 2, replace=False)
        near = self.tree_.query(self.points_[centres], k=k)[1]
        scattered = np.stack([rng.choice(n, k, replace=False) for _ in centres])
        return np.concatenate([near, scattered])


class ForestKriging(RegressorMixin, BaseEstimator):
    """Random forest plus kriging of its residuals (regression kriging).

    The residuals are out-of-bag, because in-bag residuals are too small.

    Args:
        forest: the trend, a random forest with bootstrap; None means `tuned_random_forest(0)`.
        kriging: the field of the residuals; None estimates range and nugget.
    """

    floor_: float | None = None  # in files without it

    def __init__(
        self,
        forest: RandomForestRegressor | TunedForest | None = None,
        kriging: Kriging | None = None,
    ):
        self.forest = forest
        self.kriging = kriging

    def fit(
        self, X: np.ndarray, y: np.ndarray, fitted: TunedForest | None = None
    ) -> "ForestKriging":
        """Fit the forest, and the field of its residuals.

        Args:
            X: (n, features), the last two columns longitude and latitude, degrees.
            y: (n,).
            fitted: a forest fitted to the same X and y. It is taken if it has the parameters of
                `forest`; otherwise the forest is fitted here.

        Sets `chosen_`, the settings of a tuned forest, or None. The order of the rows changes
        nothing.
        """
        X, y = in_canonical_order(X, y)
        forest = tuned_random_forest(0) if self.forest is None else clone(self.forest)
        if fitted is not None and fitted.get_params() == forest.get_params():
            forest = fitted
        else:
            forest.fit(X, y)
        kriging = Kriging() if self.kriging is None else clone(self.kriging)
        self.chosen_: Settings | None = None
        if isinstance(forest, TunedForest):
            self.chosen_, forest = forest.chosen_, forest.forest_
        self.floor_ = floor_of(y)
        self.forest_ = forest
        self.kriging_ = kriging.fit(X, y - out_of_bag(forest, X, y.mean()))
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Trend plus expected residual, (n,); at least 0 if all training plots are."""
        return not_below(self.forest_.predict(X) + self.kriging_.predict(X), self.floor_)


def out_of_bag(forest: RandomForestRegressor, X: np.ndarray, otherwise: float) -> np.ndarray:
    """Mean prediction (n,) of each training plot by the trees that did not draw it.

    scikit-learn computes it only while it fits; this function takes a forest that is fitted.

    Args:
        X: (n, features), the rows that the forest was fitted to.
        otherwise: value of a plot that all trees drew.
    """
    X, votes = np.ascontiguousarray(X, np.float32), Votes.none(len(X))
    for tree, drawn in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        out = np.bincount(drawn, minlength=len(X)) == 0
        if out.any():
            votes.add(out, predicted_by(tree, X[out]))
    return votes.mean(otherwise)


def forest_kriging(seed: int) -> ForestKriging:
    """`tuned_random_forest` plus kriging of its residuals, unfitted."""
    return ForestKriging(tuned_random_forest(seed), Kriging(seed=seed))


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct rows of an integer array (n, k), and the number of each row's distinct row, (n,)."""
    as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    first, which = np.unique(as_bytes[:, 0], return_index=True, return_inverse=True)[1:]
    return rows[first], which
