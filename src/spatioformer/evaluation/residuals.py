"""Range of the spatial correlation that covariates leave unexplained, for the size of tiles.

Held-out plots nearer than this range to training plots share errors with them, so that a score
would be too good (Roberts et al. 2017, Ecography 40:913).
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.errors import EvaluationError
from spatioformer.common.streams import Stream, generator
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.evaluation.splits import RandomKFold

MOST_PLOTS = 5000
"""Largest number of plots that the range is estimated from; more hardly change it."""

FEWEST_SITES = 30
"""Smallest number of sites from which a range is estimated."""

FOLDS = 5
"""Number of random folds whose held-out residuals are used."""

PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Candidate ridge penalties, per plot; the one with the smallest held-out error is used."""

NEGLIGIBLE = 0.1
"""Correlation at the range."""


def sample(count: int, seed: int) -> Integers:
    """Row numbers, ascending, of the plots that a range is estimated from: 5,000 drawn, or all."""
    return np.sort(generator(seed, Stream.RANGE_PLOTS).permutation(count)[:MOST_PLOTS])


def residual_range(
    lonlat: ArrayLike, features: ArrayLike, target: ArrayLike, seed: int = 0
) -> float:
    """Distance, km, at which the correlation of residuals falls to 0.1; 0 if it is nowhere above.

    The residuals are those of a ridge regression on the features and their squares, without
    location, held out in five random folds. Their correlation, (1 - nugget share) exp(-distance /
    e-folding distance), has maximum likelihood.

    Args:
        lonlat: (n, 2), degrees.
        features: (n, k), k may be 0.
        target: (n,).
        seed: of the folds, and of the groups of plots that are compared.

    Returns:
        The range; NaN if the plots lie at fewer than 30 sites, or the residuals are constant.

    Raises:
        EvaluationError: NaN, or different lengths.
    """
    places = checks.coordinates(lonlat, "geographic")
    values = checks.vector(target, "target")
    predictors = np.asarray(features, np.float64)
    if not len(places) == len(values) == len(predictors):
        raise EvaluationError(
            f"{len(places)} coordinates, {len(predictors)} rows of features and {len(values)} "
            "values are of different plots; give one of each for every plot"
        )
    if len(np.unique(places, axis=0)) < FEWEST_SITES:
        return float("nan")
    errors = held_out_residuals(predictors, values, RandomKFold(FOLDS, seed=seed).assign(places))
    errors -= errors.mean()
    if errors.std() <= 1e-9 * max(1.0, float(np.abs(values).max())):
        return float("nan")
    correlation = ErrorCorrelation.estimate(
        places[:, 0], places[:, 1], errors, np.full(len(errors), errors.std()), 0.9, seed
    )
    shared = 1 - correlation.nugget_share
    return correlation.range_km * float(np.log(max(1.0, shared / NEGLIGIBLE)))


def held_out_residuals(features: Floats, target: Floats, fold: Integers) -> Floats:
    """Observed - predicted of a ridge regression on features and squares, (n,), fold by fold.

    Args:
        features: (n, k).
        target: (n,).
        fold: (n,), from 0.
    """
    residuals = np.empty((len(PENALTIES), len(target)))
    for number in range(int(fold.max()) + 1):
        test = fold == number
        design, centre = _design(features, ~test), target[~test].mean()
        values, vectors = np.linalg.eigh(design[~test].T @ design[~test] / (~test).sum())
        slope = vectors.T @ (design[~test].T @ (target[~test] - centre)) / (~test).sum()
        for row, penalty in zip(residuals, PENALTIES, strict=True):
            weights = vectors @ (slope / (np.maximum(values, 0) + penalty))
            row[test] = target[test] - centre - design[test] @ weights
    best: Floats = residuals[np.argmin(np.square(residuals).sum(axis=1))]
    return best


def _design(features: Floats, training: NDArray[np.bool_]) -> Floats:
    """Standardised features and their squares, (n, 2k), without those that are constant.

    Values beyond the training plots are set to the nearest training value: squares of far values
    would have predictions without bounds.
    """
    low, high = (f(features[training], axis=0) for f in (np.min, np.max))
    values = np.clip(features, low, high)[:, high > low]
    for part in (1, 2):
        if part == 2:
            values = np.hstack([values, np.square(values)])
        spread = values[training].std(axis=0)
        values = (values - values[training].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    return values
