"""Weights of the members of a stack, near to and far from training plots.

Near a plot, models of location predict best. Far from all plots, models of imagery predict best. So
the weights depend on the distance to the nearest training plot (feature-weighted linear stacking:
Sill et al. 2009, arXiv:0911.0460). They are fitted by non-negative least squares on held-out
predictions (Breiman 1996, "Stacked regressions", Machine Learning 24). The plots are held out in
areas of three sizes. The weights sum to 1 everywhere, so a prediction lies between those of the
members. With few plots the fit is uncertain, so the weights are shrunk towards prior weights (ridge
regression with a prior mean).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from spatioformer.evaluation.distances import nearest, placing
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import in_order, sites

LARGE = 4
"""Side of a block, in tiles."""

PRIOR_STRENGTH = 40
"""Prior strength, in plots."""


@dataclass(frozen=True)
class Reach:
    """Distances to the nearest training plot between which the weights change.

    Attributes:
        near, far: quantiles 0.1 and 0.9 of the distances of held-out plots, metres.
    """

    near: float
    far: float

    @classmethod
    def of(cls, distance: np.ndarray) -> "Reach":
        """Fit on distances (n,) of held-out plots, metres."""
        near, far = np.quantile(distance, [0.1, 0.9])
        return cls(float(near), float(far))

    def share(self, distance: np.ndarray) -> np.ndarray:
        """Share (n,) of the far weights at distances (n,), metres.

        It is 0 up to `near`, 1 from `far` on, and linear in the logarithm between them.
        """
        floor = max(self.near, 1.0)  # avoids the logarithm of 0 where plots share coordinates
        if self.far <= floor:
            return np.zeros(len(distance))
        along = np.log(np.maximum(distance, floor) / floor) / np.log(self.far / floor)
        return np.minimum(along, 1.0)


def pieces(places: np.ndarray, tile: float, seed: int) -> np.ndarray:
    """Divide plots into areas of three sizes that are held out as a whole.

    Each block of LARGE x LARGE tiles gets one of three sizes in turn: its areas are its tiles, the
    whole block, or single sites. So the distances of held-out plots to training plots range from
    those of random folds to those of block folds.

    Args:
        places: lon, lat (n, 2), degrees.
        tile: side of a tile, degrees.
        seed: of the order of the blocks.

    Returns:
        int (n,), number of the area of each plot.
    """
    small = SpatialBlockKFold(2, size=tile).tiles(places)
    block = SpatialBlockKFold(2, size=LARGE * tile).tiles(places)
    turn = np.random.default_rng(seed).permutation(block.max() + 1)
    kind = (turn % 3)[block]
    choice = np.stack([small, block, sites(places)])
    # `kind` first: a tile, a block and a site may have the same number.
    number = np.take_along_axis(choice, kind[None], axis=0)[0]
    return in_order(number * 3 + kind)


def to_nearest(places: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Great-circle distance (n,), metres, of places (n, 2) to the nearest of `others` (m, 2).

    Both hold lon, lat, degrees.
    """
    on_sphere = placing(places, "geographic")
    return nearest(on_sphere(places), on_sphere(others), "geographic")


def combine(columns: np.ndarray, far: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The stack's predictions (n,), the weighted mean of its members'.

    Args:
        columns: predictions of the members, (n, members), species.
        far: share of the far weights, (n,), 0-1.
        weights: (2, members), near and far.
    """
    near_weights, far_weights = weights
    share = far[:, None]
    return np.sum(columns * ((1 - share) * near_weights + share * far_weights), axis=1)


def convex_weights(
    errors: np.ndarray,
    far: np.ndarray,
    prior: np.ndarray,
    strength: float,
    noise: np.ndarray | None = None,
    counted: np.ndarray | None = None,
) -> np.ndarray:
    """Fit non-negative weights near and far, each summing to 1, by least squares with a prior.

    The error of the stack is the sum over its members of errors ((1 - far) w_near + far w_far). The
    penalty is `strength` times the best member's mean squared error times the squared distance of
    the weights from the prior weights. It matters with a hundred plots and not with ten thousand.

    Args:
        errors: predicted - observed, (n, members).
        far: share of the far weights, (n,), 0-1.
        prior: prior weights (members,), which sum to 1.
        strength: prior strength, in plots.
        noise: (n, members), variance of each error that the member will not have when it predicts
            new plots, as that of a mean of few trees; None: 0.
        counted: (n,), number of plots that each error counts as, above 0; None: 1.

    Returns:
        float64 (2, members).
    """
    count = errors.shape[1]
    least = np.min(np.average(errors**2, axis=0, weights=counted))
    if counted is not None:
        errors = errors * np.sqrt(counted)[:, None]
        noise = None if noise is None else noise * counted[:, None]
    scale = np.linalg.norm(errors)
    if scale == 0:
        return np.tile(prior, (2, 1))
    parts = np.hstack([errors * (1 - far)[:, None], errors * far[:, None]]) / scale
    penalty = np.sqrt(strength * least) / scale
    prior_target = penalty * np.tile(prior, 2)
    # Two more equations with a large weight make the weights sum to 1.
    sums = LARGE_WEIGHT * np.kron(np.eye(2), np.ones(count))
    if noise is not None:
        parts = _less_noise(parts, noise / scale**2, far)
    rows = np.vstack([parts, penalty * np.eye(2 * count), sums])
    target = np.concatenate([np.zeros(len(parts)), prior_target, [LARGE_WEIGHT, LARGE_WEIGHT]])
    weights = nnls(rows, target)[0].reshape(2, count)
    return weights / weights.sum(axis=1, keepdims=True)


def design_effect(errors: np.ndarray, unit: np.ndarray, weights: np.ndarray) -> float:
    """Number of plots that say as much about the weights of a stack as one independent plot.

    Errors of plots of one area that is left out are correlated: twenty plots of a cluster are not
    twenty independent plots. The slope of the squared error with the weights has a variance that is
    larger than that of independent plots by the design effect (Kish 1965, "Survey Sampling").

    Args:
        errors: predicted - observed, (n, members).
        unit: (n,), number of the area of each plot, from 0.
        weights: (members,), at which the slope is taken.

    Returns:
        The design effect, at least 1.
    """
    error = errors @ weights
    slopes = error[:, None] * (errors - error[:, None])
    slopes -= slopes.mean(axis=0)
    independent = np.sum(slopes**2)
    if independent == 0:
        return 1.0
    sums = np.stack([np.bincount(unit, slope) for slope in slopes.T])
    return max(1.0, float(np.sum(sums**2) / independent))


def _less_noise(parts: np.ndarray, noise: np.ndarray, far: np.ndarray) -> np.ndarray:
    """A root (2 members, 2 members) of the normal matrix of `parts`, expected without the noise.

    Args:
        parts: (n, 2 members), errors times the shares of near and of far weights.
        noise: (n, members), variance of the errors that is not to count.
        far: (n,), share of the far weights.
    """
    shares = np.stack([1 - far, far], axis=1)
    normal = parts.T @ parts
    count = noise.shape[1]
    for one in range(2):
        for other in range(2):
            extra = (shares[:, one] * shares[:, other]) @ noise
            block = np.s_[one * count : (one + 1) * count, other * count : (other + 1) * count]
            normal[block] -= np.diag(extra)
    values, vectors = np.linalg.eigh(normal)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


LARGE_WEIGHT = 1e4
"""Weight of the equations for the sums, relative to errors of norm 1.

The sums are off by 1e-8, and a division by the sum removes that error.
"""
