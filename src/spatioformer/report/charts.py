"""Charts: arrays in, a matplotlib Figure out."""

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

import matplotlib
import numpy as np
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from spatioformer.common.drawing import Layouts, SharedLayout
from spatioformer.common.style import ACCENT, INK, MARKERS, MUTED, NOTHING, SERIES, styled

Array = NDArray[np.float64]

WIDTH = 4.4  # of most charts, inches
LARGE, SMALL = 3.9, 2.7  # of scatterplots


@styled
def draw_agreement(
    observed: Array,
    predicted: Array,
    *,
    limits: tuple[float, float],
    note: str,
    unit: str = "species",
    width: float = LARGE,
    layouts: Layouts | None = None,
) -> Figure:
    """Predicted against observed as a density of plots, with the line on which both are equal.

    Args:
        note: title, above the plot.
        width: of the figure, inches.
        layouts: of the figures so far, which have the same limits.
    """
    layout = SharedLayout({} if layouts is None else layouts)
    figure = Figure(figsize=(width, width + 1.2), layout=layout)
    axes = figure.subplots()
    low, high = limits
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    cells = axes.hexbin(
        observed,
        predicted,
        gridsize=32 if width > SMALL else 22,
        extent=(low, high, low, high),
        mincnt=1,
        cmap=_density_colours(),
        linewidths=0.2,
    )
    most = max(2.0, float(np.asarray(cells.get_array()).max()))
    cells.set_norm(LogNorm(1, most))
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
    axes.set(
        xlim=(low, high),
        ylim=(low, high),
        aspect="equal",
        xlabel=f"observed, {unit}",
        ylabel=f"predicted, {unit}",
    )
    letters = round(11 * (width - 0.5))  # bold ones that fit beside each other above the axes
    note = "\n".join(wrapped for line in note.splitlines() for wrapped in wrap(line, letters))
    axes.set_title(note, loc="left", fontsize=9.5, fontweight="bold")
    bar = figure.colorbar(cells, ax=axes, orientation="horizontal", shrink=0.6, aspect=24)
    bar.set_ticks([1, most], labels=["1", f"{most:.0f}"])
    bar.minorticks_off()
    bar.set_label("plots in a cell")
    return figure


@styled
def draw_block_curve(
    sizes: Sequence[float],
    curves: dict[str, tuple[float, Sequence[float]]],
    *,
    markers: dict[str, tuple[float, float, float]],
    ceiling: float | None = None,
    unit: str = "degrees",
) -> Figure:
    """r2 against the size of the held-out tiles, log scale; random folds at the left.

    Args:
        sizes: ascending.
        curves: label -> (r2 on random folds, r2 at each size); NaN where unknown.
        markers: label -> (r2 on random folds, tile size, r2 there), drawn unconnected.
        ceiling: r2 of a perfect map, drawn as a line.
        unit: of the sizes, "degrees" or "km".
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    left = sizes[0] / 2.5  # degrees; where random folds are drawn
    for i, (label, (random, values)) in enumerate(curves.items()):
        look: dict[str, Any] = {
            "color": SERIES[1 + i % (len(SERIES) - 1)],
            "marker": MARKERS[(1 + i) % 7],
        }
        axes.plot(sizes, values, linewidth=1.6, markersize=5, label=label, **look)
        axes.plot([left, sizes[0]], [random, values[0]], linewidth=1, linestyle=":", **look)
    for label, (random, size, value) in markers.items():
        axes.plot(
            [left, size], [random, value], "o", color=ACCENT, mfc="none", ms=8, mew=1.8, label=label
        )
    if ceiling is not None:
        axes.axhline(ceiling, color=INK, linewidth=0.9, linestyle="--")
        axes.annotate(
            "noise ceiling",
            (1, ceiling),
            xycoords=axes.get_yaxis_transform(),
            xytext=(0, 3),
            textcoords="offset points",
            ha="right",
            fontsize=9,
        )
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.set_xscale("log")
    labels = [f"{size:g}" for size in sizes]
    if np.isfinite([random for random, _ in curves.values()]).any():
        axes.axvline((left * sizes[0]) ** 0.5, color=NOTHING, linewidth=0.8)
        axes.set_xticks([left, *sizes], labels=["random", *labels])
    else:
        axes.set_xticks(sizes, labels=labels)
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set(xlabel=f"side of the held-out tiles, {unit}", ylabel="r2 = 1 - SSE/SST")
    # A model with r2 below -0.5 is useless; the table beside the figure states the number.
    axes.set_ylim(bottom=max(-0.5, axes.get_ylim()[0]))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def draw_distances(distances: dict[str, Array]) -> Figure:
    """Cumulative distributions of the distance (km) to the nearest plot; the first is bold."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    floor = 0.01  # km; a log scale has no 0
    for i, (label, values) in enumerate(distances.items()):
        width, style = (2.4, "-") if i == 0 else (1.4, "--")
        values = np.maximum(values, floor)
        axes.ecdf(values, color=SERIES[i % 7], linewidth=width, linestyle=style, label=label)
    axes.set_xscale("log")
    axes.set_xlim(left=max(floor, min(np.percentile(v, 1) for v in distances.values())))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    low, high = axes.get_xlim()
    if high < 50 * low:  # hardly any power of ten
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="distance to the nearest training plot, km", ylabel="cumulative share")
    figure.legend(loc="outside lower center")
    return figure


