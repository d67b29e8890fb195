"""Conformal prediction intervals, calibrated on held-out errors, for any model.

Let s_i be how far observation i of a calibration set falls outside its base interval [l_i, u_i], in
units of a scale sigma_i:

    s_i = max(l_i - y_i, y_i - u_i) / sigma_i          interval: [l - q sigma, u + q sigma]

and q the ceil((n + 1) level)-th smallest s. With l = u = the prediction and sigma = 1 this is split
conformal prediction (Lei et al. 2018, JASA 113:1094); with sigma = a model's spread (Monte Carlo
dropout, ensembles) its normalised form; with l, u = two predicted quantiles it is conformalised
quantile regression, CQR (Romano et al. 2019, NeurIPS). Coverage is at least `level` if calibration
plots and new observations are exchangeable. Plots and map pixels are not. Therefore calibrate on
**spatially held-out** predictions, as far from training as the map is (`knndm`), and check the
coverage by region and by DI.
"""

from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.model_selection import cross_val_predict

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks, distances
from spatioformer.evaluation.checks import Floats, Space

ROUNDING = 1e-9
"""Tolerance for (n + 1) level, so that rounding does not raise the rank: 0.9 / 0.1 exceeds 9."""

DECAY = 2.0
"""Weights in `LocalConformal` fall as exp(-DECAY (d / reach)^2): to 0.135 at the farthest plot."""


class _Conformal(BaseEstimator, ABC):
    """Base class of conformal intervals: subclasses give a margin for each new place."""

    level: float

    def calibrate(
        self,
        observed: ArrayLike,
        predicted: ArrayLike,
        where: ArrayLike | None = None,
        scale: ArrayLike | None = None,
    ) -> Self:
        """Fit margins to held-out predictions.

        `observed` (n,); `predicted` (n,), or (n, 2) lower and upper quantiles (CQR); `where` (n,
        ...), the regions or coordinates that the kind of interval needs; `scale` (n,), spread of
        the predictions, > 0.

        Raises:
            EvaluationError: NaN, different lengths, a level outside (0, 1), or fewer plots than the
                level needs (the message gives the number needed).
        """
        checks.level(self.level)
        observed = checks.vector(observed, "observed values")
        lower, upper = _bounds(predicted, observed)
        outside = np.maximum(lower - observed, observed - upper)
        self._learn(outside / _scale(scale, observed), where)
        return self

    def interval(
        self,
        predicted: ArrayLike,
        where: ArrayLike | None = None,
        scale: ArrayLike | None = None,
    ) -> Floats:
        """Prediction intervals, (m, 2) lower and upper bound, of new observations.

        Arguments as in `calibrate`, without observations. Quantiles that cross after a negative
        correction both become their mean.
        """
        lower, upper = _bounds(predicted)
        margin = self._margin(where, lower) * _scale(scale, lower)
        bounds = np.stack([lower - margin, upper + margin], axis=1)
        crossed = bounds[:, 0] > bounds[:, 1]
        bounds[crossed] = bounds[crossed].mean(axis=1, keepdims=True)
        return bounds

    @abstractmethod
    def _learn(self, scores: Floats, where: ArrayLike | None) -> None: ...

    @abstractmethod
    def _margin(self, where: ArrayLike | None, like: Floats) -> Floats | float: ...


class Conformal(_Conformal):
    """One margin for all places: split conformal, normalised, or CQR; `where` is not used."""

    margin_: float

    def __init__(self, level: float = 0.9) -> None:
        self.level = level

    def _learn(self, scores: Floats, where: ArrayLike | None) -> None:
        self.margin_ = conformal_quantile(scores, self.level)

    def _margin(self, where: ArrayLike | None, like: Floats) -> float:
        return self.margin_


