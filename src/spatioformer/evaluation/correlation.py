"""How alike errors are at nearby places, and how little a mean over an area therefore gains.

A field e(place) has mean 0 and covariance sill * exp(-d / range), d the straight line between two
places on the sphere, which keeps the covariance positive definite. A plot shows the field plus
noise of variance `nugget`, its own and nobody else's. Only the share nugget / (sill + nugget) and
the range matter for correlations (Rasmussen & Williams 2006, eq. 2.25).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree
from scipy.stats import norm

from spatioformer.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers

EARTH_RADIUS = 6371.0088  # km
NUGGET_SHARES = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.85, 0.95, 1.0)
RANGES = 12
NEIGHBOURS = 64  # plots of a group
PATCHES = 24  # groups of plots by which covariance is judged where all at once are too many
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
    ) -> Self:
        """From held-out errors, by maximum likelihood.

        Args:
            lon, lat: (n,) degrees.
            errors: (n,) observed - predicted of plots the model did not see.
            half_widths: (n,) of their intervals of coverage `level`, above 0.

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
        values = errors / half_widths
        reach, share = likeliest(points, values, seed=seed)
        z = norm.ppf((1 + checks.level(level)) / 2)
        return cls(reach, share, float(z * np.sqrt(np.mean(values**2))))

    def to_json(self) -> dict[str, float]:
        """Arguments of an equal one."""
        return asdict(self)


def mean_correlation(points: Floats, weights: Floats, range_km: float) -> float:
    """Mean of exp(-d / range) over all pairs of different places, weighted by both weights.

    Args:
        points: (n, 3) km, as `on_sphere` gives them; weights: (n,) at least 0. One place has no
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
    *,
    range_km: float | None = None,
    nugget_share: float | None = None,
    neighbours: int = NEIGHBOURS,
    seed: int = 0,
    tree: KDTree | None = None,
) -> tuple[float, float]:
    """Range (km) and nugget share of `values` (n,) of mean 0 at `points` (n, 3), km.

    The likeliest of a grid; what is given is not estimated.

    Args:
        neighbours: plots of a group, where there are too many plots to judge all at once.
        seed: of the plots that are looked at.
        tree: of the points, if there is one already.
    """
    tree = tree or KDTree(points)
    patches = _patches(points, tree, neighbours, seed)
    ranges = [range_km] if range_km is not None else _ranges(points, tree)
    shares: Sequence[float] = NUGGET_SHARES if nugget_share is None else [nugget_share]
    choices = [(float(reach), share) for reach in ranges for share in shares]
    if len(choices) == 1:
        return choices[0]
    distance, values = apart(points[patches]), values[patches]
    return max(choices, key=lambda choice: log_likelihood(distance, values, *choice))


def _patches(points: Floats, tree: KDTree, neighbours: int, seed: int) -> Integers:
    """Rows of plots, (patches, k): all in one, or half of them near and half far apart.

    Near ones tell the nugget and short ranges, scattered ones the long ranges.
    """
    n, k = len(points), min(neighbours, len(points))
    if n <= 4 * k:
        return np.arange(n)[None]
    rng = np.random.default_rng(seed)
    centres = rng.choice(n, PATCHES // 2, replace=False)
    near = tree.query(points[centres], k=k)[1]
    scattered = np.stack([rng.choice(n, k, replace=False) for _ in centres])
    return np.concatenate([near, scattered])


def _ranges(points: Floats, tree: KDTree) -> Floats:
    """From the spacing of the plots to the extent of the survey, km."""
    spacing = tree.query(points, k=2)[0][:, 1]
    apart = spacing[(spacing > 0) & np.isfinite(spacing)]
    shortest = np.median(apart) if len(apart) else 1.0
    extent = np.linalg.norm(np.ptp(points, axis=0))
    return np.geomspace(shortest, max(extent, 2 * shortest), RANGES)


def on_sphere(degrees: Floats) -> Floats:
    """Lon, lat (n, 2) in degrees -> points (n, 3), km."""
    lon, lat = np.radians(degrees).T
    xyz = [np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)]
    return EARTH_RADIUS * np.stack(xyz, axis=1)


def apart(points: Floats) -> Floats:
    """Distances between `points` (..., k, 3): (..., k, k)."""
    return np.linalg.norm(points[..., :, None, :] - points[..., None, :, :], axis=-1)


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
    factor = np.linalg.cholesky(correlation(distance, range_km, nugget_share))  # (p, k, k)
    white = np.linalg.solve(factor, values[..., None])[..., 0]
    variance = max(float(np.mean(white**2)), np.finfo(float).tiny)
    half_logdet = np.log(np.diagonal(factor, axis1=-2, axis2=-1)).sum()
    return -values.size / 2 * np.log(variance) - float(half_logdet)
