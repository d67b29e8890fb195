"""How good the kinds of interval are: each fold's calibrated on the plots of the other folds."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from spatioformer.models.uncertainty.kinds import (
    KINDS,
    REGIONS,
    Intervals,
    Yardsticks,
    possible,
)
from spatioformer.models.uncertainty.plots import Floats, Predictions

LEVELS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Coverages of the calibration curve."""

WORTH = 0.01
"""Share of the interval score that a kind must save to be taken in place of the constant one."""

FEW = 20
"""Plots below which a coverage says next to nothing, and is left out."""

LEAST_UNIT = 1.0
"""Species; errors in units of a base interval that is narrower, or none, would know no bounds."""

BINS = 5
"""Groups of plots by dissimilarity."""


Group = tuple[dict[str, Any], NDArray[np.bool_]]


@dataclass(frozen=True)
class CrossFitted:
    """Intervals of held-out plots, each calibrated on the plots of the other folds.

    Attributes:
        bounds: (n, 2), species.
        crps: (n,), of the error distribution of the other folds laid around the prediction.
        scores: n, coverage, width, interval_score and crps (means).
    """

    bounds: Floats
    crps: Floats
    scores: dict[str, float]


class CrossFit:
    """Held-out plots, and for each fold the yardsticks that the plots of the others tell.

    Args:
        observed: (n,), species.
        at: predictions of the same plots; `fold`: (n,) of each.
        level: share of new observations that the intervals are to hold.
    """

    def __init__(
        self, observed: Floats, at: Predictions, fold: NDArray[np.int64], level: float
    ) -> None:
        self.observed, self.at, self.level = observed, at, level
        tests = [fold == number for number in np.unique(fold)]
        self.parts = [(test, Yardsticks.of(observed[~test], at[~test], level)) for test in tests]

    def kinds(self) -> list[str]:
        """Those that the plots allow for in every fold."""
        return [
            kind
            for kind in KINDS
            if all(possible(kind, self.at[~test], learned) for test, learned in self.parts)
        ]

    def bounds(self, kind: str, level: float) -> Floats:
        """Intervals (n, 2) of each fold, calibrated on the others; at least 0 species.

        Raises:
            EvaluationError: too few plots for the level.
        """
        bounds = np.empty((len(self.observed), 2))
        for test, learned in self.parts:
            rest = ~test
            fitted = Intervals.calibrate(kind, learned, self.observed[rest], self.at[rest], level)
            bounds[test] = fitted(self.at[test])
        return bounds

    def fitted(self, kind: str) -> CrossFitted:
        bounds = self.bounds(kind, self.level)
        score = np.empty(len(bounds))
        for test, learned in self.parts:
            score[test] = self._crps(kind, learned, test)
        scores = interval_scores(self.observed, bounds, self.level)
        return CrossFitted(bounds, score, scores | {"crps": float(score.mean())})

    def _crps(self, kind: str, learned: Yardsticks, test: NDArray[np.bool_]) -> Floats:
        """CRPS of the plots of one fold; errors of the others in the units of the kind."""
        frame = learned.frame(kind, self.at, self.level)
        unit, where = _unit(frame), frame.get("where", np.zeros(len(test), int))
        errors = (self.observed - self.at.mean) / unit
        score = np.empty(len(test))
        for label in np.unique(where[test]):
            rows = test & (where == label)
            others = errors[~test & (where == label)]
            members = np.quantile(others, (np.arange(99) + 0.5) / 99)
            ensemble = self.at.mean[rows, None] + unit[rows, None] * members
            score[rows] = crps(self.observed[rows], ensemble)
        return score[test]

    def calibration(self, kind: str) -> dict[str, list[float]]:
        """Level, coverage and width of the intervals at the `LEVELS` that the plots allow."""
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

    def by_group(self, bounds: Floats, told: Sequence[Group]) -> list[dict[str, Any]]:
        """What tells each of the `groups`, and n, coverage, width, interval_score of its intervals.

        Groups of fewer than `FEW` plots are left out.
        """
        return [
            group | interval_scores(self.observed[rows], bounds[rows], self.level)
            for group, rows in told
            if rows.sum() >= FEW
        ]


def ranked(tried: dict[str, CrossFitted], first: str = "auto") -> list[str]:
    """Kinds by interval score; the constant one is ahead of those that gain less than `WORTH`.

    Args:
        first: the kind that leads whatever its score, or "auto".

    Raises:
        EvaluationError: that kind was not tried.
    """
    score = {kind: found.scores["interval_score"] for kind, found in tried.items()}
    score["constant"] *= 1 - WORTH
    if first not in ("auto", *tried):
        raise EvaluationError(
            f"intervals by {first!r} cannot be had from these plots and this model; set "
            f"`evaluate.interval` to auto or one of {', '.join(tried)}"
        )
    return sorted(score, key=lambda kind: (kind != first, score[kind]))


def groups(at: Predictions, threshold: float) -> list[Group]:
    """Plots by region, by dissimilarity, and inside or outside the area of applicability.

    Returns:
        What tells each group: `by` ("region", "dissimilarity", "area"), and `lon` and `lat` of the
        region's centre, `low` and `high` dissimilarity, or `inside`; and its rows, bool (n,).
    """
    regions = Regions.of(at.lonlat, REGIONS, least=min(FEW, len(at)))
    region = regions.at(at.lonlat)
    bin_, edges = quantile_bins(at.di, BINS)
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
            ({"by": "area", "inside": inside}, (at.di <= threshold) == inside)
            for inside in (True, False)
        ),
    ]


def _unit(frame: dict[str, Any]) -> Floats:
    """What errors are measured in (n,): the scale, or half the width of the base interval."""
    predicted = frame["predicted"]
    if predicted.ndim == 2:
        return np.maximum((predicted[:, 1] - predicted[:, 0]) / 2, LEAST_UNIT)
    return frame.get("scale", np.ones(len(predicted)))
