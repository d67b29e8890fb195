"""The frame of a map: where the pixels of a raster lie, and what of land and cities is on it."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spatioformer.common.drawing import Layouts
from spatioformer.report import furniture, ground

Array = NDArray[np.float64]

LINES = 65  # most points of a line of equal degrees


@dataclass(frozen=True)
class Frame:
    """Where the pixels of a raster lie: lon, lat [y, x] of their centres, degrees, north first."""

    lon: Array
    lat: Array

    @cached_property
    def land(self) -> NDArray[np.bool_] | None:
        """Whether each pixel is land; None where the map is too small for the coast we have."""
        return ground.land(self.lon, self.lat)

    @cached_property
    def cities(self) -> tuple[Array, Array, list[str]]:
        """Rows, columns (pixels) and names of the cities on the map."""
        return furniture.cities(self.lon, self.lat)

    @cached_property
    def layouts(self) -> Layouts:
        """Layouts of the maps drawn so far."""
        return {}

    @cached_property
    def coarse(self) -> tuple[Array, Array, Array, Array]:
        """Rows (r,) and columns (c,) of at most LINES each, and lon, lat (r, c) there, unwrapped.

        Lines of equal degrees are smooth, so they need no more points.
        """
        rows, cols = (
            np.unique(np.linspace(0, n - 1, LINES).round().astype(int)) for n in self.lon.shape
        )
        some = np.ix_(rows, cols)
        lon = np.unwrap(np.unwrap(self.lon[some], axis=1, period=360), axis=0, period=360)
        return rows.astype(float), cols.astype(float), lon, self.lat[some]

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
