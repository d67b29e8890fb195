"""Figures of attention and of word senses."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from spatioformer.common.style import INK, MARKERS, MUTED, SERIES, styled
from spatioformer.text.model import Reading
from spatioformer.text.senses import Senses

LEGIBLE = 16  # tokens up to which the numbers are written into the cells
WIDTH = 9.4  # inches, then; so 9 points are at least 9 pixels in a picture of 710 pixels
FONT = 9


@styled
def attention_picture(reading: Reading, layer: int, head: int) -> Figure:
    """Figure of one head's scores and pattern, above the patterns of all layers and heads.

    Args:
        layer, head: counted from 0.
    """
    layers, heads, T, _ = reading.weights.shape
    legible = T <= LEGIBLE
    large = 0.26 * T + 1 if legible else 0.3 * T  # height of a matrix, inches
    width = WIDTH if legible else 2 * large + 1.8
    small = min(1.3, (width - 1) / heads)
    # Numbers in cells need the whole width; without numbers, matrices stand side by side.
    upper, lower = (2 * large + 1 if legible else large + 1.2), small * layers + 0.6
    figure = Figure(figsize=(width, upper + lower), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(upper, lower), squeeze=False)[:, 0]
    left, right = above.subplots(2, 1) if legible else above.subplots(1, 2)
    where = f"layer {layer + 1}, head {head + 1}"
    scores = reading.scores[layer, head]
    if reading.causal:
        scores = np.where(np.tri(T, dtype=bool), scores, np.nan)
    _matrix(left, scores, reading.tokens, f"q·k / √d, {where}", "cividis")
    _matrix(right, reading.weights[layer, head], reading.tokens, "softmax of each row", "viridis")
    left.set_ylabel("the token that looks")
    grid = below.subplots(layers, heads, squeeze=False)
    for i, j in np.ndindex(layers, heads):
        axes = grid[i, j]
        axes.imshow(reading.weights[i, j], cmap="viridis", vmin=0, vmax=1)
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(visible=(i, j) == (layer, head), color="#c8702a", linewidth=2)
        if j == 0:
            axes.set_ylabel(f"layer {i + 1}", fontsize=FONT)
        if i == 0:
            axes.set_title(f"head {j + 1}", fontsize=FONT, color=MUTED)
    return figure


def _matrix(axes: Axes, values: np.ndarray, tokens: Sequence[str], title: str, cmap: str) -> None:
    image = axes.imshow(values, cmap=cmap, aspect="auto" if len(tokens) <= LEGIBLE else "equal")
    places = range(len(tokens))
    axes.set_xticks(places, tokens, rotation=60, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, tokens)
    axes.set_title(title, fontsize=FONT, color=INK)
    if len(tokens) > LEGIBLE:
        return
    low, high = image.get_clim()
    assert low is not None, "imshow has set the limits"
    assert high is not None, "imshow has set the limits"
    middle = (low + high) / 2
    for row, column in np.argwhere(np.isfinite(values) & (np.abs(values) >= 0.005)):
        value = values[row, column]
        colour = INK if value > middle else "white"
        axes.text(
            column, row, f"{value:.2f}", ha="center", va="center", fontsize=FONT, color=colour
        )


@styled
def senses_picture(senses: Senses) -> Figure:
    """Figure of a word's vectors on their first two principal axes, a marker a label."""
    figure = Figure(figsize=(6.4, 4.4), layout="constrained")
    axes = figure.subplots()
    labels = list(dict.fromkeys(sense.label for sense in senses.senses))
    for i, label in enumerate(labels):
        rows = [r for r, sense in enumerate(senses.senses) if sense.label == label]
        x, y = senses.plane[rows].T
        axes.scatter(
            x,
            y,
            s=36,
            color=SERIES[i % len(SERIES)],
            marker=MARKERS[i % len(MARKERS)],
            label=label,
        )
    for i, (x, y) in enumerate(senses.plane):
        axes.annotate(str(i + 1), (x, y), (5, 4), textcoords="offset points", fontsize=8)
    axes.set(
        xlabel=f"first principal axis ({senses.explained[0]:.0%} of the variance)",
        ylabel=f"second ({senses.explained[1]:.0%})",
        title=f"“{senses.word}” in {len(senses.senses)} sentences",
    )
    axes.set_aspect("equal", adjustable="datalim")
    if len(labels) > 1:
        axes.legend()
    return figure
