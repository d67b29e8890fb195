"""Imagery as the mapping engine reads it: by tile, with its place on Earth and its cost in
memory."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from rasterio.enums import MaskFlags
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.burning import burned
from spatioformer.geo.raster.stack import Stack

PROBES = 8  # windows a side when a raster is sampled
PROBE_SIDE = 64


class Source(Stack):
    """A `Stack` with the file's block layout, its mask and an outline.

    Args:
        path: raster of the imagery.
        bands: names of the bands to read; None: all.
        outline: vector file; pixels outside its polygons are not predicted.

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
        """Read as `Stack.read`; pixels whose centre is outside the outline are not wanted."""
        data, valid, wanted = super().read(window, halo)
        return data, valid, self._outlined(window, wanted)

    def _outlined(self, window: Window, wanted: np.ndarray) -> np.ndarray:
        """`wanted` (y, x) less the pixels whose centre is outside the outline."""
        if self.area is None or not wanted.any():
            return wanted
        place = window_transform(window, self.grid.transform)
        return wanted & burned([self.area], wanted.shape, place)

    @property
    def value_bytes(self) -> int:
        """Bytes of a pixel of all bands in the file's data type."""
        return sum(np.dtype(self._dataset.dtypes[i - 1]).itemsize for i in self._indexes)

    @property
    def block(self) -> tuple[int, int]:
        """(rows, columns) of the file's blocks; a strip has the width of the raster."""
        return self._dataset.block_shapes[0]

    @property
    def has_cheap_mask(self) -> bool:
        """Whether the file has a mask band, so that land is known without reading the bands."""
        flags = self._dataset.mask_flag_enums
        return all(flags[i - 1] == [MaskFlags.per_dataset] for i in self._indexes)

    def probe(self) -> tuple[np.ndarray, float]:
        """Sample pixels from 64 small windows spread evenly over the raster.

        Returns:
            values: float32 (n, band) of the wanted pixels.
            share: share of wanted pixels among all pixels of those windows.
        """
        values, pixels_read = [], 0
        for row in _spread(self.grid.height):
            for col in _spread(self.grid.width):
                height = min(PROBE_SIDE, self.grid.height - row)
                width = min(PROBE_SIDE, self.grid.width - col)
                data, _, wanted = self.read(Window(col, row, width, height))
                values.append(data[:, wanted].T)
                pixels_read += wanted.size
        pixels = np.concatenate(values)
        return pixels, len(pixels) / pixels_read

    def check_size(self, patch: int) -> None:
        """Raise if the raster is smaller than a chip.

        Raises:
            ImageryError: it has fewer than `patch` rows or columns.
        """
        if min(self.grid.shape) < patch:
            raise ImageryError(
                f"{self.path} has {self.grid.height} x {self.grid.width} pixels and the model "
                f"needs {patch} x {patch} around a pixel; give a larger raster"
            )


def _spread(length: int) -> list[int]:
    """Starts of at most PROBES windows along a side: both ends included, without duplicates."""
    last = max(0, length - PROBE_SIDE)
    return sorted(set(np.linspace(0, last, PROBES).astype(int).tolist()))


def open_outline(path: str | Path, grid: Grid):
    """Read the union of a vector file's polygons, in the grid's CRS.

    Raises:
        ImageryError: the file cannot be read, is empty, has no CRS, or lies outside the raster.
    """
    from shapely.geometry import box

    from spatioformer.geo.vector.opening import read_vector

    frame = read_vector(path, error=ImageryError)
    if getattr(frame, "crs", None) is None or frame.empty:
        raise ImageryError(
            f"the outline {path} has no {'polygon' if frame.empty else 'coordinate reference'}"
            f"{'' if frame.empty else ' system'}; give polygons with a coordinate reference system"
        )
    outline = frame.to_crs(grid.crs).union_all()
    if not outline.intersects(box(*grid.bounds)):
        raise ImageryError(
            f"the outline {path} lies outside the imagery, which covers W, E, S, N = "
            f"{[round(v, 3) for v in grid.region]}; give one that overlaps it"
        )
    return outline