@styled
def draw_histogram(values: Array, *, label: str, is_whole: bool = True) -> Figure:
    """Histogram of the number of species in a plot, or of values that are not whole."""
    figure = Figure(figsize=(WIDTH, 2.8), layout="constrained")
    axes = figure.subplots()
    low, high = np.floor(values.min()), np.ceil(values.max())
    step = max(1, int(np.ceil((high - low + 1) / 40)))  # whole species, at most about 40 bars
    bins = np.arange(low, high + step + 1, step) - 0.5 if is_whole else np.linspace(low, high, 41)
    axes.hist(
        values,
        bins=bins.tolist(),
        color=ACCENT,
        edgecolor="white",
        linewidth=0.4,
    )
    median = np.median(values)
    axes.axvline(median, color=INK, linewidth=1.2, label=f"median {median:g}")
    figure.legend(loc="outside lower center")  # a stamp may stand above
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set(xlabel=label, ylabel="plots")
    return figure


@styled
def draw_training(epochs: Array, train: Array, validation: Array, unit: str = "species") -> Figure:
    """RMSE of training and validation plots by epoch; the best epoch is marked."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    best = int(np.argmin(validation))
    axes.plot(epochs, train, color=MUTED, linewidth=1.4, linestyle="--", label="training")
    axes.plot(epochs, validation, color=ACCENT, linewidth=1.8, label="validation tiles")
    label = f"best: epoch {epochs[best]:.0f}, {validation[best]:.2f}"
    axes.plot(epochs[best], validation[best], "o", color=ACCENT, markersize=7, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="epoch", ylabel=f"RMSE, {unit}")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def draw_calibration(levels: Sequence[float], coverage: Sequence[float]) -> Figure:
    """Share of observations inside their intervals against the nominal share."""
    figure = Figure(figsize=(3.6, 3.7), layout="constrained")
    axes = figure.subplots()
    low = min(0.4, *coverage)
    axes.plot([low, 1], [low, 1], color=INK, linewidth=0.8)
    axes.plot(levels, coverage, "o-", color=ACCENT, linewidth=1.8, markersize=5)
    axes.set(xlim=(low, 1), ylim=(low, 1), aspect="equal")
    axes.set(xlabel="nominal coverage", ylabel="coverage of held-out plots")
    return figure


@styled
def draw_error_by_dissimilarity(
    di: Array, error: Array, curve: Array, threshold: float, unit: str = "species"
) -> Figure:
    """Absolute error (n,) against dissimilarity (n,), the expected RMSE (2, k), the threshold."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.scatter(di, error, s=7, color=SERIES[2], alpha=0.45, linewidths=0, label="one plot")
    places = np.array([di.min(), *curve[0], di.max()])
    expected = np.interp(places, *curve)
    axes.plot(places, expected, color=SERIES[1], linewidth=2.2, label="expected error (RMSE)")
    axes.axvline(
        threshold, color=INK, linewidth=1, linestyle="--", label="area of applicability ends"
    )
    axes.set(xlabel="dissimilarity index", ylabel=f"|predicted − observed|, {unit}")
    axes.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def draw_importance(
    groups: Sequence[str], rise: Sequence[float], sd: Sequence[float], unit: str = "species"
) -> Figure:
    """Increase of the RMSE when a group is shuffled, and its standard deviation over folds."""
    figure = Figure(figsize=(WIDTH, 1.0 + 0.28 * len(groups)), layout="constrained")
    axes = figure.subplots()
    axes.barh(groups, rise, xerr=sd, color=ACCENT, height=0.6, error_kw={"ecolor": MUTED})
    axes.axvline(0, color=INK, linewidth=0.7)
    axes.invert_yaxis()
    axes.set(xlabel=f"increase of the held-out RMSE, {unit}")
    return figure


@styled
def draw_sensitivity(km: Sequence[float], change: Sequence[float], unit: str = "species") -> Figure:
    """Mean absolute change of the prediction against the shift of the coordinates."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    axes.plot(km, change, "o-", color=ACCENT, linewidth=1.8, markersize=5)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(bottom=0)
    axes.set(xlabel="coordinates moved by, km", ylabel=f"change, {unit}")
    return figure


@styled
def draw_dependence(
    curves: dict[str, tuple[Sequence[float], Sequence[float]]], unit: str = "species"
) -> Figure:
    """Mean prediction against each band's value (values, predictions), on one scale of `unit`."""
    columns = min(2, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(WIDTH, 1.9 * rows), layout="constrained")
    every = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes, (band, (values, predicted)) in zip(every, curves.items(), strict=False):
        axes.plot(values, predicted, color=ACCENT, linewidth=1.6)
        axes.set(xlabel=band)
        axes.xaxis.set_major_locator(MaxNLocator(3))
    for axes in every[len(curves) :]:
        axes.set_visible(False)
    figure.supylabel(f"predicted, {unit}", fontsize=9)
    return figure


@styled
def draw_attention(shares: Array) -> Figure:
    """Share of attention on each pixel of a chip [y, x], in per cent."""
    figure = Figure(figsize=(2.6, 2.8), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(100 * shares, cmap="cividis", vmin=0)
    axes.set(xticks=[], yticks=[])
    figure.colorbar(image, ax=axes, orientation="horizontal", label="attention, %", shrink=0.8)
    return figure


def _density_colours() -> ListedColormap:
    """Pale for one plot, dark for many; the palest end is left out, since it vanishes on white."""
    return ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.22, 1, 200)))
