"""A baseline on location alone: the mean of the nearest plots.

Its score shows how much of the richness location explains without imagery (Meyer 2019, Mila 2024).
"""

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.neighbors import KNeighborsRegressor

from spatioformer.common.earth import MEAN_RADIUS_KM
from spatioformer.models.baselines.features import lonlat


class LocationKNN(RegressorMixin, BaseEstimator):
    """Mean richness of the k nearest plots, weighted by inverse great-circle distance.

    The last two feature columns must be longitude and latitude in degrees, as in
    `chip_statistics`; the other columns are ignored.
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
    return np.radians(lonlat(X)[:, ::-1])  # the haversine metric takes lat, lon


def _inverse_distance(radians: np.ndarray) -> np.ndarray:
    # The floor of 1 km keeps a plot at the same location from taking all the weight.
    return 1 / np.maximum(radians * MEAN_RADIUS_KM, 1.0)
