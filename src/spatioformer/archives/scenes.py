"""Read one scene on windows of the target grid: values that are clear, NaN elsewhere.

Quality codes are applied on the pixels of the scene, before these are resampled, so that clouds
never flow into the mean of a larger pixel. A value does not depend on the window that is read.
"""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import TypeVar

import numpy as np
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.archives.clear import is_clear
from spatioformer.archives.collections import Band, QualityMask
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.offsets import carries_offset
from spatioformer.archives.placement import Placement, Places, places_of, resample
from spatioformer.archives.remote import prefetch, read_remote
from spatioformer.archives.source import Source
from spatioformer.archives.units import Unit, check_dtype, stated_unit
from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.checks import short
from spatioformer.geo.raster.values import Values, valid_mask

KEPT = 6  # windows on grids of files whose places are kept
Result = TypeVar("Result")


@dataclass
class SceneReader:
    """Reads the items of a source on windows of a grid.

    Args:
        source: what to read, and how.
        grid: the target grid.
    """

    source: Source
    grid: Grid
    _grids: dict[str, Grid] = field(default_factory=dict, repr=False)
    _placements: dict[tuple[int, int], Placement] = field(default_factory=dict, repr=False)
    _places: OrderedDict[tuple, Places | None] = field(default_factory=OrderedDict, repr=False)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def __reduce__(self) -> tuple:
        return SceneReader, (self.source, self.grid)

    def read(self, item: Item, window: Window) -> np.ndarray:
        """Read an item: float32 (band, y, x), NaN where there is no clear value.

        Raises:
            ImageryError: a file is missing, damaged, or not what the collection says.
        """
        bands = self.source.read
        out = np.full((len(bands), window.height, window.width), np.nan, np.float32)
        assets = [self._asset(item, band) for band in bands]
        codes = _Codes(self, item)
        for href in dict.fromkeys(asset.href for asset in assets):
            numbers = [i for i, asset in enumerate(assets) if asset.href == href]
            task = partial(self._read_file, item, window, numbers, assets, codes)
            values = read_file(href, self.source, task)
            if values is not None:
                out[numbers] = values
        return out

    def _read_file(
        self,
        item: Item,
        window: Window,
        numbers: Sequence[int],
        assets: Sequence[Asset],
        codes: "_Codes",
        dataset: DatasetReader,
    ) -> np.ndarray | None:
        """The bands of one file, by their numbers among those to read; None: it lies elsewhere."""
        owner = self.source.owner
        placement = self.placement(self.grid_of(dataset, item, assets[numbers[0]].href), self.grid)
        method = self.source.resampling or placement.default_method
        places = self.places(placement, window, method)
        if places is None:
            return None
        bands = [self.source.read[i] for i in numbers]
        files = [_number(assets[i], band, dataset, owner) for i, band in
                 zip(numbers, bands, strict=True)]  # fmt: skip
        units = [self._unit(item, band, assets[i], dataset, number) for i, band, number in
                 zip(numbers, bands, files, strict=True)]  # fmt: skip
        missing = [(assets[i].nodata, band.nodata) for i, band in zip(numbers, bands, strict=True)]
        raw = Values(dataset, tuple(files))

        def read(part: Window) -> np.ndarray:
            prefetch(dataset, [part], files)
            values, valid = raw.read_raw(part)
            result = np.empty(values.shape, np.float32)
            for i, (band, unit) in enumerate(zip(bands, units, strict=True)):
                clear = valid[i]
                for nodata in missing[i]:  # of the catalogue and of the collection: both hold
                    clear = clear & valid_mask(values[i], nodata)
                clear &= codes.clear(band, placement.own, part)
                result[i] = np.where(clear, values[i] * unit.scale + unit.offset, np.nan)
            return result

        return resample(places, read)

    def grid_of(self, dataset: DatasetReader, item: Item, href: str) -> Grid:
        """Grid of a file of an item; files on one grid share the object."""
        if href not in self._grids:
            grid = file_grid(dataset, item, self.source.owner)
            self._grids[href] = next((g for g in list(self._grids.values()) if g == grid), grid)
        return self._grids[href]

    def placement(self, own: Grid, grid: Grid) -> Placement:
        """Where the pixels of a grid lie on another one, which is that of a file."""
        key = (id(own), id(grid))  # a CRS is slow to hash; the placement keeps both grids alive
        if key not in self._placements:
            self._placements[key] = Placement(own, grid)
        return self._placements[key]

    def places(self, placement: Placement, window: Window, method: str) -> Places | None:
        """Where a window's pixels lie; kept for the next files and dates on the same grid."""
        key = (id(placement), *window.flatten(), method)
        with self._lock:
            if key in self._places:
                self._places.move_to_end(key)
                return self._places[key]
        places = places_of(placement, window, method)
        with self._lock:
            self._places[key] = places
            while len(self._places) > KEPT:
                self._places.popitem(last=False)
        return places

    def _asset(self, item: Item, band: Band) -> Asset:
        if band.name in item.assets:
            return item.assets[band.name]
        raise ImageryError(
            f"{self.source.owner}: item {item.id} has no band {band.name} (its assets: "
            f"{', '.join(sorted(item.assets)) or 'none'}); leave the band out of `bands`, or leave "
            "such items out with `on_error: skip`"
        )

    def _unit(
        self, item: Item, band: Band, asset: Asset, dataset: DatasetReader, number: int
    ) -> Unit:
        """Scale and offset of a band, from the catalogue, the collection and the file.

        Raises:
            ImageryError: they state different numbers.
        """
        dtype = dataset.dtypes[number - 1]
        if self.source.collection.offset_claim is not None:
            check_dtype(self.source.owner, item, band, dtype)
            carried = carries_offset(item, self.source)
            return Unit(band.scale, band.offset if carried else 0.0)
        unit_of_file = Unit(dataset.scales[number - 1], dataset.offsets[number - 1])
        return stated_unit(self.source.owner, item, band, asset, unit_of_file, dtype)


