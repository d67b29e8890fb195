"""The kinds of interval there are, each a conformal method of `evaluation.conformal`.

| kind | interval around a prediction m | source |
|---|---|---|
| constant | m -+ q | split conformal, Lei et al. 2018, JASA 113:1094 |
| dissimilarity | m -+ q e, e the error expected at its dissimilarity | normalised |
| spread | m -+ q s, s the standard deviation of the model's draws | normalised |
| counts | [l - q, u + q], l and u quantiles of counts of mean m | CQR, Romano et al. 2019 |
| quantiles | [l - q, u + q], l and u the model's own quantiles | CQR |
| region | m -+ q_r, r the region | Mondrian, Vovk et al. 2005, section 4.5 |

q is the conformal quantile of how far plots fall outside. What else a kind measures by (the curve
of e, the dispersion of the counts, the regions) is learned from the same plots: the `Yardsticks`.
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

KINDS = ("constant", "dissimilarity", "spread", "counts", "quantiles", "region")

Margin = float | list[float]
"""q, or one a region; in units of the kind's scale."""

REGIONS = 5
"""Regions with margins of their own, at most."""

REGION_PLOTS = 50
"""Plots a region needs, at least: the margin of fewer is luck."""

LEAST_SCALE = 1e-6

LARGEST_MEAN, MEANS = 10_000.0, 1025
"""Species up to which quantiles of counts are told, and how many means are tabled."""


@dataclass(frozen=True)
class Yardsticks:
    """What the kinds measure by.

    Attributes:
        curve: (2, k), dissimilarity index (ascending) and the RMSE expected there, species; k is 1
            where there are too few plots to know more.
        dispersion: k of the counts, variance m + k m^2; 0 is Poisson.
        centres: (r, 2) lon, lat of the regions' centres, degrees.
    """

    curve: Floats
    dispersion: float
    centres: Floats

    @classmethod
    def of(cls, observed: Floats, at: Predictions, level: float) -> Self:
        """Learned from plots held out; regions are large enough for intervals of `level`."""
        level = checks.level(level)
        enough = max(REGION_PLOTS, math.ceil(level / (1 - level)))
        centres = Regions.of(at.lonlat, REGIONS, least=min(enough, len(at))).centres
        return cls(error_curve(observed, at), dispersion(observed, at.mean), centres)

    def frame(self, kind: str, at: Predictions, level: float) -> dict[str, Any]:
        """The arguments `predicted`, `where`, `scale` of conformal intervals of that kind."""
        if kind == "counts":
            return {"predicted": _tabled_bounds(at.mean, self.dispersion, level)}
        if kind == "quantiles":
            return {"predicted": at.quantiles}
        if kind == "region":
            return {"predicted": at.mean, "where": Regions(self.centres).at(at.lonlat)}
        if kind == "dissimilarity":
            return {"predicted": at.mean, "scale": np.interp(at.di, *self.curve)}
        if kind == "spread":
            assert at.spread is not None, "`possible` rules the kind out"
            return {"predicted": at.mean, "scale": np.maximum(at.spread, LEAST_SCALE)}
        return {"predicted": at.mean}


@dataclass(frozen=True)
class Intervals:
    """Calibrated intervals of one kind."""

    kind: str
    yardsticks: Yardsticks
    conformal: Conformal | RegionConformal

    @classmethod
    def calibrate(
        cls, kind: str, yardsticks: Yardsticks, observed: Floats, at: Predictions, level: float
    ) -> Self:
        """On held-out plots.

        Raises:
            EvaluationError: NaN, a level outside (0, 1), or too few plots for it.
        """
        frame = yardsticks.frame(kind, at, level)
        return cls(kind, yardsticks, _conformal(kind, level).calibrate(observed, **frame))

    @classmethod
    def restored(cls, kind: str, yardsticks: Yardsticks, margin: Margin, level: float) -> Self:
        """As they were when `margin` was read off them."""
        conformal = _conformal(kind, level)
        if isinstance(conformal, RegionConformal):
            assert isinstance(margin, list), "a margin for each region"
            conformal.margins_ = dict(enumerate(margin))
        else:
            assert not isinstance(margin, list), "one margin"
            conformal.margin_ = margin
        return cls(kind, yardsticks, conformal)

    @property
    def margin(self) -> Margin:
        if isinstance(self.conformal, RegionConformal):
            return [self.conformal.margins_[r] for r in range(len(self.yardsticks.centres))]
        return self.conformal.margin_

    def __call__(self, at: Predictions) -> Floats:
        """Lower and upper bound (n, 2), species, at least 0."""
        frame = self.yardsticks.frame(self.kind, at, self.conformal.level)
        return np.maximum(self.conformal.interval(**frame), 0)


def possible(kind: str, at: Predictions, yardsticks: Yardsticks) -> bool:
    """Whether the plots that the yardsticks were learned from allow for that kind."""
    if kind == "dissimilarity":
        return len(at) >= WINDOW
    if kind == "region":
        return len(yardsticks.centres) > 1
    needs = {"spread": at.spread, "quantiles": at.quantiles}
    return needs.get(kind, True) is not None


def error_curve(observed: Floats, at: Predictions) -> Floats:
    """(2, k): dissimilarity and expected RMSE; one point where plots are fewer than a window."""
    rmse = float(np.sqrt(np.mean((observed - at.mean) ** 2)))
    if len(at) < WINDOW:
        return np.array([[0.0], [rmse]])
    found = ExpectedError().fit(at.di, observed, at.mean)
    places = np.unique(found.window_di_)
    # A stretch of plots predicted without error would give intervals of no width.
    return np.stack([places, np.maximum(found.predict(places), 1e-6 * max(rmse, 1e-6))])


def _conformal(kind: str, level: float) -> Conformal | RegionConformal:
    return RegionConformal(level) if kind == "region" else Conformal(level)


def _tabled_bounds(mean: Floats, dispersion: float, level: float) -> Floats:
    """`count_bounds` by interpolation: a map asks for them millions of times."""
    means, bounds = _table(dispersion, level)
    return np.stack([np.interp(mean, means, column) for column in bounds.T], axis=1)


@cache
def _table(dispersion: float, level: float) -> tuple[Floats, Floats]:
    means = np.linspace(0, np.sqrt(LARGEST_MEAN), MEANS) ** 2  # as dense as standard deviations ask
    return means, count_bounds(means, dispersion, level)
