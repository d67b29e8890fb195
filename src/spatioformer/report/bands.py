"""Rasters of a run folder as the report draws them: decimated, with the places of their pixels."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from affine import Affine
from rasterio.enums import Resampling
from rasterio.windows import Window

from spatioformer.geo.chips import ChipStore
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.geo.raster.opening import open_raster
from spatioformer.report.frame import Frame

WIDTH = 1200  # largest side of a drawn raster, pixels; larger maps are read decimated
_FINE = 16  # plots are placed to 1/16 of a pixel


@dataclass(frozen=True)
class Band:
    """One band of a raster, decimated or not: values [y, x], NaN for nodata."""

    values: np.ndarray
    grid: Grid

    @property
    def mapped(self) -> np.ndarray:
        return np.isfinite(self.values)

    @property
    def lonlat(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude [y, x] of the pixel centres, degrees."""
        return self.frame.lon, self.frame.lat

    @property
    def pixel_area(self) -> float | None:
        """Mean area of the mapped pixels on the ground, km2; None without them.

        Pixels of degrees and of Mercator's projection have other sizes at other latitudes.
        """
        if not self.mapped.any():
            return None
        return float(self.pixel_areas[self.mapped].mean())

    @property
    def pixel_areas(self) -> np.ndarray:
        """Areas [y, x] of the pixels on the ground, km2."""
        return pixel_areas(self.grid, Window(0, 0, self.grid.width, self.grid.height))

    @property
    def frame(self) -> Frame:
        """The pixels' places, for drawing; bands of one grid share them."""
        return _frame(self.grid)

    def places(self, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of points, to 1/16 pixel; (0, 0) is the centre of the first pixel."""
        grid = self.grid
        transform = grid.transform @ Affine.scale(1 / _FINE)
        finer = Grid(grid.crs, transform, grid.height * _FINE, grid.width * _FINE)
        rows, cols = finer.pixel(lon, lat)
        return (rows + 0.5) / _FINE - 0.5, (cols + 0.5) / _FINE - 0.5


@lru_cache(maxsize=4)
def _frame(grid: Grid) -> Frame:
    rows, cols = np.arange(grid.height), np.arange(grid.width)
    return Frame(*grid.lonlat(rows[:, None], cols[None, :]))


def read_band(path: str | Path, band: int = 1, longest: int = WIDTH) -> Band:
    """Read a band with at most `longest` pixels a side; each is the mean of those it covers."""
    with open_raster(path) as source:
        step = max(1, math.ceil(max(source.shape) / longest))
        height, width = (math.ceil(n / step) for n in source.shape)
        values = source.read(
            band, out_shape=(height, width), resampling=Resampling.average, masked=True
        )
        scale = Affine.scale(source.width / width, source.height / height)
        grid = Grid(Grid.of(source).crs, source.transform @ scale, height, width)
    return Band(values.astype(np.float64).filled(np.nan), grid)


def features(store: ChipStore) -> dict[str, Any]:
    """The bands of plots without imagery, which are their covariates, as imagery.json has bands."""
    values = np.asarray(store.chips, np.float64).reshape(-1, len(store.bands))
    statistics = {}
    for band, column in zip(store.bands, values.T, strict=True):
        lacking = f"{band} is missing"
        missing = values[:, store.bands.index(lacking)].mean() if lacking in store.bands else 0.0
        statistics[band] = {
            "valid_share": 1 - missing,
            **{name: float(getattr(column, name)()) for name in ("min", "mean", "max")},
            "sd": float(column.std()),
        }
    return {"bands": list(store.bands), "statistics": statistics}


def grid_around(plots: pd.DataFrame) -> Grid:
    """A grid in degrees on which plots (columns lon, lat) are drawn where there is no map."""
    lon, lat = plots["lon"].to_numpy(), plots["lat"].to_numpy()
    side = max(np.ptp(lon), np.ptp(lat), 0.001) / 400
    margin = 20 * side
    west, north = lon.min() - margin, lat.max() + margin
    width, height = (int(np.ceil((np.ptp(v) + 2 * margin) / side)) for v in (lon, lat))
    return Grid(LONLAT, Affine(side, 0, west, 0, -side, north), height, width)
