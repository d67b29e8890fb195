"""Arrays in, a matplotlib Figure out, no global state.

Maps are drawn in pixel coordinates with a graticule of longitudes and latitudes, so that they look
right in any coordinate reference system. Colours are safe for the colour-blind: viridis and cividis
for amounts, red to blue through white for differences, whose limits are always symmetric. Grey
means no prediction.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullFormatter
from numpy.typing import NDArray

Array = NDArray[np.float64]

DPI = 160
INK, MUTED, NOTHING, PALE, ACCENT = "#22282b", "#6b7478", "#dcdfdf", "#f6f6f3", "#1f6f5c"
SERIES = (ACCENT, "#c8702a", "#4a6fa5", "#8a5a83", "#7a7a52", "#a33b3b", "#3b8ea3")
MARKERS = "osD^vPX"
DIFFERENCE = "RdBu_r"

_style = matplotlib.rc_context(
    {
        "font.size": 9,
        "axes.labelsize": 9,
        "axes.edgecolor": MUTED,
        "axes.labelcolor": INK,
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "figure.facecolor": "white",
    }
)


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a raster lie: lon, lat [y, x] of their centres, degrees, north first."""

    lon: Array
    lat: Array

    @property
    def aspect(self) -> float:
        """Height of the middle pixel over its width, on the ground."""
        height, width = self.lon.shape
        if min(height, width) < 2:
            return 1.0
        row, col = (height - 1) // 2, (width - 1) // 2
        here = row, col
        down, right = (row + 1, col), (row, col + 1)
        return self._distance(here, down) / self._distance(here, right)

    def _distance(self, a: tuple[int, int], b: tuple[int, int]) -> float:
        """Distance of two neighbouring pixels in degrees of latitude, on a locally flat Earth."""
        east = (self.lon[b] - self.lon[a] + 180) % 360 - 180
        east *= np.cos(np.radians((self.lat[a] + self.lat[b]) / 2))
        return float(np.hypot(east, self.lat[b] - self.lat[a]))


