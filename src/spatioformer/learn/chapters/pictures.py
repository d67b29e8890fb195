"""Parts of the figures of several chapters."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar

from spatioformer.common.style import INK
from spatioformer.learn.facts import Language, Number

WIDTH = 4.4  # inches: with texts of 9 points, legible on a phone
SHORT = 2  # characters of names that need no slant
CELL = 9  # points of the numbers in cells
SIGNED, SHARE = "RdBu_r", "viridis"


def heat(
    axes: Axes,
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    language: Language,
    *,
    colours: str = SIGNED,
    digits: int | None = None,
) -> None:
    """Draw a matrix as colours, with a bar; `SIGNED` colours are white at 0.

    Args:
        values: (rows, columns).
        digits: write the values into the cells, with so many digits; None: do not.
    """
    limit = float(np.abs(values).max()) or 1.0
    low, high = (-limit, limit) if colours == SIGNED else (0.0, limit)
    image = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect="auto")
    axes.set_xticks(range(len(columns)), columns)
    if max(map(len, columns)) > SHORT:
        axes.tick_params(axis="x", labelrotation=60)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title, fontsize=9.5, color=INK, loc="left")
    bar(axes.figure, image, axes, fraction=0.05, pad=0.03)
    if digits is None:
        return
    for row, column in np.ndindex(values.shape):
        share = (values[row, column] - low) / (high - low)
        dark = abs(share - 0.5) > 0.3 if colours == SIGNED else share < 0.5
        written = Number(float(values[row, column]), digits).of(language)
        colour = "white" if dark else INK
        axes.text(column, row, written, ha="center", va="center", fontsize=CELL, color=colour)


def bar(figure: Any, image: ScalarMappable, axes: Any, **place: Any) -> Colorbar:
    """A colour bar without gaps between its colours, which an SVG would show as lines."""
    drawn: Colorbar = figure.colorbar(image, ax=axes, **place)
    assert drawn.solids is not None
    drawn.solids.set_edgecolor("face")
    return drawn
