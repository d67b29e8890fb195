"""Areas of training plots that are held out as a whole to choose hyperparameters."""

import numpy as np

from spatioformer.evaluation.sizes import splittable
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import in_order, sites
from spatioformer.models.baselines.features import lonlat

PARTS = 3
"""Number of parts into which areas are divided; one of them is held out at a time."""
LARGE = 4
"""Side of a block, in tiles."""
ENOUGH = 2000
"""Number of held-out plots that say enough about hyperparameters; more cost time only."""


def divisions(X: np.ndarray) -> list[np.ndarray]:
    """Divide plots into areas: sites, and blocks of LARGE x LARGE tiles.

    Predictions are wanted near plots and far from them, so hyperparameters are chosen for both.
    Plots with the same coordinates always share an area. Blocks are halved until there are PARTS.

    Args:
        X: (n, features), the last two columns longitude and latitude, degrees.

    Returns:
        int (n,) each, the number of the area of each plot. Plots at a single place have one
        division: rows with equal features share a number. Divisions with fewer than PARTS areas are
        left out.
    """
    places = lonlat(X)
    if len(np.unique(places, axis=0)) < 2:
        rows = np.nan_to_num(np.asarray(X, np.float64), nan=np.inf)
        candidates = [in_order(np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1))]
    else:
        candidates = [sites(places), _blocks(places)]
    return [division for division in candidates if division.max() + 1 >= PARTS]


def _blocks(places: np.ndarray) -> np.ndarray:
    """Number of the block of each plot at lon, lat (n, 2), degrees, int (n,)."""
    side = LARGE * splittable(places, None)
    fewest = min(PARTS, len(np.unique(places, axis=0)))
    while True:
        block = SpatialBlockKFold(2, size=side).tiles(places)
        if block.max() + 1 >= fewest:
            return np.asarray(block)
        side /= 2


def parts(division: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Divide the areas of a division (n,) at random into PARTS parts: int (n,), from 0."""
    count = int(division.max()) + 1
    return np.asarray((rng.permutation(count) % PARTS)[division])


def held_out(division: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Sets of plots to hold out one after the other: whole parts of a division (n,).

    Returns:
        bool (n,) each. All PARTS parts of few plots; of many only as many as hold ENOUGH plots. The
        training plots stay two thirds of all, so they choose what suits that number of plots.
    """
    part = parts(division, rng)
    plots = np.cumsum(np.bincount(part, minlength=PARTS))
    count = min(int(np.searchsorted(plots, ENOUGH)) + 1, PARTS)
    return [part == number for number in range(count)]
