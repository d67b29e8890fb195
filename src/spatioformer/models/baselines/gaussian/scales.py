"""Scales of the inputs of the process: gaps that need a feature, axes of the map, divisors."""

import numpy as np

COINCIDENT = 1e-9  # distance below which plots lie at one place, in the unit of the ranges


def indicated(features: np.ndarray) -> np.ndarray:
    """Columns of features (n, f) whose gaps need a feature of their own.

    Columns with the same gaps share one, and a column that says where they are needs none.
    """
    missing = ~np.isfinite(features)
    chosen: list[int] = []
    patterns = {column.tobytes() for column in (features == 1).T if column.any()}
    for number, column in enumerate(missing.T):
        if column.any() and not column.all() and column.tobytes() not in patterns:
            patterns.add(column.tobytes())
            chosen.append(number)
    return np.array(chosen, int)


def frame(middle: np.ndarray) -> np.ndarray:
    """Unit vectors to the east, to the north and up at a point (3,), as columns (3, 3)."""
    size = np.linalg.norm(middle)
    up = middle / size if size > 0 else np.array([1.0, 0.0, 0.0])
    east = np.cross([0.0, 0.0, 1.0], up)
    breadth = np.linalg.norm(east)
    east = east / breadth if breadth > 1e-12 else np.array([0.0, 1.0, 0.0])
    return np.stack([east, np.cross(up, east), up], axis=1)


def above_zero(value: np.ndarray | float) -> np.ndarray:
    """Replace 0 by 1, so that the value can be a divisor."""
    return np.where(np.asarray(value) > 0, value, 1.0)
