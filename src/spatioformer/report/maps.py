"""Maps: rasters and points in, a matplotlib Figure out.

Drawn in pixel coordinates with a graticule of longitudes and latitudes, so that they look right in
any coordinate reference system. Limits of differences are always symmetric. `furniture` adds scale
bar, north arrow and names; sea and land without a prediction have two greys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from spatioformer.common.drawing import SharedLayout
from spatioformer.common.style import MASKED, MUTED, NOTHING, PALE, SEA, styled
from spatioformer.report import furniture
from spatioformer.report.frame import Frame

Array = NDArray[np.float64]

DIFFERENCE = "RdBu_r"  # of a prediction from what is known
RESIDUAL = "RdBu"  # red, too, where the prediction is too high
CELLS = 45  # hexagons of residuals along the longer side
WIDTH = 4.4  # largest width of most maps, inches
NAMES = 8  # most names of cities on a map of that width
FADE = 0.55  # opacity of the white over land outside the area of applicability


@dataclass(frozen=True)
class Panel:
    """One of several maps in a figure; the fields are arguments of `draw_map`.

    Attributes:
        title: above the map.
    """

    title: str
    values: Array
    limits: tuple[float, float]
    label: str
    colours: str = "viridis"
    outside: NDArray[np.bool_] | None = None


@styled
def draw_map(
    values: Array,
    frame: Frame,
    *,
    limits: tuple[float, float],
    label: str,
    colours: str | Colormap = "viridis",
    width: float = WIDTH,
    outside: NDArray[np.bool_] | None = None,
) -> Figure:
    """A raster [y, x] with its colour bar; NaN is grey.

    Args:
        limits: values at the ends of the colour bar; an end is pointed where values exceed it.
        width: largest width, inches; a tall region gets a narrower figure.
        outside: [y, x], where the map is not to be trusted: paler, and hatched.
    """
    mapped = np.isfinite(values)
    hatched = outside is not None and bool((outside & mapped).any())
    figure, axes = _map_axes(frame, width)
    _key(figure, frame, mapped, hatched)
    scale = _paint(axes, _greys(frame, mapped), values, limits, colours, outside)
    _graticule_and_names(figure, axes, frame, width)
    _colour_bar(figure, axes, scale, values, limits, label)
    return figure


@styled
def draw_panels(panels: Sequence[Panel], frame: Frame, *, width: float = WIDTH) -> Figure:
    """Maps of one frame in two columns, each with its colour bar; NaN is grey, as in `draw_map`.

    Args:
        width: of a column, inches; a tall region gets narrower columns.
    """
    shape, inner = _shape(frame, width)
    rows = -(-len(panels) // 2)
    figure = Figure(
        figsize=(2 * (max(inner, 2.9) + 0.6), rows * (inner * shape + 2.1) + 0.4),
        layout="constrained",
    )
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    mapped = np.any([np.isfinite(panel.values) for panel in panels], axis=0)
    hatched = [p.outside is not None and bool((p.outside & mapped).any()) for p in panels]
    _key(figure, frame, mapped, any(hatched))
    greys = _greys(frame, mapped)
    for axes, panel in zip(grid, panels, strict=False):
        _dress(axes, frame)
        axes.set_title(panel.title, fontsize=10.5, loc="left")
        scale = _paint(axes, greys.copy(), panel.values, panel.limits, panel.colours, panel.outside)
        _graticule_and_names(figure, axes, frame, width, (2, rows))
        _colour_bar(figure, axes, scale, panel.values, panel.limits, panel.label)
    for axes in grid[len(panels) :]:
        axes.remove()
    return figure


def _paint(
    axes: Axes,
    picture: NDArray[np.uint8],
    values: Array,
    limits: tuple[float, float],
    colours: str | Colormap,
    outside: NDArray[np.bool_] | None,
) -> ScalarMappable:
    """Draw values over the greys of `picture`, paler and hatched `outside`."""
    finite = np.isfinite(values)
    scale = ScalarMappable(Normalize(*limits), colours)
    picture[finite] = scale.to_rgba(values[finite], bytes=True)[:, :3]
    if outside is not None and (outside & finite).any():
        faded = outside & finite
        picture[faded] = np.round((1 - FADE) * picture[faded] + FADE * 255)
        _hatch(axes, faded)
    axes.imshow(picture, aspect="auto")
    return scale


def _hatch(axes: Axes, outside: NDArray[np.bool_]) -> None:
    """Hatch pixels."""
    if min(outside.shape) < 2:
        return
    with matplotlib.rc_context({"hatch.color": "#22282b", "hatch.linewidth": 0.5}):
        axes.contourf(outside.astype(float), levels=[0.5, 2], colors="none", hatches=["/////"])


@styled
def draw_plots(
    mapped: NDArray[np.bool_],
    frame: Frame,
    rows: Array,
    cols: Array,
    values: Array,
    *,
    limits: tuple[float, float],
    label: str,
    width: float = WIDTH,
) -> Figure:
    """Plots as dots coloured by their values, over the mapped area.

    Args:
        mapped: [y, x], where the map holds a prediction.
        rows, cols: (n,) places of the plots in pixels; (0, 0) is the centre of the first.
    """
    figure, axes = _map_axes(frame, width)
    _key(figure, frame, mapped)
    axes.imshow(_greys(frame, mapped), aspect="auto")
    dots = axes.scatter(
        cols, rows, c=values, s=_dot_size(len(rows)), vmin=limits[0], vmax=limits[1], linewidths=0
    )
    _graticule_and_names(figure, axes, frame, width)
    _colour_bar(figure, axes, dots, values, limits, label)
    return figure


@styled
def draw_residuals(
    mapped: NDArray[np.bool_],
    frame: Frame,
    rows: Array,
    cols: Array,
    residuals: Array,
    *,
    label: str,
    width: float = WIDTH,
) -> Figure:
    """Mean residual (observed - predicted) in hexagonal cells; CELLS along the longer side.

    The colours are symmetric about 0 and end at the 98th percentile of the absolute means.
    """
    figure, axes = _map_axes(frame, width)
    _key(figure, frame, mapped)
    axes.imshow(_greys(frame, mapped), aspect="auto")
    height, across = mapped.shape
    width_in_cells = CELLS / max(1, height * frame.aspect / across)
    height_in_cells = width_in_cells * height * frame.aspect / across / 3**0.5
    cells = axes.hexbin(
        cols,
        rows,
        C=residuals,
        gridsize=(max(2, round(width_in_cells)), max(2, round(height_in_cells))),
        extent=(-0.5, across - 0.5, -0.5, height - 0.5),
        cmap=RESIDUAL,
        linewidths=0.3,
        edgecolors="#00000030",
    )
    means = np.asarray(cells.get_array(), np.float64)
    limits = symmetric_limits(means)
    cells.set_clim(*limits)
    axes.set(xlim=(-0.5, across - 0.5), ylim=(height - 0.5, -0.5))
    _graticule_and_names(figure, axes, frame, width)
    _colour_bar(figure, axes, cells, means, limits, label)
    return figure


def pale(name: str) -> ListedColormap:
    """Colours of that name as pale as those of land outside the area of applicability."""
    colours = matplotlib.colormaps[name](np.linspace(0, 1, 256))
    return ListedColormap((1 - FADE) * colours + FADE, f"pale {name}")


def robust_limits(*arrays: Array) -> tuple[float, float]:
    """Limits for a colour bar: the 0.5th and 99.5th percentile of all finite values."""
    values = np.concatenate([a[np.isfinite(a)] for a in arrays])
    if values.size == 0:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (0.5, 99.5)))
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def symmetric_limits(values: Array) -> tuple[float, float]:
    """(-v, v) with v the 98th percentile of the absolute finite values."""
    sizes = np.abs(values[np.isfinite(values)])
    limit = float(np.percentile(sizes, 98)) if sizes.size else 0.0
    limit = limit or 1.0
    return -limit, limit


def degrees(value: float, positive: str, negative: str) -> str:
    """An angle with its side, such as 120°E; longitudes beyond 180 are wrapped."""
    value = round((value + 180) % 360 - 180, 4)
    side = positive if value > 0 else negative if value < 0 else ""
    return f"{abs(value):g}°{side}"


def _map_axes(frame: Frame, width: float) -> tuple[Figure, Axes]:
    """Axes of the raster's true proportions, with scale bar and north arrow."""
    shape, inner = _shape(frame, width)
    size = max(inner, 2.9) + 0.6, inner * shape + 1.7
    figure = Figure(figsize=size, layout=SharedLayout(frame.layouts))
    axes = figure.subplots()
    _dress(axes, frame)
    return figure, axes


