"""Tabular baselines for the networks, with scikit-learn's interface.

`TABULAR[name](seed)` is an unfitted regressor. Its features are those of `chip_statistics`.

| name | regressor |
|---|---|
| random-forest | 200 trees; the training plots choose leaf size and features |
| extra-trees | 200 extremely randomised trees, chosen likewise |
| gradient-boosting | histogram gradient boosting; the training plots choose settings and steps |
| lightgbm | LightGBM, chosen likewise (needs the extra `boost`) |
| forest-kriging | the random forest plus a Gaussian process on its residuals |
| gaussian-process | a Gaussian process of imagery, of location, and of their product |
| stack | Gaussian processes and trees, weighed by plots that are left out |
| location-knn | the mean of the 10 nearest plots; features are longitude and latitude only |
"""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from spatioformer.models.baselines.block_trees import BlockTrees
from spatioformer.models.baselines.closed_form import ClosedFormStack
from spatioformer.models.baselines.features import chip_statistics, with_covariates
from spatioformer.models.baselines.gaussian import GaussianProcess, gaussian_process
from spatioformer.models.baselines.gaussian.embeddings import shares_of
from spatioformer.models.baselines.kriging import ForestKriging, Kriging, forest_kriging
from spatioformer.models.baselines.neighbours import LocationKNN
from spatioformer.models.baselines.quadratic import QuadraticRidge
from spatioformer.models.baselines.tails import NormalScores
from spatioformer.models.baselines.trees import (
    extra_trees,
    gradient_boosting,
    lightgbm,
    random_forest,
    tuned_random_forest,
)
from spatioformer.models.baselines.tuned_boosting import TunedBoosting
from spatioformer.models.baselines.tuned_forest import TunedForest
from spatioformer.models.parts import QUICK_TREES


class Regressor(Protocol):
    """Types of the methods of scikit-learn's regressors that the project calls."""

    def fit(self, X: np.ndarray, y: np.ndarray, *parts: Any) -> object:
        """Fit the regressor to features X (n, features) and target y (n,).

        Args:
            parts: regressors fitted to the same plots, which only some take (`TABULAR_PARTS`).
        """
        ...

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions (n,) for X (n, features)."""
        ...

    def get_params(self) -> dict[str, Any]:
        """Hyperparameters by name."""
        ...

    def set_params(self, **parameters: Any) -> Self:
        """Change hyperparameters and return the same regressor."""
        ...


TABULAR: dict[str, Callable[[int], Regressor]] = {
    "random-forest": tuned_random_forest,
    "extra-trees": extra_trees,
    "gradient-boosting": gradient_boosting,
    "lightgbm": lightgbm,
    "forest-kriging": forest_kriging,
    "gaussian-process": gaussian_process,
    "stack": lambda seed: ClosedFormStack(seed),
    "location-knn": lambda seed: LocationKNN(),
}

QUICK: dict[str, Callable[[int], Regressor]] = {
    "random-forest": lambda seed: random_forest(seed).set_params(n_estimators=QUICK_TREES),
}
"""Cheaper forms for the curve of r2 over tile sizes, which needs dozens of fits."""

__all__ = [
    "QUICK",
    "TABULAR",
    "BlockTrees",
    "ClosedFormStack",
    "ForestKriging",
    "GaussianProcess",
    "Kriging",
    "LocationKNN",
    "NormalScores",
    "QuadraticRidge",
    "Regressor",
    "TunedBoosting",
    "TunedForest",
    "chip_statistics",
    "extra_trees",
    "forest_kriging",
    "gaussian_process",
    "gradient_boosting",
    "lightgbm",
    "random_forest",
    "shares_of",
    "with_covariates",
]
