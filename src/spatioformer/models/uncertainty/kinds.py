"""The kinds of prediction interval; each is a conformal method of `evaluation.conformal`.

| kind | interval around a prediction m | source |
|---|---|---|
| constant | m -+ q | split conformal, Lei et al. 2018, JASA 113:1094 |
| dissimilarity | m -+ q e, e the expected error at this dissimilarity | normalised |
| spread | m -+ q s, s the standard deviation of the model's draws | normalised |
| counts | [l - q, u + q], l and u quantiles of counts with mean m | CQR, Romano et al. 2019 |
| quantiles | [l - q, u + q], l and u quantiles that the model predicts | CQR |
| region | m -+ q_r, r the region | Mondrian, Vovk et al. 2005, section 4.5 |

q is the conformal quantile of the nonconformity scores. The other parameters of a kind (the curve
of e, the dispersion of the counts, the regions) are fitted on the same plots: the
`CalibrationParameters`. Outside the area of applicability, intervals of each kind are stretched
about m (`widening.py`).
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np

from spatioformer.evaluation import checks
from spatioformer.evaluation.applicability import WINDOW, ExpectedError
from spatioformer.evaluation.conformal import Conformal, RegionConformal
from spatioformer.evaluation.counts import count_bounds, dispersion
from spatioformer.evaluation.regions import Regions
from spatioformer.models.uncertainty.plots import Floats, Predictions
from spatioformer.models.uncertainty.widening import Widening

KINDS = ("constant", "dissimilarity", "spread", "counts", "quantiles", "region")

Margin = float | list[float]
"""q, or one q for each region; in units of the kind's scale."""

REGIONS = 5
"""Largest number of regions; each region has its own margin."""

REGION_PLOTS = 50
"""Smallest number of plots in a region; the margin of fewer plots is too noisy."""

MINIMUM_SCALE = 1e-6
"""Species; floor on the scale, so that standardised errors stay finite."""

LARGEST_MEAN, TABLE_SIZE = 10_000.0, 1025
"""Largest mean (species) and number of means in the table of count quantiles."""


@dataclass(frozen=True)
class CalibrationParameters:
    """Parameters that the kinds of interval need besides the margin; fitted on held-out plots.

    Attributes:
        curve: (2, k), dissimilarity index (ascending) and the expected RMSE there, species; k is 1
            if there are too few plots for a curve.
        dispersion: k of the counts, variance m + k m^2; 0 means Poisson, and None plots that hold
            no counts.
        centres: (r, 2), lon, lat of the regions' centres, degrees.
        highest: largest possible value of the target, at which intervals end.
    """

    curve: Floats
    dispersion: float | None
    centres: Floats
    highest: float = np.inf

    @classmethod
    def of(
        cls, observed: Floats, predictions: Predictions, level: float, highest: float = np.inf
    ) -> Self:
        """Fit on held-out plots; each region has enough plots for intervals of `level`."""
        level = checks.level(level)
        enough = max(REGION_PLOTS, math.ceil(level / (1 - level)))
        centres = Regions.of(
            predictions.lonlat, REGIONS, least=min(enough, len(predictions))
        ).centres
        counts = bool(np.all(observed == np.round(observed)))
        spread = dispersion(observed, predictions.mean) if counts else None
        return cls(error_curve(observed, predictions), spread, centres, highest)

    def frame(self, kind: str, predictions: Predictions, level: float) -> dict[str, Any]:
        """Arguments of the conformal interval of that kind: `predicted`, `where`, `scale`."""
        if kind == "counts":
            assert self.dispersion is not None, "`possible` rules the kind out"
            return {"predicted": _tabled_bounds(predictions.mean, self.dispersion, level)}
        if kind == "quantiles":
            return {"predicted": predictions.quantiles}
        if kind == "region":
            return {
                "predicted": predictions.mean,
                "where": Regions(self.centres).at(predictions.lonlat),
            }
        if kind == "dissimilarity":
            return {"predicted": predictions.mean, "scale": np.interp(predictions.di, *self.curve)}
        if kind == "spread":
            assert predictions.spread is not None, "`possible` rules the kind out"
            return {
                "predicted": predictions.mean,
                "scale": np.maximum(predictions.spread, MINIMUM_SCALE),
            }
        return {"predicted": predictions.mean}


