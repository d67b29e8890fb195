"""Order of plots in space, and the groups of plots whose likelihood is computed.

Nothing here depends on the order of the table's rows: callers sort the plots first
(`baselines.order`), and ties are between equal plots only.
"""

from functools import lru_cache

import numpy as np
from scipy.spatial import cKDTree

WHOLE = 900  # largest number of plots whose likelihood is computed exactly
GROUP, GROUPS = 300, 6  # with more plots: number of plots in a group, and number of groups
SHAPES = 3  # shapes of groups: neighbours, scattered plots, scattered clusters
CLUSTER = 30  # plots of a cluster in a group of clusters
SAMPLE, PAIR = 400, 4  # plots of a sample, and plots of a cluster in it
NEIGHBOURS = 3.0  # median distances of neighbouring places in the shortest range that they can show


def spatial_order(places: np.ndarray, leaf: int = 4) -> np.ndarray:
    """Rows (n,) so that neighbours in the order are neighbours in space.

    Plots are halved along the axis of their largest extent, again and again, as in a k-d tree.

    Args:
        places: (n, 3).
        leaf: largest number of plots that is not halved.
    """
    return _spatial_order(np.ascontiguousarray(places, np.float64).tobytes(), leaf)


@lru_cache(maxsize=2)  # the steps of a fit, and processes of the same plots, need the same order
def _spatial_order(coordinates: bytes, leaf: int) -> np.ndarray:
    """`spatial_order` of the bytes of float64 places (n, 3); the result is read only."""
    places = np.frombuffer(coordinates).reshape(-1, 3)
    done, todo = [], [np.arange(len(places))]
    while todo:
        rows = todo.pop()
        if len(rows) <= leaf:
            done.append(rows)
            continue
        part = places[rows]
        axis = (part.max(axis=0) - part.min(axis=0)).argmax()
        rows = rows[part[:, axis].argsort(kind="stable")]
        todo += [rows[len(rows) // 2 :], rows[: len(rows) // 2]]
    order = np.concatenate(done)
    order.flags.writeable = False
    return order


def likelihood_groups(places: np.ndarray) -> list[np.ndarray]:
    """Rows of each group of plots; all plots in one group if there are at most `WHOLE`.

    A third of the groups are neighbours, which determine short ranges. A third are plots scattered
    evenly, which determine long ranges. A third are scattered clusters of neighbours.
    """
    count = len(places)
    if count <= WHOLE:
        return [np.arange(count)]
    order = spatial_order(places)
    shapes = ((GROUP, 1), (1, GROUP), (CLUSTER, GROUP // CLUSTER))
    phases = (np.arange(GROUPS // SHAPES) + 0.5) / (GROUPS // SHAPES)
    return [order[_runs(count, *shape, phase)] for phase in phases for shape in shapes]


def sample_of(places: np.ndarray) -> np.ndarray:
    """Rows of `SAMPLE` plots, in clusters of `PAIR` neighbours; of all plots if there are fewer."""
    count = len(places)
    if count <= SAMPLE:
        return np.arange(count)
    return spatial_order(places)[_runs(count, PAIR, SAMPLE // PAIR, 0.5)]


def _runs(count: int, length: int, runs: int, phase: float) -> np.ndarray:
    """Positions of `runs` runs of `length` neighbours each, evenly spaced over `count` positions.

    Args:
        phase: shift of all runs, 0 to 1, as a share of the space between them.
    """
    room = count / runs - length
    starts = np.floor(np.arange(runs) * (count / runs) + phase * room).astype(int)
    return np.unique(starts[:, None] + np.arange(length))


def shortest_range(places: np.ndarray) -> float | None:
    """`NEIGHBOURS` median distances of a place of `places` (n, 3) to the nearest other one.

    Returns:
        None for at most `WHOLE` plots, or if all are at one place.
    """
    sites = np.unique(places, axis=0)
    if len(places) <= WHOLE or len(sites) == 1:
        return None
    distance = np.asarray(cKDTree(sites).query(sites, k=2)[0])
    return NEIGHBOURS * float(np.median(distance[:, 1]))


def inducing_plots(places: np.ndarray, most: int) -> np.ndarray:
    """Rows of at most `most` plots, evenly spread over the plots in space, sorted."""
    count = len(places)
    if count <= most:
        return np.arange(count)
    positions = np.floor((np.arange(most) + 0.5) * count / most).astype(int)
    return np.sort(spatial_order(places)[positions])


def blocks(places: np.ndarray, most: int) -> np.ndarray:
    """Number (n,) of the compact block of each plot; plots at one place share a block.

    Args:
        places: (n, 3).
        most: number of blocks, of about equal numbers of plots; fewer if there are fewer places.
    """
    sites, site = np.unique(places, axis=0, return_inverse=True)
    position = np.empty(len(sites), int)
    position[spatial_order(sites)] = np.arange(len(sites))
    return position[site.reshape(-1)] * min(most, len(sites)) // len(sites)
