"""A coarse grid of places over the map, at which the page shows what the model knows of place.

Shapes: n cells with a prediction, F features.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import Resampling

from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.opening import open_raster
from spatioformer.models.inside import LocationFeatures
from spatioformer.viewer.explorer.packing import packed

LONGEST = 100
"""Cells along the longer side of the grid."""

READ = 1000
"""Largest number of pixels of the map that are read along its longer side."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Places:
    """Cells of a grid in longitude and latitude, north up.

    Attributes:
        bounds: west, south, east, north, degrees; east is above 180 where the map crosses it.
        values: float32 (y, x), the map's prediction at the middle of the cell; NaN without one.
    """

    bounds: tuple[float, float, float, float]
    values: NDArray[np.float32]

    @property
    def mapped(self) -> NDArray[np.bool_]:
        """Whether there is a prediction in a cell, (y, x)."""
        return np.isfinite(self.values)

    @property
    def lonlat(self) -> tuple[Floats, Floats]:
        """Longitude and latitude (n,) of the middles of the mapped cells, degrees."""
        lon, lat = _middles(self.bounds, self.mapped.shape)
        rows, cols = np.nonzero(self.mapped)
        return lon[cols], lat[rows]

    def to_json(self) -> dict[str, Any]:
        """bounds; rows; cols; `cells`, numbers of the n mapped cells; values (n,)."""
        rows, cols = self.values.shape
        return {
            "bounds": list(self.bounds),
            "rows": rows,
            "cols": cols,
            "cells": np.flatnonzero(self.mapped).tolist(),
            "values": packed(self.values[self.mapped]),
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
    return Places(bounds, values)


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
    """Features of the mapped cells: names, and `values` packed, (F, n)."""
    values = features.at(*places.lonlat)
    return {"names": features.features, "values": packed(values.T)}
