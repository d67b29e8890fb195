"""Boosted trees that choose their settings and their number of steps on areas of plots held out."""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from spatioformer.models.baselines.areas import PARTS, divisions, parts
from spatioformer.models.baselines.features import floor_of, not_below

if TYPE_CHECKING:
    from lightgbm import LGBMRegressor

SETTINGS = (
    {"leaves": 31, "min_leaf": 20, "l2": 0.0, "features": 1.0},
    {"leaves": 15, "min_leaf": 10, "l2": 1.0, "features": 0.5},
    {"leaves": 7, "min_leaf": 10, "l2": 10.0, "features": 0.5},
    {"leaves": 4, "min_leaf": 10, "l2": 10.0, "features": 0.5},
)
"""Settings to choose from; the first are the defaults of scikit-learn and LightGBM."""
RATE, FINER = 0.1, 2
"""Learning rate of the search. The final fit takes FINER times the steps at RATE / FINER."""
FIRST, MOST = 100, 400
"""Number of steps tried first, and at most; doubled while the error still falls."""


class TunedBoosting(RegressorMixin, BaseEstimator):
    """Gradient boosting of trees (Friedman 2001), tuned on the training plots.

    Each of SETTINGS is fitted without each third of the plots' areas (`areas.divisions`). The
    setting and the number of steps with the smallest squared error of the plots held out are
    chosen; then all plots are fitted with them, at a lower learning rate. Random plots held out
    would show no overfitting, because they are too close to the training plots.

    Args:
        kind: "histogram" (scikit-learn) or "lightgbm" (Ke et al. 2017).
        steps: largest number of steps of the search.
        random_state: seed.
    """

    blank_: np.ndarray | None = None
    floor_: float | None = None
    # Class attributes above are the values of files without them.

    def __init__(
        self,
        kind: Literal["histogram", "lightgbm"] = "histogram",
        steps: int = MOST,
        random_state: int = 0,
    ):
        self.kind = kind
        self.steps = steps
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> "TunedBoosting":
        """Choose setting and steps, and boost on all plots.

        Args:
            X: (n, features), NaN where a feature is missing; the last two columns are longitude and
                latitude, degrees.
            y: (n,).

        Sets `booster_`, the fitted regressor, and `chosen_`, its settings.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        self.floor_ = floor_of(y)
        rng = np.random.default_rng(self.random_state)
        folds = [parts(division, rng) for division in divisions(X)]
        setting, steps = SETTINGS[1], min(FIRST, self.steps)
        if folds:
            curves = [self._curve(X, y, folds, setting) for setting in SETTINGS]
            number = int(np.argmin([curve.min() for curve in curves]))
            setting, steps = SETTINGS[number], int(curves[number].argmin()) + 1
        self.chosen_ = {"steps": FINER * steps, "learning_rate": RATE / FINER, **setting}
        self.blank_ = _blank(X)
        booster = self._unfitted(setting, FINER * steps, RATE / FINER)
        self.booster_ = booster.fit(np.where(self.blank_, 0.0, X), y)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Predictions, (n,); at least 0 if all training plots are."""
        if self.blank_ is not None:
            X = np.where(self.blank_, 0.0, X)
        return not_below(np.asarray(self.booster_.predict(X), np.float64), self.floor_)

    def _unfitted(
        self, setting: dict[str, float], steps: int, rate: float = RATE
    ) -> "HistGradientBoostingRegressor | LGBMRegressor":
        """The regressor of one of SETTINGS."""
        shared: dict[str, Any] = {
            "learning_rate": rate,
            "random_state": self.random_state,
        }
        if self.kind == "histogram":
            return HistGradientBoostingRegressor(
                max_iter=steps,
                max_leaf_nodes=int(setting["leaves"]),
                min_samples_leaf=int(setting["min_leaf"]),
                l2_regularization=setting["l2"],
                max_features=setting["features"],
                early_stopping=False,
                **shared,
            )
        from lightgbm import LGBMRegressor

        return LGBMRegressor(
            n_estimators=steps,
            num_leaves=int(setting["leaves"]),
            min_child_samples=int(setting["min_leaf"]),
            reg_lambda=setting["l2"],
            colsample_bytree=setting["features"],
            deterministic=True,
            force_row_wise=True,
            n_jobs=1,
            verbose=-1,
            **shared,
        )

    def _curve(
        self, X: np.ndarray, y: np.ndarray, folds: list[np.ndarray], setting: dict[str, float]
    ) -> np.ndarray:
        """Squared error (steps,) of plots held out, after each step, mean over the divisions."""
        steps = min(FIRST, self.steps)
        while True:
            total = np.zeros(steps)
            for fold in folds:
                for number in range(PARTS):
                    out = fold == number
                    total += self._squared_errors(setting, steps, X, y, out)
            still_falls = total.argmin() >= 0.8 * steps
            if not still_falls or steps == self.steps:
                return total / (len(y) * len(folds))
            steps = min(2 * steps, self.steps)

    def _squared_errors(
        self, setting: dict[str, float], steps: int, X: np.ndarray, y: np.ndarray, out: np.ndarray
    ) -> np.ndarray:
        """Sum of squared errors of the plots `out`, bool (n,), after each step, (steps,)."""
        booster = self._unfitted(setting, steps)
        X = np.where(_blank(X[~out]), 0.0, X)
        if isinstance(booster, HistGradientBoostingRegressor):
            staged = booster.fit(X[~out], y[~out]).staged_predict(X[out])
            return np.array([np.sum((predictions - y[out]) ** 2) for predictions in staged])
        import lightgbm

        training = lightgbm.Dataset(X[~out], y[~out])
        record: dict[str, Any] = {}
        lightgbm.train(
            booster.get_params() | {"objective": "regression", "metric": "l2"},
            training,
            steps,
            [lightgbm.Dataset(X[out], y[out], reference=training)],
            callbacks=[lightgbm.record_evaluation(record)],
        )
        errors = np.array(record["valid_0"]["l2"]) * out.sum()
        # LightGBM ends earlier where no leaf can be split.
        return np.append(errors, np.full(steps - len(errors), errors[-1]))


def _blank(X: np.ndarray) -> np.ndarray:
    """Features without any value, bool (f,), at which scikit-learn's boosting fails."""
    return np.asarray(~np.isfinite(X).any(axis=0))
