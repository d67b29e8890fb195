"""A stack in closed form: Gaussian processes and trees, weighed by plots that are left out.

The members are processes of place only, of features only, of both added, with their product, and a
smooth one; and trees. Each predicts all training plots without the plots around them at no further
training: processes by `GaussianProcess.leave_out`, trees by `BlockTrees`. Their weights near to and
far from plots come from these predictions, as those of the stack do (`models.stacking`).
"""

from typing import Any

import numpy as np
from scipy.spatial import KDTree
from sklearn.base import BaseEstimator, RegressorMixin

from spatioformer.common.earth import S2_RADIUS_M, arc, on_sphere
from spatioformer.evaluation.sizes import splittable
from spatioformer.models.baselines.block_trees import BlockTrees
from spatioformer.models.baselines.features import lonlat
from spatioformer.models.baselines.gaussian import GaussianProcess
from spatioformer.models.baselines.gaussian.groups import canonical_order
from spatioformer.models.stacking import (
    PRIOR_STRENGTH,
    Reach,
    combine,
    convex_weights,
    pieces,
    to_nearest,
)

PROCESSES: dict[str, dict[str, Any]] = {
    "product": {},
    "place": {"without": ("response", "local response")},
    "features": {"without": ("place", "local response")},
    "additive": {"without": ("local response",)},
    "smooth": {"without": ("local response",), "rigid": 2.0},
}
"""Members that are processes, and the hyperparameters in which they differ; the first is whole."""

PRIOR = dict.fromkeys(PROCESSES, 0.1) | {"product": 0.4, "trees": 0.2}
"""Prior weights of the members."""


class ProcessBank(RegressorMixin, BaseEstimator):
    """Weighted mean of Gaussian processes and trees.

    Args:
        seed: of the processes' groups, the trees, and the areas that are left out.
        effort, counts: as of `GaussianProcess`.
    """

    def __init__(self, seed: int = 0, effort: int | None = None, counts: bool = True):
        self.seed = seed
        self.effort = effort
        self.counts = counts

    def fit(self, X: np.ndarray, y: np.ndarray) -> "ProcessBank":
        """Fit the members to all plots, and their weights to predictions of plots left out.

        Args:
            X: (n, features + 2), NaN where a feature is missing; the last two columns are longitude
                and latitude, degrees.
            y: (n,), richness.

        Raises:
            EvaluationError: all plots lie at one place.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        order = canonical_order(X, y)
        X, y = X[order], y[order]
        self.places_ = lonlat(X)
        unit = pieces(self.places_, splittable(self.places_, None), self.seed)
        known: dict[str, Any] = {"effort": self.effort, "counts": self.counts, "seed": self.seed}
        whole = GaussianProcess(**known).fit(X, y)
        self.estimators_ = [whole]
        for changes in list(PROCESSES.values())[1:]:
            self.estimators_.append(GaussianProcess(**known, **changes).fit_like(whole, X, y))
        columns = [process.leave_out(X, y, unit) for process in self.estimators_]
        self.trees_ = BlockTrees(seed=self.seed).fit(X, y, unit)
        columns.append(self.trees_.left_out_)
        distance = to_nearest_outside(self.places_, unit)
        reach = Reach.of(distance)
        self.reach_ = np.array([reach.near, reach.far])
        errors = np.column_stack(columns) - y[:, None]
        prior = np.array([PRIOR[name] for name in [*PROCESSES, "trees"]])
        self.weights_ = convex_weights(errors, reach.share(distance), prior, PRIOR_STRENGTH)
        self.left_out_ = combine(np.column_stack(columns), reach.share(distance), self.weights_)
        return self

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,) at X (n, features + 2), with columns as in `fit`."""
        X = np.asarray(X, np.float64)
        members: list[GaussianProcess | BlockTrees] = [*self.estimators_, self.trees_]
        columns = [
            member.predict(X) if weight.any() else np.zeros(len(X))
            for member, weight in zip(members, self.weights_.T, strict=True)
        ]
        near, far = self.reach_
        share = Reach(near, far).share(to_nearest(lonlat(X), self.places_))
        return combine(np.column_stack(columns), share, self.weights_)


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
        found = outside.any(axis=1)
        first = outside.argmax(axis=1)
        out[todo[found]] = distance[found, first[found]]
        todo = todo[~found]
    return arc(out, S2_RADIUS_M)
