"""Boosted trees that choose their settings and their number of steps on areas of plots held out."""

from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.ensemble import HistGradientBoostingRegressor

from spatioformer.models.baselines.areas import divisions, held_out
from spatioformer.models.baselines.features import floor_of, not_below
from spatioformer.models.baselines.order import in_canonical_order

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

    Each of SETTINGS is fitted without each third of the plots' areas (`areas.held_out`). The
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

        Sets `booster_`, the fitted regressor, and `chosen_`, its settings. The order of the rows
        changes nothing.
        """
        X, y = in_canonical_order(X, y)
        self.floor_ = floor_of(y)
        rng = np.random.default_rng(self.random_state)
        folds = [out for division in divisions(X) for out in held_out(division, rng)]
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
        """Sum of squared errors (steps,) of the plots held out, bool (n,) each, by steps."""
        steps = min(FIRST, self.steps)
        fits = [_begun(self._unfitted(setting, steps), X, y, out) for out in folds]
        while True:
            total = np.sum([fit.squared_errors(steps) for fit in fits], axis=0)
            still_falls = total.argmin() >= 0.8 * steps
            if not still_falls or steps == self.steps:
                return np.asarray(total)
            steps = min(2 * steps, self.steps)


class _Fit(Protocol):
    """A fit without some plots that can be given more steps: the first ones are not done again."""

    def squared_errors(self, steps: int) -> np.ndarray:
        """Sum of squared errors of the plots held out after each step, (steps,)."""
        ...


def _begun(
    booster: "HistGradientBoostingRegressor | LGBMRegressor",
    X: np.ndarray,
    y: np.ndarray,
    out: np.ndarray,
) -> _Fit:
    """A fit of `booster` to X (n, features) and y (n,) without the plots `out`, bool (n,)."""
    X = np.where(_blank(X[~out]), 0.0, X)
    if isinstance(booster, HistGradientBoostingRegressor):
        return _HistogramFit(booster, X, y, out)
    return _LightGBMFit(booster, X, y, out)


class _HistogramFit:
    """A fit of scikit-learn; arguments as of `_begun`."""

    def __init__(
        self,
        booster: HistGradientBoostingRegressor,
        X: np.ndarray,
        y: np.ndarray,
        out: np.ndarray,
    ):
        self.booster = booster.set_params(warm_start=True)
        self.training, self.test = (X[~out], y[~out]), (X[out], y[out])

    def squared_errors(self, steps: int) -> np.ndarray:
        X, y = self.test
        staged = self.booster.set_params(max_iter=steps).fit(*self.training).staged_predict(X)
        return np.array([np.sum((predictions - y) ** 2) for predictions in staged])


class _LightGBMFit:
    """A fit of LightGBM; arguments as of `_begun`."""

    def __init__(self, booster: "LGBMRegressor", X: np.ndarray, y: np.ndarray, out: np.ndarray):
        import lightgbm

        settings = booster.get_params() | {"objective": "regression", "metric": "l2"}
        training = lightgbm.Dataset(X[~out], y[~out])
        self.booster = lightgbm.Booster(settings, training)
        self.booster.add_valid(lightgbm.Dataset(X[out], y[out], reference=training), "held out")
        self.plots, self.errors = int(out.sum()), list[float]()

    def squared_errors(self, steps: int) -> np.ndarray:
        while len(self.errors) < steps:
            if self.booster.update():  # no leaf can be split, so further steps change nothing
                last = self._error() if not self.errors else self.errors[-1]
                self.errors += [last] * (steps - len(self.errors))
            else:
                self.errors.append(self._error())
        return np.array(self.errors)

    def _error(self) -> float:
        mean = self.booster.eval_valid()[0][2]
        return float(mean) * self.plots


def _blank(X: np.ndarray) -> np.ndarray:
    """Features without any value, bool (f,), at which scikit-learn's boosting fails."""
    return np.asarray(~np.isfinite(X).any(axis=0))
