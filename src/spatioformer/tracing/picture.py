"""Draw panels as one picture: colours with a bar and a unit each, and values where they fit."""

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.figure import Figure

from spatioformer.common.style import ACCENT, INK, MUTED, NOTHING, SERIES, styled
from spatioformer.tracing.panels import Panel, Rows

WIDTH = 9.4  # inches; so 9 points are at least 9 pixels in a picture of 710 pixels
FONT = 9
LINE = 95  # characters in a line of the title
ROW = 0.19  # height of a row of cells, inches
SMALLEST, LARGEST = 1.0, 5.5  # height of a panel, inches
AROUND = 1.0  # height of title, formula and names of columns, inches
LABELS = 1.35  # width that names of rows and the colour bar take, inches
FITS = (0.37, 0.16)  # width and height of a cell that holds a number, inches
MOST = 0.995  # share of the values for which colours are chosen, where a few are far larger
COLOURS = {"signed": "RdBu_r", "share": "viridis", "amount": "cividis"}


@styled
def draw(rows: Rows, title: str) -> Figure:
    """Figure of panels, numbered in the order of the computation.

    Args:
        rows: panels that stand side by side in each row.
        title: of the picture.
    """
    heights = [max(_height(panel) for panel in row) + AROUND for row in rows]
    figure = Figure(figsize=(WIDTH, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(textwrap.fill(title, LINE), fontsize=11, fontweight="bold", color=INK)
    parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]
    number = 0
    for part, row, height in zip(parts, rows, heights, strict=True):
        for panel, axes in zip(row, part.subplots(1, len(row), squeeze=False)[0], strict=True):
            number += 1
            _draw(axes, panel, number, (WIDTH / len(row) - LABELS, height - AROUND))
    return figure


def _height(panel: Panel) -> float:
    if panel.kind == "image":
        return 2.4
    return float(np.clip(ROW * len(panel.rows), SMALLEST, LARGEST))


def _draw(axes: Axes, panel: Panel, number: int, size: tuple[float, float]) -> None:
    title = f"{number}. {panel.title}"
    axes.set_title(f"{title}\n{panel.formula}", fontsize=FONT + 0.5, color=INK, loc="left")
    if panel.kind == "bars":
        _draw_bars(axes, panel)
    elif panel.kind == "image":
        axes.imshow(panel.values, cmap="gray", interpolation="nearest")
        _name_rows_and_columns(axes, panel, size)
        for draw_line, length, count in zip(
            (axes.axhline, axes.axvline), panel.values.shape, panel.cuts, strict=False
        ):
            for cut in range(1, count):
                draw_line(cut * length / count - 0.5, color=SERIES[1], linewidth=1)
    else:
        _draw_matrix(axes, panel, size)


def _draw_bars(axes: Axes, panel: Panel) -> None:
    values = panel.values[:, 0]
    places = np.arange(len(values))
    colours = [ACCENT if value >= 0 else SERIES[1] for value in values]
    axes.barh(places, values, color=colours)
    axes.set_yticks(places, panel.rows)
    axes.invert_yaxis()
    axes.set_xlabel(panel.unit)
    low, high = min(values.min(initial=0), 0), max(values.max(initial=0), 0)
    span = high - low or 1.0
    axes.set_xlim(low - (0.2 * span if low < 0 else 0), high + 0.2 * span)
    for place, value in zip(places, values, strict=True):
        text = f"{value:.1%}" if panel.scale == "share" else f"{value:.3g}"
        offset, side = (4, "left") if value >= 0 else (-4, "right")
        axes.annotate(
            text, (value, place), (offset, 0), textcoords="offset points", va="center", ha=side,
            fontsize=FONT,
        )  # fmt: skip


def _draw_matrix(axes: Axes, panel: Panel, size: tuple[float, float]) -> None:
    axes.set_facecolor(NOTHING)
    image = axes.imshow(
        panel.values,
        cmap=COLOURS[panel.scale],
        norm=_norm(panel),
        aspect="auto",
        interpolation="nearest",
    )
    beyond = np.nanmax(np.abs(panel.values)) > image.norm.vmax
    extend = "both" if panel.scale == "signed" and beyond else "neither"
    bar = axes.figure.colorbar(image, ax=axes, fraction=0.05, pad=0.02, extend=extend)
    bar.set_label(panel.unit, fontsize=FONT)
    _name_rows_and_columns(axes, panel, size)
    height, width = panel.values.shape
    if size[0] / width >= FITS[0] and size[1] / height >= FITS[1]:
        _write_values(axes, panel, image)


def _norm(panel: Panel) -> Normalize:
    finite = panel.values[np.isfinite(panel.values)]
    if panel.scale == "share":
        return Normalize(0, max(float(finite.max(initial=0)), 1e-6))
    if panel.scale == "amount":
        return Normalize(float(finite.min(initial=np.inf)), float(finite.max(initial=-np.inf)))
    sizes = np.sort(np.abs(finite), axis=None)
    largest = float(sizes[-1]) if len(sizes) else 0.0
    usual = float(sizes[int(MOST * (len(sizes) - 1))]) if len(sizes) else 0.0
    # A few huge values, such as those of [CLS] in BERT, would leave all others white.
    limit = usual if 0 < usual < largest / 2 else max(largest, 1e-6)
    return TwoSlopeNorm(0, -limit, limit)


def _name_rows_and_columns(axes: Axes, panel: Panel, size: tuple[float, float]) -> None:
    height, width = panel.values.shape[:2]
    every = max(1, int(np.ceil(0.15 * height / size[1])))
    shown = range(0, height, every)
    axes.set_yticks(list(shown), [panel.rows[i] for i in shown], fontsize=FONT)
    names = panel.column_names
    if panel.columns is None:
        every = max(1, width // 8)
        shown = range(every - 1 if every > 1 else 0, width, every)
        axes.set_xticks(list(shown), [names[i] for i in shown], fontsize=FONT)
    else:
        every = max(1, int(np.ceil(0.17 * width / size[0])))
        shown = range(0, width, every)
        fits = max(len(name) for name in names) * 0.075 <= size[0] / width
        turned: dict[str, Any] = (
            {} if fits else {"rotation": 60, "ha": "right", "rotation_mode": "anchor"}
        )
        axes.set_xticks(list(shown), [names[i] for i in shown], fontsize=FONT, **turned)
    axes.tick_params(length=0, colors=MUTED)
    axes.spines[:].set_visible(False)


def _write_values(axes: Axes, panel: Panel, image) -> None:
    """Write each value into its cell, in black or white, whichever stands out."""
    for row, column in np.argwhere(np.isfinite(panel.values)):
        value = panel.values[row, column]
        red, green, blue = image.cmap(image.norm(value))[:3]
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        axes.text(
            column, row, _short(float(value)), ha="center", va="center", fontsize=FONT,
            color="white" if dark else INK,
        )  # fmt: skip


def _short(value: float) -> str:
    """A value in at most five characters."""
    if abs(value) < 9.995:
        return f"{value:.2f}".replace("-0.00", "0.00")
    return f"{value:.1f}" if abs(value) < 99.95 else f"{value:.0f}"
