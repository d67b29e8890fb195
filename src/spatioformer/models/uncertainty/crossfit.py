"""Scores of the kinds of interval on held-out folds, each calibrated on the other folds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.errors import EvaluationError
from spatioformer.evaluation.intervals import (
    calibration_curve,
    crps,
    interval_scores,
    quantile_bins,
)
from spatioformer.evaluation.regions import Regions
from spatioformer.models.uncertainty.harder import HarderFolds, widening_of
from spatioformer.models.uncertainty.kinds import (
    KINDS,
    REGIONS,
    CalibrationParameters,
    Intervals,
    possible,
)
from spatioformer.models.uncertainty.plots import Floats, Predictions

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Nominal coverages of the calibration curve."""

MINIMUM_GAIN = 0.01
"""Relative gain in interval score from which a kind is preferred to constant intervals."""

MINIMUM_GROUP = 20
"""Smallest number of plots in a group; the coverage of fewer plots is too noisy to report."""

MINIMUM_UNIT = 1.0
"""Species; floor on the half-width of a base interval, so that standardised errors stay finite."""

BINS = 5
"""Number of groups of plots by dissimilarity."""

Group = tuple[dict[str, Any], NDArray[np.bool_]]
"""Description of a group of plots (JSON values), and its rows, bool (n,)."""


@dataclass(frozen=True)
class CrossFitted:
    """Intervals of the held-out plots; those of each fold are calibrated on the other folds.

    Attributes:
        bounds: (n, 2), lower and upper, species.
        crps: (n,), species; CRPS of the prediction plus the error distribution of the other folds.
        scores: n (number of plots) and the means coverage, width, interval_score and crps.
    """

    bounds: Floats
    crps: Floats
    scores: dict[str, float]


class CrossFit:
    """Held-out plots, and for each fold the parameters fitted on the other folds.

    Args:
        observed: (n,), species.
        predictions: of the same plots.
        fold: (n,), fold of each plot.
        level: nominal coverage of the intervals, 0-1.
        highest: largest possible value of the target.
        harder: harder folds of the same plots, which widen the intervals outside the area of
            applicability; None: intervals are not widened.
    """

    def __init__(
        self,
        observed: Floats,
        predictions: Predictions,
        fold: NDArray[np.int64],
        level: float,
        highest: float = np.inf,
        harder: HarderFolds | None = None,
    ) -> None:
        self.observed, self.predictions, self.level = observed, predictions, level
        self.harder = harder
        tests = [fold == number for number in np.unique(fold)]
        self.folds = [
            (test, CalibrationParameters.of(observed[~test], predictions[~test], level, highest))
            for test in tests
        ]
        self._harder = [None if harder is None else harder.predictions(~test) for test in tests]

    def kinds(self) -> list[str]:
        """Kinds of interval that can be calibrated in every fold."""
        return [
            kind
            for kind in KINDS
            if all(
                possible(kind, self.predictions[~test], parameters)
                for test, parameters in self.folds
            )
        ]

    def bounds(self, kind: str, level: float) -> Floats:
        """Intervals (n, 2) of each fold, calibrated on the other folds; at least 0 species.

        Raises:
            EvaluationError: there are too few plots for the level.
        """
        bounds = np.empty((len(self.observed), 2))
        for (test, parameters), harder in zip(self.folds, self._harder, strict=True):
            plots = self.observed[~test], self.predictions[~test]
            intervals = Intervals.calibrate(kind, parameters, *plots, level)
            if self.harder is not None and harder is not None:
                widening = widening_of(intervals, *plots, harder, self.harder.threshold)
                intervals = replace(intervals, widening=widening)
            bounds[test] = intervals(self.predictions[test])
        return bounds

    def fitted(self, kind: str) -> CrossFitted:
        """Intervals of one kind and their scores.

        Raises:
            EvaluationError: there are too few plots for the level.
        """
        bounds = self.bounds(kind, self.level)
        score = np.empty(len(bounds))
        for test, parameters in self.folds:
            score[test] = self._crps(kind, parameters, test)
        scores = interval_scores(self.observed, bounds, self.level)
        return CrossFitted(bounds, score, scores | {"crps": float(score.mean())})

    def _crps(
        self, kind: str, parameters: CalibrationParameters, test: NDArray[np.bool_]
    ) -> Floats:
        """CRPS of the plots of one fold, from errors of the other folds in units of the kind."""
        frame = parameters.frame(kind, self.predictions, self.level)
        unit, where = _unit(frame), frame.get("where", np.zeros(len(test), int))
        errors = (self.observed - self.predictions.mean) / unit
        score = np.empty(len(test))
        for label in np.unique(where[test]):
            rows = test & (where == label)
            others = errors[~test & (where == label)]
            members = np.quantile(others, (np.arange(99) + 0.5) / 99)
            ensemble = self.predictions.mean[rows, None] + unit[rows, None] * members
            score[rows] = crps(self.observed[rows], ensemble)
        return score[test]

    def calibration_curve(self, kind: str) -> dict[str, list[float]]:
        """Level, coverage and width of the intervals at each of `LEVELS` with enough plots."""
        bounds = {}
        for level in LEVELS:
            try:
                bounds[level] = self.bounds(kind, level)
            except EvaluationError:  # too few plots for this level
                continue
        if not bounds:
            return {}
        curve = calibration_curve(self.observed, bounds)
        return {name: values.tolist() for name, values in curve.items()}

    def by_group(self, bounds: Floats, groups: Sequence[Group]) -> list[dict[str, Any]]:
        """Description of each group with n, coverage, width and interval_score of its intervals.

        Groups of fewer than `MINIMUM_GROUP` plots are left out.
        """
        return [
            description | interval_scores(self.observed[rows], bounds[rows], self.level)
            for description, rows in groups
            if rows.sum() >= MINIMUM_GROUP
        ]


