"""Areas of training plots that are left out as a whole, in four sizes.

Predictions are wanted near plots and far from all of them. So the weights of a stack come from
plots that were left out at all these distances.
"""

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial import KDTree

from spatioformer.common.earth import S2_RADIUS_M, arc, on_sphere
from spatioformer.evaluation.sizes import splittable
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.evaluation.units import in_order, sites
from spatioformer.models.baselines.gaussian.groups import spatial_order

LARGE = 4  # side of a block, in tiles
REGIONS = 8  # largest number of regions
CLUSTER = 20  # neighbours in a sample of plots; they keep its distances those of all plots


def areas(places: np.ndarray) -> list[np.ndarray]:
    """Divide plots into sites, tiles, blocks of LARGE x LARGE tiles, and at most REGIONS regions.

    Tiles are as large as `splittable` says. A region is a group of near tiles (complete linkage),
    which splits along the widest gaps between plots.

    Args:
        places: lon, lat (n, 2), degrees.

    Returns:
        int (n,) each, number of the area of each plot. Divisions with a single area are left out.

    Raises:
        EvaluationError: all plots lie at one place.
    """
    side = splittable(places, None)
    tile = SpatialBlockKFold(2, size=side).tiles(places)
    block = SpatialBlockKFold(2, size=LARGE * side).tiles(places)
    divisions = [sites(places), tile, block, _regions(places, tile)]
    return [in_order(division) for division in divisions if np.ptp(division) > 0]


def _regions(places: np.ndarray, tile: np.ndarray) -> np.ndarray:
    """Region (n,) of each plot; `tile` (n,) is the number of its tile, from 0."""
    points, counts = on_sphere(places), np.bincount(tile)
    middles = np.stack([np.bincount(tile, axis) / counts for axis in points.T], axis=1)
    if len(middles) <= REGIONS:
        return tile
    return np.asarray(fcluster(linkage(middles, "complete"), REGIONS, "maxclust"))[tile]


def sample(places: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most `most` plots, in clusters of CLUSTER neighbours, sorted; all if possible."""
    count = len(places)
    if count <= most:
        return np.arange(count)
    order = spatial_order(on_sphere(places))
    starts = np.arange(most // CLUSTER) * count // (most // CLUSTER)
    return np.sort(order[(starts[:, None] + np.arange(CLUSTER)).ravel()])


def to_nearest_outside(places: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Great-circle distance (n,), metres, of each plot to the nearest plot of another unit.

    Args:
        places: lon, lat (n, 2), degrees.
        unit: (n,), number of the area of each plot; there are at least two.
    """
    points = on_sphere(places, S2_RADIUS_M)
    tree = KDTree(points)
    out, todo, count = np.empty(len(points)), np.arange(len(points)), 8
    while len(todo):
        count = min(2 * count, len(points))
        distance, near = map(np.asarray, tree.query(points[todo], k=count))
        outside = unit[near] != unit[todo, None]
        reached = outside.any(axis=1)
        first = outside.argmax(axis=1)
        out[todo[reached]] = distance[reached, first[reached]]
        todo = todo[~reached]
    return arc(out, S2_RADIUS_M)
