"""Imagery on another grid than its own: resampled tile by tile, as a run's imagery stage would."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import Layer, OpenLayer, open_raster
from spatioformer.mapping.source import Source, open_outline

MOST_PIXELS = 2**20
"""Of the imagery read at once, so that memory does not grow with the ratio of the two grids."""


class RegriddedSource(Source):
    """Imagery as it looks on the grid of another raster, bilinear.

    Where the grid is coarser the kernel widens, so that every pixel of the imagery counts. A pixel
    is wanted where the imagery's mask, taken at its centre, wants one. A value does not depend on
    the window it is read in, and around the grid's edge the halo is real imagery.

    Args:
        template: raster whose grid is taken; its values are not looked at.

    Raises:
        ImageryError: as `Source`; the template cannot be read, or lies apart from the imagery.
    """

    def __init__(self, path, bands, outline, template: str | Path):
        super().__init__(path, bands)
        self._own = self.grid
        self.grid = _grid_of(template)
        # A nodata value of the layer's own: the mask says where a prediction is wanted, not where
        # there is data.
        layer = Layer(
            self.path, "imagery", tuple(self._indexes), scale=1.0, offset=0.0, nodata=np.nan
        )
        self._layer = OpenLayer(layer, self._dataset, self._own)
        self._check_overlap(template)
        self.area = open_outline(outline, self.grid) if outline is not None else None

    @property
    def has_cheap_mask(self) -> bool:
        return False

    def check_size(self, patch: int) -> None:
        """Any grid will do: what the model looks at around it is imagery too."""

    def read(self, window: Window, halo: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `Source.read`, but values beyond the grid's edge are valid where there is imagery."""
        height, width = window.height + 2 * halo, window.width + 2 * halo
        wanted = self._outlined(window, self._wanted(window))
        if not wanted.any():
            nothing = np.zeros((len(self._indexes), height, width), np.float32)
            return nothing, np.zeros((height, width), bool), wanted
        grown = Window(window.col_off - halo, window.row_off - halo, width, height)
        data = np.empty((len(self._indexes), height, width), np.float32)
        for part in self._parts(grown):
            data[:, *_within(part, grown)] = self._layer.read(part, self.grid)
        valid = np.isfinite(data).all(axis=0)
        data = np.where(valid, data, np.float32(0))
        centre = slice(halo, height - halo), slice(halo, width - halo)
        return data, valid, wanted & valid[centre]

    def _wanted(self, window: Window) -> np.ndarray:
        """bool (y, x): the imagery's own mask at the centre of each pixel."""
        wanted = np.zeros((window.height, window.width), bool)
        for part in self._parts(window):
            wanted[_within(part, window)] = self._mask_at(part)
        return wanted

    def _mask_at(self, part: Window) -> np.ndarray:
        row, col = np.mgrid[: part.height, : part.width]
        lonlat = self.grid.lonlat(row + part.row_off, col + part.col_off)
        rows, cols = self._own.pixel(*lonlat)
        found = self._own.holds(rows, cols)
        if not found.any():
            return found
        top, left = rows[found].min(), cols[found].min()
        height, width = rows[found].max() - top + 1, cols[found].max() - left + 1
        mask = self.mask(Window(left, top, width, height))
        found[found] = mask[rows[found] - top, cols[found] - left]
        return found

    def _parts(self, window: Window) -> Iterator[Window]:
        """A window in parts that each take at most MOST_PIXELS of the imagery."""
        found = self._layer.source_window(window, self.grid)
        if found is None or found.width * found.height <= MOST_PIXELS:
            yield window
            return
        col, row, width, height = window.col_off, window.row_off, window.width, window.height
        if max(width, height) == 1:
            raise ImageryError(
                f"one pixel of the grid covers {found.width * found.height:,} pixels of "
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
                f"{[round(v, 3) for v in self._own.region]}; give a grid that overlaps it"
            )


def open_source(path, bands, outline, template: str | Path | None) -> Source:
    """Imagery on its own grid, or on that of `template`."""
    if template is None:
        return Source(path, bands, outline)
    return RegriddedSource(path, bands, outline, template)


def _within(part: Window, whole: Window) -> tuple[slice, slice]:
    row, col = part.row_off - whole.row_off, part.col_off - whole.col_off
    return slice(row, row + part.height), slice(col, col + part.width)


def _grid_of(template: str | Path) -> Grid:
    if not Path(template).exists():
        raise ImageryError(f"{template} does not exist; --grid takes a raster whose grid to use")
    try:
        with open_raster(template) as dataset:
            return Grid.of(dataset)
    except RasterioIOError as error:
        raise ImageryError(
            f"{template} is no raster that can be opened ({error}); --grid takes a raster whose "
            "grid to use"
        ) from error
