"""Prediction intervals of counts: quantiles of Poisson and negative binomial distributions.

A count with mean m has variance m + k m^2. k is the dispersion, 0 for Poisson (the NB2 model of
Cameron & Trivedi 1998, Regression Analysis of Count Data, section 3.3).
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import nbdtrik, pdtrik

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats

LEAST_DISPERSION = 1e-6
"""Below this dispersion a count is treated as Poisson: at a mean of 10,000 the sd differs by 0.5
%."""

LEAST_MEAN = 1e-6
"""Means at or below this number of species have the bounds 0, 0."""


def dispersion(observed: ArrayLike, mean: ArrayLike) -> float:
    """Moment estimate of the dispersion k from `observed` (n,) and expected (n,) counts.

        k = max(0, sum ((y - m)^2 - m) / sum m^2)

    From held-out predictions, k includes the errors of the model as well as the scatter of the
    counts. Means below 0 are treated as 0.

    Raises:
        EvaluationError: NaN, or different lengths.
    """
    observed = checks.vector(observed, "observed values")
    mean = np.maximum(checks.vector(mean, "means", like=observed), 0)
    squares = float(np.sum(mean**2))
    excess = float(np.sum((observed - mean) ** 2 - mean))
    return max(0.0, excess / squares) if squares else 0.0


def count_bounds(mean: ArrayLike, dispersion: float, level: float) -> Floats:
    """Central prediction interval of counts with `mean` (n,): (n, 2), quantiles (1 -+ level) / 2.

    The bounds are continuous: the distribution function is interpolated between whole numbers by
    the incomplete beta function (Poisson: gamma function) that it equals at whole numbers. So the
    bounds change smoothly with the mean; rounded up, they are the quantiles of the counts. Means of
    at most `LEAST_MEAN` have the bounds 0, 0.

    Raises:
        EvaluationError: a level outside (0, 1), a dispersion below 0, NaN.
    """
    tail = (1 - checks.level(level)) / 2
    mean = np.maximum(checks.vector(mean, "means"), 0)
    if not dispersion >= 0:
        raise EvaluationError(
            f"dispersion {dispersion} must be at least 0 (0 means Poisson counts)"
        )
    positive = np.where(mean > LEAST_MEAN, mean, 1.0)  # the other rows become 0 below
    tails = np.array([tail, 1 - tail])
    if dispersion < LEAST_DISPERSION:
        bounds = pdtrik(tails, positive[:, None])
    else:
        r = 1 / dispersion
        bounds = nbdtrik(tails, r, r / (r + positive[:, None]))
    return np.where(mean[:, None] > LEAST_MEAN, bounds, 0.0)
