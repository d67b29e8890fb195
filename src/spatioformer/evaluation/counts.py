"""Intervals of counts: how far Poisson and negative binomial counts fall from their mean.

A count of mean m has the variance m + k m^2; k is the dispersion, 0 for Poisson (NB2 of Cameron &
Trivedi 1998, Regression Analysis of Count Data, section 3.3).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nbdtrik, pdtrik

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats

LEAST_DISPERSION = 1e-6
"""Below, a count is Poisson: at a mean of 10,000 the standard deviations part by 0.5 %."""

LEAST_MEAN = 1e-6
"""Species; of fewer, all quantiles that are asked for are 0."""


def dispersion(observed: ArrayLike, mean: ArrayLike) -> float:
    """The k >= 0 with which squared errors add up to what counts would have.

        k = max(0, sum ((y - m)^2 - m) / sum m^2)

    Of held-out predictions, k holds the errors of the model beside the scatter of the counts; means
    below 0 count as 0.

    Raises:
        EvaluationError: NaN, or different lengths.
    """
    observed = checks.vector(observed, "observed values")
    mean = np.maximum(checks.vector(mean, "means", like=observed), 0)
    squares = float(np.sum(mean**2))
    beyond = float(np.sum((observed - mean) ** 2 - mean))
    return max(0.0, beyond / squares) if squares else 0.0


def count_bounds(mean: ArrayLike, dispersion: float, level: float) -> Floats:
    """Central interval of counts of these means, (n, 2): quantiles (1 -+ level) / 2.

    Between whole numbers the distribution function is continued as the incomplete beta (Poisson:
    gamma) function that it is at them, so that bounds move smoothly with the mean. Rounded up, they
    are the quantiles of the counts. Means of no species have the bounds 0, 0.

    Raises:
        EvaluationError: a level outside (0, 1), a dispersion below 0, NaN.
    """
    tail = (1 - checks.level(level)) / 2
    mean = np.maximum(checks.vector(mean, "means"), 0)
    if not dispersion >= 0:
        raise EvaluationError(f"dispersion {dispersion} must be at least 0 (0 is Poisson)")
    some = np.where(mean > LEAST_MEAN, mean, 1.0)  # the others are told below
    tails = np.array([tail, 1 - tail])
    if dispersion < LEAST_DISPERSION:
        bounds = pdtrik(tails, some[:, None])
    else:
        r = 1 / dispersion
        bounds = nbdtrik(tails, r, r / (r + some[:, None]))
    return np.where(mean[:, None] > LEAST_MEAN, bounds, 0.0)
