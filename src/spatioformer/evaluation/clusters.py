"""Clusters of points for folds: k-means, and a Ward tree that is cut at any number of clusters."""

import numpy as np
from scipy.cluster.hierarchy import linkage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import pdist

from spatioformer.common.streams import family_seed
from spatioformer.evaluation import distances
from spatioformer.evaluation.checks import Floats, Integers, Space
from spatioformer.evaluation.units import in_order

KMEANS_SAMPLE = 20_000
"""Largest number of points in which k-means searches for centres; k-means++ scans them per
centre."""


def kmeans(points: Floats, n_clusters: int, seed: int, start: int = 0) -> Integers:
    """Cluster of each of the distinct `points` (n, p): (n,), 0 to n_clusters - 1; one seeded start.

    An even `start` spreads the first centres (k-means++). An odd one draws them from the points,
    which gives dense areas more clusters. Together the two kinds try more different partitions than
    either alone. If there are more than `KMEANS_SAMPLE` points, the centres are fitted to a random
    sample and every point joins the nearest centre.
    """
    from sklearn.cluster import KMeans  # takes longer to import than most commands to start

    state = family_seed(seed, n_clusters, start)
    init = "random" if start % 2 else "k-means++"
    sample = points
    if len(points) > KMEANS_SAMPLE:
        sample = points[np.random.default_rng(state).choice(len(points), KMEANS_SAMPLE, False)]
    model = KMeans(n_clusters, init=init, n_init=1, random_state=state).fit(sample)
    return in_order(model.predict(points))


class WardTree:
    """Ward's hierarchy (ward.D2: on distances, squared inside) of n points (n, p) from `placing`.

    Memory: two arrays of n (n - 1) / 2 distances of 8 bytes, 0.8 GB at n = 10,000.
    """

    def __init__(self, points: Floats, space: Space) -> None:
        self.n = len(points)
        straight = pdist(points)
        self.merges = linkage(distances.along_surface(straight, space), method="ward")

    def cut(self, n_clusters: int) -> Integers:
        """Cluster of each point, (n,), after the first n - n_clusters merges."""
        done = self.n - n_clusters
        # Merge i makes node n + i out of its two children.
        child = self.merges[:done, :2].astype(np.int64).ravel()
        parent = np.repeat(np.arange(self.n, self.n + done), 2)
        size = self.n + done
        graph = coo_array((np.ones(len(child), dtype=np.int8), (child, parent)), shape=(size, size))
        return in_order(connected_components(graph, directed=False)[1][: self.n])
