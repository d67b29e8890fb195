"""Where a model applies: dissimilarity index, area of applicability, local point density.

Meyer & Pebesma 2021 (Methods Ecol. Evol. 12:1620) for the index and the area, Schumacher et al.
2024 (EGUsphere 2024-2730) for the density; values agree with the R package CAST.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from joblib import cpu_count
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator
from sklearn.isotonic import IsotonicRegression

from spatioformer.common.errors import EvaluationError
from spatioformer.common.threads import limited_threads
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.distances import moments

T = TypeVar("T")
Scalar = TypeVar("Scalar", bound=np.generic)

BLOCK = 350_000
"""Distances a thread computes at once when it searches the nearest plots: 2.8 MB, fits its
cache."""

_STATE = ("_used", "_center", "_factor", "_plots")
_LEARNED = ("mean_distance", "threshold", "training_di", "training_lpd")

WINDOW = 50
"""Plots in the moving window over which `ExpectedError` averages the squared error."""


class AreaOfApplicability(BaseEstimator):
    """Tests whether places are like the training plots, in the predictors that the model uses.

    Predictors are standardised by the mean and standard deviation (n - 1) of the training plots and
    multiplied by `weights` (p,), the model's variable importance (None: equal weights). Distances
    are Euclidean. A network's embeddings can be used as predictors.

    - Dissimilarity index: DI(x) = distance to the nearest training plot / `mean_distance_`.
    - The DI of a training plot looks to plots of **other folds** only (no folds: to all others).
    - Threshold: largest training DI within Q75 + 1.5 IQR, as min(Q75 + 1.5 IQR, max DI).
    - Inside the area: DI <= threshold. There the cross-validated error holds; outside it does not.
    - Local point density: LPD(x) = number of training plots with a DI to x below the threshold.

    `workers` threads share the work (None: one a core). Memory beyond input and output is a few MB
    a thread, except in `fit`, where it is 32 MB a thread and time grows as n^2.

    Attributes after `fit`: `mean_distance_`, mean distance between two training plots;
    `threshold_`; `training_di_` (n,); `training_lpd_` (n,), integers.
    """

    mean_distance_: float
    threshold_: float
    training_di_: Floats
    training_lpd_: Integers
    n_features_in_: int
    _used: NDArray[np.bool_]  # (p,) predictors with a weight above 0; q of them
    _center: Floats  # (q,)
    _factor: Floats  # (q,) weight / standard deviation
    _plots: Floats  # (n, q) weighted, standardised predictors of the training plots

    def __init__(self, weights: ArrayLike | None = None, workers: int | None = None) -> None:
        self.weights = weights
        self.workers = workers

    def fit(self, X: ArrayLike, folds: ArrayLike | None = None) -> "AreaOfApplicability":
        """Learn from the predictors `X` (n, p) and `folds` (n,), as `Splitter.assign` gives them.

        Raises:
            EvaluationError: NaN or constant predictors, weights that do not fit, too few plots or
                folds, or all training plots alike.
        """
        X = checks.matrix(X, "predictors")
        self._used, weights = self._check_weights(X.shape[1])
        center, scale = moments(X[:, self._used])
        self._center, self._factor = center, weights / scale
        self.n_features_in_ = X.shape[1]
        self._plots = self._place(X, 0)
        fold = np.arange(len(X)) if folds is None else _fold_numbers(folds, X)
        if fold.max() == 0:
            raise EvaluationError(
                f"{len(X)} training plot(s) in one fold cannot be compared with another fold; give "
                "at least two folds"
            )
        self._fit_distances(fold)
        return self

    def state(self) -> dict[str, NDArray[Any]]:
        """Fitted state as arrays, for `from_state`."""
        names = (*_STATE, *(f"{name}_" for name in _LEARNED))
        return {name.strip("_"): np.asarray(getattr(self, name)) for name in names}

    @classmethod
    def from_state(
        cls, state: dict[str, NDArray[Any]], workers: int | None = None
    ) -> "AreaOfApplicability":
        """Restore a fitted area from the arrays of `state`."""
        area = cls(workers=workers)
        for name in _STATE:
            setattr(area, name, state[name.strip("_")])
        for name in _LEARNED:
            setattr(area, f"{name}_", state[name][()])  # [()] turns 0-d arrays back into numbers
        area.n_features_in_ = len(area._used)
        return area

    def di(self, X: ArrayLike, among: ArrayLike | None = None) -> Floats:
        """Dissimilarity index of each row of `X` (m, p): (m,), 0 on a training plot, unbounded.

        `among` (n,), bool, selects the training plots to compare with (None: all).

        Raises:
            EvaluationError: NaN predictors (leave nodata cells out), or another number of columns.
        """
        plots = self._plots if among is None else self._plots[np.asarray(among, bool)]
        transposed, squares = -2 * plots.T, (plots**2).sum(axis=1)

        def nearest(points: Floats) -> Floats:
            # |x - t|^2 = |x|^2 - 2 x.t + |t|^2 finds the nearest plot. Its distance is then
            # computed directly, because the difference of large squares loses the digits of a short
            # one.
            closest = np.argmin(points @ transposed + squares, axis=1)
            straight: Floats = np.linalg.norm(points - plots[closest], axis=1)
            return straight / self.mean_distance_

        return self._by_blocks(X, nearest, max(1, BLOCK // len(plots)), np.float64)

    def points(self, X: ArrayLike) -> Floats:
        """Transform rows of `X` (m, p) to points (m, q) whose Euclidean distances are the index.

        Raises:
            EvaluationError: NaN predictors.
        """
        return self._place(X, 0) / self.mean_distance_

    def lpd(self, X: ArrayLike) -> Integers:
        """Local point density of each row of `X` (m, p), (m,): training plots within the threshold.

        Raises:
            EvaluationError: as `di`.
        """
        tree = KDTree(self._plots)
        reach = np.nextafter(self.threshold_ * self.mean_distance_, 0)  # strictly below it

        def count(points: Floats) -> Integers:
            return np.asarray(tree.query_ball_point(points, reach, return_length=True))

        return self._by_blocks(X, count, 2000, np.int64)

    def inside(self, X: ArrayLike) -> NDArray[np.bool_]:
        """Whether each row of `X` (m, p) lies in the area of applicability, (m,)."""
        return self.di(X) <= self.threshold_

    def _check_weights(self, columns: int) -> tuple[NDArray[np.bool_], Floats]:
        if self.weights is None:
            return np.ones(columns, dtype=bool), np.ones(columns)
        weights = checks.vector(self.weights, "weights")
        if len(weights) != columns:
            raise EvaluationError(
                f"{len(weights)} weights do not fit {columns} predictors; give one weight each"
            )
        if (weights < 0).any():
            raise EvaluationError(
                f"weight {weights.min():g} of predictor {int(weights.argmin())} is negative; set "
                "it to 0 to leave the predictor out"
            )
        if not weights.any():
            raise EvaluationError("all weights are 0; give at least one predictor some weight")
        return weights > 0, weights[weights > 0]

    def _place(self, X: ArrayLike, first_row: int) -> Floats:
        """Standardise, weight and select predictors; Euclidean distances then enter the index."""
        X = np.asarray(X, dtype=np.float64)
        if not np.isfinite(X).all():
            row = first_row + int(np.argmin(np.isfinite(X).all(axis=1)))
            raise EvaluationError(
                f"predictors hold NaN or infinite values, the first in row {row}; leave those rows "
                "out with the mask of valid cells"
            )
        return (X[:, self._used] - self._center) * self._factor

    def _fit_distances(self, fold: Integers) -> None:
        n = len(self._plots)
        rows = max(1, 4_000_000 // n)

        def compare(block: slice) -> tuple[float, Floats]:
            apart = cdist(self._plots[block], self._plots)  # (rows, n)
            total = apart.sum()  # the distance of a plot to itself adds 0
            apart[fold[block, None] == fold] = np.inf
            return total, apart.min(axis=1)

        totals, closest = zip(*self._map(compare, n, rows), strict=True)
        self.mean_distance_ = float(sum(totals) / (n * (n - 1)))
        self.training_di_ = np.concatenate(closest) / self.mean_distance_
        lower, upper = np.percentile(self.training_di_, [25, 75])
        fence = upper + 1.5 * (upper - lower)
        self.threshold_ = float(min(fence, self.training_di_.max()))

        def count(block: slice) -> Integers:
            apart = cdist(self._plots[block], self._plots) / self.mean_distance_
            counts: Integers = ((apart < self.threshold_) & (fold[block, None] != fold)).sum(axis=1)
            return counts

        self.training_lpd_ = np.concatenate(self._map(count, n, rows))

    def _by_blocks(
        self,
        X: ArrayLike,
        work: Callable[[Floats], NDArray[Scalar]],
        rows: int,
        dtype: type[Scalar],
    ) -> NDArray[Scalar]:
        """Results of `work` (m,) on the placed rows of `X` (m, p), `rows` of them at a time."""
        X = np.asarray(X)
        if X.ndim != 2 or X.shape[1] != self.n_features_in_:
            raise EvaluationError(
                f"predictors of shape {X.shape} do not fit the {self.n_features_in_} columns of "
                "the training plots; give the same columns in the same order"
            )
        out = np.empty(len(X), dtype)

        def fill(block: slice) -> None:
            out[block] = work(self._place(X[block], block.start))

        self._map(fill, len(X), rows)
        return out

    def _map(self, work: Callable[[slice], T], n: int, rows: int) -> list[T]:
        """Results of `work` on slices of `rows` of n rows, in order, by a pool of threads."""
        blocks = [slice(start, start + rows) for start in range(0, n, rows)]
        workers = self.workers or cpu_count()
        # This pool uses all cores, so the matrix products inside must not start threads as well.
        with limited_threads(1, "blas"), ThreadPoolExecutor(workers) as pool:
            return list(pool.map(work, blocks))


class ExpectedError(BaseEstimator):
    """Error of a prediction as a function of its dissimilarity, from held-out predictions.

    Plots are sorted by DI. A window of 50 plots moves over them and takes the root mean square
    error, placed at the DI of its middle plot. An increasing function (isotonic regression) is
    fitted, because predictions do not improve with dissimilarity. Beyond both ends the function is
    constant, so it underestimates the error outside the area of applicability.

    Attributes after `fit`: `window_di_` and `window_rmse_` (n - 49,), the moving error.
    """

    window_di_: Floats
    window_rmse_: Floats

    def fit(self, di: ArrayLike, observed: ArrayLike, predicted: ArrayLike) -> "ExpectedError":
        """Learn from `di` (n,) (`AreaOfApplicability.training_di_`) and held-out predictions (n,).

        Raises:
            EvaluationError: fewer plots than a window, NaN, or different lengths.
        """
        di = checks.vector(di, "dissimilarity")
        observed = checks.vector(observed, "observed values", like=di)
        predicted = checks.vector(predicted, "predicted values", like=di)
        if len(di) < WINDOW:
            raise EvaluationError(
                f"{len(di)} held-out predictions are fewer than the {WINDOW} of one window; "
                "use more plots"
            )
        order = np.argsort(di, kind="stable")
        squares = np.concatenate([[0], np.cumsum(((observed - predicted) ** 2)[order])])
        self.window_rmse_ = np.sqrt((squares[WINDOW:] - squares[:-WINDOW]) / WINDOW)
        middle = (WINDOW - 1) // 2
        self.window_di_ = di[order][middle : middle + len(self.window_rmse_)]
        self._curve = IsotonicRegression(out_of_bounds="clip")
        self._curve.fit(self.window_di_, self.window_rmse_)
        return self

    def predict(self, di: ArrayLike) -> Floats:
        """Expected root mean square error at `di` (m,), (m,) in the unit of the target."""
        errors: Floats = self._curve.predict(checks.vector(di, "dissimilarity"))
        return errors


def _fold_numbers(folds: ArrayLike, X: Floats) -> Integers:
    folds = checks.labels(folds, "folds", like=X)
    return np.unique(folds, return_inverse=True)[1].reshape(-1)
