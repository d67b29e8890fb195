"""Read one scene on windows of the target grid: values that are clear, NaN elsewhere.

Quality codes are applied on the pixels of the scene, before these are resampled, so that clouds
never flow into the mean of a larger pixel. A value does not depend on the window that is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from affine import Affine
from rasterio.io import DatasetReader
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from spatioformer.archives.clear import is_clear
from spatioformer.archives.collections import Band, QualityMask
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.offsets import carries_offset
from spatioformer.archives.remote import open_remote
from spatioformer.archives.source import Source
from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import Grid
from spatioformer.geo.place import full_turn
from spatioformer.geo.raster.resampling import Resampler
from spatioformer.geo.raster.values import Values, valid_mask

COARSER = 1.5  # source pixels a pixel of the grid from which the default is their average


class Cover(NamedTuple):
    """The part of the target grid's lattice that covers a scene.

    Attributes:
        grid: that part as a grid of its own; kernels depend on it alone, not on any window.
        row, col: its first row and column on the target grid; they may be negative.
    """

    grid: Grid
    row: int
    col: int


class Unit(NamedTuple):
    """value = raw * scale + offset."""

    scale: float
    offset: float


@dataclass
class SceneReader:
    """Reads the items of a source on windows of a grid.

    Args:
        source: what to read, and how.
        grid: the target grid.
    """

    source: Source
    grid: Grid
    _covers: dict[tuple, Cover | None] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict:
        return {"source": self.source, "grid": self.grid, "_covers": {}}

    def read(self, item: Item, window: Window) -> np.ndarray:
        """Read an item: float32 (band, y, x), NaN where there is no clear value.

        Raises:
            ImageryError: a file is missing, damaged, or not what the collection says.
        """
        bands = self.source.read
        out = np.full((len(bands), window.height, window.width), np.nan, np.float32)
        assets = [self._asset(item, band) for band in bands]
        codes = _Codes(self.source, item)
        for href in dict.fromkeys(asset.href for asset in assets):
            places = [i for i, asset in enumerate(assets) if asset.href == href]
            with open_remote(href, self.source.access) as dataset:
                self._read_file(item, dataset, window, places, assets, codes, out)
        return out

    def _read_file(
        self,
        item: Item,
        dataset: DatasetReader,
        window: Window,
        places: Sequence[int],
        assets: Sequence[Asset],
        codes: "_Codes",
        out: np.ndarray,
    ) -> None:
        """Fill the bands at `places` from their file."""
        own = file_grid(dataset, item, self.source.owner)
        cover = self._cover(own)
        part = None if cover is None else _overlap(cover, window)
        if cover is None or part is None:
            return
        rows, cols, inner = part
        bands = [self.source.read[i] for i in places]
        numbers = [_number(assets[i], band, dataset, self.source.owner) for i, band in
                   zip(places, bands, strict=True)]  # fmt: skip
        units = [self._unit(item, band, assets[i], dataset, number) for i, band, number in
                 zip(places, bands, numbers, strict=True)]  # fmt: skip
        raw, missing = Values(dataset, tuple(numbers)), [_nodata(assets[i], self.source.read[i]) for i in places]

        def read(source_window: Window) -> np.ndarray:
            values, valid = raw.read_raw(source_window)
            result = np.empty(values.shape, np.float32)
            for i, (band, unit) in enumerate(zip(bands, units, strict=True)):
                clear = valid[i] & valid_mask(values[i], missing[i])
                clear &= codes.clear(band, own, source_window)
                result[i] = np.where(clear, values[i] * unit.scale + unit.offset, np.nan)
            return result

        resampler = Resampler(own, len(numbers))
        method = self.source.resampling or _default_method(own, cover.grid)
        out[np.ix_(places, rows, cols)] = resampler.resample(inner, cover.grid, method, read)

    def _asset(self, item: Item, band: Band) -> Asset:
        if band.name in item.assets:
            return item.assets[band.name]
        raise ImageryError(
            f"{self.source.owner}: item {item.id} has no band {band.name} (its assets: "
            f"{', '.join(sorted(item.assets)) or 'none'}); leave the band out of `bands`, or leave "
            "such items out with `on_error: skip`"
        )

    def _cover(self, own: Grid) -> Cover | None:
        key = (own.crs.to_wkt(), *own.transform[:6], *own.shape)
        if key not in self._covers:
            self._covers[key] = cover_of(own, self.grid)
        return self._covers[key]

    def _unit(
        self, item: Item, band: Band, asset: Asset, dataset: DatasetReader, number: int
    ) -> Unit:
        """Scale and offset of a band, from the catalogue, the collection and the file.

        Raises:
            ImageryError: they state different numbers.
        """
        if self.source.collection.offset_claim is not None:
            carried = carries_offset(item, self.source)
            return Unit(band.scale, band.offset if carried else 0.0)
        own = Unit(dataset.scales[number - 1], dataset.offsets[number - 1])
        stated = {"the collection": Unit(band.scale, band.offset)}
        if asset.scale is not None or asset.offset is not None:
            stated["the catalogue"] = Unit(asset.scale or 1.0, asset.offset or 0.0)
        if own != (1.0, 0.0):
            stated["the file"] = own
        stated = {who: unit for who, unit in stated.items() if unit != (1.0, 0.0)}
        first = next(iter(stated.items()), None)
        for who, unit in stated.items():
            if first is not None and not np.allclose(unit, first[1], rtol=1e-4, atol=1e-9):
                raise ImageryError(
                    f"{self.source.owner}: of band {band.name} in {item.id}, {first[0]} states "
                    f"scale {first[1].scale:g} and offset {first[1].offset:g}, and {who} states "
                    f"{unit.scale:g} and {unit.offset:g}; give the right ones in a row of your own "
                    "in `imagery.collections`"
                )
        return first[1] if first is not None else Unit(1.0, 0.0)


class _Codes:
    """The quality bands of one item; each is read once for each window of the scene."""

    def __init__(self, source: Source, item: Item):
        self.source, self.item = source, item
        self._known: dict[tuple, np.ndarray] = {}

    def clear(self, band: Band, own: Grid, window: Window) -> np.ndarray:
        """Whether each pixel of a window of the scene's grid is clear for a band: bool (y, x)."""
        clear = np.ones((window.height, window.width), bool)
        for mask in self.source.masks_of(self.item, band):
            clear &= self._of(mask, band, own, window)
        return clear

    def _of(self, mask: QualityMask, band: Band, own: Grid, window: Window) -> np.ndarray:
        # Saturation has a bit for each band, so it is known by band.
        spoils = self.source.spoils(mask)
        if band.name in mask.classes and mask.bands:
            spoils = (band.name,)
        key = (mask.name, spoils, own.transform[:6], window.flatten())
        if key not in self._known:
            self._known[key] = self._read(mask, spoils, own, window)
        return self._known[key]

    def _read(
        self, mask: QualityMask, spoils: tuple[str, ...], own: Grid, window: Window
    ) -> np.ndarray:
        source, item = self.source, self.item
        if mask.name not in item.assets:
            raise ImageryError(
                f"{source.owner}: item {item.id} has no quality band {mask.name}, so clouds cannot "
                "be left out; leave such items out with `on_error: skip`"
            )
        asset, buffer = item.assets[mask.name], source.section.buffer
        wide = Window(
            window.col_off - buffer,
            window.row_off - buffer,
            window.width + 2 * buffer,
            window.height + 2 * buffer,
        )
        with open_remote(asset.href, source.access) as dataset:
            values = Values(dataset, (asset.number,))
            nodata = asset.nodata if asset.nodata is not None else mask.nodata

            def read(part: Window) -> np.ndarray:
                raw, valid = values.read_raw(part)
                return np.where(valid & valid_mask(raw, nodata), raw, np.nan)

            theirs = file_grid(dataset, item, source.owner)
            codes = Resampler(theirs, 1).resample(wide, own, "nearest", read)[0]
        inside = np.isfinite(codes)
        exact = np.where(inside, codes, 0).astype(np.int64)
        clear = is_clear(exact, mask, spoils, buffer) & inside
        return clear[buffer : buffer + window.height, buffer : buffer + window.width]