def _shape(frame: Frame, width: float) -> tuple[float, float]:
    """Height of a map over its width, on the ground, and its width on paper, inches."""
    height, across = frame.lon.shape
    shape = height * frame.aspect / across
    room = width - 0.6
    return shape, min(room, 1.1 * room / shape)


def _dress(axes: Axes, frame: Frame) -> None:
    """Give axes the raster's true proportions, scale bar and north arrow."""
    height, across = frame.lon.shape
    axes.set(xlim=(-0.5, across - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_box_aspect(height * frame.aspect / across)
    axes.spines[:].set_visible(True)
    furniture.scale_bar(axes, frame.lon, frame.lat)
    furniture.north_arrow(axes, frame.lat)


def _greys(frame: Frame, mapped: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """What lies under the data [y, x, RGB]: pale the mapped area, two greys elsewhere.

    One picture of all colours is drawn faster than several layers.
    """
    picture = np.empty((*mapped.shape, 3), np.uint8)
    picture[:] = _rgb(PALE)
    land, rest = frame.land, ~mapped
    if land is None:
        picture[rest] = _rgb(NOTHING)
    else:
        picture[rest & land] = _rgb(MASKED)
        picture[rest & ~land] = _rgb(SEA)
    return picture


def _key(figure: Figure, frame: Frame, mapped: NDArray[np.bool_], hatched: bool = False) -> None:
    """Explain greys and hatching below the figure."""
    land, rest = frame.land, ~mapped
    masked = "land, not mapped" if mapped.any() else "land"  # without a map of anything
    furniture.key(
        figure,
        sea=land is not None and bool((rest & ~land).any()),
        masked=masked if land is not None and bool((rest & land).any()) else "",
        unknown=land is None and bool(rest.any()),
        outside=hatched,
    )


def _rgb(colour: str) -> NDArray[np.uint8]:
    """Red, green and blue, 0-255."""
    return np.round(255 * np.array(to_rgb(colour))).astype(np.uint8)


def _graticule_and_names(
    figure: Figure, axes: Axes, frame: Frame, width: float, panels: tuple[int, int] = (1, 1)
) -> None:
    """Draw the graticule and names of cities on one of `panels` (columns, rows) of a figure."""
    inches = width - 0.6
    _graticule(axes, frame, (inches, inches * (axes.get_box_aspect() or 1.0)))
    most = round(NAMES * width / WIDTH)
    furniture.names(figure, axes, *frame.cities, most, panels)


def _graticule(axes: Axes, frame: Frame, size: tuple[float, float]) -> None:
    """Thin lines of equal longitude and latitude, labelled along the lower and the left edge.

    Args:
        size: width and height of the axes in inches, which bound the number of lines.
    """
    rows, cols, lon, lat = frame.coarse
    lower, left = lon[-1], lat[:, 0]
    meridians, parallels = (_levels(e, n) for e, n in zip((lower, left), size, strict=True))
    axes.set_xticks(_crossings(lower, meridians, cols), [degrees(v, "E", "W") for v in meridians])
    axes.set_yticks(_crossings(left, parallels, rows), [degrees(v, "N", "S") for v in parallels])
    look: dict[str, Any] = {"colors": MUTED, "linestyles": "solid", "linewidths": 0.5}
    for values, levels in ((lon, meridians), (lat, parallels)):
        if min(lon.shape) > 1 and len(levels):
            axes.contour(cols, rows, values, levels=levels, alpha=0.35, **look)


def _levels(edge: Array, inches: float) -> Array:
    """One to five round degrees within an edge of that length."""
    most = int(np.clip(inches / 0.6, 1, 5))
    levels = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(edge.min(), edge.max())
    return levels[(levels >= edge.min()) & (levels <= edge.max())]


def _crossings(edge: Array, levels: Array, places: Array) -> Array:
    """Pixel positions along an edge at which it has the given values; `places` are its points'."""
    order = np.argsort(edge)
    return np.interp(levels, edge[order], places[order])


def _colour_bar(
    figure: Figure,
    axes: Axes,
    drawn: ScalarMappable,
    values: Array,
    limits: tuple[float, float],
    label: str,
) -> None:
    finite = values[np.isfinite(values)]
    below = finite.size > 0 and finite.min() < limits[0]
    above = finite.size > 0 and finite.max() > limits[1]
    extend = ("neither", "max", "min", "both")[2 * below + above]
    bar = figure.colorbar(
        drawn,
        ax=axes,
        orientation="horizontal",
        extend=extend,
        fraction=0.04,
        shrink=0.7,
        aspect=32,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    bar.set_label(label)
    bar.locator = MaxNLocator(6)
    bar.update_ticks()


def _dot_size(n: int) -> float:
    """Marker area in points squared: thousands of dots stay apart, a hundred stay visible."""
    return float(np.clip(3000 / max(n, 1), 2.5, 14))
