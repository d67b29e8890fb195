"""scikit-learn's own checks of an estimator, on the table form of each model."""

import warnings

import pytest
from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import check_estimator

import spatioformer as sf
from spatioformer.models import registry
from spatioformer.models.baselines import closed_form
from tests.api.conftest import SMALL

pytestmark = pytest.mark.slow

NO_FEATURE = "X has two columns, both are the place, and no feature is left"
PLACED = {
    f"check_{name}": NO_FEATURE
    for name in (
        *("estimators_overwrite_params", "estimators_fit_returns_self", "readonly_memmap_input"),
        *("fit_idempotent", "fit_check_is_fitted", "n_features_in"),
    )
}
"""Checks that models which need a place cannot pass: their X here is one place and nothing else."""

QUICK = SMALL | {"epochs": 5, "batch": 8, "learning_rate": 0.03, "averaging": 0.0, "loss": "mse"}
"""Enough of a training for `check_regressors_train`, which wants r2 > 0.5 on its training rows."""

FOREST = sf.ForestKrigingRegressor(
    coordinates=(0, 1), n_estimators=20, min_samples_leaf=3, max_features=0.5
)
"""With settings, so that no check waits for the search of them."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (sf.SpatioformerRegressor(dropout=0.0, intervals=0, **QUICK), {}),
        (sf.GaussianProcessRegressor(), {}),
        (FOREST, PLACED),
        pytest.param(
            *(sf.ClosedFormStackRegressor(coordinates=(0, 1)), PLACED), marks=pytest.mark.soak
        ),
        pytest.param(
            *(sf.StackRegressor(coordinates=(0, 1), validation_tile=0.5, **SMALL), PLACED),
            marks=pytest.mark.soak,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_checks(estimator, expected, monkeypatch):
    # The adapter is what is checked; with all its members a stack takes minutes.
    monkeypatch.setattr(registry, "STACKED", {"gaussian-process": 0.5, "location-knn": 0.5})
    for settings in closed_form.FORESTS.values():
        monkeypatch.setitem(settings, "trees", 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # few rows make uneven folds
        results = check_estimator(
            estimator, expected_failed_checks=expected, on_skip=None, on_fail=None
        )
    failed = {r["check_name"]: r["exception"] for r in results if r["status"] == "failed"}
    assert failed == {}
    refused = {r["check_name"]: str(r["exception"]) for r in results if r["status"] == "xfail"}
    assert refused.keys() == expected.keys()
    assert {reason.split(";")[0] for reason in refused.values()} <= {
        "X has no column besides x0, x1"
    }
    assert sum(r["status"] == "passed" for r in results) == 51 - len(expected)
