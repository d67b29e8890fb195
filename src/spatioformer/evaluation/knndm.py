"""kNNDM: folds whose held-out plots are as far from training as mapped pixels are from plots.

Linnenbrink, Milà, Ludwig, Meyer 2024, Geosci. Model Dev. 17:5897; results agree with the R package
CAST.
"""

from dataclasses import KW_ONLY, dataclass, field, replace
from operator import attrgetter
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import ks_2samp

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation import checks, distances
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.clusters import WardTree, kmeans
from spatioformer.evaluation.splits import SeededFolds
from spatioformer.evaluation.units import deal, sites

HIERARCHICAL_LIMIT = 10_000
"""Largest number of sites for Ward's clustering (a full distance matrix); k-means beyond."""

CANDIDATES = 100
"""Numbers of clusters tried up to `HIERARCHICAL_LIMIT`, evenly spaced in the logarithm to n - 2."""

CANDIDATES_LARGE, LARGEST_COUNT_LARGE = 24, 1000
"""Beyond the limit: numbers of clusters tried, and the largest of them."""

REFINED = 10, 16
"""K-means runs once per number of clusters; then the best 10 numbers get 16 starts each."""

REFINED_LARGE = 6, 6
"""Beyond the limit: the best numbers of clusters, and the starts of each."""

SAME_DISTRIBUTION = 0.05
"""At this p value of the Kolmogorov-Smirnov test or above, random folds already match the map."""

FEWEST_CROWDED = 20
"""With so many plots, more than half of them at one site, the test for random folds always fails:
half of the distances between plots are 0, and p < 0.05 on a map of 10 or more pixels."""

LARGEST_SHARE = 0.5
"""A candidate is rejected if one fold holds more than this share of the plots."""


@dataclass(frozen=True)
class Search:
    """Result of `KNNDM.search`: the fold of each plot, `folds` (n,), and their statistic `W`.

    `method` is "random", "hierarchical" or "kmeans". `n_clusters` is the number of clusters that
    were dealt to folds (None if random). `grid` maps each number tried to its smallest W (infinite
    when a fold is too large).
    """

    folds: Integers
    W: float
    method: Literal["random", "hierarchical", "kmeans"]
    n_clusters: int | None = None
    grid: dict[int, float] = field(default_factory=dict)


