"""A coarse grid of places, at which the page shows what the model knows of place.

It lies over the map, or over the land around the plots where a run has no map.

Shapes: n cells that are shown, F features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from spatioformer.common.earth import arc_of
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.opening import open_raster
from spatioformer.models.inside import LocationFeatures
from spatioformer.report.ground import land
from spatioformer.viewer.explorer.packing import packed

LONGEST = 100
"""Cells along the longer side of the grid."""

READ = 1000
"""Largest number of pixels of the map that are read along its longer side."""

MARGIN = 0.05
"""Margin around plots, as a share of their extent."""

LEAST = 0.2
"""Extent of plots that lie in one place, degrees."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Cells of a grid in longitude and latitude, north up.

    Attributes:
        bounds: west, south, east, north, degrees; east is above 180 where the map crosses it.
        shown: bool (y, x), the cells with a prediction, or with land.
        values: float32 (y, x), the map's prediction at the middle of the cell; None without a map.
    """

    bounds: tuple[float, float, float, float]
    shown: NDArray[np.bool_]
    values: NDArray[np.float32] | None

    @property
    def lonlat(self) -> tuple[Floats, Floats]:
        """Longitude and latitude (n,) of the middles of the cells that are shown, degrees."""
        lon, lat = _middles(self.bounds, self.shown.shape)
        rows, cols = np.nonzero(self.shown)
        return lon[cols], lat[rows]

    def to_json(self) -> dict[str, Any]:
        """bounds; rows; cols; `cells`, numbers of the n cells that are shown; values (n,)."""
        rows, cols = self.shown.shape
        return {
            "bounds": list(self.bounds),
            "rows": rows,
            "cols": cols,
            "cells": np.flatnonzero(self.shown).tolist(),
            "values": None if self.values is None else packed(self.values[self.shown]),
        }


def places_of(map_: Path) -> Places:
    """Places of a map.

    Raises:
        ImageryError: the raster lies nowhere on Earth.
    """
    with open_raster(map_) as source:
        grid = Grid.of(source)
        step = max(1.0, max(source.shape) / READ)
        shape = tuple(max(1, round(n / step)) for n in source.shape)
        mean = source.read(1, out_shape=shape, resampling=Resampling.nearest, masked=True)
    read = mean.astype(np.float32).filled(np.nan)
    west, east, south, north = grid.region
    east += 360 if east <= west else 0
    bounds = west, south, east, north
    lon, lat = _middles(bounds, _shape(bounds))
    rows, cols = grid.pixel(*np.meshgrid(lon, lat))
    inside = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    down, across = (rows * shape[0]) // grid.height, (cols * shape[1]) // grid.width
    values = np.full(rows.shape, np.nan, np.float32)
    values[inside] = read[down[inside], across[inside]]
    return Places(bounds, np.isfinite(values), values)


def places_around(coordinates: Floats) -> Places:
    """Places on the land around plots, for a run without a map.

    Args:
        coordinates: (plots, 2), lon and lat, degrees.
    """
    lon, lat = coordinates.T
    west, east = arc_of(lon)
    east += 360 if east < west else 0
    south, north = float(lat.min()), float(lat.max())
    margin = MARGIN * max(east - west, north - south, LEAST)
    bounds = (
        *(west - margin, max(south - margin, -90.0), east + margin, min(north + margin, 90.0)),
    )
    grid = np.meshgrid(*_middles(bounds, _shape(bounds)))
    shown = land(*grid)
    if shown is None or not shown.any():
        shown = np.ones(grid[0].shape, bool)
    return Places(bounds, shown, None)


def _shape(bounds: tuple[float, float, float, float]) -> tuple[int, int]:
    """Rows and columns of cells that are about square on the ground in the middle of the map."""
    west, south, east, north = bounds
    width = (east - west) * max(np.cos(np.radians((south + north) / 2)), 0.1)
    height = north - south
    cell = max(width, height) / LONGEST
    return max(1, round(height / cell)), max(1, round(width / cell))


def _middles(
    bounds: tuple[float, float, float, float], shape: tuple[int, ...]
) -> tuple[Floats, Floats]:
    """Longitudes (x,) and latitudes (y,) of the middles of cells, north first."""
    west, south, east, north = bounds
    rows, cols = shape
    lon = west + (np.arange(cols) + 0.5) * (east - west) / cols
    return lon, north - (np.arange(rows) + 0.5) * (north - south) / rows


def packed_features(features: LocationFeatures, places: Places) -> dict[str, Any]:
    """Features of the cells that are shown: names, and `values` packed, (F, n)."""
    values = features.at(*places.lonlat)
    return {"names": features.features, "values": packed(values.T)}
