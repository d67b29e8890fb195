"""Whether a map can be used to tell places apart: measures of held-out plots, and stated rules.

The rules were chosen on virtual floras whose true richness is known, and checked on others
(`python -m benchmarks.verdicts`; docs/report.md has the table).
"""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from spatioformer.common.streams import Stream, generator
from spatioformer.evaluation import checks
from spatioformer.evaluation.bootstrap import Bootstrap, central_interval
from spatioformer.evaluation.checks import Floats, Integers
from spatioformer.evaluation.distances import NeighbourDistances
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.regions import Regions

Name = Literal["use it", "use it with care here", "do not use this map to tell places apart"]
USE: Name = "use it"
CARE: Name = "use it with care here"
REFUSE: Name = "do not use this map to tell places apart"

NO_SKILL = 0.0
"""r2 of the mean of all plots."""

LIKELY_SKILL = 0.1
"""The map is refused if the upper end of the interval of r2 is below this: it hardly can be better
than the mean of all plots."""

GOOD_SKILL = 0.5
"""r2 from which a map can be used."""

CERTAIN_SKILL = 0.3
"""Lower end of the interval of r2 from which a map can be used."""

MOST_OUTSIDE = 0.2
"""Largest share of the mapped land outside the area of applicability of a map to be used."""

LEAST_REACHED = 0.8
"""Smallest share of the map within the distances that held-out plots test, see `reached`."""

FAR = 0.95
"""Quantile of the held-out plots' distances to which they are taken to test the map."""

COVERAGE_SHORT = 0.05
"""By how much the coverage of the intervals may fall below its nominal value."""

BLOCKS = 30
"""Largest number of blocks of neighbouring plots that the bootstrap draws."""

PLOTS_PER_BLOCK = 5
"""Fewest plots a block has on average."""

FEWEST_BLOCKS = 6
"""Fewest groups of plots that the bootstrap draws; of fewer plots it draws single ones."""

INTERVAL = 0.9
"""Level of the interval of r2."""

PAIRS = 200_000
"""Pairs of held-out plots whose errors of the difference are measured."""


@dataclass(frozen=True)
class Skill:
    """How well held-out plots were predicted, in the unit of the target.

    Attributes:
        n: number of plots.
        r2: 1 - SSE/SST against the mean of all plots; NaN if the observed values are equal.
        r2_low, r2_high: its interval of level `INTERVAL`, by block bootstrap; NaN as `r2`.
        mae: mean absolute error.
        rmse: root mean squared error.
        apart: smallest difference of two predictions that tells two places apart, see
            `least_difference`.
    """

    n: int
    r2: float
    r2_low: float
    r2_high: float
    mae: float
    rmse: float
    apart: float

    def with_r2(self, r2: float) -> "Skill":
        """The same skill with another r2, and its interval moved by the difference."""
        moved = r2 - self.r2
        return replace(self, r2=r2, r2_low=self.r2_low + moved, r2_high=self.r2_high + moved)


