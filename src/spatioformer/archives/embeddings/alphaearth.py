"""Tiles of AlphaEarth Foundations: files of 64 bands of 8 bits, one for each tile and year.

A number v of a file is the value sign(v) (v / 127.5)^2, and -128 is no data; the 64 values of a
pixel are a vector of length 1 up to rounding. The rows of many files run from south to north. The
index of the files has a row for each, with the columns `path`, `year`, `crs`, `utm_zone`,
`utm_west`, `utm_south`, `utm_east`, `utm_north` and `wgs84_west` to `wgs84_north`.

Source: developers.google.com/earth-engine/guides/aef_on_gcs_readme (values, no data, bands), and
source.coop/tge-labs/aef (order of rows).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioIOError
from rasterio.windows import Window

from spatioformer.archives.items import Item
from spatioformer.archives.remote import Access, prefetch, read_remote
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import unreadable

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Result = TypeVar("Result")

BANDS = 64
NODATA = -128
UTM = ("utm_west", "utm_south", "utm_east", "utm_north")
"""Properties of an item that state the outer edges of its file, m."""


def decode(raw: np.ndarray) -> np.ndarray:
    """Values of 8-bit numbers (y, x, band): float32, NaN in all bands where one has no data."""
    numbers = np.arange(-128, 128)
    values = (np.sign(numbers) * (numbers / 127.5) ** 2).astype(np.float32)
    out = values[raw.astype(np.int16) + 128]
    out[(raw == NODATA).any(axis=2)] = np.nan
    return out


class AlphaEarthTile:
    """One file, as vectors on a grid whose rows run from north to south.

    Args:
        item: its assets all lie in one file. The grid is taken from `transform` and `shape`, or
            from the properties UTM, so that a file is opened only when pixels of it are read.
        resolution: side of a pixel, m.
    """

    def __init__(self, item: Item, access: Access, resolution: float = 10.0):
        hrefs = {asset.href for asset in item.assets.values()}
        if len(hrefs) != 1:
            raise ImageryError(
                f"{access.owner}: the item {item.id} has {len(hrefs)} files, and a tile of "
                "AlphaEarth is one file of 64 bands; correct the catalogue"
            )
        (self.href,) = hrefs
        self.item, self._access = item, access
        self._checked = False
        stated = _stated_grid(item, resolution)
        self.grid: Grid = stated or self._on_file(self._north_up)

    def read(self, window: Window) -> np.ndarray:
        """Vectors of a window inside the tile: float32 (y, x, band), NaN where missing.

        Raises:
            RemoteError: the file cannot be read.
            ImageryError: it is no file of AlphaEarth, or lies elsewhere than the catalogue says.
        """
        return decode(self._on_file(lambda file: self._raw(file, window)))

    def _on_file(self, task: "Callable[[DatasetReader], Result]") -> "Result":
        """The result of a task on the open file."""
        try:
            return read_remote(self.href, self._access, task)
        except RasterioIOError as error:  # a file on this computer
            raise unreadable(self.href, error) from error

    def _raw(self, file: "DatasetReader", window: Window) -> np.ndarray:
        """Numbers of a window, (y, x, band)."""
        if not self._checked:
            self._check(file)
            self._checked = True
        south_up = file.transform.e > 0
        if south_up:  # windows count from the file's first row, which is the southernmost
            row = self.grid.height - window.row_off - window.height
            window = Window(window.col_off, row, window.width, window.height)
        prefetch(file, [window])
        raw = np.moveaxis(file.read(window=window), 0, 2)  # all bands at once
        return raw[::-1] if south_up else raw

    def _check(self, file: "DatasetReader") -> None:
        owner = f"{self._access.owner}: {self.href}"
        if file.count != BANDS or set(file.dtypes) != {"int8"}:
            raise ImageryError(
                f"{owner} has {file.count} bands of {' and '.join(sorted(set(file.dtypes)))}, and "
                f"a file of AlphaEarth has {BANDS} of int8; correct the catalogue"
            )
        if file.nodata not in (None, NODATA):
            raise ImageryError(
                f"{owner} states {file.nodata:g} as no data, and AlphaEarth's files {NODATA}; it "
                "is not read, because its numbers may mean something else"
            )
        names = [f"A{band:02d}" for band in range(BANDS)]
        titles = [title for title in file.descriptions if title]
        if titles and titles != names:
            wrong = next(
                pair for pair in zip(names, file.descriptions, strict=True) if pair[0] != pair[1]
            )
            raise ImageryError(
                f"{owner} has a band {wrong[1] or 'without name'!r} in the place of {wrong[0]!r}; "
                "correct the catalogue"
            )
        grid, stated = self._north_up(file), self.grid
        here = grid.crs == stated.crs and grid.shape == stated.shape
        if not (here and grid.transform.almost_equals(stated.transform, 0.01)):
            raise ImageryError(
                f"{owner} covers {_place(grid)}, and its catalogue says {_place(stated)}; the "
                "catalogue does not belong to the files"
            )

    def _north_up(self, file: "DatasetReader") -> Grid:
        """The grid of a file with its rows from north to south."""
        grid = Grid.of(file, f"{self._access.owner}: {self.href}")
        a, b, c, d, e, f = grid.transform[:6]
        if b or d or a <= 0:
            raise ImageryError(
                f"{self._access.owner}: {self.href} is turned or mirrored, and a file of "
                "AlphaEarth is not; correct the catalogue"
            )
        if e > 0:
            return Grid(grid.crs, Affine(a, 0, c, 0, -e, f + e * grid.height), *grid.shape)
        return grid


def _stated_grid(item: Item, resolution: float) -> Grid | None:
    """The grid that a catalogue states, rows from north to south; None if it does not."""
    if item.crs is None:
        return None
    crs = CRS.from_user_input(item.crs)
    if item.transform is not None and item.shape is not None:
        a, b, c, d, e, f = item.transform[:6]
        if e > 0:
            e, f = -e, f + e * item.shape[0]
        return Grid(crs, Affine(a, b, c, d, e, f), *item.shape)
    if not all(isinstance(item.properties.get(name), int | float) for name in UTM):
        return None
    west, south, east, north = (float(item.properties[name]) for name in UTM)  # type: ignore[arg-type]
    return Grid.from_bounds(crs, (west, south, east, north), (resolution, resolution))


def _place(grid: Grid) -> str:
    left, bottom, right, top = grid.bounds
    return (
        f"{left:.0f} to {right:.0f} E, {bottom:.0f} to {top:.0f} N of {grid.crs.to_string()} in "
        f"{grid.height} x {grid.width} pixels"
    )
