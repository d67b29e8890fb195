"""Spatial correlation of map errors, and how much averaging over an area reduces the error.

An error field e(place) has mean 0 and covariance sill * exp(-d / range). d is the straight line
between two places through the sphere, which keeps the covariance positive definite. The error at a
plot is the field plus independent noise of variance `nugget`. Correlations depend only on the range
and the share nugget / (sill + nugget) (Rasmussen & Williams 2006, eq. 2.25).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby, product
from operator import itemgetter
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.special import ndtri

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import EvaluationError
from spatioformer.common.streams import Stream, generator
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.distances import neighbours

NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # candidates of the grid search
RANGES = 12  # candidate ranges of the grid search
GROUP = 96  # largest number of plots in a group, within which all pairs are compared
GROUPS = 12  # approximate number of groups; at least two a fold
CHUNK = 256  # rows of the distance matrix computed at once


@dataclass(frozen=True)
class ErrorCorrelation:
    """Correlation of a map's errors, from which the interval of a mean over pixels follows.

    The error of one plot's count in a pixel is `scale` * half-width of the pixel's interval *
    standard normal / z, z the normal quantile of the interval's level. A share `nugget_share` of
    its variance is independent from plot to plot (counting, local differences). The rest is the
    error of the map, with correlation exp(-d / range_km).

    Attributes:
        range_km: e-folding distance, km, above 0.
        nugget_share: 0 to 1.
        scale: above 0; 1 where errors are normal and intervals calibrated.
    """

    range_km: float
    nugget_share: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not self.range_km > 0 or not 0 <= self.nugget_share <= 1 or not self.scale > 0:
            raise EvaluationError(
                f"an error correlation cannot have a range of {self.range_km:g} km, a nugget share "
                f"of {self.nugget_share:g} and a scale of {self.scale:g}; give a range and a scale "
                "above 0 and a share of 0 to 1"
            )

    @classmethod
    def estimate(
        cls,
        lon: ArrayLike,
        lat: ArrayLike,
        errors: ArrayLike,
        half_widths: ArrayLike,
        level: float,
        seed: int = 0,
        *,
        fold: ArrayLike | None = None,
    ) -> Self:
        """Estimate range, nugget share and scale from held-out errors, by maximum likelihood.

        Only plots of the same fold are compared: plots of different folds helped to predict each
        other, whereas two pixels without plots never do. Plots are drawn with probability
        proportional to the empty land around them, because most of a map is far from plots.

        Args:
            lon, lat: (n,) degrees.
            errors: (n,) observed - predicted of plots the model did not see.
            half_widths: (n,) of their intervals of coverage `level`, above 0.
            seed: random seed for the sample of plots.
            fold: (n,) label of the fold in which a plot was held out; None: one fold for all.

        Raises:
            EvaluationError: NaN, different lengths, a half-width of 0 or less.
        """
        errors = checks.vector(errors, "errors")
        half_widths = checks.vector(half_widths, "half-widths", errors)
        if not (half_widths > 0).all():
            raise EvaluationError(
                f"the smallest half-width is {half_widths.min():g}; give intervals that are all "
                "wider than 0"
            )
        points = on_sphere(np.column_stack([lon, lat]).astype(np.float64))
        fold = np.zeros(len(errors)) if fold is None else checks.labels(fold, "folds", errors)
        groups, values = _draw_groups(points, fold, seed), errors / half_widths
        reach, share = likeliest(points, values, groups, ranges_of(points), NUGGET_SHARES)
        variance, _ = _whitened(correlation(apart(points[groups]), reach, share), values[groups])
        z = ndtri((1 + checks.level(level)) / 2)
        return cls(reach, share, float(z * np.sqrt(variance)))

    def to_json(self) -> dict[str, float]:
        """Constructor arguments as a JSON object."""
        return asdict(self)


def mean_correlation(points: Floats, weights: Floats, range_km: float) -> float:
    """Mean of exp(-d / range) over all pairs of different places, weighted by both weights.

    Args:
        points: (n, 3) km, from `common.earth.on_sphere`.
        weights: (n,), at least 0.

    Returns:
        The mean correlation, 0 to 1; 1 if there is only one place.
    """
    pairs = float(weights.sum() ** 2 - weights @ weights)
    if len(weights) < 2 or pairs <= 0:
        return 1.0
    centred = points - points.mean(axis=0)  # differences of squares of large numbers lose digits
    squares = (centred**2).sum(axis=1)
    total = 0.0
    for start in range(0, len(weights), CHUNK):
        part = slice(start, start + CHUNK)
        apart2 = squares[part, None] + squares - 2 * centred[part] @ centred.T
        alike = np.exp(-np.sqrt(np.maximum(apart2, 0)) / range_km)
        total += float(weights[part] @ (alike @ weights))
    return max(0.0, (total - float(weights @ weights)) / pairs)


def mean_cross_correlation(
    points: Floats, weights: Floats, others: Floats, other_weights: Floats, range_km: float
) -> float:
    """Mean of exp(-d / range) over all pairs of a place and another, weighted by both weights.

    Args:
        points: (n, 3) km, from `common.earth.on_sphere`; weights: (n,), at least 0.
        others: (m, 3) km; other_weights: (m,), at least 0.

    Returns:
        The mean correlation, 0 to 1; 1 if all weights of one side are 0.
    """
    pairs = float(weights.sum() * other_weights.sum())
    if pairs <= 0:
        return 1.0
    middle = points.mean(axis=0)  # differences of squares of large numbers lose digits
    points, others = points - middle, others - middle
    squares, other_squares = (points**2).sum(axis=1), (others**2).sum(axis=1)
    total = 0.0
    for start in range(0, len(weights), CHUNK):
        part = slice(start, start + CHUNK)
        apart2 = squares[part, None] + other_squares - 2 * points[part] @ others.T
        alike = np.exp(-np.sqrt(np.maximum(apart2, 0)) / range_km)
        total += float(weights[part] @ (alike @ other_weights))
    return total / pairs


def likeliest(
    points: Floats,
    values: Floats,
    groups: Integers,
    ranges: Iterable[float],
    shares: Iterable[float],
) -> tuple[float, float]:
    """Maximum-likelihood range (km) and nugget share of `values` (n,), mean 0, at `points` (n, 3).

    Args:
        groups: (g, k) row numbers of plots; groups are treated as independent.
        ranges: candidates, km.
        shares: candidates, 0 to 1.
    """
    choices = list(product(ranges, shares))
    if len(choices) == 1:
        return choices[0]
    distance, values = apart(points[groups]), values[groups]
    likelihoods = [
        _likelihood(alike, values, share)
        for reach, of_range in groupby(choices, itemgetter(0))
        for alike in [np.exp(-distance / reach)]  # the same for all shares
        for _, share in of_range
    ]
    return choices[int(np.argmax(likelihoods))]


def _draw_groups(points: Floats, fold: NDArray[Any], seed: int) -> Integers:
    """Draw groups of plots, (groups, k) row numbers, each group from one fold.

    Plots are drawn with probability proportional to the area of land around them. Half of the
    groups are the neighbours of a drawn plot, half are scattered draws.
    """
    rng = generator(seed, Stream.ERROR_GROUPS)
    land = neighbours(KDTree(points), points, range(1, min(4, len(points)) + 1))[0][:, -1] ** 2
    land = np.log(np.maximum(land, 1e-9))
    members = [np.flatnonzero(fold == label) for label in np.unique(fold)]
    count = min(GROUP, min(map(len, members)))
    groups = []
    for rows in members * max(1, GROUPS // 2 // len(members)):
        drawn = rows[np.argsort(-(land[rows] + rng.gumbel(size=len(rows))))]
        around = np.linalg.norm(points[rows] - points[drawn[0]], axis=1)
        groups += [rows[np.argsort(around, kind="stable")[:count]], drawn[:count]]
    return np.stack(groups)


def ranges_of(points: Floats) -> list[float]:
    """Candidate ranges, km, from the median spacing of the plots to the extent of the survey."""
    spacing = neighbours(KDTree(points), points, 2)[0][:, 1]
    apart = spacing[(spacing > 0) & np.isfinite(spacing)]
    shortest = float(np.median(apart)) if len(apart) else 1.0
    extent = float(np.linalg.norm(np.ptp(points, axis=0)))
    ranges: list[float] = np.geomspace(shortest, max(extent, 2 * shortest), RANGES).tolist()
    return ranges


def apart(points: Floats) -> Floats:
    """Distances between `points` (..., k, 3): (..., k, k)."""
    out = np.zeros((*points.shape[:-1], points.shape[-2]))
    for axis in np.moveaxis(points, -1, 0):  # one at a time: a sixth of the time of `norm`
        along = axis[..., :, None] - axis[..., None, :]
        out += np.square(along, out=along)
    np.sqrt(out, out=out)
    return out


def correlation(distance: Floats, range_km: float, nugget_share: float) -> Floats:
    """Correlation of observations `distance` (..., k, k) km apart: (..., k, k)."""
    return _with_nugget(np.exp(-distance / range_km), nugget_share)


def _with_nugget(alike: Floats, nugget_share: float) -> Floats:
    """Correlation of observations from that of the field, `alike` (..., k, k)."""
    return (1 - nugget_share) * alike + nugget_share * np.eye(alike.shape[-1])


def log_likelihood(distance: Floats, values: Floats, range_km: float, nugget_share: float) -> float:
    """Profile log-likelihood of `values` (p, k) at places `distance` (p, k, k) km apart.

    The p groups are treated as independent. The variance is at its maximum-likelihood value,
    mean(r' R^-1 r) / k, and constants are left out
    (Rasmussen & Williams 2006, eq. 2.30).
    """
    return _likelihood(np.exp(-distance / range_km), values, nugget_share)


def _likelihood(alike: Floats, values: Floats, nugget_share: float) -> float:
    """The same from the correlation of the field, `alike` (p, k, k)."""
    variance, half_logdet = _whitened(_with_nugget(alike, nugget_share), values)
    return float(-values.size / 2 * np.log(variance) - half_logdet)


def _whitened(R: Floats, values: Floats) -> tuple[float, float]:
    """Maximum-likelihood variance, and half the log-determinant of the correlations `R`.

    A Cholesky factor whose matrix has `values` as one row more ends with L^-1 values: half of the
    time of a factor and a solution.
    """
    k = values.shape[-1]
    bordered = np.zeros((*R.shape[:-2], k + 1, k + 1))
    bordered[..., :k, :k], bordered[..., k, :k] = R, values
    bordered[..., k, k] = np.finfo(float).max  # positive definite, whatever the values
    factor = np.linalg.cholesky(bordered)
    variance = max(float(np.mean(factor[..., k, :k] ** 2)), np.finfo(float).tiny)
    diagonal = np.diagonal(factor[..., :k, :k], axis1=-2, axis2=-1)
    return variance, float(np.log(diagonal).sum())