def png(figure: Figure, zoom: float = 1.0) -> bytes:
    """The figure as PNG, `zoom` times as large; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, dpi=zoom * DPI, metadata={"Software": None})
    return stream.getvalue()


@_style
def stamp(figure: Figure, words: str) -> None:
    """Write a label above the figure that stays with it when somebody copies the picture."""
    figure.suptitle(words, x=0.995, ha="right", fontsize=7.5, fontweight="bold", color=INK)


@_style
def draw_map(
    values: Array,
    frame: Frame,
    *,
    limits: tuple[float, float],
    label: str,
    colours: str = "viridis",
    width: float = 5.2,
) -> Figure:
    """A raster [y, x] with its colour bar; NaN is grey.

    Args:
        limits: values at the ends of the colour bar, which gets a point where values go beyond.
        width: inches at most; a tall region gets a narrower figure.
    """
    figure, axes = _map_axes(frame, width)
    cmap = matplotlib.colormaps[colours].with_extremes(bad=NOTHING)
    image = axes.imshow(
        np.ma.masked_invalid(values), cmap=cmap, vmin=limits[0], vmax=limits[1], aspect="auto"
    )
    _colour_bar(figure, image, values, limits, label)
    return figure


@_style
def draw_plots(
    mapped: NDArray[np.bool_],
    frame: Frame,
    rows: Array,
    cols: Array,
    values: Array,
    *,
    limits: tuple[float, float],
    label: str,
    width: float = 5.2,
) -> Figure:
    """Plots as dots coloured by their values, over the mapped area.

    Args:
        mapped: [y, x], where the map holds a prediction.
        rows, cols: (n,) places of the plots in pixels; (0, 0) is the centre of the first.
    """
    figure, axes = _map_axes(frame, width)
    _ground(axes, mapped)
    dots = axes.scatter(
        cols, rows, c=values, s=_dot_size(len(rows)), vmin=limits[0], vmax=limits[1], linewidths=0
    )
    _colour_bar(figure, dots, values, limits, label)
    return figure


@_style
def draw_residuals(
    mapped: NDArray[np.bool_],
    frame: Frame,
    rows: Array,
    cols: Array,
    residuals: Array,
    *,
    label: str,
    width: float = 5.2,
) -> Figure:
    """Mean residual (predicted - observed) in hexagonal cells, 45 along the longer side.

    The colours are symmetric about 0 and end at the 98th percentile of the cells' size.
    """
    figure, axes = _map_axes(frame, width)
    _ground(axes, mapped)
    height, across = mapped.shape
    width_in_cells = 45 / max(1, height * frame.aspect / across)
    height_in_cells = width_in_cells * height * frame.aspect / across / 3**0.5
    cells = axes.hexbin(
        cols,
        rows,
        C=residuals,
        gridsize=(max(2, round(width_in_cells)), max(2, round(height_in_cells))),
        extent=(-0.5, across - 0.5, -0.5, height - 0.5),
        cmap=DIFFERENCE,
        linewidths=0.3,
        edgecolors="#00000030",
    )
    means = np.asarray(cells.get_array(), np.float64)
    limits = symmetric_limits(means)
    cells.set_clim(*limits)
    axes.set(xlim=(-0.5, across - 0.5), ylim=(height - 0.5, -0.5))
    _colour_bar(figure, cells, means, limits, label)
    return figure


@_style
def draw_agreement(
    observed: Array, predicted: Array, *, limits: tuple[float, float], note: str
) -> Figure:
    """Predicted against observed as a density of plots, with the line on which both are equal."""
    figure = Figure(figsize=(3.6, 3.7), layout="constrained")
    axes = figure.subplots()
    low, high = limits
    margin = 0.03 * (high - low)
    low, high = low - margin, high + margin
    cells = axes.hexbin(
        observed,
        predicted,
        gridsize=32,
        extent=(low, high, low, high),
        mincnt=1,
        cmap=_density_colours(),
        linewidths=0.2,
    )
    most = max(2.0, float(cells.get_array().max()))
    cells.set_norm(LogNorm(1, most))
    axes.plot([low, high], [low, high], color=INK, linewidth=0.8)
    axes.set(
        xlim=(low, high),
        ylim=(low, high),
        aspect="equal",
        xlabel="observed, species",
        ylabel="predicted, species",
    )
    axes.text(0.04, 0.96, note, transform=axes.transAxes, va="top", fontsize=9, fontweight="bold")
    inset = axes.inset_axes((0.62, 0.1, 0.32, 0.03))
    bar = figure.colorbar(cells, cax=inset, orientation="horizontal")
    bar.set_ticks([1, most], labels=["1", f"{most:.0f}"])
    bar.minorticks_off()
    inset.set_title("plots per cell", fontsize=7, pad=3, color=MUTED)
    return figure


@_style
def draw_block_curve(
    sizes: Sequence[float],
    curves: dict[str, tuple[float, Sequence[float]]],
    *,
    markers: dict[str, tuple[float, float, float]],
    ceiling: float | None = None,
) -> Figure:
    """r2 against the size of the tiles held out, log scale, random folds leftmost.

    Args:
        sizes: degrees, ascending.
        curves: label -> (r2 on random folds, r2 at each size); NaN where unknown.
        markers: label -> (r2 on random folds, tile size in degrees, r2 there), drawn unconnected.
        ceiling: r2 of a perfect map, drawn as a line.
    """
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    sizes = np.asarray(sizes, np.float64)
    left = sizes[0] / 2.5
    for i, (label, (random, values)) in enumerate(curves.items()):
        look = {"color": SERIES[1 + i % (len(SERIES) - 1)], "marker": MARKERS[(1 + i) % 7]}
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
            fontsize=8,
        )
    axes.axhline(0, color=MUTED, linewidth=0.7)
    axes.axvline((left * sizes[0]) ** 0.5, color=NOTHING, linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xticks([left, *sizes], labels=["random", *(f"{size:g}" for size in sizes)])
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.tick_params(axis="x", which="minor", length=0)
    axes.set(xlabel="side of the tiles held out, degrees", ylabel="r2 = 1 - SSE/SST")
    # Below -0.5 a model is plainly useless; the table beside the figure holds the number.
    axes.set_ylim(bottom=max(-0.5, axes.get_ylim()[0]))
    axes.legend(loc="best")
    return figure


@_style
def draw_distances(distances: dict[str, Array]) -> Figure:
    """Cumulative share of points within a distance (km) of the nearest plot; first entry bold."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    floor = 0.01  # km; a log scale has no 0
    for i, (label, values) in enumerate(distances.items()):
        width, style = (2.4, "-") if i == 0 else (1.4, "--")
        values = np.maximum(values, floor)
        axes.ecdf(values, color=SERIES[i % 7], linewidth=width, linestyle=style, label=label)
    axes.set_xscale("log")
    axes.set_xlim(left=max(floor, min(np.percentile(v, 1) for v in distances.values())))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(xlabel="distance to the nearest plot learned from, km", ylabel="share within")
    axes.legend(loc="best")
    return figure


@_style
def draw_histogram(values: Array, *, label: str) -> Figure:
    """How many plots have how many species."""
    figure = Figure(figsize=(5.2, 2.6), layout="constrained")
    axes = figure.subplots()
    low, high = np.floor(values.min()), np.ceil(values.max())
    step = max(1, int(np.ceil((high - low + 1) / 40)))  # whole species, at most about 40 bars
    axes.hist(
        values,
        bins=np.arange(low, high + step + 1, step) - 0.5,
        color=ACCENT,
        edgecolor="white",
        linewidth=0.4,
    )
    median = np.median(values)
    axes.axvline(median, color=INK, linewidth=1.2, label=f"median {median:g}")
    axes.legend(loc="upper right")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set(xlabel=label, ylabel="plots")
    return figure


