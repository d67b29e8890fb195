"""Charts of an explained model: arrays in, a matplotlib Figure out.

Texts have 9 points in figures of 4.4 inches. So they have at least 9 CSS pixels where a phone
shrinks the figure to 350 pixels. Lines differ in style, not only in colour.
"""

from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spatioformer.common.style import ACCENT, INK, MARKERS, MUTED, NOTHING, SERIES, styled

WIDTH = 4.4  # inches
TEXT = 9  # points
LETTERS = 22  # of a name that fit in a line below a panel
LINES = 3  # of a name, unless another name would look the same


def fitted(names: Sequence[str]) -> list[str]:
    """Names in lines of LETTERS; of longer ones the beginning and the last line.

    Names that would look the same are written whole, so different names stay different.
    """
    short = [_cut(name) for name in names]
    return [
        "\n".join(wrap(name, LETTERS)) if short.count(cut) > 1 else cut
        for name, cut in zip(names, short, strict=True)
    ]


def _cut(name: str) -> str:
    lines = wrap(name, LETTERS)
    if len(lines) > LINES:
        lines = [*lines[: LINES - 1], "…" + lines[-1]]
    return "\n".join(lines)


@styled
def draw_curves(
    curves: Mapping[str, Mapping[str, Any]], unit: str, names: Mapping[str, str] | None = None
) -> Figure:
    """Accumulated local effects (solid) and partial dependence (dashed) of each input.

    Args:
        curves: input -> `value`, `local` and `partial`, lists of equal length.
        unit: of the effects.
        names: input -> name below its panel; None: the input itself.
    """
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(WIDTH, 1.75 * rows + 0.6), layout="constrained")
    every = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    labels = fitted([(names or {}).get(name, name) for name in curves])
    for axes, label, curve in zip(every, labels, curves.values(), strict=False):
        value = curve["value"]
        axes.axhline(0, color=NOTHING, linewidth=0.8)
        axes.plot(value, curve["partial"], color=SERIES[1], linewidth=1.4, linestyle="--")
        axes.plot(value, curve["local"], color=ACCENT, linewidth=2.0)
        axes.plot(value, curve["local"], "|", color=ACCENT, markersize=5)
        axes.set_xlabel(label, fontsize=TEXT)
        axes.xaxis.set_major_locator(MaxNLocator(3))
        axes.tick_params(labelsize=TEXT)
    for axes in every[len(curves) :]:
        axes.set_visible(False)
    lines = every[0].get_lines()
    figure.legend(
        [lines[2], lines[1]],
        ["accumulated local effect", "partial dependence"],
        loc="outside lower left",
        ncols=2,
        fontsize=TEXT,
    )
    figure.supylabel(f"difference from the mean prediction, {unit}", fontsize=TEXT)
    return figure


@styled
def draw_rises(
    groups: Sequence[str], rises: Mapping[str, NDArray[np.float64]], mapped: str, unit: str
) -> Figure:
    """Increase of the RMSE of models when a group of inputs is shuffled.

    Args:
        groups: names, from top to bottom.
        rises: label of a model -> rise for each group, species.
        mapped: label of the model that made the map, drawn as bars; the others are markers.
    """
    others = [label for label in rises if label != mapped]
    names = fitted(groups)
    lines = sum(1 + name.count("\n") for name in names)
    height = 0.9 + 0.15 * (len(groups) + lines) + 0.2 * (len(others) + 1)
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots()
    places = np.arange(len(groups))
    if mapped in rises:
        axes.barh(places, rises[mapped], color=ACCENT, height=0.6, label=mapped)
    for i, label in enumerate(others):
        look: dict[str, Any] = {
            "color": SERIES[1 + i % (len(SERIES) - 1)],
            "marker": MARKERS[i % len(MARKERS)],
        }
        axes.plot(
            rises[label], places, linestyle="", markersize=6, mec=INK, mew=0.5, label=label, **look
        )
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.tick_params(labelsize=TEXT)
    axes.tick_params(axis="y", labelcolor=INK, length=0)
    axes.grid(axis="x", color=NOTHING, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"increase of the held-out RMSE, {unit}", fontsize=TEXT, color=MUTED)
    handles, labels = axes.get_legend_handles_labels()
    order = sorted(range(len(labels)), key=lambda i: labels[i] != mapped)
    figure.legend(
        [handles[i] for i in order],
        [labels[i] for i in order],
        loc="outside lower left",
        fontsize=TEXT,
    )
    return figure
