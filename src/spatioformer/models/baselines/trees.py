"""Random forests and boosted trees, with hyperparameters for noisy field counts.

Each function takes a seed and returns an unfitted regressor. scikit-learn's `set_params` adapts the
hyperparameters to a data set.
"""

from importlib.util import find_spec

from sklearn.ensemble import RandomForestRegressor

from spatioformer.common.errors import ModelError
from spatioformer.models.baselines.tuned_boosting import TunedBoosting
from spatioformer.models.baselines.tuned_forest import TunedForest


def random_forest(seed: int, jobs: int = 1) -> RandomForestRegressor:
    """Random forest of 300 trees (Breiman 2001) that is not tuned.

    A leaf holds at least 3 plots, because leaves of single plots fit the noise of field counts.
    """
    return RandomForestRegressor(
        300, min_samples_leaf=3, max_features=0.5, random_state=seed, n_jobs=jobs
    )


def tuned_random_forest(seed: int) -> TunedForest:
    """200 trees of a random forest; the training plots choose leaf size and features."""
    return TunedForest("random", random_state=seed)


def extra_trees(seed: int) -> TunedForest:
    """200 extremely randomised trees; the training plots choose leaf size and features."""
    return TunedForest("extra", random_state=seed)


def gradient_boosting(seed: int) -> TunedBoosting:
    """Histogram gradient boosting; the training plots choose settings and steps."""
    return TunedBoosting("histogram", random_state=seed)


def lightgbm(seed: int) -> TunedBoosting:
    """LightGBM; the training plots choose settings and steps. Needs the extra `boost`.

    Raises:
        ModelError: the package lightgbm is not installed.
    """
    if find_spec("lightgbm") is None:
        raise ModelError(
            "the model lightgbm needs the package lightgbm, which is not installed; run pip "
            "install 'spatioformer[boost]', or leave lightgbm out of `evaluate.models`"
        )
    return TunedBoosting("lightgbm", random_state=seed)
