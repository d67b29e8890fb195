"""The outline of a configuration: a file, or the countries of the plots."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from spatioformer.geo.outline import (
    Outline,
    Region,
    auto_outline,
    pixel_km,
    read_outline,
    require_plots,
)

Places = Callable[[], NDArray[np.float64]]
"""Gives lon and lat (n, 2) of the plots, degrees."""


def region_of(section: ImagerySection) -> Region | None:
    """The region of a section: as given, or the extent of its file; None: that of the first layer.

    Raises:
        PlotError: the file cannot be used.
    """
    if section.region is None and section.region_file is not None:
        return read_outline(section.region_file).region
    return section.region


def outline_on(section: ImagerySection, grid: Grid, places: Places) -> Outline | None:
    """The outline of a section on a grid, with notes on it; None if it sets none.

    Raises:
        PlotError: its file cannot be used, or holds no plot.
    """
    if not section.has_outline:
        return None
    lon, lat = places().T
    if section.outline_file is not None:
        outline = read_outline(section.outline_file)
        note = require_plots(outline, lon, lat)
        return Outline(outline.area, outline.title, outline.facts, (note,) if note else ())
    return auto_outline(lon, lat, pixel_km(grid))


def places_in(plots: Path) -> Places:
    """The places of the plots that a run has read; `plots` is its plots.parquet."""

    def read() -> NDArray[np.float64]:
        from spatioformer.geo.plots.table import read_table

        return read_table(plots)[["lon", "lat"]].to_numpy(np.float64)

    return read
