"""A stack in closed form: Gaussian processes and trees, weighed by plots that are left out.

Each member predicts the training plots without those around them, at no further training:
processes by blocks of the inverse covariance (`GaussianProcess.leave_out_each`), trees by the trees
that left out whole areas (`BlockTrees`). Areas have four sizes, from single sites to regions
(`areas_left_out.areas`), so the weights near to plots and far from all of them come from plots that
were left out at such distances.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from spatioformer.models.baselines.areas_left_out import areas, sample, to_nearest_outside
from spatioformer.models.baselines.block_trees import BlockTrees
from spatioformer.models.baselines.features import lonlat
from spatioformer.models.baselines.gaussian import GaussianProcess
from spatioformer.models.baselines.order import canonical_order
from spatioformer.models.baselines.quadratic import QuadraticRidge
from spatioformer.models.stacking import (
    PRIOR_STRENGTH,
    Reach,
    combine,
    convex_weights,
    design_effect,
    to_nearest,
)

PROCESSES: dict[str, dict[str, Any]] = {
    "product": {},
    "place": {"without": ("response", "local response")},
    "features": {"without": ("place", "local response")},
}
"""Members that are processes, and the hyperparameters in which they differ; the first is whole."""

PRIOR = {
    "product": 0.4,
    "place": 0.05,
    "features": 0.05,
    "trees": 0.2,
    "quadratic": 0.15,
    "mean": 0.05,
    "forest": 0.1,
}
"""Prior weights of the members."""

MOST = 4000  # plots that are left out to find the weights
SAMPLED = 2000  # plots of a sample that is left out instead if there are more
LIGHT = 2000  # inducing plots of the processes after the first, if that one has inducing plots
FORESTS: dict[str, dict[str, Any]] = {
    "trees": {"trees": 38},
    "forest": {"trees": 19, "features": 1 / 2, "bootstrap": True},
}
"""Members that are trees: settings of each of the two forests that leave out areas of one size."""


class ClosedFormStack(RegressorMixin, BaseEstimator):
    """Weighted mean of Gaussian processes, trees, a quadratic regression and the mean of all plots.

    Args:
        seed: of the trees and the areas that they leave out.
        effort, counts, shares: as of `GaussianProcess`.

    Attributes:
        weights_: (2, members), near to and far from plots, in the order of PRIOR.
        rows_: (m,), the training plots that were left out: all, or SAMPLED if more than MOST.
        left_out_: (m, divisions), prediction of each without the plots of its area.
        distances_: (m, divisions), metres, of each to the nearest plot of another area.
        residuals_: (m, divisions), left_out_ minus richness.
    """

    def __init__(
        self,
        seed: int = 0,
        effort: int | None = None,
        counts: bool = True,
        shares: Sequence[int] | None = None,
    ):
        self.seed = seed
        self.effort = effort
        self.counts = counts
        self.shares = shares

    def fit(
        self, X: np.ndarray, y: np.ndarray, process: GaussianProcess | None = None
    ) -> "ClosedFormStack":
        """Fit the members to all plots, and their weights to predictions of plots left out.

        Args:
            X: (n, features + 2), NaN where a feature is missing; the last two columns are longitude
                and latitude, degrees.
            y: (n,), richness.
            process: the whole process, already fitted to X and y with the arguments of the stack;
                it is fitted here unless given.

        Raises:
            EvaluationError: all plots lie at one place.
        """
        X, y = np.asarray(X, np.float64), np.asarray(y, np.float64)
        order = canonical_order(X, y)
        X, y = X[order], y[order]
        self.places_, self.mean_ = lonlat(X), float(y.mean())
        rows = sample(self.places_, MOST if len(y) <= MOST else SAMPLED)
        divisions = areas(self.places_[rows])
        self.processes_ = self._processes(X, y, process)
        columns = [each.leave_out_each(X[rows], y[rows], divisions) for each in self.processes_]
        grown = [self._grow(name, X, y, rows, divisions) for name in FORESTS]
        self.trees_, self.forest_ = grown[0][0], grown[1][0]
        middle = divisions[len(divisions) // 2]
        self.quadratic_ = QuadraticRidge(self.counts).fit(X[rows], y[rows], middle)
        columns.append(self.quadratic_.leave_out_each(X[rows], y[rows], divisions))
        columns.append(np.column_stack([means_of_others(y[rows], unit) for unit in divisions]))
        columns = [*columns[:3], grown[0][1], *columns[3:], grown[1][1]]
        noise = np.column_stack([noise for _, _, noise in grown])
        self._weigh(np.stack(columns, axis=2), noise, y[rows], divisions, self.places_[rows])
        self.rows_ = order[rows]
        return self

    def _grow(
        self, name: str, X: np.ndarray, y: np.ndarray, rows: np.ndarray, divisions: list[np.ndarray]
    ) -> tuple[list[BlockTrees], np.ndarray, np.ndarray]:
        """Grow a member of FORESTS: two forests for each division.

        Returns:
            The forests that predict; predictions (m, divisions) of the plots `rows` (m,) by trees
            that left out their areas; and the variance (divisions,) of these means of few trees,
            from the two forests.
        """
        settings = FORESTS[name]
        seeds = range(self.seed, self.seed + 2 * len(divisions))
        forests = [
            BlockTrees(**settings, seed=seed).fit(X[rows], y[rows], unit)
            for seed, unit in zip(seeds, [*divisions, *divisions], strict=True)
        ]
        one, other = np.split(np.column_stack([forest.left_out_ for forest in forests]), 2, axis=1)
        if len(rows) < len(y):
            all_trees = settings | {"trees": settings["trees"] * len(divisions)}
            forests = [BlockTrees(**all_trees, seed=self.seed).fit(X, y)]
        return forests, (one + other) / 2, np.mean((one - other) ** 2, axis=0) / 4

    def _processes(
        self, X: np.ndarray, y: np.ndarray, whole: GaussianProcess | None
    ) -> list[GaussianProcess]:
        settings: dict[str, Any] = {name: getattr(self, name) for name in ("effort", "counts")}
        settings["shares"] = self.shares
        if whole is None:
            whole = GaussianProcess(**settings).fit(X, y)
        else:  # a copy, with the seed that a process of a stack has: nothing depends on it
            whole = copy(whole).set_params(seed=0)
        if len(y) > whole.inducing:
            settings["inducing"] = min(LIGHT, whole.inducing)
        others = list(PROCESSES.values())[1:]
        reduced = [GaussianProcess(**settings, **part).fit_like(whole, X, y) for part in others]
        return [whole, *reduced]

    def _weigh(
        self,
        columns: np.ndarray,
        noise: np.ndarray,
        y: np.ndarray,
        divisions: list[np.ndarray],
        places: np.ndarray,
    ) -> None:
        """Fit the weights.

        Args:
            columns: (m, divisions, members), predictions of plots that are left out.
            noise: (divisions, FORESTS), variance of their predictions that a whole forest lacks.
            y: (m,).
            divisions: area (m,) of each plot, for each division.
            places: lon, lat (m, 2).
        """
        distance = np.column_stack([to_nearest_outside(places, unit) for unit in divisions])
        reach = Reach.of(distance.ravel())
        self.reach_ = np.array([reach.near, reach.far])
        share = reach.share(distance.ravel())
        flat = columns.reshape(-1, columns.shape[2])
        errors = flat - np.repeat(y, len(divisions))[:, None]
        variances = np.zeros((len(divisions), len(PRIOR)))
        variances[:, [list(PRIOR).index(name) for name in FORESTS]] = noise
        prior = np.array(list(PRIOR.values()))
        effects = [
            design_effect(columns[:, number] - y[:, None], unit, prior)
            for number, unit in enumerate(divisions)
        ]
        counted = np.tile(1 / np.array(effects), len(y))
        self.weights_ = convex_weights(
            errors, share, prior, PRIOR_STRENGTH, np.tile(variances, (len(y), 1)), counted
        )
        self.left_out_ = combine(flat, share, self.weights_).reshape(distance.shape)
        self.residuals_ = self.left_out_ - y[:, None]
        self.distances_ = distance

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Expected richness (n,) at X (n, features + 2), with columns as in `fit`."""
        X = np.asarray(X, np.float64)
        columns = np.zeros((len(X), self.weights_.shape[1]))  # files of before lack the last member
        for number, (name, weight) in enumerate(zip(PRIOR, self.weights_.T, strict=False)):
            if weight.any():
                columns[:, number] = self._member(name, X)
        near, far = self.reach_
        share = Reach(near, far).share(to_nearest(lonlat(X), self.places_))
        return combine(columns, share, self.weights_)

    def _member(self, name: str, X: np.ndarray) -> np.ndarray:
        """Predictions (n,) of a member."""
        if name == "mean":
            return np.full(len(X), self.mean_)
        if name == "quadratic":
            return self.quadratic_.predict(X)
        if name in FORESTS:
            forests = self.trees_ if name == "trees" else self.forest_
            return np.asarray(np.mean([forest.predict(X) for forest in forests], axis=0))
        return self.processes_[list(PROCESSES).index(name)].predict(X)


def means_of_others(y: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Mean (n,) of y (n,) over the plots of other units than each plot's own, `unit` (n,)."""
    counts, sums = np.bincount(unit), np.bincount(unit, y)
    return np.asarray(((y.sum() - sums) / (len(y) - counts))[unit])
