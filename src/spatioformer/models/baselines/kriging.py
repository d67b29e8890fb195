"""Gaussian processes in space: what nearby plots tell beyond the covariates.

The field and its covariance are those of `evaluation.correlation`. With a trend it is regression
kriging.
"""

import numpy as np
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import ModelError
from spatioformer.evaluation.correlation import apart, correlation, likeliest, ranges_of
from spatioformer.models.baselines.features import lonlat
from spatioformer.models.baselines.trees import random_forest

NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
CHUNK = 8192  # predictions at once: the more, the more of them share their plots
SYSTEMS = 32  # solved at once: of 64 x 64 they are 1 MB, which a cache holds
PATCHES = 24  # groups of plots by which covariance is judged where all at once are too many


class Kriging(RegressorMixin, BaseEstimator):
    """Simple kriging (known mean 0) from the nearest plots.

    With no more plots than `neighbours` it is the Gaussian process itself; with more, each
    prediction takes the nearest ones, which screen off the rest.

    Args:
        range_km: e-folding distance, km; None estimates it.
        nugget_share: share of noise in the variance, 0-1; None estimates it. With 0 the field goes
            through the data, and no two plots may coincide.
        neighbours: plots a prediction is made from.
        seed: of the plots that the estimate looks at.
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
        """X: (n, ...), lon, lat in degrees last; y: (n,), of mean 0.

        Raises:
            ModelError: two plots coincide and `nugget_share` is 0.
        """
        self.points_ = on_sphere(lonlat(X))
        twins = len(self.points_) - len(np.unique(self.points_, axis=0))
        if twins and self.nugget_share == 0:
            raise ModelError(
                f"{twins} plots share coordinates with another one, and no field goes through both "
                "with nugget_share 0; give a share above 0, or None to estimate it"
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
        """Expected value of the field, without noise, (n,)."""
        targets = on_sphere(lonlat(X))
        out = np.zeros(len(targets))
        if self.nugget_share_ == 1:
            return out
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = self._expected(targets[part])
        return out

    def __getstate__(self) -> dict:
        """Without the tree, which no format but pickle can hold and the points make anew."""
        return {name: value for name, value in super().__getstate__().items() if name != "tree_"}

    def __setstate__(self, state: dict) -> None:
        super().__setstate__(state)
        if "points_" in state:
            self.tree_ = KDTree(self.points_)

    def _expected(self, targets: np.ndarray) -> np.ndarray:
        """Pixels of a map share their nearest plots, and with them the system to be solved."""
        count = min(self.neighbours, len(self.values_))
        distance, near = self.tree_.query(targets, k=[*range(1, count + 1)])  # (n, k) each
        shared = (1 - self.nugget_share_) * np.exp(-distance / self.range_km_)
        # A set of plots whatever their order: the same digits in whichever tile a pixel lies.
        order = np.argsort(near, axis=1)
        sets, which = _distinct(np.take_along_axis(near, order, axis=1))
        weighted = np.concatenate(
            [self._solve(part) for part in np.array_split(sets, -(-len(sets) // SYSTEMS))]
        )
        return np.sum(np.take_along_axis(shared, order, axis=1) * weighted[which], axis=1)

    def _solve(self, sets: np.ndarray) -> np.ndarray:
        """Inverse covariance of the plots of each set times their values, both (sets, k)."""
        covariance = correlation(apart(self.points_[sets]), self.range_km_, self.nugget_share_)
        return np.linalg.solve(covariance, self.values_[sets][..., None])[..., 0]

    def _patches(self) -> np.ndarray:
        """Rows of plots, (patches, k): all in one, or half of them near and half far apart.

        Near ones tell the nugget and short ranges, scattered ones the long ranges.
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
    """A forest on all features, plus its kriged residuals.

    Residuals are out of bag: those of the trees' own plots are too small to tell what the forest
    misses.

    Args:
        forest: the trend, with bootstrap and without `oob_score`; None is `random_forest(0)`.
        kriging: the field of the residuals; None estimates it all.
    """

    def __init__(self, forest: RandomForestRegressor | None = None, kriging: Kriging | None = None):
        self.forest = forest
        self.kriging = kriging

    def fit(self, X: np.ndarray, y: np.ndarray) -> "ForestKriging":
        forest = random_forest(0) if self.forest is None else clone(self.forest)
        kriging = Kriging() if self.kriging is None else clone(self.kriging)
        self.forest_ = forest.set_params(oob_score=True).fit(X, y)
        self.kriging_ = kriging.fit(X, np.asarray(y) - self.forest_.oob_prediction_)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.forest_.predict(X) + self.kriging_.predict(X)


def forest_kriging(seed: int) -> ForestKriging:
    """The forest of `random_forest`, and what its residuals owe to place."""
    return ForestKriging(random_forest(seed), Kriging(seed=seed))


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct rows of (n, k) integers, and which of them each row is, (n,)."""
    whole = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1])))
    first, which = np.unique(whole[:, 0], return_index=True, return_inverse=True)[1:]
    return rows[first], which