@dataclass
class KNNDM(SeededFolds):
    """k-fold nearest-neighbour distance matching to the area of `prediction_points`.

    Draw `prediction_points` (m, 2) evenly over the area the map covers, a thousand or more; None
    lets `spatioformer.cross_validate` draw them from the imagery. In
    feature space they are the predictors there, (m, p), and `X` those of the plots, (n, p).

    1. Gj: distances from each plot to the nearest other plot; Gij: from each prediction point to
       the nearest plot. If Gj is not significantly shorter than Gij (one-sided Kolmogorov-Smirnov
       test, p >= 0.05), folds are random.
    2. Otherwise the sites are clustered, at 100 numbers of clusters q from k to n - 2. Clusters of
       at least n/k plots become folds; the others, ordered along the first principal component of
       the coordinates, are dealt to the remaining folds in turn.
    3. Among the q whose folds hold at most half of the plots each, the one with the smallest W
       between the held-out distances Gj* and Gij is chosen; on a tie, the smallest q.

    `clustering="hierarchical"` is Ward's method and deterministic. `"kmeans"` depends on `seed`.
    More than 10,000 sites are always clustered by k-means, with 24 numbers of clusters up to 1,000.
    """

    _: KW_ONLY
    prediction_points: ArrayLike | None = field(default=None, repr=False)
    clustering: Literal["hierarchical", "kmeans"] = "hierarchical"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clustering not in ("hierarchical", "kmeans"):
            raise EvaluationError(
                f"clustering {self.clustering!r} is unknown; use 'hierarchical' or 'kmeans'"
            )

    def _assign(self, X: Floats, groups: ArrayLike | None) -> Integers:
        return self.search(X, groups).folds

    def search(self, X: ArrayLike, groups: ArrayLike | None = None) -> Search:
        """Choose the folds of the plots `X` (n, 2), keeping sites and `groups` whole.

        Raises:
            EvaluationError: no prediction points, or points in another CRS, fewer sites than
                folds, or every candidate has a fold of more than half of the plots.
        """
        if self.prediction_points is None:
            raise EvaluationError(
                "kNNDM folds need places of the map; give KNNDM(prediction_points=...), longitudes "
                "and latitudes (m, 2) drawn evenly over the mapped area"
            )
        X = checks.coordinates(X, self.space)
        target = checks.prediction_points(self.prediction_points, self.space, X)
        unit = sites(X, groups)
        sizes = np.bincount(unit)
        self._require_units(len(sizes), len(X), "separate site(s)", "use fewer folds or more sites")
        place = distances.placing(X, self.space)
        points = place(X)
        to_map = distances.nearest(place(target), points, self.space)
        to_other = distances.nearest_other(points, self.space)
        if p_clustered(to_other, to_map) >= SAME_DISTRIBUTION:
            folds = deal(sizes, self.n_splits, self.seed)[unit]
            return Search(folds, self._w(folds, points, to_map), "random")
        largest = int(sizes.argmax())
        if sizes[largest] > LARGEST_SHARE * len(X):  # no clustering parts them
            raise EvaluationError(self._crowded(X[unit == largest], len(X)))
        axis = first_component(points if self.space == "feature" else X)
        return self._best_clusters(points, unit, axis, to_map)

    def require_parts(self, X: ArrayLike) -> None:
        """Raise if more than half of the plots `X` (n, 2) are at one site, whatever the map.

        With fewer than `FEWEST_CROWDED` plots, the folds may still be random.

        Raises:
            EvaluationError: they are, or there are fewer sites than folds.
        """
        self.require_sites(X)
        X = checks.coordinates(X, self.space)
        site = sites(X)
        sizes = np.bincount(site)
        largest = int(sizes.argmax())
        if len(X) >= FEWEST_CROWDED and sizes[largest] > LARGEST_SHARE * len(X):
            raise EvaluationError(self._crowded(X[site == largest], len(X)))

    def _crowded(self, together: Floats, plots: int) -> str:
        place = ", ".join(f"{value:.6g}" for value in together[0, :2])
        return (
            f"{len(together)} of {plots} plots are at one site or in one group, the first at "
            f"{place}, so that a kNNDM fold would hold more than half of them; keep fewer of "
            "these plots, or use random folds or tiles"
        )

    def _best_clusters(
        self, points: Floats, unit: Integers, axis: Floats, to_map: Floats
    ) -> Search:
        """Choose the candidate with the smallest W; `axis` (n,) orders the clusters."""
        places = points[np.unique(unit, return_index=True)[1]]
        large = len(places) > HIERARCHICAL_LIMIT
        method = "kmeans" if large else self.clustering
        tree = WardTree(places, self.space) if method == "hierarchical" else None

        def attempt(count: int, start: int = 0) -> Search:
            cluster = tree.cut(count) if tree else kmeans(places, count, self.seed, start)
            folds = deal_clusters(cluster[unit], axis, self.n_splits)
            too_large = np.bincount(folds).max() > LARGEST_SHARE * len(folds)
            W = np.inf if too_large else self._w(folds, points, to_map)
            return Search(folds, W, method, count)

        counts = candidates(self.n_splits, len(places), large)
        searches = [(count, attempt(count)) for count in counts]
        if method == "kmeans":
            best_counts, starts = REFINED_LARGE if large else REFINED
            promising = sorted(searches, key=lambda pair: pair[1].W)[:best_counts]
            searches += [
                (count, attempt(count, i)) for count, _ in promising for i in range(1, starts)
            ]
        best = min((search for _, search in searches), key=attrgetter("W"))
        if np.isinf(best.W):
            raise EvaluationError(
                f"every clustering of {len(unit)} plots leaves a fold with more than half of them; "
                f"use more than {self.n_splits} folds, or SpatialBlockKFold"
            )
        grid: dict[int, float] = {}
        for count, search in searches:
            grid[count] = min(search.W, grid.get(count, np.inf))
        return replace(best, grid=grid)

    def _w(self, folds: Integers, points: Floats, to_map: Floats) -> float:
        held_out = np.empty(len(folds))
        for number in range(self.n_splits):
            test = folds == number
            held_out[test] = distances.nearest(points[test], points[~test], self.space)
        return distances.wasserstein(held_out, to_map)


def candidates(n_splits: int, n_sites: int, large: bool) -> list[int]:
    """Numbers of clusters to try, ascending, evenly spaced in the logarithm."""
    top = max(n_splits, n_sites - 2)
    if large:
        counts = np.geomspace(n_splits, min(top, LARGEST_COUNT_LARGE), CANDIDATES_LARGE)
    else:
        counts = np.geomspace(n_splits, top, CANDIDATES)
    rounded: list[int] = np.unique(np.rint(counts).astype(int)).tolist()
    return rounded


def deal_clusters(cluster: Integers, axis: Floats, n_splits: int) -> Integers:
    """Fold of each plot, (n,), from its `cluster` (n,) and its position along `axis` (n,).

    Clusters of at least n/k plots are folds by themselves; the rest take turns along the axis.
    """
    sizes = np.bincount(cluster)
    order = np.argsort(np.bincount(cluster, axis) / sizes, kind="stable")
    is_fold = sizes[order] >= len(cluster) / n_splits
    fold = np.empty(len(sizes), dtype=np.int64)
    fold[order[is_fold]] = np.arange(is_fold.sum())
    remaining = n_splits - is_fold.sum()
    fold[order[~is_fold]] = is_fold.sum() + np.arange((~is_fold).sum()) % max(1, remaining)
    return fold[cluster]


def first_component(X: Floats) -> Floats:
    """Scores of each row on the first principal component of `X`, (n,)."""
    centered = X - X.mean(axis=0)
    scores: Floats = centered @ np.linalg.svd(centered, full_matrices=False)[2][0]
    return scores


def p_clustered(to_other: Floats, to_map: Floats) -> float:
    """P value of the test that plot-to-plot distances are shorter than map-to-plot distances.

    One-sided two-sample Kolmogorov-Smirnov test; exact below 10,000 pairs, otherwise the asymptotic
    p = exp(-2 n m / (n + m) D^2).
    """
    n, m = len(to_other), len(to_map)
    if n * m < 10_000:
        return float(ks_2samp(to_other, to_map, alternative="greater", method="exact").pvalue)
    D = ks_2samp(to_other, to_map, alternative="greater", method="asymp").statistic
    return float(np.exp(-2 * n * m / (n + m) * D**2))
