"""Grid of a raster: coordinate reference system, transform and shape in one immutable object."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.transform import from_origin
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.place import check_transform, check_warped, full_turn

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
    def of(cls, dataset, owner: str | None = None) -> "Grid":
        """Grid of an open rasterio dataset.

        Args:
            owner: subject of messages; None: the dataset's name.

        Raises:
            ImageryError: the dataset has no coordinate reference system, corner and pixel size, or
                they are not those of a raster on Earth.
        """
        owner = owner or dataset.name
        check_warped(dataset, owner, dataset.name)
        if not dataset.crs and dataset.transform != Affine.identity():
            raise ImageryError(
                f"{owner} has no coordinate reference system; write one into the file, for example "
                "with gdal_edit.py -a_srs EPSG:4326"
            )
        if not dataset.crs or dataset.transform == Affine.identity():
            raise ImageryError(
                f"{owner} has no georeference (coordinate reference system, corner and pixel "
                "size); write it into the file, for example with gdal_edit.py "
                "-a_srs EPSG:4326 -a_ullr WEST NORTH EAST SOUTH"
            )
        return cls.placed(
            known_crs(
                dataset.crs,
                owner,
                "write the right one into the file, for example with gdal_edit.py -a_srs EPSG:4326",
            ),
            dataset.transform,
            dataset.shape,
            owner,
            "write the right one into the file, for example with gdal_edit.py "
            "-a_srs EPSG:4326 -a_ullr WEST NORTH EAST SOUTH",
        )

    @classmethod
    def placed(
        cls, crs: CRS, transform: Affine, shape: Sequence[int], owner: str, remedy: str
    ) -> "Grid":
        """Grid from its parts, checked to lie on Earth.

        Args:
            shape: (rows, columns).
            owner, remedy: beginning and end of messages.

        Raises:
            ImageryError: the transform is singular or extreme, or no pixel has a longitude and
                latitude.
        """
        check_transform(transform, shape, crs, owner, remedy)
        grid = cls(crs, transform, *shape)
        if not grid._is_on_earth:
            raise ImageryError(
                f"{owner} is in the coordinate reference system {crs.name!r}, in which none of "
                f"its pixels has a finite longitude and latitude; {remedy}"
            )
        return grid

    @property
    def _is_on_earth(self) -> bool:
        """Whether any of 9 x 9 pixels spread over the grid has a finite coordinate."""
        if self.is_lonlat:
            return True
        rows = np.linspace(0, self.height - 1, 9)[:, None]
        cols = np.linspace(0, self.width - 1, 9)[None, :]
        with np.errstate(invalid="ignore"):  # the remainder of an infinite longitude
            lon, lat = self.lonlat(rows, cols)
        return bool((np.isfinite(lon) & np.isfinite(lat)).any())

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
        step = abs(self.transform.a) if self.is_lonlat else 0.01
        if left < -180 - step or right > 180 + step:  # longitudes such as 0 to 360
            if right - left > 360 - step:
                return -180.0, 180.0, bottom, top
            left, right = (left + 180) % 360 - 180, 180 - (180 - right) % 360
        return left, right, bottom, top

    @cached_property
    def turn(self) -> float | None:
        """Columns of a whole turn round the Earth; None if columns are not longitudes."""
        if not self.crs.is_geographic or self.transform.b or self.transform.d:
            return None
        return full_turn(self.crs) / abs(self.transform.a)

    @cached_property
    def is_ring(self) -> bool:
        """Whether the columns go once round the Earth, so that the last is beside the first."""
        turn = self.turn
        return turn is not None and abs(self.width - turn) < 0.01

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
            if self.crs.is_geographic:
                left, turn = self.bounds[0], full_turn(self.crs)
                x = np.where((x >= left) & (x < left + turn), x, (x - left) % turn + left)
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
        east = east + 360 if east < west else east
        # 21 points an edge, because a straight edge in degrees may be a curve in the CRS.
        lon = np.concatenate([np.linspace(west, east, 21)] * 2 + [[west] * 21, [east] * 21])
        lat = np.concatenate([[south] * 21, [north] * 21] + [np.linspace(south, north, 21)] * 2)
        x, y = (lon, lat) if self.is_lonlat else self._from_lonlat.transform(lon, lat)
        if self.crs.is_geographic and not self.is_lonlat:
            turn = full_turn(self.crs)
            x = x + turn * np.round(lon / 360 - x / turn)  # without a jump at 180 degrees
        a, b, c, d, e, f = (~self.transform)[:6]
        cols, rows = a * x + b * y + c, d * x + e * y + f
        tolerance = 1e-6
        first_row = max(0, int(np.floor(rows.min() + tolerance)))
        height = min(self.height, int(np.ceil(rows.max() - tolerance))) - first_row
        first_col, last_col = self._columns(
            int(np.floor(cols.min() + tolerance)), int(np.ceil(cols.max() - tolerance))
        )
        width = last_col - first_col
        if height < 1 or width < 1:
            raise ImageryError(
                f"the region W, E, S, N = {list(region)} lies outside the imagery, which covers "
                f"{[round(v, 3) for v in self.region]}; give a region inside it"
            )
        shift = Affine.translation(first_col, first_row)
        return Grid(self.crs, self.transform @ shift, height, width)

    def _columns(self, first: int, last: int) -> tuple[int, int]:
        """The columns first ... last - 1 that the grid has, also where it counts other turns.

        The columns of a ring may run on over its end.
        """
        turns = [0] if self.turn is None else [round(k * self.turn) for k in (0, 1, -1, 2, -2)]
        if self.is_ring and last - first < self.width:
            for turn in turns:
                if first + turn > -2 and last + turn < self.width + 2:
                    return max(0, first + turn), min(self.width, last + turn)
            first, last = first % self.width, first % self.width + last - first
            return first, last
        parts = [(max(0, first + turn), min(self.width, last + turn)) for turn in turns]
        parts = [part for part in parts if part[0] < part[1]] or parts[:1]
        if self.is_ring and len(parts) > 1 and parts[0] != (0, self.width):
            first = first % self.width  # a whole turn that starts elsewhere
            return first, first + self.width
        return min(part[0] for part in parts), max(part[1] for part in parts)
