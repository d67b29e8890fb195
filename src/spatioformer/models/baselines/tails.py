"""Normal scores of features with heavy tails.

A Gaussian process divides features by their standard deviation. One value of a million among
amounts of rain leaves no difference between the others, and a response to the logarithm of such a
feature changes within a fraction of a standard deviation. Trees see the order of values only. So
features with heavy tails can be replaced by normal scores, which depend on their order: a value
becomes the normal quantile of its rank (van der Waerden scores). The process does so where the
error of plots left out falls. Scores are constant beyond the training plots, so a model that has to
extrapolate, as the quadratic regression, does not take them.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin

HEAVY = 8.0
"""Kurtosis (3 for a normal, 9 for a uniform to the fifth power) above which tails are heavy."""

KNOTS = 33
"""Number of values of a feature between which scores are interpolated, at most."""


class NormalScores(TransformerMixin, BaseEstimator):
    """Replace features with heavy tails by normal scores; other features stay as they are.

    Args:
        kept: features that stay as they are whatever their tails.

    Attributes:
        columns_: int (k,), features with heavy tails.
        values_: (k, KNOTS), values of each, ascending; the last is repeated if there are fewer.
        scores_: (k, KNOTS), normal scores of the values.
    """

    def __init__(self, kept: Sequence[int] = ()):
        self.kept = kept

    def fit(self, X: np.ndarray, y: None = None) -> "NormalScores":
        """Find the features with heavy tails, and their scores.

        Args:
            X: (n, f), NaN where missing. A feature with fewer than three different values has no
                heavy tails.
        """
        present = [column[np.isfinite(column)] for column in X.T]
        heavy = [j for j, values in enumerate(present) if j not in self.kept and _heavy(values)]
        pairs = np.array([_knots(present[j]) for j in heavy]).reshape(-1, 2, KNOTS)
        self.columns_, self.values_, self.scores_ = np.array(heavy, int), pairs[:, 0], pairs[:, 1]
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Features (n, f) with scores in `columns_`: constant beyond the values, NaN where missing.

        Without such columns it is the given array.
        """
        if not len(self.columns_):
            return X
        out = X.copy()
        for column, values, scores in zip(self.columns_, self.values_, self.scores_, strict=True):
            out[:, column] = np.interp(X[:, column], values, scores)
        return out


def _heavy(values: np.ndarray) -> bool:
    """Whether values (n,) have a kurtosis above HEAVY, and three or more are different."""
    if len(np.unique(values)) < 3:
        return False
    size = np.max(np.abs(values - np.median(values)))  # so that fourth powers stay finite
    centred = (values - values.mean()) / size
    return bool(np.mean(centred**4) > HEAVY * np.mean(centred**2) ** 2)


def _knots(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most KNOTS of the different values (n,) and their scores; equal values share a rank."""
    different, counts = np.unique(values, return_counts=True)
    scores = ndtri((np.cumsum(counts) - counts / 2) / len(values))
    chosen = different
    if len(different) > KNOTS:
        chosen = np.unique(np.quantile(values, np.linspace(0, 1, KNOTS), method="nearest"))
    padded = np.concatenate([chosen, np.full(KNOTS - len(chosen), chosen[-1])])
    return padded, np.interp(padded, different, scores)