def file_grid(dataset: DatasetReader, item: Item, owner: str) -> Grid:
    """Grid of a scene's file, or the one that the catalogue states for a file without any.

    Raises:
        ImageryError: neither states one.
    """
    where = f"{owner}: {item.id}"
    if not dataset.crs and item.crs and item.transform and item.shape == dataset.shape:
        remedy = "leave such items out with `on_error: skip`"
        crs = known_crs(item.crs, where, remedy)
        return Grid.placed(crs, Affine(*item.transform[:6]), item.shape, where, remedy)
    return Grid.of(dataset, where)


def cover_of(own: Grid, grid: Grid) -> Cover | None:
    """The part of `grid`'s lattice, beyond its edges too, that covers `own`; None: no place in it.

    On a grid in degrees it lies where most of it overlaps the grid.
    """
    left, bottom, right, top = transform_bounds(
        own.crs.to_wkt(), grid.crs.to_wkt(), *own.bounds, densify_pts=21
    )
    if not np.isfinite([left, bottom, right, top]).all():
        return None
    if left > right and grid.crs.is_geographic:
        right += full_turn(grid.crs)
    inverse = ~grid.transform
    corners = [inverse @ (x, y) for x in (left, right) for y in (bottom, top)]
    cols, rows = zip(*corners, strict=True)
    row, col = int(np.floor(min(rows) + 1e-6)), int(np.floor(min(cols) + 1e-6))
    height = max(1, int(np.ceil(max(rows) - 1e-6)) - row)
    width = max(1, int(np.ceil(max(cols) - 1e-6)) - col)
    if grid.turn is not None:
        turns = [round(k * grid.turn) for k in (0, 1, -1, 2, -2)]
        col += max(turns, key=lambda t: min(col + t + width, grid.width) - max(col + t, 0))
    transform = grid.transform @ Affine.translation(col, row)
    return Cover(Grid(grid.crs, transform, height, width), row, col)