def ranked(cross_fitted: dict[str, CrossFitted], first: str = "auto") -> list[str]:
    """Rank the kinds of interval by interval score, the best one first.

    Constant intervals come before kinds whose relative gain is below `MINIMUM_GAIN`.

    Args:
        first: the kind to put first whatever its score, or "auto".

    Raises:
        EvaluationError: `first` is not among the kinds.
    """
    score = {kind: fitted.scores["interval_score"] for kind, fitted in cross_fitted.items()}
    score["constant"] *= 1 - MINIMUM_GAIN
    if first not in ("auto", *cross_fitted):
        raise EvaluationError(
            f"intervals of the kind {first!r} cannot be calibrated on these plots with this model; "
            f"set `evaluate.interval` to auto or one of {', '.join(cross_fitted)}"
        )
    return sorted(score, key=lambda kind: (kind != first, score[kind]))


def groups(predictions: Predictions, threshold: float) -> list[Group]:
    """Group plots by region, by dissimilarity, and by the area of applicability.

    Args:
        threshold: largest dissimilarity index inside the area of applicability.

    Returns:
        Groups. A description holds `by` ("region", "dissimilarity" or "area") and, in this order,
        `lon` and `lat` of the region's centre, `low` and `high` dissimilarity, or `inside`.
    """
    least = min(MINIMUM_GROUP, len(predictions))
    regions = Regions.of(predictions.lonlat, REGIONS, least=least)
    region = regions.at(predictions.lonlat)
    bin_, edges = quantile_bins(predictions.di, BINS)
    return [
        *(
            ({"by": "region", "lon": float(lon), "lat": float(lat)}, region == number)
            for number, (lon, lat) in enumerate(regions.centres)
        ),
        *(
            (
                {"by": "dissimilarity", "low": float(edges[k]), "high": float(edges[k + 1])},
                bin_ == k,
            )
            for k in range(len(edges) - 1)
        ),
        *(
            ({"by": "area", "inside": inside}, (predictions.di <= threshold) == inside)
            for inside in (True, False)
        ),
    ]


def _unit(frame: dict[str, Any]) -> Floats:
    """Unit of the errors (n,), species: the scale, or half the width of the base interval."""
    predicted = frame["predicted"]
    if predicted.ndim == 2:
        return np.maximum((predicted[:, 1] - predicted[:, 0]) / 2, MINIMUM_UNIT)
    return frame.get("scale", np.ones(len(predicted)))
