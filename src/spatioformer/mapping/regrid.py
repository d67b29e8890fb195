"""Imagery resampled to another grid, tile by tile, in the same way as a run's imagery stage
does."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import Layer, OpenLayer
from spatioformer.geo.raster.opening import open_raster
from spatioformer.mapping.source import Source, open_outline

MOST_PIXELS = 2**20
"""Largest number of pixels of the imagery read at once, so that memory does not depend on the ratio
of the two pixel sizes."""


class RegriddedSource(Source):
    """Imagery resampled bilinearly to the grid of another raster.

    If the new grid is coarser, the kernel widens, so that every pixel of the imagery contributes. A
    pixel is wanted if the imagery's mask is valid at its centre. Values do not depend on the window
    in which they are read. Beyond the edge of the grid, the margin holds imagery too.

    Args:
        template: raster whose grid is used; its values are not read.

    Raises:
        ImageryError: as `Source`; the template cannot be read, or does not overlap the imagery.
    """

    def __init__(self, path, bands, outline, template: str | Path):
        super().__init__(path, bands)
        self._imagery_grid = self.grid
        self.grid = _grid_of(template)
        # The layer's nodata is NaN: the mask only says where predictions are wanted, and data
        # outside the mask is still needed in the chips.
        layer = Layer(
            self.path, "imagery", tuple(self._indexes), scale=1.0, offset=0.0, nodata=np.nan
        )
        self._layer = OpenLayer(layer, self._dataset, self._imagery_grid)
        self._check_overlap(template)
        self.area = open_outline(outline, self.grid) if outline is not None else None

    @property
    def has_cheap_mask(self) -> bool:
        return False

    def check_size(self, patch: int) -> None:
        """Accept any grid: the margin around it is imagery too."""

    def read(self, window: Window, halo: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read as `Source.read`; values beyond the grid's edge are valid where there is imagery."""
        height, width = window.height + 2 * halo, window.width + 2 * halo
        wanted = self._outlined(window, self._wanted(window))
        if not wanted.any():
            nothing = np.zeros((len(self._indexes), height, width), np.float32)
            return nothing, np.zeros((height, width), bool), wanted
        grown = Window(window.col_off - halo, window.row_off - halo, width, height)
        data = np.empty((len(self._indexes), height, width), np.float32)
        for part in self._parts(grown):
            data[:, *_slices(part, grown)] = self._layer.read(part, self.grid)
        valid = np.all(np.isfinite(data), axis=0)
        data = np.where(valid, data, np.float32(0))
        centre = slice(halo, height - halo), slice(halo, width - halo)
        return data, valid, wanted & valid[centre]

    def _wanted(self, window: Window) -> np.ndarray:
        """bool (y, x): the imagery's mask at the centre of each pixel."""
        wanted = np.zeros((window.height, window.width), bool)
        for part in self._parts(window):
            wanted[_slices(part, window)] = self._mask_at(part)
        return wanted

    def _mask_at(self, part: Window) -> np.ndarray:
        row, col = np.mgrid[: part.height, : part.width]
        lonlat = self.grid.lonlat(row + part.row_off, col + part.col_off)
        rows, cols = self._imagery_grid.pixel(*lonlat)
        inside = self._imagery_grid.holds(rows, cols)
        if not inside.any():
            return inside
        top, left = rows[inside].min(), cols[inside].min()
        height, width = rows[inside].max() - top + 1, cols[inside].max() - left + 1
        mask = self.mask(Window(left, top, width, height))
        inside[inside] = mask[rows[inside] - top, cols[inside] - left]
        return inside

    def _parts(self, window: Window) -> Iterator[Window]:
        """Split a window into parts that each need at most MOST_PIXELS of the imagery."""
        needed = self._layer.source_window(window, self.grid)
        if needed is None or needed.width * needed.height <= MOST_PIXELS:
            yield window
            return
        col, row, width, height = window.col_off, window.row_off, window.width, window.height
        if max(width, height) == 1:
            raise ImageryError(
                f"one pixel of the grid covers {needed.width * needed.height:,} pixels of "
                f"{self.path}; give a finer grid, or the imagery's overviews as a raster"
            )
        if width >= height:
            half = width // 2
            yield from self._parts(Window(col, row, half, height))
            yield from self._parts(Window(col + half, row, width - half, height))
        else:
            half = height // 2
            yield from self._parts(Window(col, row, width, half))
            yield from self._parts(Window(col, row + half, width, height - half))

    def _check_overlap(self, template: str | Path) -> None:
        whole = Window(0, 0, self.grid.width, self.grid.height)
        if self._layer.source_window(whole, self.grid) is None:
            raise ImageryError(
                f"the grid of {template} lies outside {self.path}, which covers W, E, S, N = "
                f"{[round(v, 3) for v in self._imagery_grid.region]}; give a grid that overlaps it"
            )


def open_source(path, bands, outline, template: str | Path | None) -> Source:
    """Open imagery on its own grid, or on that of `template`."""
    if template is None:
        return Source(path, bands, outline)
    return RegriddedSource(path, bands, outline, template)


def _slices(part: Window, whole: Window) -> tuple[slice, slice]:
    row, col = part.row_off - whole.row_off, part.col_off - whole.col_off
    return slice(row, row + part.height), slice(col, col + part.width)


def _grid_of(template: str | Path) -> Grid:
    if not Path(template).exists():
        raise ImageryError(f"{template} does not exist; give --grid a raster whose grid to use")
    try:
        with open_raster(template) as dataset:
            return Grid.of(dataset)
    except RasterioIOError as error:
        raise ImageryError(
            f"{template} cannot be opened as a raster ({error}); give --grid a raster whose grid "
            "to use"
        ) from error
