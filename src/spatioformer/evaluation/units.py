"""Units of plots that no fold may split: sites, plots with overlapping chips, named groups."""

import heapq
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks
from spatioformer.evaluation.checks import Integers


def sites(X: ArrayLike, groups: ArrayLike | None = None) -> Integers:
    """Number of the site of each row of coordinates `X` (n, 2): (n,), from 0 by first appearance.

    Rows with equal coordinates share a site. Rows with an equal entry in `groups` (n,) share a
    site. Both rules chain: if A and B share a site, and B and C do, all three share one.
    """
    X = checks.matrix(X, "coordinates")
    places = np.unique(X, axis=0, return_inverse=True)[1].reshape(-1)
    return in_order(places) if groups is None else joined(places, groups)


def overlapping(X: ArrayLike, side: float) -> Integers:
    """Number of the cluster of overlapping chips of each row, (n,), to pass as `groups`.

    Chips are squares of `side`, in the unit of the coordinates `X` (n, 2): pixels times pixel size.
    Two plots less than `side` apart along both axes can share a pixel. Overlaps chain.
    """
    X = checks.matrix(X, "coordinates")
    if not side > 0:
        raise EvaluationError(f"chip side {side} must be a length above 0")
    places, place = np.unique(X, axis=0, return_inverse=True)
    # Just under `side`: chips that only touch share nothing.
    pairs = KDTree(places).query_pairs(np.nextafter(side, 0), p=np.inf, output_type="ndarray")
    return in_order(_components(pairs[:, 0], pairs[:, 1], len(places))[place.reshape(-1)])


def joined(unit: Integers, groups: ArrayLike) -> Integers:
    """The finest labels, (n,), that keep rows equal in `unit` or in `groups` together."""
    groups = checks.labels(groups, "groups", like=unit)
    group = np.unique(groups, return_inverse=True)[1].reshape(-1)
    # Rows are edges between units and groups; a connected component is one label.
    count = int(unit.max()) + 1
    return in_order(_components(unit, count + group, count + int(group.max()) + 1)[unit])


def deal(sizes: ArrayLike, n_folds: int, seed: int) -> Integers:
    """Fold of each unit, (units,), such that the folds have similar totals of `sizes` (units,).

    Units are shuffled, ordered from large to small, and each goes to the fold that is smallest so
    far (longest-processing-time rule): totals differ by at most the largest unit.
    """
    sizes = np.asarray(sizes)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    fold = np.empty(len(sizes), dtype=np.int64)
    heap = [(0, number) for number in range(n_folds)]
    for unit in order:
        total, number = heap[0]
        fold[unit] = number
        heapq.heapreplace(heap, (total + int(sizes[unit]), number))
    return fold


def in_order(labels: NDArray[np.integer[Any]]) -> Integers:
    """Renumber `labels` (n,) as 0, 1, 2... in order of first appearance."""
    first, inverse = np.unique(labels, return_index=True, return_inverse=True)[1:]
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    renumbered: Integers = rank[inverse.reshape(-1)]
    return renumbered


def _components(a: Integers, b: Integers, count: int) -> NDArray[np.int32]:
    """Connected component of each of `count` nodes, (count,); edges join `a` and `b`, (e,) each."""
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(count, count))
    return connected_components(graph, directed=False)[1]
