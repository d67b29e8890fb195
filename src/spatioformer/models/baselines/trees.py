"""Random forests and boosted trees, with hyperparameters for noisy field counts.

Each function takes a seed and returns an unfitted regressor. scikit-learn's `set_params` adapts the
hyperparameters to a data set.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)

from spatioformer.common.errors import ModelError

if TYPE_CHECKING:
    from lightgbm import LGBMRegressor


def random_forest(seed: int, jobs: int = 1) -> RandomForestRegressor:
    """Random forest of 300 trees (Breiman 2001).

    A leaf holds at least 3 plots, because leaves of single plots fit the noise of field counts.
    """
    return RandomForestRegressor(
        300, min_samples_leaf=3, max_features=0.5, random_state=seed, n_jobs=jobs
    )


def extra_trees(seed: int) -> ExtraTreesRegressor:
    """300 extremely randomised trees, split at random thresholds (Geurts et al. 2006)."""
    return ExtraTreesRegressor(300, min_samples_leaf=3, max_features=0.5, random_state=seed)


def gradient_boosting(seed: int) -> HistGradientBoostingRegressor:
    """Histogram gradient boosting of regression trees (Friedman 2001).

    The number of iterations is fixed. Early stopping would use random validation plots, which are
    too close to the training plots to show overfitting.
    """
    return HistGradientBoostingRegressor(
        learning_rate=0.05,
        max_iter=200,
        max_leaf_nodes=15,
        min_samples_leaf=10,
        l2_regularization=1.0,
        max_features=0.5,
        early_stopping=False,
        random_state=seed,
    )


def lightgbm(seed: int) -> "LGBMRegressor":
    """LightGBM's gradient boosting (Ke et al. 2017); needs the extra `boost`.

    Raises:
        ModelError: the package lightgbm is not installed.
    """
    if find_spec("lightgbm") is None:
        raise ModelError(
            "the model lightgbm needs the package lightgbm, which is not installed; run pip "
            "install 'spatioformer[boost]', or leave lightgbm out of `evaluate.models`"
        )
    from lightgbm import LGBMRegressor

    return LGBMRegressor(
        n_estimators=200,
        learning_rate=0.05,
        num_leaves=15,
        min_child_samples=10,
        reg_lambda=1.0,
        colsample_bytree=0.5,
        subsample=0.8,
        subsample_freq=1,
        random_state=seed,
        deterministic=True,
        force_row_wise=True,
        n_jobs=1,
        verbose=-1,
    )
