"""Order of plots by their values, so that a fit does not depend on the order of the rows."""

import numpy as np


def canonical_order(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Rows of X (n, columns) and y (n,) sorted by their values, the last columns of X first."""
    return np.lexsort([y, *X.T])


def in_canonical_order(X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X (n, features) and y (n,) as float64, in an order that depends on their values alone."""
    X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
    order = canonical_order(X, y)
    return X[order], y[order]