@_style
def draw_training(epochs: Array, train: Array, validation: Array) -> Figure:
    """RMSE by epoch of the plots trained on and of those held out; the best epoch is marked."""
    figure = Figure(figsize=(5.2, 3.0), layout="constrained")
    axes = figure.subplots()
    best = int(np.argmin(validation))
    axes.plot(epochs, train, color=MUTED, linewidth=1.4, linestyle="--", label="training plots")
    axes.plot(epochs, validation, color=ACCENT, linewidth=1.8, label="validation tiles")
    label = f"best: epoch {epochs[best]:.0f}, {validation[best]:.2f}"
    axes.plot(epochs[best], validation[best], "o", color=ACCENT, markersize=7, label=label)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set(xlabel="epoch", ylabel="RMSE, species")
    axes.legend(loc="upper right")
    return figure


def robust_limits(*arrays: Array) -> tuple[float, float]:
    """Limits for a colour bar: the 0.5th and 99.5th percentile of all finite values."""
    values = np.concatenate([a[np.isfinite(a)] for a in arrays])
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def symmetric_limits(values: Array) -> tuple[float, float]:
    """(-v, v) with v the 98th percentile of the finite values' size."""
    sizes = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(sizes, 98)) if sizes.size else 0.0
    limit = limit or 1.0
    return -limit, limit


def degrees(value: float, positive: str, negative: str) -> str:
    """An angle with its side, such as 120°E; longitudes beyond 180 come round."""
    value = round((value + 180) % 360 - 180, 4)
    side = positive if value > 0 else negative if value < 0 else ""
    return f"{abs(value):g}°{side}"


def _density_colours() -> ListedColormap:
    """Pale for one plot, dark for many; the palest end would vanish on white."""
    return ListedColormap(matplotlib.colormaps["YlGnBu"](np.linspace(0.22, 1, 200)))


def _map_axes(frame: Frame, width: float) -> tuple[Figure, Axes]:
    """Axes of the raster's true proportions, with meridians and parallels."""
    height, across = frame.lon.shape
    shape = height * frame.aspect / across  # height over width on the ground
    room = width - 0.6
    inner = min(room, 1.1 * room / shape)
    figure = Figure(figsize=(max(inner, 2.2) + 0.6, inner * shape + 0.95), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.5, across - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_box_aspect(shape)
    _graticule(axes, frame)
    return figure, axes


def _graticule(axes: Axes, frame: Frame) -> None:
    """Thin lines of equal longitude and latitude, labelled along the lower and the left edge."""
    axes.spines[:].set_visible(True)
    lon = np.unwrap(np.unwrap(frame.lon, axis=1, period=360), axis=0, period=360)
    x, x_labels = _degree_ticks(lon[-1], "E", "W")
    y, y_labels = _degree_ticks(frame.lat[:, 0], "N", "S")
    axes.set_xticks(x, labels=x_labels)
    axes.set_yticks(y, labels=y_labels)
    if min(lon.shape) > 1:
        for values, edge in ((lon, lon[-1]), (frame.lat, frame.lat[:, 0])):
            levels = _levels(edge)
            if len(levels):
                axes.contour(
                    values,
                    levels=levels,
                    colors="white",
                    linestyles="solid",
                    linewidths=0.5,
                    alpha=0.4,
                )


def _levels(edge: Array) -> Array:
    levels = MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]).tick_values(edge.min(), edge.max())
    return levels[(levels >= edge.min()) & (levels <= edge.max())]


def _degree_ticks(edge: Array, positive: str, negative: str) -> tuple[Array, list[str]]:
    """Pixel positions along an edge, and labels such as 120°E, of round degrees."""
    levels = _levels(edge)
    order = np.argsort(edge)
    places = np.interp(levels, edge[order], np.arange(len(edge), dtype=float)[order])
    return places, [degrees(level, positive, negative) for level in levels]


def _ground(axes: Axes, mapped: NDArray[np.bool_]) -> None:
    axes.imshow(mapped, cmap=ListedColormap([NOTHING, PALE]), vmin=0, vmax=1, aspect="auto")


def _colour_bar(figure: Figure, drawn, values: Array, limits: tuple[float, float], label: str):
    finite = values[np.isfinite(values)]
    below = finite.size > 0 and finite.min() < limits[0]
    above = finite.size > 0 and finite.max() > limits[1]
    extend = ("neither", "max", "min", "both")[2 * below + above]
    bar = figure.colorbar(
        drawn,
        ax=figure.axes[0],
        orientation="horizontal",
        extend=extend,
        fraction=0.04,
        shrink=0.7,
        aspect=32,
        pad=0.03,
    )
    bar.outline.set_visible(False)
    bar.set_label(label)
    bar.locator = MaxNLocator(6)
    bar.update_ticks()


def _dot_size(n: int) -> float:
    """Marker area in points squared that keeps thousands of dots apart and a hundred visible."""
    return float(np.clip(3000 / max(n, 1), 2.5, 14))
