"""Furniture of a map: scale bar, north arrow, names of cities, and the key of its greys.

Scale bar, arrow and key stand below the map, so that they never cover data.
"""

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.transforms import ScaledTranslation, blended_transform_factory
from numpy.typing import NDArray

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.common.style import INK, MASKED, NOTHING, SEA
from spatioformer.report import ground

SMALL = 9.0  # points, the smallest text of a figure
LONGEST = 0.3  # of the map's width that the scale bar takes
BELOW = 25.0  # points between the map and the scale bar, where degrees are written
SPAN = 10.0  # degrees of latitude from which the scale differs much within a map
LETTER = 0.62  # width of a letter over its height, on average
INNER = 0.82  # width of the map over that of its figure, about
MOST_CITIES = 60  # of a region, of which as many get names as fit
COARSE = 60  # rows or columns of the grid on which a city is looked for first
NARROW = 4.0  # inches, below which the key has two columns

Floats = NDArray[np.float64]


def scale_bar(axes: Axes, lon: Floats, lat: Floats) -> None:
    """Draw a bar of a round length below the left of a map, true in its middle row."""
    row, col = (lon.shape[0] - 1) // 2, (lon.shape[1] - 1) // 2
    if lon.shape[1] < 2:
        return
    pixel = _ground_km(lon[row, col : col + 2], lat[row, col : col + 2])
    width = pixel * lon.shape[1]
    length = round_length(LONGEST * width)
    points = 1 / 72
    below = ScaledTranslation(0, -BELOW * points, axes.figure.dpi_scale_trans)
    place = blended_transform_factory(axes.transAxes, axes.transAxes + below)
    share = length / width
    axes.plot([0, share], [0, 0], color=INK, linewidth=2.5, transform=place, clip_on=False)
    label = f"{length:g} km"
    if np.ptp(lat) >= SPAN:
        middle = round(float(lat[row, col]))
        side = "N" if middle > 0 else "S" if middle < 0 else ""
        label += f" (at {abs(middle)}°{side})"
    text = axes.text(0, 0, label, transform=place + _moved(axes, -13), fontsize=SMALL)
    text.set_clip_on(False)


def round_length(longest: float) -> float:
    """Longest of 1, 2, 5 x 10^k that is not above `longest`."""
    power = 10.0 ** np.floor(np.log10(longest))
    return float(power * max(step for step in (1, 2, 5) if step * power <= longest * (1 + 1e-9)))


def north_arrow(axes: Axes, lat: Floats) -> None:
    """Draw an arrow that points north in the middle of the map, below its right."""
    if min(lat.shape) < 2:
        return
    row, col = (lat.shape[0] - 1) // 2, (lat.shape[1] - 1) // 2
    up, right = _upward(lat[row : row + 2, col : col + 2])
    below = ScaledTranslation(0, -(BELOW - 4) / 72, axes.figure.dpi_scale_trans)
    place = blended_transform_factory(axes.transAxes, axes.transAxes + below)
    axes.annotate(
        "N",
        xy=(0.97, 0),
        xycoords=place,
        xytext=(-24 * right, -24 * up),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=SMALL,
        arrowprops={
            "arrowstyle": "-|>,head_width=0.3,head_length=0.6",
            "color": INK,
            "shrinkA": 1,
            "shrinkB": 0,
        },
        annotation_clip=False,
    )


def names(
    figure: Figure,
    axes: Axes,
    rows: Floats,
    cols: Floats,
    titles: list[str],
    most: int,
    panels: tuple[int, int] = (1, 1),
) -> None:
    """Write names of cities beside dots, at most `most`; names that would overlap are left out.

    Args:
        rows, cols: (n,) places in pixels, the more important first.
        panels: columns and rows of maps in the figure.
    """
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    inches = np.divide(figure.get_size_inches(), panels)
    width, height = (INNER * 72 * float(side) for side in inches)  # points
    across, down = (right - left) / width, (bottom - top) / height  # pixels a point
    taken: list[tuple[float, float, float, float]] = []
    for row, col, title in zip(rows, cols, titles, strict=True):
        if len(taken) == most:
            return
        long, high = SMALL * LETTER * len(title) * across, SMALL * 1.4 * down
        side = 1 if col + 5 * across + long < right else -1
        start = col + 5 * across if side > 0 else col - 5 * across - long
        box = (start, row - high / 2, start + long, row + high / 2)
        inside = start > left and box[1] > top and box[3] < bottom
        if not inside or any(_overlap(box, other) for other in taken):
            continue
        taken.append((min(box[0], col), box[1], max(box[2], col), box[3]))
        axes.plot(col, row, "o", color=INK, markersize=3, mec="white", mew=0.6)
        name = axes.annotate(
            title,
            (col, row),
            xytext=(5 * side, 0),
            textcoords="offset points",
            ha="left" if side > 0 else "right",
            va="center",
            fontsize=SMALL,
            path_effects=[withStroke(linewidth=2.2, foreground="white")],
        )
        name.set_in_layout(False)  # it lies within the map


