"""Models a network has to beat, behind scikit-learn's interface."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.neighbors import KNeighborsRegressor


def chip_statistics(chips: np.ndarray, lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    """Features for tabular models: each band's centre, mean and spread, and the chip's centre.

    Args:
        chips: (n, P, P, band); lon, lat: (n, P, P), degrees.

    Returns:
        float64 (n, 3 * band + 2), or (n, band + 2) at P = 1; the last two columns are lon, lat.
    """
    half = chips.shape[1] // 2
    centre = np.asarray(chips[:, half, half], np.float64)
    place = np.stack([lon[:, half, half], lat[:, half, half]], axis=1)
    if half == 0:
        return np.hstack([centre, place])
    mean = chips.mean(axis=(1, 2), dtype=np.float64)
    sd = chips.std(axis=(1, 2), dtype=np.float64)
    return np.hstack([centre, mean, sd, place])


def random_forest(seed: int, jobs: int = 1) -> RandomForestRegressor:
    """300 trees on chip statistics and lon/lat (Breiman 2001).

    Leaves of at least 3 plots: field counts are noisy, and single-plot leaves learn the noise.
    """
    return RandomForestRegressor(
        300, min_samples_leaf=3, max_features=0.5, random_state=seed, n_jobs=jobs
    )


class LocationKNN(RegressorMixin, BaseEstimator):
    """Mean richness of the k nearest plots by great-circle distance, weighted by its inverse.

    Knows nothing but location: what it explains needs no imagery (Meyer 2019, Mila 2024).
    The last two feature columns must be lon, lat in degrees, as `chip_statistics` gives them.
    """

    def __init__(self, k: int = 10):
        self.k = k

    def fit(self, X: np.ndarray, y: np.ndarray) -> "LocationKNN":
        self.model_ = KNeighborsRegressor(
            min(self.k, len(y)), weights=_inverse_distance, metric="haversine"
        ).fit(_radians(X), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        return self.model_.predict(_radians(X))


def _radians(X: np.ndarray) -> np.ndarray:
    return np.radians(np.asarray(X)[:, [-1, -2]])  # haversine wants lat, lon


def _inverse_distance(radians: np.ndarray) -> np.ndarray:
    # A floor of 1 km keeps one coinciding plot from silencing the others.
    return 1 / np.maximum(radians * 6371.0088, 1.0)
