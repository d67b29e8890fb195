"""Gaussian processes in space: what nearby plots tell beyond the covariates.

A field e(place) has mean 0 and covariance sill * exp(-d / range), d the straight line between two
places on the sphere, which keeps the covariance positive definite. A plot shows the field plus
noise of variance `nugget`. Only the share nugget / (sill + nugget) and the range matter for
predictions (Rasmussen & Williams 2006, eq. 2.25). With a trend it is regression kriging.
"""

import numpy as np
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.ensemble import RandomForestRegressor

from spatioformer.baselines.features import lonlat
from spatioformer.baselines.trees import random_forest
from spatioformer.errors import ModelError

EARTH_RADIUS = 6371.0088  # km
NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
RANGES = 12
CHUNK = 512  # predictions at once: 512 systems of 64 x 64 are 17 MB
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
        self.range_km_, self.nugget_share_ = self._covariance()
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected value of the field, without noise, (n,)."""
        targets = on_sphere(lonlat(X))
        out = np.zeros(len(targets))
        if self.nugget_share_ == 1:
            return out
        for start in range(0, len(targets), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = self._solve(targets[part])
        return out

    def _solve(self, targets: np.ndarray) -> np.ndarray:
        count = min(self.neighbours, len(self.values_))
        distance, near = self.tree_.query(targets, k=[*range(1, count + 1)])  # (n, k) each
        covariance = correlation(apart(self.points_[near]), self.range_km_, self.nugget_share_)
        shared = (1 - self.nugget_share_) * np.exp(-distance / self.range_km_)
        weights = np.linalg.solve(covariance, shared[..., None])[..., 0]  # (n, k)
        return np.sum(weights * self.values_[near], axis=1)

    def _covariance(self) -> tuple[float, float]:
        """Range and nugget share, the estimated ones being the likeliest of a grid."""
        patches = self._patches()
        ranges = [self.range_km] if self.range_km is not None else self._ranges()
        shares = [self.nugget_share] if self.nugget_share is not None else NUGGET_SHARES
        choices = [(reach, share) for reach in ranges for share in shares]
        if len(choices) == 1:
            return choices[0]
        distance, values = apart(self.points_[patches]), self.values_[patches]
        return max(choices, key=lambda choice: log_likelihood(distance, values, *choice))

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

    def _ranges(self) -> np.ndarray:
        """From the spacing of the plots to the extent of the survey, km."""
        spacing = self.tree_.query(self.points_, k=2)[0][:, 1]
        apart = spacing[(spacing > 0) & np.isfinite(spacing)]
        shortest = np.median(apart) if len(apart) else 1.0
        extent = np.linalg.norm(np.ptp(self.points_, axis=0))
        return np.geomspace(shortest, max(extent, 2 * shortest), RANGES)


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


def on_sphere(degrees: np.ndarray) -> np.ndarray:
    """Lon, lat (n, 2) in degrees -> points (n, 3), km."""
    lon, lat = np.radians(degrees).T
    xyz = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return EARTH_RADIUS * np.stack(xyz, axis=1)


def apart(points: np.ndarray) -> np.ndarray:
    """Distances between `points` (..., k, 3): (..., k, k)."""
    return np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)


def correlation(distance: np.ndarray, range_km: float, nugget_share: float) -> np.ndarray:
    """Correlation of observations `distance` (..., k, k) km apart: (..., k, k)."""
    shared = (1 - nugget_share) * np.exp(-distance / range_km)
    return shared + nugget_share * np.eye(distance.shape[-1])


def log_likelihood(
    distance: np.ndarray, values: np.ndarray, range_km: float, nugget_share: float
) -> float:
    """Log-likelihood of `values` (p, k) that lie `distance` (p, k, k) km apart.

    The p groups are taken as independent of each other.

    The variance is at its own maximum, mean(r' R^-1 r) / k, and constants are left out
    (Rasmussen & Williams 2006, eq. 2.30).
    """
    factor = np.linalg.cholesky(correlation(distance, range_km, nugget_share))  # (p, k, k)
    white = np.linalg.solve(factor, values[..., None])[..., 0]
    variance = max(float(np.mean(white**2)), np.finfo(float).tiny)
    half_logdet = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum()
    return -values.size / 2 * np.log(variance) - float(half_logdet)
