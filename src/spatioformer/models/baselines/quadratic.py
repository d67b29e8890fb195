"""Ridge regression on features and their squares, for places far from all plots.

A stack needs a member of few numbers, which extrapolates better than processes and trees
(docs/models.md, "The stack in closed form"). Alone it is a poor model.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, RegressorMixin

from spatioformer.geo.plots.target import kind_of
from spatioformer.models.baselines.gaussian.leaving import members
from spatioformer.models.baselines.gaussian.response import TRANSFORMS, TransformName

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
"""Candidates for the ridge penalty of standardised features, in plots."""

FURTHEST = 3.0  # standard deviations at which features are cut


class QuadraticRidge(RegressorMixin, BaseEstimator):
    """Ridge regression on features and their squares; counts are fitted as square roots.

    Args:
        counts: whether the response is a count.
    """

    def __init__(self, counts: bool = True):
        self.counts = counts

    def fit(self, X: np.ndarray, y: np.ndarray, block: np.ndarray) -> "QuadraticRidge":
        """Fit the regression, with the penalty of the least error of blocks that are left out.

        Args:
            X: (n, features + 2), NaN where a feature is missing; longitude and latitude, the last
                two columns, are not used.
            y: (n,), richness.
            block: (n,), label of each plot's block.
        """
        features = np.ma.masked_invalid(np.asarray(X, np.float64)[:, :-2])
        self.centre_ = features.mean(axis=0).filled(0.0)
        scale = features.std(axis=0).filled(0.0)
        self.scale_ = np.where(scale > 0, scale, 1.0)
        counts = self.counts and kind_of(y)[0] == "count" and y.min() >= 0
        self.transform_: TransformName = "square-root" if counts else "none"
        self.limits_ = np.array([y.min(), y.max()])
        design, target = self._design(X), TRANSFORMS[self.transform_].forward(y)
        errors = [
            np.mean((_left_out(design, target, block, penalty) - target) ** 2)
            for penalty in PENALTIES
        ]
        best = int(np.argmin(errors))
        self.penalty_, self.variance_ = PENALTIES[best], float(errors[best])
        inner = cho_factor(_normal(design, self.penalty_))
        self.weights_ = cho_solve(inner, design.T @ target)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,), within the range of the training plots."""
        return self._richness(self._design(X) @ self.weights_)

    def leave_out_each(
        self, X: np.ndarray, y: np.ndarray, blocks: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Expected richness (n, divisions) of training plots, each from those of other blocks.

        Args:
            X, y: as of `fit`.
            blocks: (n,) each, label of the block of each plot in a division.
        """
        design, target = self._design(X), TRANSFORMS[self.transform_].forward(y)
        columns = [_left_out(design, target, block, self.penalty_) for block in blocks]
        return np.column_stack([self._richness(column) for column in columns])

    def _design(self, X: np.ndarray) -> np.ndarray:
        """1, standardised features (0 where missing) and their squares, (n, 1 + 2 features)."""
        scaled = (np.asarray(X, np.float64)[:, :-2] - self.centre_) / self.scale_
        scaled = np.clip(np.where(np.isfinite(scaled), scaled, 0.0), -FURTHEST, FURTHEST)
        return np.hstack([np.ones((len(X), 1)), scaled, scaled**2 - 1])

    def _richness(self, mean: np.ndarray) -> np.ndarray:
        transform = TRANSFORMS[self.transform_]
        mean = np.clip(mean, *transform.forward(self.limits_))
        return np.clip(transform.mean(mean, np.full(len(mean), self.variance_)), *self.limits_)


def _normal(design: np.ndarray, penalty: float) -> np.ndarray:
    """Normal matrix (p, p) of a ridge regression; the first column is hardly penalised."""
    penalties = np.full(design.shape[1], penalty)
    penalties[0] = 1e-6
    return design.T @ design + np.diag(penalties)


def _left_out(
    design: np.ndarray, target: np.ndarray, block: np.ndarray, penalty: float
) -> np.ndarray:
    """Predictions (n,) of plots from the plots of other blocks."""
    normal, moment = _normal(design, penalty), design.T @ target
    inverse = np.linalg.inv(normal)
    fitted = design @ (inverse @ moment)
    out = np.empty(len(target))
    for rows in members(block):
        part = design[rows]
        if len(rows) < len(normal):  # the smaller of two equal systems
            hat = part @ inverse @ part.T
            error = np.linalg.solve(np.eye(len(rows)) - hat, target[rows] - fitted[rows])
            out[rows] = target[rows] - error
        else:
            rest = normal - part.T @ part
            out[rows] = part @ np.linalg.solve(rest, moment - part.T @ target[rows])
    return out