class RegionConformal(_Conformal):
    """A margin for each region, so that coverage holds in every one (Mondrian conformal).

    `where` (n,) names the region of each row. Every region needs enough calibration plots; a region
    without calibration plots has no interval. Source: Vovk et al. 2005, Algorithmic Learning in a
    Random World, section 4.5.
    """

    margins_: dict[Any, float]  # a label of a region is of any type

    def __init__(self, level: float = 0.9) -> None:
        self.level = level

    def _learn(self, scores: Floats, where: ArrayLike | None) -> None:
        region = _labels(where, scores)
        self.margins_ = {
            name: conformal_quantile(scores[region == name], self.level, f"region {name} has ")
            for name in np.unique(region).tolist()
        }

    def _margin(self, where: ArrayLike | None, like: Floats) -> Floats:
        names, region = np.unique(_labels(where, like), return_inverse=True)
        unknown = sorted({str(name) for name in names.tolist() if name not in self.margins_})
        if unknown:
            raise EvaluationError(
                f"region {unknown[0]} has no calibration plots; leave it out, join it with another "
                "region, or use Conformal"
            )
        return np.array([self.margins_[name] for name in names.tolist()])[region]


class LocalConformal(_Conformal):
    """A margin from the nearest calibration plots, weighted by distance, for covariate shift.

    `where` is coordinates (n, 2), or in feature space any description of places, (n, p):
    predictors, embeddings, or the dissimilarity index alone, (n, 1). The `neighbours` nearest
    calibration plots have weights w = exp(-2 (d / d_max)^2) with d_max the distance of the farthest
    of them; the new place has weight 1. q is the smallest score such that the plots with scores up
    to it hold a share `level` of the total weight. For weighted scores see Tibshirani et al. 2019
    (NeurIPS); for the coverage lost when weights only depend on distance, Barber et al. 2023 (Ann.
    Stat. 51:816).
    """

    def __init__(
        self, level: float = 0.9, neighbours: int = 200, space: Space = "geographic"
    ) -> None:
        self.level = level
        self.neighbours = neighbours
        self.space = space

    def _learn(self, scores: Floats, where: ArrayLike | None) -> None:
        places = self._coordinates(where, scores)
        # The weights must reach the level even if all neighbours are as far as the farthest.
        needed = int(np.ceil(self.level / (1 - self.level) * np.exp(DECAY) - ROUNDING))
        if min(self.neighbours, len(scores)) < needed:
            raise EvaluationError(
                f"{self.neighbours} neighbours among {len(scores)} calibration plots are too few "
                f"for local coverage {self.level:g}; use at least {needed} of both"
            )
        self._place = distances.placing(places, self.space)
        self._tree = KDTree(self._place(places))
        self._scores = scores

    def _margin(self, where: ArrayLike | None, like: Floats) -> Floats:
        points = self._place(self._coordinates(where, like))
        rows = 4_000_000 // self.neighbours  # tens of MB at a time
        parts = [points[start : start + rows] for start in range(0, len(points), rows)]
        return np.concatenate([self._quantiles(part) for part in parts])

    def _quantiles(self, points: Floats) -> Floats:
        k = min(self.neighbours, len(self._scores))
        apart, near = distances.neighbours(self._tree, points, k, workers=-1)  # (m, k) each
        apart = distances.along_surface(apart, self.space)
        farthest = np.maximum(apart[:, -1:], np.finfo(float).tiny)
        weights = np.exp(-DECAY * (apart / farthest) ** 2)
        scores = self._scores[near]
        order = np.argsort(scores, axis=1)
        reached = np.cumsum(np.take_along_axis(weights, order, axis=1), axis=1)
        wanted = self.level * (reached[:, -1:] + 1) * (1 - ROUNDING)
        rank = np.sum(reached < wanted, axis=1, keepdims=True)
        return np.take_along_axis(np.take_along_axis(scores, order, axis=1), rank, axis=1)[:, 0]

    def _coordinates(self, where: ArrayLike | None, like: Floats) -> Floats:
        if where is None:
            raise EvaluationError("local intervals need `where`: give the coordinates of each row")
        places = checks.coordinates(where, self.space)
        checks.same_rows(places, "coordinates", like)
        return places


