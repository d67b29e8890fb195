"""Transforms of the response, and their inverse for the mean of a prediction.

Counts vary more where they are larger. On the square root (Anscombe 1948, Biometrika 35:246) or on
the logarithm the noise is more even, so the process suits them better.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

TransformName = Literal["none", "square-root", "logarithm"]

SHIFT = 3 / 8  # of Anscombe's square root


@dataclass(frozen=True)
class Transform:
    """A transform t of the response y.

    Attributes:
        forward: t(y).
        log_slope: log(dt / dy) at y, by which densities of different transforms compare.
        mean: expected y from the mean and the variance of t.
    """

    forward: Callable[[np.ndarray], np.ndarray]
    log_slope: Callable[[np.ndarray], np.ndarray]
    mean: Callable[[np.ndarray, np.ndarray], np.ndarray]


TRANSFORMS: dict[TransformName, Transform] = {
    "none": Transform(lambda y: y, np.zeros_like, lambda mean, variance: mean),
    "square-root": Transform(
        lambda y: np.sqrt(y + SHIFT),
        lambda y: -np.log(4 * (y + SHIFT)) / 2,
        lambda mean, variance: mean**2 + variance - SHIFT,
    ),
    "logarithm": Transform(
        np.log1p,
        lambda y: -np.log1p(y),
        lambda mean, variance: np.expm1(mean + variance / 2),
    ),
}
"""Transforms by name; y is a count for all but "none"."""
