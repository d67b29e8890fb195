"""Location alone: what it explains needs no imagery (Meyer 2019, Mila 2024)."""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.neighbors import KNeighborsRegressor

from spatioformer.common.earth import MEAN_RADIUS_KM
from spatioformer.models.baselines.features import lonlat


class LocationKNN(RegressorMixin, BaseEstimator):
    """Mean richness of the k nearest plots by great-circle distance, weighted by its inverse.

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
    return np.radians(lonlat(X)[:, ::-1])  # haversine wants lat, lon


def _inverse_distance(radians: np.ndarray) -> np.ndarray:
    # A floor of 1 km keeps one coinciding plot from silencing the others.
    return 1 / np.maximum(radians * MEAN_RADIUS_KM, 1.0)