@dataclass(frozen=True)
class Intervals:
    """Calibrated intervals of one kind.

    Attributes:
        widening: factor of the intervals outside the area of applicability, or None for 1.
    """

    kind: str
    parameters: CalibrationParameters
    conformal: Conformal | RegionConformal
    widening: Widening | None = None

    @classmethod
    def calibrate(
        cls,
        kind: str,
        parameters: CalibrationParameters,
        observed: Floats,
        predictions: Predictions,
        level: float,
    ) -> Self:
        """Calibrate intervals of one kind on held-out plots.

        Raises:
            EvaluationError: a value is NaN, the level is outside (0, 1), or there are too few plots
                for the level.
        """
        frame = parameters.frame(kind, predictions, level)
        return cls(kind, parameters, _conformal(kind, level).calibrate(observed, **frame))

    @classmethod
    def restored(
        cls,
        kind: str,
        parameters: CalibrationParameters,
        margin: Margin,
        level: float,
        widening: Widening | None = None,
    ) -> Self:
        """Rebuild calibrated intervals from their saved `margin` and `widening`."""
        conformal = _conformal(kind, level)
        if isinstance(conformal, RegionConformal):
            assert isinstance(margin, list), "a margin for each region"
            conformal.margins_ = dict(enumerate(margin))
        else:
            assert not isinstance(margin, list), "one margin"
            conformal.margin_ = margin
        return cls(kind, parameters, conformal, widening)

    @property
    def margin(self) -> Margin:
        """The conformal quantile q, or one for each region."""
        if isinstance(self.conformal, RegionConformal):
            return [self.conformal.margins_[r] for r in range(len(self.parameters.centres))]
        return self.conformal.margin_

    def __call__(self, predictions: Predictions) -> Floats:
        """Lower and upper bounds (n, 2), species, at least 0 and at most `parameters.highest`."""
        bounds, mean = self._unclipped(predictions), predictions.mean[:, None]
        if self.widening is not None:
            factor = self.widening.factor(predictions.di)[:, None]
            # An interval of quantiles need not hold its mean; no bound moves inwards.
            outward = np.array([-1, 1]) * np.maximum(np.array([-1, 1]) * (bounds - mean), 0)
            bounds = np.where(factor > 1, bounds + (factor - 1) * outward, bounds)
        return np.clip(bounds, 0, self.parameters.highest)

    def stretch(self, observed: Floats, predictions: Predictions) -> Floats:
        """Factor (n,) by which intervals must be stretched about the mean to reach `observed`."""
        lower, upper = self._unclipped(predictions).T
        mean = predictions.mean
        half = np.where(observed > mean, upper - mean, mean - lower)
        return np.abs(observed - mean) / np.maximum(half, MINIMUM_SCALE)

    def _unclipped(self, predictions: Predictions) -> Floats:
        frame = self.parameters.frame(self.kind, predictions, self.conformal.level)
        return self.conformal.interval(**frame)


def possible(kind: str, predictions: Predictions, parameters: CalibrationParameters) -> bool:
    """Whether intervals of that kind can be calibrated on these plots.

    Args:
        parameters: fitted on the plots of `predictions`.
    """
    if kind == "dissimilarity":
        return len(predictions) >= WINDOW
    if kind == "counts":
        return parameters.dispersion is not None
    if kind == "region":
        return len(parameters.centres) > 1
    needs = {"spread": predictions.spread, "quantiles": predictions.quantiles}
    return needs.get(kind, True) is not None


def error_curve(observed: Floats, predictions: Predictions) -> Floats:
    """Expected RMSE by dissimilarity, (2, k); k is 1 if plots are fewer than one window."""
    rmse = float(np.sqrt(np.mean((observed - predictions.mean) ** 2)))
    if len(predictions) < WINDOW:
        return np.array([[0.0], [rmse]])
    expected_error = ExpectedError().fit(predictions.di, observed, predictions.mean)
    di = np.unique(expected_error.window_di_)
    # A window of plots predicted without error would give intervals of zero width.
    return np.stack([di, np.maximum(expected_error.predict(di), 1e-6 * max(rmse, 1e-6))])


def _conformal(kind: str, level: float) -> Conformal | RegionConformal:
    return RegionConformal(level) if kind == "region" else Conformal(level)


def _tabled_bounds(mean: Floats, dispersion: float, level: float) -> Floats:
    """Interpolate `count_bounds` in a table; a map needs millions of bounds."""
    largest = min(float(np.fmax.reduce(mean, initial=0.0)), LARGEST_MEAN)
    steps = math.sqrt(largest / LARGEST_MEAN) * (TABLE_SIZE - 1)
    # To a power of two: the parts of a map have different largest means, and share few tables.
    means, bounds = _table(dispersion, level, 2 + 2 ** math.ceil(math.log2(max(steps, 1))))
    return np.stack([np.interp(mean, means, column) for column in bounds.T], axis=1)


@cache
def _table(dispersion: float, level: float, size: int) -> tuple[Floats, Floats]:
    """The first `size` means of the table, and their bounds: most floras need a tenth of it."""
    # Spaced evenly in the square root, as the standard deviation of a count grows with it.
    means = np.linspace(0, np.sqrt(LARGEST_MEAN), TABLE_SIZE)[:size] ** 2
    return means, count_bounds(means, dispersion, level)