def _overlap(cover: Cover, window: Window) -> tuple[range, range, Window] | None:
    """Rows and columns of a window that lie in a cover, and that part as a window of the cover."""
    top = max(window.row_off, cover.row)
    left = max(window.col_off, cover.col)
    bottom = min(window.row_off + window.height, cover.row + cover.grid.height)
    right = min(window.col_off + window.width, cover.col + cover.grid.width)
    if top >= bottom or left >= right:
        return None
    inner = Window(left - cover.col, top - cover.row, right - left, bottom - top)
    rows = range(top - window.row_off, bottom - window.row_off)
    return rows, range(left - window.col_off, right - window.col_off), inner


def _default_method(own: Grid, cover: Grid) -> str:
    """Average where pixels of the grid are clearly larger than the scene's, otherwise bilinear."""
    return "average" if max(own.height / cover.height, own.width / cover.width) > COARSER else (
        "bilinear"
    )  # fmt: skip


def _number(asset: Asset, band: Band, dataset: DatasetReader, owner: str) -> int:
    number = asset.number if asset.number != 1 else band.number
    if number > dataset.count:
        raise ImageryError(
            f"{owner}: band {band.name} is number {number} of {asset.href}, which has "
            f"{dataset.count}; the collection is described wrongly for this catalogue"
        )
    return number


def _nodata(asset: Asset, band: Band) -> float | None:
    return asset.nodata if asset.nodata is not None else band.nodata
