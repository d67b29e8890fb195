"""How much wider intervals are outside the area of applicability.

Let r = DI / threshold; outside the area r exceeds 1. The stretch t of a held-out plot is the
factor by which its interval must be stretched about its prediction to reach the observation. The
interval of a place outside is stretched by

    g(r) = c r^b          c >= 1, 0 <= b <= 1

c and b minimise the quantile loss of log t (Koenker & Bassett 1978, Econometrica 46:33) over
held-out plots outside. Few plots lie there, so log c and b are averaged with those of virtual
floras (`PRIOR_STEP`, `PRIOR_POWER`), in proportion to the number of plots. Inside the area nothing
changes. Beyond the most dissimilar plot the factor grows by the same law, up to `LARGEST_RATIO`;
this is an extrapolation.
"""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from spatioformer.models.uncertainty.plots import Floats

PRIOR_STEP, PRIOR_POWER = 1.25, 0.35
"""c and b without held-out plots outside: chosen on virtual floras, seeds 100 to 117 of
`benchmarks.interval_outside floras`; docs/evaluation_measured.md scores other seeds."""

PRIOR_PLOTS = 20
"""Prior strength, in plots outside the area."""

HARDER_PLOTS = 20
"""Largest weight of all predictions of harder folds together, in plots outside the area."""

HIGHEST_LEVEL = 0.99
"""Largest quantile of the stretch to which the correction for few plots leads."""

LARGEST_RATIO = 100.0
"""DI / threshold from which the factor is constant."""

POWERS = np.linspace(0, 1, 11)
"""Values of b that are compared."""

STRETCHES = (1e-3, 1e3)
"""Range of the stretch, so that its logarithm is finite."""


@dataclass(frozen=True)
class Evidence:
    """Stretch of held-out plots outside the area of applicability.

    Attributes:
        ratio: (n,), DI / threshold, above 1.
        stretch: (n,), factor by which the interval must be stretched to reach the observation.
    """

    ratio: Floats
    stretch: Floats

    @classmethod
    def none(cls) -> Self:
        """Evidence of no plot."""
        return cls(np.empty(0), np.empty(0))

    @classmethod
    def outside(cls, di: Floats, stretch: Floats, threshold: float) -> Self:
        """Evidence of those plots (n,) whose dissimilarity index exceeds the threshold."""
        rows = di > threshold
        return cls(ratio(di[rows], threshold), stretch[rows])

    def __len__(self) -> int:
        return len(self.ratio)


@dataclass(frozen=True)
class Widening:
    """Factor of the intervals outside the area of applicability.

    Attributes:
        threshold: largest dissimilarity index inside the area.
        step: c, factor just outside the area, at least 1.
        power: b, growth with the ratio of dissimilarity and threshold, 0-1.
    """

    threshold: float
    step: float
    power: float

    @classmethod
    def fit(cls, threshold: float, level: float, plots: Evidence, harder: Evidence) -> Self:
        """Fit the factor to held-out plots outside, and average it with the prior.

        Args:
            level: nominal coverage of the intervals, 0-1.
            plots: plots of the map-like folds; each has the weight 1.
            harder: predictions of harder folds (`harder.py`), with `HARDER_PLOTS` as their largest
                weight together.
        """
        step, power, weight = PRIOR_STEP, PRIOR_POWER, 0.0
        if len(plots) + len(harder):
            shared = min(1.0, HARDER_PLOTS / max(len(harder), 1))
            weights = np.concatenate([np.ones(len(plots)), np.full(len(harder), shared)])
            weight = float(weights.sum())
            # The new place counts as one more plot, as in split conformal prediction.
            level = max(level, min(level * (1 + 1 / weight), HIGHEST_LEVEL))
            step, power = _power_law(
                np.concatenate([plots.ratio, harder.ratio]),
                np.concatenate([plots.stretch, harder.stretch]),
                weights,
                level,
            )
        share = weight / (weight + PRIOR_PLOTS)
        logarithm = share * np.log(step) + (1 - share) * np.log(PRIOR_STEP)
        power = share * power + (1 - share) * PRIOR_POWER
        return cls(threshold, max(1.0, float(np.exp(logarithm))), float(power))

    def factor(self, di: Floats) -> Floats:
        """Factor (n,) of the intervals at a dissimilarity index (n,): 1 inside the area."""
        growth = np.maximum(ratio(di, self.threshold), 1) ** self.power
        return np.where(di > self.threshold, self.step * growth, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Values for `uncertainty.json`."""
        return asdict(self)


def ratio(di: Floats, threshold: float) -> Floats:
    """Dissimilarity index (n,) in units of the threshold, at most `LARGEST_RATIO`."""
    if threshold <= 0:  # plots of other folds are alike, so any dissimilarity is far outside
        return np.where(di > 0, LARGEST_RATIO, 1.0)
    return np.minimum(di / threshold, LARGEST_RATIO)


def _power_law(
    ratio: Floats, stretch: Floats, weights: Floats, level: float
) -> tuple[float, float]:
    """c and b with the smallest weighted quantile loss of log stretch at `level`."""
    residuals = np.log(np.clip(stretch, *STRETCHES))[:, None] - np.log(ratio)[:, None] * POWERS
    order = np.argsort(residuals, axis=0, kind="stable")
    ascending = np.take_along_axis(residuals, order, axis=0)
    reached = np.cumsum(weights[order], axis=0) / weights.sum()
    rank = np.minimum((reached < level - 1e-9).sum(axis=0), len(ratio) - 1)  # (powers,)
    constant = ascending[rank, np.arange(len(POWERS))]
    above = residuals - constant
    loss = (weights[:, None] * np.maximum(level * above, (level - 1) * above)).sum(axis=0)
    best = int(loss.argmin())
    return float(np.exp(constant[best])), float(POWERS[best])
