"""The outline of a configuration: a file, or the countries of the plots."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from numpy.typing import NDArray

from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from spatioformer.geo.land.countries import countries_of
from spatioformer.geo.outline import (
    Outline,
    Region,
    auto_outline,
    pixel_km,
    read_outline,
    require_plots,
)

SAMPLE = 250_000
"""Pixels of a map of which the countries are found."""

NOTEWORTHY = 0.01  # share of the map in countries without plots that is worth a note
NAMED = 5  # countries that the note names

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


def elsewhere(mapped: Path, places: Places) -> tuple[str, dict[str, Any]]:
    """A note for a map of land in countries without a plot, and its facts; empty if there is none.

    Args:
        mapped: map.tif.
        places: of the plots.
    """
    with rasterio.open(mapped) as source:
        grid = Grid.of(source)
        step = max(1, int(np.sqrt(grid.height * grid.width / SAMPLE)))
        shape = (-(-grid.height // step), -(-grid.width // step))
        finite = np.isfinite(source.read(1, out_shape=shape))
    rows, cols = (np.arange(n) * step + (step - 1) / 2 for n in shape)
    lon, lat = grid.lonlat(rows[:, None], cols[None])
    of_pixels = countries_of(lon[finite], lat[finite])
    known = set(countries_of(*places().T))  # np.isin compares objects with each name in turn
    strange = ~np.isin(of_pixels, ["", *sorted(known)])
    if not known - {""} or strange.sum() <= NOTEWORTHY * len(of_pixels):
        return "", {}
    names, counts = np.unique(of_pixels[strange].astype(str), return_counts=True)
    names, share = names[np.argsort(-counts)].tolist(), float(strange.mean())
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    note = (
        f"{share:.0%} of the map lies in countries without a plot ({', '.join(names[:NAMED])}"
        f"{more}); `imagery.outline: auto` leaves them out, `imagery.outline: none` maps them "
        "without this note"
    )
    return note, {"share": share, "countries": names}


def places_in(plots: Path) -> Places:
    """The places of the plots that a run has read; `plots` is its plots.parquet."""

    def read() -> NDArray[np.float64]:
        # Not by the reader of plot tables: imagery would be out of date whenever that changes.
        return pd.read_parquet(plots, columns=["lon", "lat"]).to_numpy(np.float64)

    return read
