"""Scores of prediction intervals and ensembles: coverage, width, interval score, CRPS.

`bounds` is (n, 2), lower and upper, in the unit of the target.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers


def interval_scores(observed: ArrayLike, bounds: ArrayLike, level: float) -> dict[str, float]:
    """Score `bounds` (n, 2) that should cover a share `level` of the observations (n,).

    Returns a dict of

    - `n`: number of observations (int);
    - `coverage`: share of observations within their bounds, ends included;
    - `width`: mean of upper - lower;
    - `interval_score`: mean of (u - l) + 2/a (l - y)+ + 2/a (y - u)+ with a = 1 - level; smaller is
      better, and true quantiles score best (Gneiting & Raftery 2007, JASA 102:359, eq. 43).

    Raises:
        EvaluationError: a level outside (0, 1), NaN, different lengths, or lower above upper.
    """
    alpha = 1 - checks.level(level)
    observed, lower, upper = _checked(observed, bounds)
    shortfall = np.maximum(0, lower - observed) + np.maximum(0, observed - upper)
    return {
        "n": len(observed),
        "coverage": float(np.mean((lower <= observed) & (observed <= upper))),
        "width": float(np.mean(upper - lower)),
        "interval_score": float(np.mean(upper - lower + 2 / alpha * shortfall)),
    }


def interval_scores_by(
    by: ArrayLike, observed: ArrayLike, bounds: ArrayLike, level: float
) -> dict[str | int | float, dict[str, float]]:
    """`interval_scores` of each label in `by` (n,), such as regions or `quantile_bins`."""
    observed, lower, upper = _checked(observed, bounds)
    by = checks.labels(by, "labels", like=observed)
    bounds = np.stack([lower, upper], axis=1)
    return {
        label: interval_scores(observed[by == label], bounds[by == label], level)
        for label in np.unique(by).tolist()
    }


def quantile_bins(values: ArrayLike, count: int) -> tuple[Integers, Floats]:
    """Quantile bin of each value, (n,), 0 to at most count - 1, and the bins' edges.

    Bins hold about equally many values; they are fewer than `count` where values repeat.
    """
    values = checks.vector(values, "values")
    edges = np.unique(np.quantile(values, np.linspace(0, 1, count + 1)))
    return np.searchsorted(edges[1:-1], values, side="right"), edges


def calibration_curve(observed: ArrayLike, bounds: Mapping[float, ArrayLike]) -> dict[str, Floats]:
    """Observed coverage at each nominal coverage: equal when calibrated, lower when overconfident.

    `bounds` maps a level to its bounds (n, 2). Returns `level`, `coverage` and `width`, each
    (levels,), ascending by level.
    """
    levels = sorted(bounds)
    rows = [interval_scores(observed, bounds[level], level) for level in levels]
    return {
        "level": np.array(levels),
        "coverage": np.array([row["coverage"] for row in rows]),
        "width": np.array([row["width"] for row in rows]),
    }


def ensemble_bounds(members: ArrayLike, level: float) -> Floats:
    """Central interval of an ensemble's `members` (n, M), such as dropout passes: (n, 2).

    Quantiles (1 - level) / 2 and (1 + level) / 2, interpolated between members. This is the spread
    of the model alone; calibrate it before calling it a prediction interval (`conformal`).
    """
    checks.level(level)
    members = checks.matrix(members, "ensemble members")
    bounds: Floats = np.quantile(members, [(1 - level) / 2, (1 + level) / 2], axis=1).T
    return bounds


def crps(observed: ArrayLike, members: ArrayLike) -> Floats:
    """Continuous ranked probability score of each observation, (n,); smaller is better.

    `members` (n, M) or, the same for all rows, (1, M), taken as equally likely values:
    mean|x_i - y| - sum_ij |x_i - x_j| / (2 M^2) (Gneiting & Raftery 2007, eq. 21). In the unit of
    the target; with one member it is the absolute error. A conformal model's members are its
    prediction plus the held-out errors (or M quantiles of them).
    """
    observed = checks.vector(observed, "observed values")
    members = np.sort(checks.matrix(members, "ensemble members"), axis=1)
    if len(members) != 1:
        checks.same_rows(members, "ensemble members", observed)
    count = members.shape[1]
    # sum_ij |x_i - x_j| = 2 sum_i (2 i - M - 1) x_(i), i = 1..M, for sorted x
    ranks = 2 * np.arange(1, count + 1) - count - 1
    scores: Floats
    scores = np.mean(np.abs(members - observed[:, None]), axis=1) - members @ ranks / count**2
    return scores


def _checked(observed: ArrayLike, bounds: ArrayLike) -> tuple[Floats, Floats, Floats]:
    observed = checks.vector(observed, "observed values")
    bounds = checks.matrix(bounds, "interval bounds")
    if bounds.shape[1] != 2:
        raise EvaluationError(
            f"interval bounds must have 2 columns (lower, upper), not {bounds.shape[1]}"
        )
    checks.same_rows(bounds, "interval bounds", observed)
    lower, upper = bounds.T
    if (lower > upper).any():
        row = int(np.argmax(lower > upper))
        raise EvaluationError(
            f"interval row {row} ({lower[row]:g}, {upper[row]:g}) has its lower bound above its "
            "upper bound; give lower first"
        )
    return observed, lower, upper
