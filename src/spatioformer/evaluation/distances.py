"""Nearest-neighbour distances of cross-validation folds and of the mapped area.

Distances are metres: great-circle on lon/lat, Euclidean on projected coordinates. In feature space
they are Euclidean on predictors divided by their standard deviation over the plots.

A cross-validation is like the use of the map when two distributions agree: the distances from
held-out plots to their training plots (Gj*), and those from prediction points to all plots (Gij).
The difference is the Wasserstein statistic W = integral |ECDF_Gj*(d) - ECDF_Gij(d)| dd, in the unit
of the distances (Linnenbrink et al. 2024, Geosci. Model Dev. 17:5897).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial import KDTree

from spatioformer.common.earth import S2_RADIUS_M, arc, chord, on_sphere
from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Floats, Integers, Space


@dataclass(frozen=True)
class NeighbourDistances:
    """Three samples of nearest-neighbour distances, in metres (feature space: standard deviations).

    `sample` (n,) from each plot to the nearest other plot, Gj; `held_out` (n,) from each plot to
    the nearest plot it was predicted from, Gj*, NaN for plots never held out; `prediction` (m,)
    from each prediction point to the nearest plot, Gij.
    """

    sample: Floats
    held_out: Floats
    prediction: Floats
    unit: str

    @property
    def W(self) -> float:
        """Wasserstein distance of `held_out` and `prediction`: 0 when folds match the map."""
        return wasserstein(self.held_out[np.isfinite(self.held_out)], self.prediction)

    @property
    def W_sample(self) -> float:
        """Wasserstein distance of `sample` and `prediction`: that of leave-one-out validation."""
        return wasserstein(self.sample, self.prediction)

    def plot(self, ax: Any) -> None:
        """Draw the three distribution functions into a matplotlib `Axes`; metres become km."""
        scale = 1000 if self.unit == "m" else 1
        held_out = self.held_out[np.isfinite(self.held_out)]
        for values, label, style in (
            (self.sample, "plot to plot", {"color": "0.55", "linestyle": ":"}),
            (held_out, "held-out plot to training", {"color": "#b5452c"}),
            (self.prediction, "map to plot", {"color": "#1f5f8b"}),
        ):
            ax.ecdf(values / scale, label=label, **style)
        ax.set_xlabel(f"distance to the nearest ({'km' if self.unit == 'm' else self.unit})")
        ax.set_ylabel("share within the distance")
        W = f"{self.W / scale:.3g}"
        ax.set_title(f"W = {W} {'km' if self.unit == 'm' else 'sd'}", loc="left", fontsize="medium")
        ax.legend(frameon=False, loc="lower right")


def neighbour_distances(
    X: ArrayLike,
    prediction_points: ArrayLike,
    folds: Iterable[tuple[Integers, Integers]],
    space: Space = "geographic",
) -> NeighbourDistances:
    """Nearest-neighbour distances of plots `X` (n, 2), a mapped area (m, 2) and fold pairs.

    `folds` are (train, test) row numbers as `split` yields them; each plot is tested at most once.
    In feature space `X` and `prediction_points` are predictors, (n, p) and (m, p).

    Raises:
        EvaluationError: invalid coordinates, different CRSs, NaN, constant predictors.
    """
    X = checks.coordinates(X, space)
    target = checks.prediction_points(prediction_points, space, X)
    place = placing(X, space)
    plots, target = place(X), place(target)
    held_out = np.full(len(plots), np.nan)
    for train, test in folds:
        held_out[test] = nearest(plots[test], plots[train], space)
    return NeighbourDistances(
        sample=nearest_other(plots, space),
        held_out=held_out,
        prediction=nearest(target, plots, space),
        unit="standard deviations" if space == "feature" else "m",
    )


def placing(X: Floats, space: Space) -> Callable[[Floats], Floats]:
    """Function from coordinates (n, 2) to points whose straight-line neighbours are the nearest.

    Lon/lat becomes (n, 3) metres on the sphere; projected metres stay as they are; predictors are
    standardised by the mean and standard deviation of `X`.
    """
    if space == "geographic":
        return partial(on_sphere, radius=S2_RADIUS_M)
    if space == "projected":
        return lambda places: places
    center, scale = moments(X)
    return lambda predictors: (predictors - center) / scale


def along_surface(straight: Floats, space: Space) -> Floats:
    """Great-circle distances from straight-line distances between points of `placing`."""
    if space != "geographic":
        return straight
    return arc(straight, S2_RADIUS_M)


def through_earth(ground: float, space: Space) -> float:
    """Straight-line distance for a distance of `ground` metres: the inverse of `along_surface`."""
    if space != "geographic":
        return ground
    return chord(ground, S2_RADIUS_M)


def nearest(points: Floats, targets: Floats, space: Space) -> Floats:
    """Distance in `space` from each point (n, q) to its nearest target (m, q): (n,)."""
    return along_surface(_query(targets, points, 1), space)


def nearest_other(points: Floats, space: Space) -> Floats:
    """Distance in `space` from each point to the nearest other one, (n,): 0 where two coincide."""
    # The nearest of the two is the point itself, or a point at the same place: both at distance 0.
    return along_surface(_query(points, points, 2)[:, 1], space)


def _query(targets: Floats, points: Floats, k: int) -> Floats:
    # For a few points, starting threads takes longer than the query.
    workers = -1 if len(points) > 20_000 else 1
    return neighbours(KDTree(targets), points, k, workers)[0]


def neighbours(
    tree: KDTree, points: Floats, k: int | Sequence[int] = 1, workers: int = 1
) -> tuple[Floats, Integers]:
    """Distance to the nearest points of `tree` and their row numbers, for `points` (m, q).

    Args:
        k: how many of the nearest, or which of them (1: the nearest).
        workers: threads; -1: one a core.

    Returns:
        Two arrays, (m,) if `k` is 1, otherwise (m, k).
    """
    apart, rows = tree.query(points, k=k, workers=workers)
    return np.asarray(apart, dtype=np.float64), np.asarray(rows, dtype=np.int64)


def wasserstein(a: ArrayLike, b: ArrayLike) -> float:
    """First Wasserstein distance between two samples, in their unit."""
    from scipy.stats import wasserstein_distance  # a slow import

    return float(wasserstein_distance(np.asarray(a), np.asarray(b)))


def moments(X: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation (n - 1) of each column, (p,) each; raises for constant ones."""
    flat = np.flatnonzero(np.ptp(X, axis=0) == 0)
    if len(flat):
        raise EvaluationError(
            f"predictor column(s) {', '.join(map(str, flat))} have one value in all "
            f"{len(X)} training rows; drop them"
        )
    return X.mean(axis=0), X.std(axis=0, ddof=1)