def cities(lon: Floats, lat: Floats) -> tuple[Floats, Floats, list[str]]:
    """Rows and columns, in pixels, and names of the cities within a map; lon, lat are [y, x]."""
    titles, place = ground.places()
    flat = np.unwrap(np.unwrap(lon, axis=1, period=360), axis=0, period=360)
    middle = flat[lon.shape[0] // 2, lon.shape[1] // 2]
    east = (place[:, 0] - middle + 180) % 360 - 180 + middle
    near = (east >= flat.min()) & (east <= flat.max())
    near &= (place[:, 1] >= lat.min()) & (place[:, 1] <= lat.max())
    rows, cols, chosen = [], [], []
    for number in np.flatnonzero(near)[:MOST_CITIES]:
        row, col = _nearest(flat, lat, east[number], place[number, 1])
        if 0 < row < lon.shape[0] - 1 and 0 < col < lon.shape[1] - 1:
            rows.append(float(row))
            cols.append(float(col))
            chosen.append(titles[number])
    return np.array(rows), np.array(cols), chosen


def _nearest(lon: Floats, lat: Floats, east: float, north: float) -> tuple[int, int]:
    """Row and column of the pixel nearest to a place: on a coarse grid first, then around it."""
    step = max(1, min(lon.shape) // COARSE)
    row, col = (
        step * index for index in _closest(lon[::step, ::step], lat[::step, ::step], east, north)
    )
    top, left = max(0, row - step), max(0, col - step)
    window = (slice(top, row + step + 1), slice(left, col + step + 1))
    row, col = _closest(lon[window], lat[window], east, north)
    return top + row, left + col


def _closest(lon: Floats, lat: Floats, east: float, north: float) -> tuple[int, int]:
    distance = np.hypot((lon - east) * np.cos(np.radians(north)), lat - north)
    row, col = np.unravel_index(int(distance.argmin()), distance.shape)
    return int(row), int(col)


def key(figure: Figure, *, sea: bool, masked: str, unknown: bool, outside: bool) -> None:
    """Explain greys and hatching below everything else; `masked` names the grey of land, if any."""
    handles = []
    if outside:
        with matplotlib.rc_context({"hatch.color": INK, "hatch.linewidth": 0.5}):
            handles.append(Patch(fc="white", hatch="/////", ec=INK, lw=0.5, label="do not trust"))
    if masked:
        handles.append(Patch(fc=MASKED, label=masked))
    if sea:
        handles.append(Patch(fc=SEA, ec=MASKED, lw=0.5, label="sea"))
    if unknown:
        handles.append(Patch(fc=NOTHING, label="not mapped"))
    if handles:
        columns = 3 if figure.get_size_inches()[0] > NARROW else 2
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=SMALL)


def _ground_km(lon: Floats, lat: Floats) -> float:
    """Distance of two neighbouring places, km, on a locally flat Earth."""
    east = ((lon[1] - lon[0] + 180) % 360 - 180) * np.cos(np.radians(lat.mean()))
    return float(np.hypot(east, lat[1] - lat[0]) * KM_PER_DEGREE)


def _upward(lat: Floats) -> tuple[float, float]:
    """Unit vector to the north on the page, (up, right), from the latitudes [2, 2] of pixels."""
    up, right = float(lat[0, 0] - lat[1, 0]), float(lat[0, 1] - lat[0, 0])
    size = float(np.hypot(up, right)) or 1.0
    return up / size, right / size


def _moved(axes: Axes, points: float) -> ScaledTranslation:
    return ScaledTranslation(0, points / 72, axes.figure.dpi_scale_trans)


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
