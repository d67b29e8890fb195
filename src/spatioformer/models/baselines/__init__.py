"""Models a network has to beat, behind scikit-learn's interface.

`TABULAR[name](seed)` is a regressor that is not fitted. It takes the rows of `chip_statistics`.

| name | what |
|---|---|
| random-forest | 300 trees, leaves of 3 plots or more |
| extra-trees | 300 extremely randomised trees |
| gradient-boosting | scikit-learn's histogram gradient boosting |
| lightgbm | LightGBM, of the extra `boost` |
| forest-kriging | the random forest plus a Gaussian process on its residuals |
| gaussian-process | a Gaussian process of imagery, of place, and of imagery place by place |
| location-knn | the 10 nearest plots; sees nothing but longitude and latitude |
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from spatioformer.models.baselines.features import chip_statistics, with_covariates
from spatioformer.models.baselines.gaussian import GaussianProcess, gaussian_process
from spatioformer.models.baselines.kriging import ForestKriging, Kriging, forest_kriging
from spatioformer.models.baselines.neighbours import LocationKNN
from spatioformer.models.baselines.trees import (
    extra_trees,
    gradient_boosting,
    lightgbm,
    random_forest,
)


class Regressor(Protocol):
    """What the project uses of scikit-learn's regressors, which have no types."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> object:
        """Fit to X (n, features) and y (n,)."""
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (n,) for X (n, features)."""
        ...

    def set_params(self, **parameters: Any) -> Self:
        """Change settings; return the same regressor."""
        ...


TABULAR: dict[str, Callable[[int], Regressor]] = {
    "random-forest": random_forest,
    "extra-trees": extra_trees,
    "gradient-boosting": gradient_boosting,
    "lightgbm": lightgbm,
    "forest-kriging": forest_kriging,
    "gaussian-process": gaussian_process,
    "location-knn": lambda seed: LocationKNN(),
}

__all__ = [
    "TABULAR",
    "ForestKriging",
    "GaussianProcess",
    "Kriging",
    "LocationKNN",
    "Regressor",
    "chip_statistics",
    "extra_trees",
    "forest_kriging",
    "gaussian_process",
    "gradient_boosting",
    "lightgbm",
    "random_forest",
    "with_covariates",
]
