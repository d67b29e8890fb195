"""Mean ranks of models over splits, and which of them differ: Demsar 2006 (JMLR 7:1).

Friedman's test asks whether all models are alike; Nemenyi's critical difference says how far apart
two mean ranks must be at the 5 % level, all pairs allowed for. Both suppose independent splits. The
splits of one data set share their plots, so the true critical difference is larger.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.accuracy_plan import CANDIDATES, CHEAP, OURS
from matplotlib.figure import Figure
from scipy.stats import friedmanchisquare, studentized_range

from spatioformer.common.files import writing

LEVEL = 0.05
FEWEST = 3
"""Smallest number of splits, and of models, that are ranked."""

RANKED = (*CANDIDATES, *CHEAP)
"""Models that may be ranked: all that need no imagery."""

OURS_COLOUR, OTHERS_COLOUR = "#0072b2", "#d55e00"
"""Blue and vermilion, which people with any common kind of colour blindness tell apart."""

ROW = 0.16
"""Height of a row of names, inches."""


@dataclass(frozen=True)
class Ranks:
    """Mean ranks of k models over N splits.

    Attributes:
        mean: (k,), ascending; 1 is best. Models with equal r2 share the mean of their ranks.
        splits: N.
        critical: Nemenyi's critical difference of two mean ranks.
        p: of Friedman's test.
    """

    mean: Mapping[str, float]
    splits: int
    critical: float
    p: float

    @property
    def groups(self) -> list[list[str]]:
        """The largest groups of neighbours whose mean ranks differ by less than `critical`."""
        names, values = list(self.mean), np.array(list(self.mean.values()))
        ends = [int(np.searchsorted(values, v + self.critical)) for v in values]
        spans = [(start, end) for start, end in enumerate(ends) if end - start > 1]
        inner = {
            (a, b) for a, b in spans for c, d in spans if (c, d) != (a, b) and c <= a and b <= d
        }
        return [names[a:b] for a, b in spans if (a, b) not in inner]


def complete(table: pd.DataFrame) -> pd.DataFrame:
    """r2 (splits, models) of the splits that the stack finished, and the models that did all."""
    done = table[(table["status"] == "done") & table["model"].isin(RANKED)]
    r2 = done.pivot(index=["data", "split"], columns="model", values="r2")
    if "stack" not in r2:
        return pd.DataFrame()
    names = [name for name in RANKED if name in r2]
    return r2.loc[r2["stack"].notna(), names].dropna(axis=1).astype(float)


def ranks(r2: pd.DataFrame) -> Ranks | None:
    """Rank models by r2 (splits, models); None if there are fewer than FEWEST splits or models."""
    count, k = r2.shape
    if min(count, k) < FEWEST:
        return None
    mean = r2.rank(axis=1, ascending=False).mean().sort_values()
    q = studentized_range.ppf(1 - LEVEL, k, np.inf) / np.sqrt(2)
    critical = float(q * np.sqrt(k * (k + 1) / (6 * count)))
    p = float(friedmanchisquare(*r2.to_numpy().T).pvalue)
    return Ranks({str(name): float(v) for name, v in mean.items()}, count, critical, p)


def draw(table: pd.DataFrame, path: Path) -> Ranks | None:
    """Draw the diagram of critical differences of the finished rows; None if they are too few."""
    mean_ranks = ranks(complete(table))
    if mean_ranks is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with writing(path) as part:
        diagram(mean_ranks).savefig(part, dpi=150, format="png")
    return mean_ranks


def diagram(found: Ranks) -> Figure:
    """The diagram of critical differences: mean ranks on an axis, bars over groups alike."""
    names, values = list(found.mean), list(found.mean.values())
    k, groups = len(names), found.groups
    rows = (k + 1) // 2
    bars = 0.5 + 0.35 * len(groups)  # rows that the bars take, under the axis
    height = ROW * (rows * 1.2 + bars + 6)
    figure = Figure((7.5, height))
    axes = figure.add_axes((0.28, 0.02, 0.44, 0.96))
    axes.set(xlim=(1, k), ylim=(bars + 1.2 * rows + 0.5, -4.5))
    axes.axis("off")
    axes.plot([1, k], [0, 0], color="black", lw=1, clip_on=False)
    for tick in range(1, k + 1):
        axes.plot([tick, tick], [0, -0.4], color="black", lw=1, clip_on=False)
        axes.text(tick, -0.6, str(tick), ha="center", va="bottom", size=8)
    axes.text((1 + k) / 2, -2.0, "mean rank (1 is best)", ha="center", va="bottom", size=8)
    right = min(1 + found.critical, k)
    axes.plot([1, right], [-3.4, -3.4], color="black", lw=2, marker="|", ms=6, clip_on=False)
    label = f"critical difference {found.critical:.2f}"
    axes.text(right + 0.15, -3.4, label, ha="left", va="center", size=8)
    for number, group in enumerate(groups):
        ends = found.mean[group[0]] - 0.08, found.mean[group[-1]] + 0.08
        level = 0.5 + 0.35 * number
        axes.plot(ends, [level, level], color="0.35", lw=3, solid_capstyle="round", clip_on=False)
    margin = 0.03 * (k - 1)
    for place, (name, value) in enumerate(zip(names, values, strict=True)):
        left = place < rows
        row = place if left else k - 1 - place
        level = bars + 0.6 + 1.2 * row
        end = 1 - margin if left else k + margin
        ours = name in OURS
        colour, style = (OURS_COLOUR, "-") if ours else (OTHERS_COLOUR, "--")
        axes.plot([value, value, end], [0, level, level], style, color=colour, lw=1, clip_on=False)
        side: dict[str, Any] = {
            "ha": "right" if left else "left",
            "va": "center",
            "size": 8,
            "color": colour,
        }
        weight = "bold" if ours else "normal"
        axes.text(end - margin / 3 if left else end + margin / 3, level, f"{name} {value:.1f}",
                  weight=weight, **side)  # fmt: skip
    return figure


def alt_text(found: Ranks) -> str:
    """The picture in words."""
    named = ", ".join(f"{name} {value:.1f}" for name, value in found.mean.items())
    bars = "; ".join(f"{group[0]} to {group[-1]}" for group in found.groups)
    return (
        f"Mean ranks over {found.splits} splits: {named}. The critical difference is "
        f"{found.critical:.2f}. Bars join models that do not differ: {bars or 'none'}"
    )
