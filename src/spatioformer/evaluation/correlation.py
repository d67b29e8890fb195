"""How alike errors are at nearby places, and how little a mean over an area therefore gains.

A field e(place) has mean 0 and covariance sill * exp(-d / range), d the straight line between two
places on the sphere, which keeps the covariance positive definite. A plot shows the field plus
noise of variance `nugget`, its own and nobody else's. Only the share nugget / (sill + nugget) and
the range matter for correlations (Rasmussen & Williams 2006, eq. 2.25).
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import product
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.stats import norm

from spatioformer.common.earth import on_sphere
from spatioformer.common.errors import EvaluationError
from spatioformer.common.streams import Stream, generator
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers

NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # no map is without error
RANGES = 12
GROUP = 96  # plots that are compared with each other, at most
GROUPS = 12  # of them, about; two a fold at least
CHUNK = 256  # rows of distances at once


@dataclass(frozen=True)
class ErrorCorrelation:
    """What becomes of a map's intervals when pixels are averaged.

    The error of one plot's count in a pixel is `scale` * half-width of the pixel's interval *
    standard normal / z, z the normal quantile of the interval's level. Of its variance
    `nugget_share` is the plot's own (counting, and what changes from plot to plot), the rest the
    map's, with correlation exp(-d / range_km).

    Attributes:
        range_km: e-folding distance, km, above 0.
        nugget_share: 0 to 1.
        scale: above 0; 1 where errors are normal and intervals calibrated.
    """

    range_km: float
    nugget_share: float = 0.0
    scale: float = 1.0

    def __post_init__(self):
        if not self.range_km > 0 or not 0 <= self.nugget_share <= 1 or not self.scale > 0:
            raise EvaluationError(
                f"a range of {self.range_km:g} km with a nugget share of {self.nugget_share:g} is "
                "no correlation; give a range above 0 and a share of 0 to 1"
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
        """From held-out errors, by maximum likelihood.

        Plots of one fold only are compared with each other: those of different folds helped to
        predict each other, which two pixels without plots never do. And plots of thinly surveyed
        land count for the land around them, as on the map, where crowded ones are the exception.

        Args:
            lon, lat: (n,) degrees.
            errors: (n,) observed - predicted of plots the model did not see.
            half_widths: (n,) of their intervals of coverage `level`, above 0.
            seed: of the plots that are looked at.
            fold: (n,), the plots held out together; None, all of them.

        Raises:
            EvaluationError: NaN, unlike lengths, a half-width of 0.
        """
        errors = checks.vector(errors, "errors")
        half_widths = checks.vector(half_widths, "half-widths", errors)
        if not (half_widths > 0).all():
            raise EvaluationError(
                f"a half-width of {half_widths.min():g} tells no correlation; give intervals that "
                "are wider than 0"
            )
        points = on_sphere(np.column_stack([lon, lat]).astype(np.float64))
        fold = np.zeros(len(errors)) if fold is None else checks.labels(fold, "folds", errors)
        groups, values = _together(points, fold, seed), errors / half_widths
        reach, share = likeliest(points, values, groups, ranges_of(points), NUGGET_SHARES)
        variance, _ = _whitened(apart(points[groups]), values[groups], reach, share)
        z = norm.ppf((1 + checks.level(level)) / 2)
        return cls(reach, share, float(z * np.sqrt(variance)))

    def to_json(self) -> dict[str, float]:
        """Arguments of an equal one."""
        return asdict(self)


def mean_correlation(points: Floats, weights: Floats, range_km: float) -> float:
    """Mean of exp(-d / range) over all pairs of different places, weighted by both weights.

    Args:
        points: (n, 3) km, from `common.earth.on_sphere`; weights: (n,) at least 0. One place has no
            pair, and 1.
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


def likeliest(
    points: Floats,
    values: Floats,
    groups: Integers,
    ranges: Iterable[float],
    shares: Iterable[float],
) -> tuple[float, float]:
    """The likeliest range (km) and nugget share of `values` (n,), of mean 0, at `points` (n, 3).

    Args:
        groups: (g, k) rows of plots; groups are taken as independent of each other.
    """
    choices = list(product(ranges, shares))
    if len(choices) == 1:
        return choices[0]
    distance, values = apart(points[groups]), values[groups]
    return max(choices, key=lambda choice: log_likelihood(distance, values, *choice))


def _together(points: Floats, fold: NDArray, seed: int) -> Integers:
    """Rows of plots, (groups, k), each group of one fold, drawn in proportion to the land around.

    Half of the groups are near a plot so drawn, half are scattered.
    """
    rng = generator(seed, Stream.ERROR_GROUPS)
    land = KDTree(points).query(points, k=range(1, min(4, len(points)) + 1))[0][:, -1] ** 2
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
    """From the spacing of the plots to the extent of the survey, km."""
    spacing = KDTree(points).query(points, k=2)[0][:, 1]
    apart = spacing[(spacing > 0) & np.isfinite(spacing)]
    shortest = np.median(apart) if len(apart) else 1.0
    extent = np.linalg.norm(np.ptp(points, axis=0))
    return np.geomspace(shortest, max(extent, 2 * shortest), RANGES).tolist()


def apart(points: Floats) -> Floats:
    """Distances between `points` (..., k, 3): (..., k, k)."""
    out = 0.0
    for axis in np.moveaxis(points, -1, 0):  # one at a time: a sixth of the time of `norm`
        along = axis[..., :, None] - axis[..., None, :]
        out += np.square(along, out=along)
    return np.sqrt(out, out=out)


def correlation(distance: Floats, range_km: float, nugget_share: float) -> Floats:
    """Correlation of observations `distance` (..., k, k) km apart: (..., k, k)."""
    shared = (1 - nugget_share) * np.exp(-distance / range_km)
    return shared + nugget_share * np.eye(distance.shape[-1])


def log_likelihood(distance: Floats, values: Floats, range_km: float, nugget_share: float) -> float:
    """Log-likelihood of `values` (p, k) that lie `distance` (p, k, k) km apart.

    The p groups are taken as independent of each other.

    The variance is at its own maximum, mean(r' R^-1 r) / k, and constants are left out
    (Rasmussen & Williams 2006, eq. 2.30).
    """
    variance, half_logdet = _whitened(distance, values, range_km, nugget_share)
    return -values.size / 2 * np.log(variance) - half_logdet


def _whitened(
    distance: Floats, values: Floats, range_km: float, nugget_share: float
) -> tuple[float, float]:
    """Variance of the values, and half the logarithm of their correlation's determinant."""
    factor = np.linalg.cholesky(correlation(distance, range_km, nugget_share))  # (p, k, k)
    white = np.linalg.solve(factor, values[..., None])[..., 0]
    variance = max(float(np.mean(white**2)), np.finfo(float).tiny)
    return variance, float(np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum())