class ConformalRegressor(RegressorMixin, BaseEstimator):
    """A regressor with conformal intervals around it, in scikit-learn's interface.

    `estimator`: any regressor; a prediction of shape (n, 2) is read as lower and upper quantile
    (CQR, see `QuantilePair`). `cv`: the folds for calibration, (train, test) pairs such as
    `[*KNNDM(...).split(lonlat)]`, or any `cv` of scikit-learn. `conformal`: the kind of interval,
    `Conformal(0.9)` if None.

    `fit` predicts each fold from the others, calibrates on those predictions, and then trains on
    all plots: no plot is lost to calibration. In return, the guarantee of split conformal
    prediction is only approximate (Barber et al. 2021, Ann. Stat. 49:486, "CV").

    Attributes after `fit`: `estimator_`, `conformal_`, `held_out_` (n,) or (n, 2).
    """

    def __init__(self, estimator: Any, cv: Any, conformal: _Conformal | None = None) -> None:
        self.estimator = estimator
        self.cv = cv
        self.conformal = conformal

    def fit(self, X: ArrayLike, y: ArrayLike, where: ArrayLike | None = None) -> Self:
        """Fit to `X` (n, p), `y` (n,), and `where` (n, ...) if the kind of interval needs it."""
        kind = Conformal() if self.conformal is None else self.conformal
        self.held_out_ = cross_val_predict(clone(self.estimator), X, y, cv=self.cv)
        self.conformal_ = clone(kind).calibrate(y, self.held_out_, where)
        self.estimator_ = clone(self.estimator).fit(X, y)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        """Point prediction, (m,); with a quantile pair, the mean of the two."""
        predicted: Floats = np.asarray(self.estimator_.predict(X))
        if predicted.ndim == 2:
            predicted = predicted.mean(axis=1)
        return predicted

    def predict_interval(self, X: ArrayLike, where: ArrayLike | None = None) -> Floats:
        """Prediction intervals, (m, 2) lower and upper bound, of new observations."""
        bounds: Floats = self.conformal_.interval(self.estimator_.predict(X), where)
        return bounds


class QuantilePair(RegressorMixin, BaseEstimator):
    """Pair of quantile regressors whose `predict` gives (n, 2): lower, upper."""

    def __init__(self, lower: Any, upper: Any) -> None:
        self.lower = lower
        self.upper = upper

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        self.lower_ = clone(self.lower).fit(X, y)
        self.upper_ = clone(self.upper).fit(X, y)
        return self

    def predict(self, X: ArrayLike) -> Floats:
        return np.stack([self.lower_.predict(X), self.upper_.predict(X)], axis=1)


def conformal_quantile(scores: Floats, level: float, prefix: str = "") -> float:
    """The ceil((n + 1) level)-th smallest score; `prefix` starts the error message.

    Raises:
        EvaluationError: fewer scores than level / (1 - level).
    """
    n = len(scores)
    rank = int(np.ceil((n + 1) * level - ROUNDING))
    if rank > n:
        needed = int(np.ceil(level / (1 - level) - ROUNDING))
        raise EvaluationError(
            f"{prefix}{n} calibration plot(s), too few for coverage {level:g}; "
            f"use at least {needed}, or a lower coverage"
        )
    return float(np.partition(scores, rank - 1)[rank - 1])


def _bounds(predicted: ArrayLike, like: Floats | None = None) -> tuple[Floats, Floats]:
    """Base interval: the prediction as both bounds, or its two columns."""
    predicted = checks.numbers(predicted, "predicted values")
    if predicted.ndim == 2 and predicted.shape[1] == 2:
        checks.same_rows(predicted, "predicted values", like)
        return predicted[:, 0], predicted[:, 1]
    predicted = checks.vector(predicted, "predicted values", like)
    return predicted, predicted


def _scale(scale: ArrayLike | None, like: Floats) -> Floats | float:
    if scale is None:
        return 1.0
    scale = checks.vector(scale, "scale", like)
    if not (scale > 0).all():
        raise EvaluationError(f"scale {scale.min():g} must be above 0; add a small constant")
    return scale


def _labels(where: ArrayLike | None, like: Floats) -> NDArray[Any]:
    if where is None:
        raise EvaluationError("regional intervals need `where`: give the region of each row")
    return checks.labels(where, "regions", like)
