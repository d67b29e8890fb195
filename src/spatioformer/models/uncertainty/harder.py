"""Errors of predictions from farther away than those of the map-like folds.

Few held-out plots of the map-like folds lie outside the area of applicability. A nearest-neighbour
regression in the predictors of the area costs no training, so it can leave out much more: whole
regions, and whole clusters of plots with like predictors. Its errors outside, in units of its
errors inside, say how fast errors grow with the dissimilarity. They say nothing about how large the
errors of the mapped model are; its own plots do.

Folds that leave out all plots within a distance of the predicted plot were tried as well. Most such
plots keep neighbours on all sides, and their errors grow less than those at the edge of the data.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from spatioformer.common.earth import unit_vectors
from spatioformer.evaluation.applicability import AreaOfApplicability
from spatioformer.evaluation.clusters import kmeans
from spatioformer.models.uncertainty.kinds import Intervals
from spatioformer.models.uncertainty.plots import Floats, HeldOut, Predictions
from spatioformer.models.uncertainty.widening import PRIOR_PLOTS, Evidence, Widening

MOST_PLOTS = 1000
"""Largest number of plots that are predicted; time and memory grow with the square."""

NEIGHBOURS = 10
"""Plots whose mean is the prediction."""

GROUPS = 5
"""Number of regions, and of clusters of predictors, that are left out one at a time."""

LEAST_INSIDE = 20
"""Smallest number of predictions inside the area that give the unit of the errors."""


@dataclass(frozen=True)
class HarderPredictions:
    """Predictions (n,) of harder folds, and the observed values (n,); a plot has several rows."""

    predictions: Predictions
    observed: Floats

    def evidence(self, intervals: Intervals, threshold: float) -> Evidence:
        """Stretch outside the area, in units of the stretch that covers the plots inside.

        Args:
            intervals: of a kind that needs nothing but the mean and the place.
            threshold: largest dissimilarity index inside the area.
        """
        inside = self.predictions.di <= threshold
        if inside.sum() < LEAST_INSIDE or inside.all():
            return Evidence.none()
        stretch = intervals.stretch(self.observed, self.predictions)
        unit = float(np.quantile(stretch[inside], intervals.conformal.level))
        if unit <= 0:  # predicted without error
            return Evidence.none()
        return Evidence.outside(self.predictions.di, stretch / unit, threshold)


@dataclass(frozen=True)
class HarderFolds:
    """Plots, and what is left out when each of them is predicted.

    Attributes:
        rows: (k,), which of the held-out plots these are.
        points: (k, p), their points; the distance of two points is a dissimilarity index.
        lon, lat: (k,), degrees.
        observed: (k,), species.
        threshold: largest dissimilarity index inside the area of applicability.
    """

    rows: NDArray[np.int64]
    points: Floats
    lon: Floats
    lat: Floats
    observed: Floats
    threshold: float

    @classmethod
    def of(
        cls, held_out: HeldOut, area: AreaOfApplicability, table: Floats, sample: NDArray[np.int64]
    ) -> Self:
        """Take the first `MOST_PLOTS` plots of a random `sample` of rows.

        Among many more plots, those of the sample are far apart, and few lie inside the area. Then
        there is no evidence of harder folds, but many plots of the map-like folds lie outside.

        Args:
            table: (n, p), predictors of the area at the held-out plots.
        """
        rows = sample[:MOST_PLOTS]
        lonlat, observed = (held_out.lon[rows], held_out.lat[rows]), held_out.observed[rows]
        return cls(rows, area.points(table[rows]), *lonlat, observed, float(area.threshold_))

    @cached_property
    def _apart(self) -> Floats:
        return cdist(self.points, self.points)

    @cached_property
    def _left_out(self) -> list[NDArray[np.bool_]]:
        """For each way to hold out: whether plot j is left out when plot i is predicted, (k, k)."""
        count = min(GROUPS, len(np.unique(self.points, axis=0)))
        places = unit_vectors(self.lon, self.lat)
        labels = [
            kmeans(places, min(count, len(np.unique(places, axis=0))), seed=0),
            kmeans(self.points, count, seed=0),
        ]
        return [label[:, None] == label for label in labels]

    def predictions(self, keep: NDArray[np.bool_]) -> HarderPredictions:
        """Predict the kept plots from other kept plots, once for each way to hold out.

        Args:
            keep: (n,), whether each held-out plot may be predicted and predict others. A plot with
                fewer than `NEIGHBOURS` plots left to predict it has no prediction.
        """
        rows = np.flatnonzero(keep[self.rows])
        mean, di, plot = [], [], []
        for left_out in self._left_out:
            apart = np.where(left_out, np.inf, self._apart)[np.ix_(rows, rows)]
            enough = np.isfinite(apart).sum(axis=1) >= NEIGHBOURS
            apart = apart[enough]
            if not len(apart):
                continue
            nearest = np.argpartition(apart, NEIGHBOURS - 1, axis=1)[:, :NEIGHBOURS]
            mean.append(self.observed[rows[nearest]].mean(axis=1))
            di.append(apart.min(axis=1))
            plot.append(rows[enough])
        at = np.concatenate([np.empty(0, np.int64), *plot])
        means, dis = (np.concatenate([np.empty(0), *parts]) for parts in (mean, di))
        predictions = Predictions(means, dis, self.lon[at], self.lat[at])
        return HarderPredictions(predictions, self.observed[at])


def widening_of(
    intervals: Intervals,
    observed: Floats,
    predictions: Predictions,
    harder: HarderPredictions,
    threshold: float,
) -> Widening:
    """Fit the factor of intervals outside the area of applicability.

    Args:
        intervals: calibrated on the held-out plots `observed` (n,) and `predictions`.
        harder: predictions of harder folds of these plots.
        threshold: largest dissimilarity index inside the area.
    """
    level, simple = intervals.conformal.level, intervals
    if intervals.kind in ("spread", "quantiles"):  # harder predictions have neither
        simple = Intervals.calibrate("constant", intervals.parameters, observed, predictions, level)
    stretch = intervals.stretch(observed, predictions)
    plots = Evidence.outside(predictions.di, stretch, threshold)
    return Widening.fit(threshold, level, plots, harder.evidence(simple, threshold))


def evidence_outside(plots: Evidence, harder: Evidence, threshold: float) -> dict[str, Any]:
    """What the widths outside the area of applicability rest on, as JSON values.

    Returns:
        `plots` and `harder`, the numbers of held-out plots of the map-like folds and of predictions
        of harder folds; `farthest`, the largest dissimilarity index among them, or None;
        `prior_plots`, the weight of the prior, in plots.
    """
    ratios = np.concatenate([plots.ratio, harder.ratio])
    return {
        "plots": len(plots),
        "harder": len(harder),
        "farthest": float(ratios.max() * threshold) if len(ratios) else None,
        "prior_plots": PRIOR_PLOTS,
    }