@dataclass(frozen=True)
class Verdict:
    """A verdict, and what it rests on.

    Attributes:
        verdict: one of `USE`, `CARE`, `REFUSE`.
        skill: of the mapped model on the map-like folds; None if it was not scored.
        inside: share of the mapped land inside the area of applicability; None if unknown.
        coverage: share of held-out plots inside their intervals; None if unknown.
        level: nominal coverage.
        reached: share of the map within the distances that the folds test, see `reached`; None if
            unknown.
        in_space: whether plots were held out in space, not at random.
        broken: names of the rules that keep the map from a better verdict: "unscored", "no skill",
            "unlikely skill", "doubtful skill", "low skill", "uncertain skill", "outside",
            "distances", "coverage", "random folds".
    """

    verdict: Name
    skill: Skill | None
    inside: float | None
    coverage: float | None
    level: float
    reached: float | None
    in_space: bool
    broken: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values; numbers that are NaN are null."""
        content = asdict(self) | {"broken": list(self.broken)}
        if self.skill is not None:
            content["skill"] = {
                key: value if np.isfinite(value) else None
                for key, value in asdict(self.skill).items()
            }
        return content


def decide(
    skill: Skill | None,
    *,
    inside: float | None = None,
    coverage: float | None = None,
    level: float = 0.9,
    reached: float | None = None,
    in_space: bool = True,
) -> Verdict:
    """Apply the rules; arguments as the attributes of `Verdict`.

    The map is refused if its model was not scored, if r2 is not a number, or if the upper end of
    its interval is below `LIKELY_SKILL`. It can be used if r2 is at least `GOOD_SKILL`, the
    lower end of its interval at least `CERTAIN_SKILL`, at most `MOST_OUTSIDE` of the land outside
    the area of applicability, at least `LEAST_REACHED` of the land within the distances that the
    folds test, the coverage of the intervals at most `COVERAGE_SHORT` below its
    nominal value, and plots were held out in space. What is not known (None) does not count. All
    other maps are to be used with care.
    """
    refused, kept = [], []
    if skill is None:
        refused.append("unscored")
    else:
        if not (np.isfinite(skill.r2) and skill.r2_high >= LIKELY_SKILL):
            refused.append("no skill" if not skill.r2 > NO_SKILL else "unlikely skill")
        if not skill.r2 > NO_SKILL:
            kept.append("doubtful skill")
        elif not skill.r2 >= GOOD_SKILL:
            kept.append("low skill")
        elif not skill.r2_low >= CERTAIN_SKILL:
            kept.append("uncertain skill")
    if inside is not None and not 1 - inside <= MOST_OUTSIDE:
        kept.append("outside")
    if reached is not None and not reached >= LEAST_REACHED:
        kept.append("distances")
    if coverage is not None and not coverage >= level - COVERAGE_SHORT:
        kept.append("coverage")
    if not in_space:
        kept.append("random folds")
    verdict = REFUSE if refused else CARE if kept else USE
    broken = tuple(refused or kept)
    return Verdict(verdict, skill, inside, coverage, level, reached, in_space, broken)


def measure(
    observed: ArrayLike, predicted: ArrayLike, lonlat: ArrayLike, *, level: float, seed: int = 0
) -> Skill:
    """Measure the skill of held-out predictions.

    Args:
        observed, predicted: (n,), unit of the target.
        lonlat: (n, 2), degrees; neighbouring plots form the blocks of the bootstrap.
        level: share of pairs whose error of the difference `Skill.apart` covers, 0-1.
        seed: of the bootstrap's draws and of the pairs.

    Raises:
        EvaluationError: NaN, different lengths, no rows, or coordinates that are not degrees.
    """
    observed = checks.vector(observed, "observed values")
    predicted = checks.vector(predicted, "predicted values", like=observed)
    summary = scores(observed, predicted)
    error = predicted - observed
    rng = generator(seed, Stream.VERDICT)
    bootstrap = Bootstrap(observed, blocks(lonlat, seed), rng)
    low, high = central_interval(bootstrap.r2(error**2), INTERVAL)
    if not np.isfinite(summary["r2"]):
        low = high = float("nan")
    return Skill(
        n=len(observed),
        r2=summary["r2"],
        r2_low=low,
        r2_high=high,
        mae=summary["mae"],
        rmse=summary["rmse"],
        apart=least_difference(error, level, rng),
    )


def in_words(verdict: str, *, mapped: bool) -> str:
    """The verdict on a map, or on predictions where a run has no map."""
    return verdict if mapped else verdict.replace("this map", "these predictions")


def reached(distances: NeighbourDistances) -> float:
    """Share of the map that lies no farther from the plots than held-out plots from training.

    "No farther" means within the quantile `FAR` of the held-out plots' distances. Where the share
    is small, the folds do not test the use of the map: the plots are too close together.
    """
    held_out = distances.held_out[np.isfinite(distances.held_out)]
    if not held_out.size:
        return 0.0
    return float((distances.prediction <= np.quantile(held_out, FAR)).mean())


def blocks(lonlat: ArrayLike, seed: int = 0) -> Integers:
    """Block (n,) of each plot `lonlat` (n, 2): at most `BLOCKS` groups of neighbouring plots.

    Below `FEWEST_BLOCKS` groups each plot is a block: draws of two or three groups hardly differ,
    and the interval would be far too narrow.
    """
    lonlat = checks.coordinates(lonlat, "geographic")
    if len(lonlat) // PLOTS_PER_BLOCK < FEWEST_BLOCKS:
        return np.arange(len(lonlat))
    count = int(np.clip(len(lonlat) // PLOTS_PER_BLOCK, 1, BLOCKS))
    return Regions.of(lonlat, count, seed=seed).at(lonlat)


def least_difference(error: Floats, level: float, rng: np.random.Generator) -> float:
    """Smallest difference of two predictions that tells two places apart, unit of the target.

    The quantile `level` of |e_i - e_j| over random pairs of held-out plots, e being predicted -
    observed. The error of a predicted difference is e_i - e_j. So a predicted difference above this
    has the wrong sign for at most a share (1 - level) of such pairs, about half of it where errors
    are symmetric. It contains the noise of the plots' own counts.

    Returns:
        At least 0; NaN if there is only one plot.
    """
    n = len(error)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= PAIRS:
        one, other = np.triu_indices(n, 1)
    else:
        one = rng.integers(0, n, PAIRS)
        other = (one + rng.integers(1, n, PAIRS)) % n  # never the plot itself
    return float(np.quantile(np.abs(error[one] - error[other]), level))
