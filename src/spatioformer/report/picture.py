"""A figure of the page with its words, its files and its data."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from spatioformer.common import style
from spatioformer.report.bands import Band
from spatioformer.report.results import Results

VIRTUAL = "VIRTUAL FLORA: SIMULATED PLANTS"
HALF, THIRD = 4.4, 3.4  # widths, inches; an inch is 100 CSS pixels times the zoom
ZOOM = 1.2
WIDE, WIDE_ZOOM = 6.6, 1.3  # the large map on a screen and on paper
PHONE = 3.8  # the same map on a narrow screen
CELLS = 40_000  # most pixels of a map in its CSV


@dataclass(frozen=True)
class Picture:
    """A figure in the page and as files: PNG, SVG, and its data.

    Attributes:
        name: of the files in the folder `figures`, without suffix.
        png, svg: the figure.
        width, height: CSS pixels.
        alt: alternative text.
        caption: text below the figure.
        data: the numbers drawn, for a CSV.
        narrow: the figure for narrow screens, if it is another one.
    """

    name: str
    png: bytes
    svg: bytes
    width: int
    height: int
    alt: str
    caption: str
    data: pd.DataFrame
    narrow: "Picture | None" = None

    @property
    def source(self) -> str:
        """The PNG as a data URI."""
        return f"data:image/png;base64,{base64.b64encode(self.png).decode()}"


def picture(
    results: Results,
    name: str,
    figure: Figure,
    alt: str,
    caption: str,
    data: pd.DataFrame | Mapping[str, Any],
    *,
    zoom: float = ZOOM,
    narrow: Figure | None = None,
) -> Picture:
    """The figure with its texts and data; stamped where the plots are virtual."""
    table = pd.DataFrame(dict(data))
    small = picture(results, name, narrow, alt, caption, {}, zoom=1.0) if narrow else None
    if results.virtual:
        style.stamp(figure, VIRTUAL)
    width, height = (round(100 * zoom * inches) for inches in figure.get_size_inches())
    png, svg = style.files(figure, zoom)
    return Picture(name, png, svg, width, height, alt, caption, table, small)


def pixels(band: Band, column: str, **more: np.ndarray) -> pd.DataFrame:
    """Longitude, latitude and value of a raster's pixels, at most `CELLS` of them, evenly spaced.

    Args:
        more: further values [y, x] of the same pixels, by column.
    """
    step = max(1, int(np.ceil((band.values.size / CELLS) ** 0.5)))
    every = (slice(step // 2, None, step),) * 2
    lon, lat = (values[every] for values in band.lonlat)
    values = band.values[every]
    finite = np.isfinite(values)
    columns = {"lon": lon.round(5), "lat": lat.round(5), column: values.round(4)}
    columns |= {name: other[every] for name, other in more.items()}
    return pd.DataFrame({name: array[finite] for name, array in columns.items()})
