"""Grid of a raster: coordinate reference system, transform and shape in one immutable object."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError

LONLAT = CRS.from_epsg(4326)


@dataclass(frozen=True)
class Grid:
    """Pixel grid of a raster on Earth.

    Args:
        crs: coordinate reference system, anything `pyproj.CRS` accepts.
        transform: affine from (column, row) of pixel edges to (x, y), as in rasterio.
        height, width: number of rows and columns, both at least 1.
    """

    crs: CRS
    transform: Affine
    height: int
    width: int

    @classmethod
    def of(cls, dataset) -> "Grid":
        """Grid of an open rasterio dataset.

        Raises:
            ImageryError: the dataset has no coordinate reference system.
        """
        if dataset.crs is None:
            raise ImageryError(
                f"{dataset.name} has no coordinate reference system; set `crs:` (for "
                "example EPSG:4326) in the layer's configuration"
            )
        return cls(CRS.from_user_input(dataset.crs), dataset.transform, *dataset.shape)

    @classmethod
    def from_bounds(
        cls, crs: CRS, bounds: tuple[float, float, float, float], resolution: tuple[float, float]
    ) -> "Grid":
        """North-up grid that covers `bounds` = (left, bottom, right, top) in units of `crs`."""
        left, bottom, right, top = bounds
        # The tolerance keeps 42.0000000001 pixels from becoming 43.
        width = max(1, int(np.ceil((right - left) / resolution[0] - 1e-6)))
        height = max(1, int(np.ceil((top - bottom) / resolution[1] - 1e-6)))
        return cls(crs, from_origin(left, top, *resolution), height, width)

    @property
    def shape(self) -> tuple[int, int]:
        return self.height, self.width

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) of the outer edges, in units of the grid's CRS."""
        corners = [self.transform @ c for c in self._corners]
        xs, ys = zip(*corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def _corners(self) -> list[tuple[int, int]]:
        return [(0, 0), (self.width, 0), (0, self.height), (self.width, self.height)]

    @property
    def region(self) -> tuple[float, float, float, float]:
        """(W, E, S, N) in degrees; W > E where the grid crosses the antimeridian."""
        left, bottom, right, top = transform_bounds(
            self.crs.to_wkt(), LONLAT.to_wkt(), *self.bounds, densify_pts=21
        )
        return left, right, bottom, top

    @cached_property
    def is_lonlat(self) -> bool:
        """Whether x and y are WGS84 degrees, so that no transformation is needed."""
        return self.crs.equals(LONLAT, ignore_axis_order=True)

    @cached_property
    def _to_lonlat(self) -> Transformer:
        return Transformer.from_crs(self.crs, LONLAT, always_xy=True)

    @cached_property
    def _from_lonlat(self) -> Transformer:
        return Transformer.from_crs(LONLAT, self.crs, always_xy=True)

    def lonlat(self, rows: np.ndarray, cols: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude of pixel centres: float64, degrees, longitude in [-180, 180).

        Rows and columns may lie outside the grid; their shapes broadcast.
        """
        rows, cols = np.broadcast_arrays(
            np.asarray(rows, np.float64) + 0.5, np.asarray(cols, np.float64) + 0.5
        )
        a, b, c, d, e, f = self.transform[:6]
        x, y = a * cols + b * rows + c, d * cols + e * rows + f
        if not self.is_lonlat:
            x, y = self._to_lonlat.transform(x, y)
        return np.where((x >= -180) & (x < 180), x, (x + 180) % 360 - 180), y

    def pixel(self, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Row and column (int64) of the pixel at each point, in degrees; may lie outside the grid.

        Points outside the domain of the projection get row = column = -1.
        """
        x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        if self.is_lonlat:
            left = self.bounds[0]
            x = np.where((x >= left) & (x < left + 360), x, (x - left) % 360 + left)
        else:
            x, y = self._from_lonlat.transform(x, y)
        projected = np.isfinite(x) & np.isfinite(y)
        x, y = np.where(projected, x, 0), np.where(projected, y, 0)
        a, b, c, d, e, f = (~self.transform)[:6]
        cols, rows = np.floor(a * x + b * y + c), np.floor(d * x + e * y + f)
        return (
            np.where(projected, rows, -1).astype(np.int64),
            np.where(projected, cols, -1).astype(np.int64),
        )

    def holds(self, rows: np.ndarray, cols: np.ndarray) -> np.ndarray:
        """Test which (row, column) pairs lie inside the grid: bool, same shape."""
        return (rows >= 0) & (rows < self.height) & (cols >= 0) & (cols < self.width)

    def windows(self, size: int) -> Iterator[Window]:
        """Yield square windows of `size` pixels, row by row; windows at the edges are smaller."""
        for row in range(0, self.height, size):
            for col in range(0, self.width, size):
                yield Window(col, row, min(size, self.width - col), min(size, self.height - row))

    def clip(self, region: tuple[float, float, float, float]) -> "Grid":
        """The part of this grid that `region` = (W, E, S, N), degrees, touches, with its pixels.

        Raises:
            ImageryError: the region lies outside the grid.
        """
        west, east, south, north = region
        # 21 points an edge, because a straight edge in degrees may be a curve in the CRS.
        lon = np.concatenate([np.linspace(west, east, 21)] * 2 + [[west] * 21, [east] * 21])
        lat = np.concatenate([[south] * 21, [north] * 21] + [np.linspace(south, north, 21)] * 2)
        x, y = (lon, lat) if self.is_lonlat else self._from_lonlat.transform(lon, lat)
        a, b, c, d, e, f = (~self.transform)[:6]
        cols, rows = a * x + b * y + c, d * x + e * y + f
        tolerance = 1e-6
        first_row = max(0, int(np.floor(rows.min() + tolerance)))
        first_col = max(0, int(np.floor(cols.min() + tolerance)))
        height = min(self.height, int(np.ceil(rows.max() - tolerance))) - first_row
        width = min(self.width, int(np.ceil(cols.max() - tolerance))) - first_col
        if height < 1 or width < 1:
            raise ImageryError(
                f"the region W, E, S, N = {list(region)} lies outside the imagery, which covers "
                f"{[round(v, 3) for v in self.region]}; give a region inside it"
            )
        shift = Affine.translation(first_col, first_row)
        return Grid(self.crs, self.transform @ shift, height, width)
