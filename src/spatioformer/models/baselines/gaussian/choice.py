"""Choice of the response's transform by predictions of plots that are left out."""

from dataclasses import dataclass

import numpy as np

from spatioformer.geo.plots.target import kind_of
from spatioformer.models.baselines.gaussian.kernel import Hyperparameters
from spatioformer.models.baselines.gaussian.response import TRANSFORMS, TransformName

FEWEST = 20  # plots by which a transform of the response is chosen; fewer keep the response
# Smallest gain in log score for which the response is transformed, natural logarithm a plot. On
# floras and plots that are scored nowhere, plots of one size gained at most .06 and lost accuracy;
# plots of many sizes gained .28 and more.
GAIN = 0.1
# Largest squared error of the chosen transform, relative to the least: two standard errors of this
# ratio with a few hundred plots.
WORSE = 1.2

NO_TRANSFORM: list[TransformName] = ["none"]


@dataclass(frozen=True)
class Trial:
    """Scores of a transform on plots of blocks that are left out.

    Attributes:
        log_score: mean log density of the response.
        squared_error: mean of the expected response's error, squared.
        found: the hyperparameters.
    """

    log_score: float
    squared_error: float
    found: Hyperparameters


def best_of(trials: dict[TransformName, Trial]) -> TransformName:
    """The transform of the best log score, "none" unless another is better by `GAIN`.

    A density may suit most plots, and yet the expected response of the richest plots be far off. So
    transforms whose squared error is more than `WORSE` times the least are passed over. So is the
    logarithm if the square root has a smaller error, because errors of extrapolation grow
    exponentially on the way back from a logarithm.
    """
    least = min(trial.squared_error for trial in trials.values())
    fit = {name for name, trial in trials.items() if trial.squared_error <= WORSE * least}
    if {"square-root", "logarithm"} <= fit:
        root, logarithm = trials["square-root"], trials["logarithm"]
        fit -= {"logarithm"} if root.squared_error < logarithm.squared_error else set()
    best = max(fit, key=lambda name: trials[name].log_score)
    if "none" in fit and trials[best].log_score < trials["none"].log_score + GAIN:
        return "none"
    return best


def candidates(y: np.ndarray) -> list[TransformName]:
    """Transforms that suit the response y: all of counts, otherwise "none"."""
    counts = kind_of(y)[0] == "count" and y.min() >= 0
    if not counts or len(y) < FEWEST or y.min() == y.max():
        return NO_TRANSFORM
    return list(TRANSFORMS)
