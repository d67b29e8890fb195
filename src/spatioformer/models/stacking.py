"""Weights of a stack: what each member is worth near plots and far from them.

Near a plot its neighbours tell most; far from all plots, what was learned of imagery does. So the
weights of the mean depend on the distance to the nearest training plot (feature-weighted linear
stacking: Sill et al. 2009, arXiv:0911.0460). They are found as in Breiman 1996, "Stacked
regressions", Machine Learning 24: not negative, by least squares on predictions of held-out plots;
here held out in pieces of three sizes, and with weights that sum to 1 everywhere, so that the stack
is a compromise between its members and nothing else. Few plots cannot tell which member is right:
the weights are shrunk towards prior weights (ridge regression with a prior mean).
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from spatioformer.evaluation.distances import nearest, placing
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import in_order, sites

LARGE = 4
"""Side of a block, in sides of a tile."""

PRIOR_STRENGTH = 40
"""Strength of the prior weights, in plots."""


@dataclass(frozen=True)
class Reach:
    """How far is far: distances to the nearest training plot, metres, between which weights change.

    Attributes:
        near, far: a tenth of the held-out plots were nearer, and farther, than these.
    """

    near: float
    far: float

    @classmethod
    def of(cls, distance: np.ndarray) -> "Reach":
        near, far = np.quantile(distance, [0.1, 0.9])
        return cls(float(near), float(far))

    def share(self, distance: np.ndarray) -> np.ndarray:
        """0 up to `near`, 1 from `far` on, and linear in the logarithm between them."""
        floor = max(self.near, 1.0)  # plots share coordinates: no logarithm of 0
        if self.far <= floor:
            return np.zeros(len(distance))
        along = np.log(np.maximum(distance, floor) / floor) / np.log(self.far / floor)
        return np.minimum(along, 1.0)


def pieces(places: np.ndarray, tile: float, seed: int) -> np.ndarray:
    """Number (n,) of the piece of land that each plot is held out with.

    Blocks of LARGE x LARGE tiles are dealt in turn to three kinds: one piece a tile, one for the
    whole block, one a site. So held-out plots are as near to training as a random fold's, and as
    far as a block's.

    Args:
        places: lon, lat (n, 2), degrees.
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
    """Great-circle metres (n,) from each place to the nearest of others (m, 2)."""
    on_sphere = placing(places, "geographic")
    return nearest(on_sphere(places), on_sphere(others), "geographic")


def combine(columns: np.ndarray, far: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The stack's prediction (n,) of its members' (n, members).

    Args:
        far: share of the far weights, (n,), 0-1.
        weights: (2, members), near and far.
    """
    near_weights, far_weights = weights
    share = far[:, None]
    return np.sum(columns * ((1 - share) * near_weights + share * far_weights), axis=1)


def convex_weights(
    errors: np.ndarray, far: np.ndarray, prior: np.ndarray, strength: float
) -> np.ndarray:
    """Weights near and far, none negative, each summing to 1, that give the least squared error.

    The error of the stack is the sum over its members of errors ((1 - far) w_near + far w_far). To
    its square is added `strength` times the best member's mean square, times the squared distance
    of the weights from the prior weights: beside a hundred plots much, beside ten thousand nothing.

    Args:
        errors: predicted - observed, (n, members).
        far: share of the far weights, (n,), 0-1.
        prior: prior weights (members,), which sum to 1.
        strength: of the prior, in plots.

    Returns:
        float64 (2, members).
    """
    count = errors.shape[1]
    scale = np.linalg.norm(errors)
    if scale == 0:
        return np.tile(prior, (2, 1))
    parts = np.hstack([errors * (1 - far)[:, None], errors * far[:, None]]) / scale
    hold = np.sqrt(strength * np.min(np.mean(errors**2, axis=0))) / scale
    held = hold * np.tile(prior, 2)
    # The sums of 1 are two more equations, which weigh so much that they hold.
    sums = LARGE_WEIGHT * np.kron(np.eye(2), np.ones(count))
    rows = np.vstack([parts, hold * np.eye(2 * count), sums])
    target = np.concatenate([np.zeros(len(errors)), held, [LARGE_WEIGHT, LARGE_WEIGHT]])
    weights = nnls(rows, target)[0].reshape(2, count)
    return weights / weights.sum(axis=1, keepdims=True)


LARGE_WEIGHT = 1e4
"""Against errors of norm 1: sums off by 1e-8, before they are divided by themselves."""
