"""Imagery as the mapping engine reads it: by tile, where it lies on Earth, what a tile costs."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rasterio.features import geometry_mask
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import unreadable
from spatioformer.geo.raster.stack import Stack

PROBES = 8  # windows a side when a raster is sampled
PROBE_SIDE = 64


class Source(Stack):
    """A `Stack` that knows how its file is laid out and where its mask is cheap to read.

    Args:
        outline: polygons outside of which no prediction is wanted.

    Attributes:
        area: the outline's geometry in the raster's CRS, or None.
    """

    def __init__(
        self,
        path: str | Path,
        bands: Sequence[str] | None = None,
        outline: str | Path | None = None,
    ):
        super().__init__(path, bands)
        self.area = open_outline(outline, self.grid) if outline is not None else None

    def read(self, window: Window, halo: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Stack.read`; pixels whose centre is outside the outline are not wanted."""
        data, valid, wanted = super().read(window, halo)
        return data, valid, self._outlined(window, wanted)

    def _outlined(self, window: Window, wanted: np.ndarray) -> np.ndarray:
        """`wanted` (y, x) less the pixels whose centre is outside the outline."""
        if self.area is None or not wanted.any():
            return wanted
        place = window_transform(window, self.grid.transform)
        return wanted & geometry_mask([self.area], wanted.shape, place, invert=True)

    @property
    def value_bytes(self) -> int:
        """Bytes a pixel of all bands takes in the file's own type."""
        return sum(np.dtype(self._dataset.dtypes[i - 1]).itemsize for i in self._indexes)

    @property
    def block(self) -> tuple[int, int]:
        """(rows, columns) of the file's blocks: a strip has the raster's whole width."""
        return self._dataset.block_shapes[0]

    @property
    def has_cheap_mask(self) -> bool:
        """Whether the file has a mask of its own, which says where land is without the bands."""
        flags = self._dataset.mask_flag_enums
        return all(flags[i - 1] == [MaskFlags.per_dataset] for i in self._indexes)

    def mask(self, window: Window) -> np.ndarray:
        """bool (y, x): where the file's own mask wants a prediction."""
        try:
            return self._dataset.dataset_mask(window=window) > 0
        except RasterioIOError as error:
            raise unreadable(self.path, error) from error

    def probe(self) -> tuple[np.ndarray, float]:
        """Pixels from 64 small windows spread evenly over the raster.

        Returns:
            values: float32 (n, band) of the wanted pixels.
            share: wanted pixels of all in those windows.
        """
        values, seen = [], 0
        for row in _spread(self.grid.height):
            for col in _spread(self.grid.width):
                height = min(PROBE_SIDE, self.grid.height - row)
                width = min(PROBE_SIDE, self.grid.width - col)
                data, _, wanted = self.read(Window(col, row, width, height))
                values.append(data[:, wanted].T)
                seen += wanted.size
        pixels = np.concatenate(values)
        return pixels, len(pixels) / seen

    def check_size(self, patch: int) -> None:
        """Refuse a raster smaller than what the model looks at for one pixel.

        Raises:
            ImageryError: it has fewer than `patch` rows or columns.
        """
        if min(self.grid.shape) < patch:
            raise ImageryError(
                f"{self.path} has {self.grid.height} x {self.grid.width} pixels and the model "
                f"looks at {patch} x {patch} for one; give a larger raster"
            )

    def check_place(self) -> None:
        """Refuse a raster whose coordinates cannot be turned into longitude and latitude.

        Raises:
            ImageryError: no pixel of a lattice over the raster has a place on Earth.
        """
        rows = np.linspace(0, self.grid.height - 1, 9)[:, None]
        cols = np.linspace(0, self.grid.width - 1, 9)[None, :]
        try:
            with np.errstate(invalid="ignore"):  # the remainder of an infinite longitude
                lon, lat = self.grid.lonlat(rows, cols)
        except Exception as error:  # pyproj raises several unrelated kinds
            raise self._placeless(str(error).splitlines()[0]) from error
        if not (np.isfinite(lon) & np.isfinite(lat)).any():
            raise self._placeless("no pixel gets a finite coordinate")

    def _placeless(self, reason: str) -> ImageryError:
        return ImageryError(
            f"{self.path} is in the coordinate reference system {self.grid.crs.name!r}, which "
            f"cannot be turned into longitude and latitude ({reason}); warp it to another, for "
            "example with gdalwarp -t_srs EPSG:4326"
        )


def _spread(length: int) -> list[int]:
    """Starts of at most PROBES windows along a side, first and last included, none twice."""
    last = max(0, length - PROBE_SIDE)
    return sorted(set(np.linspace(0, last, PROBES).astype(int).tolist()))


def open_outline(path: str | Path, grid: Grid):
    """The union of a vector file's polygons, in the grid's CRS.

    Raises:
        ImageryError: the file cannot be read, or none of it lies on the raster.
    """
    import geopandas
    from shapely.geometry import box

    try:
        frame = geopandas.read_file(path)
    except Exception as error:  # pyogrio raises several unrelated kinds
        reason = str(error).splitlines()[0]
        raise ImageryError(
            f"the outline {path} cannot be read ({reason}); give polygons as GeoPackage or GeoJSON"
        ) from error
    if frame.crs is None or frame.empty:
        raise ImageryError(
            f"the outline {path} has no {'polygon' if frame.empty else 'coordinate reference'}"
            f"{'' if frame.empty else ' system'}; give polygons that say where they lie"
        )
    outline = frame.to_crs(grid.crs).union_all()
    if not outline.intersects(box(*grid.bounds)):
        raise ImageryError(
            f"the outline {path} lies outside the imagery, which covers W, E, S, N = "
            f"{[round(v, 3) for v in grid.region]}; give one that overlaps it"
        )
    return outline