class _Codes:
    """The quality bands of one item; each is read once for each window of the scene."""

    def __init__(self, reader: SceneReader, item: Item):
        self.reader, self.source, self.item = reader, reader.source, item
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

        def nearest(dataset: DatasetReader) -> np.ndarray | None:
            values = Values(dataset, (asset.number,))
            nodata = asset.nodata if asset.nodata is not None else mask.nodata

            def read(part: Window) -> np.ndarray:
                prefetch(dataset, [part], [asset.number])
                raw, valid = values.read_raw(part)
                return np.where(valid & valid_mask(raw, nodata), raw, np.nan)

            theirs = self.reader.grid_of(dataset, item, asset.href)
            placement = self.reader.placement(theirs, own)
            places = self.reader.places(placement, wide, "nearest")
            return None if places is None else resample(places, read)

        codes = read_file(asset.href, source, nearest)
        if codes is None:
            return np.zeros((window.height, window.width), bool)
        inside = np.isfinite(codes[0])
        exact = np.where(inside, codes[0], 0).astype(np.int64)
        clear = is_clear(exact, mask, spoils, buffer) & inside
        return clear[buffer : buffer + window.height, buffer : buffer + window.width]


def read_file(href: str, source: Source, task: Callable[[DatasetReader], Result]) -> Result:
    """Run a task on an open raster of a source.

    Raises:
        ImageryError: the file is missing or damaged.
    """
    try:
        return read_remote(href, source.access, task)
    except RasterioError as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ImageryError(
            f"{source.owner}: {href} cannot be read ({short(reason)}); replace the file, or leave "
            "such items out with `on_error: skip`"
        ) from error


def file_grid(dataset: DatasetReader, item: Item, owner: str) -> Grid:
    """Grid of a scene's file, or the one that the catalogue states for a file without any.

    Raises:
        ImageryError: neither states one.
    """
    where = f"{owner}: {item.id}"
    shape = item.shape
    if not dataset.crs and item.crs and item.transform and shape and shape == dataset.shape:
        remedy = "leave such items out with `on_error: skip`"
        crs = known_crs(item.crs, where, remedy)
        return Grid.placed(crs, Affine(*item.transform[:6]), shape, where, remedy)
    return Grid.of(dataset, where)


def _number(asset: Asset, band: Band, dataset: DatasetReader, owner: str) -> int:
    if asset.number > dataset.count:
        raise ImageryError(
            f"{owner}: band {band.name} is number {asset.number} of {asset.href}, which has "
            f"{dataset.count}; the collection is described wrongly for this catalogue"
        )
    return asset.number
