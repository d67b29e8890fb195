"""One file or tile of a collection as values on its own grid."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.archives.collections import Band
from spatioformer.archives.conversions import conversion
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.predictors.months import MONTHS, month_lengths
from spatioformer.archives.predictors.whole import read_variable, whole_file
from spatioformer.archives.remote import prefetch
from spatioformer.archives.scenes import read_file
from spatioformer.archives.source import Source
from spatioformer.archives.units import Unit, stated_unit
from spatioformer.common.errors import ImageryError
from spatioformer.config.messages import escaped
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.netcdf import place
from spatioformer.geo.raster.values import Values, valid_mask

DIGITS = 12  # of the size of a pixel that count, so that tiles of one lattice meet exactly

REDUCERS: Mapping[str, Callable[..., np.ndarray]] = {
    "mean": np.mean,
    "sum": np.sum,
    "min": np.min,
    "max": np.max,
}


class ItemTile:
    """The bands of an item; a `Tile` of `embeddings.mosaic`.

    Args:
        item: the item.
        bands: those to read, in order; NaN where the item lacks one.
        source: how its files are read.
        turns: whole turns round the Earth by which its longitudes are moved.
    """

    def __init__(self, item: Item, bands: Sequence[Band], source: Source, turns: int = 0):
        self.item, self.bands, self.source, self.turns = item, tuple(bands), source, turns

    @cached_property
    def grid(self) -> Grid:
        """The grid of its pixels; a file is opened unless the catalogue states it.

        Raises:
            ImageryError: a file cannot be read, or states no place.
        """
        item = self.item
        if item.crs is not None and item.transform is not None and item.shape is not None:
            grid = Grid(CRS.from_user_input(item.crs), Affine(*item.transform[:6]), *item.shape)
        else:
            grid = self._run(next(iter(item.assets.values())), self._grid_of)
        a, b, c, d, e, f = grid.transform[:6]
        if b or d:
            raise ImageryError(f"{self.source.owner}: {item.id} has a turned grid; it is not read")
        a, e = _rounded(a), _rounded(e)
        return replace(grid, transform=Affine(a, 0.0, c + 360 * self.turns, 0.0, e, f))

    def turned(self, turns: int) -> "ItemTile":
        """The same tile, some whole turns further east."""
        other = ItemTile(self.item, self.bands, self.source, turns)
        grid = self.grid
        shift = Affine.translation(360 * (turns - self.turns), 0)
        other.__dict__["grid"] = replace(grid, transform=shift @ grid.transform)
        return other

    def read(self, window: Window) -> np.ndarray:
        """Values of a window inside the tile: float32 (y, x, band), NaN where missing.

        Raises:
            ImageryError: a file cannot be read, or is not what the collection says.
        """
        out = np.full((window.height, window.width, len(self.bands)), np.nan, np.float32)
        held = [
            (number, self.item.assets[band.name])
            for number, band in enumerate(self.bands)
            if band.name in self.item.assets
        ]
        for href, member in dict.fromkeys((asset.href, asset.member) for _, asset in held):
            of_file = [
                (number, asset)
                for number, asset in held
                if (asset.href, asset.member) == (href, member)
            ]

            def read(
                dataset: DatasetReader, of_file: Sequence[tuple[int, Asset]] = of_file
            ) -> list[np.ndarray]:
                self._check_shape(dataset)
                return self._values(dataset, window, of_file)

            for (number, _), values in zip(of_file, self._run(of_file[0][1], read), strict=True):
                out[..., number] = values
        return out

    def _values(
        self, dataset: DatasetReader, window: Window, held: Sequence[tuple[int, Asset]]
    ) -> list[np.ndarray]:
        """Values (y, x) of some bands of one file."""
        numbers = {
            i: tuple(dataset.indexes) if self.bands[i].reduce else (asset.number,)
            for i, asset in held
        }
        files = tuple(dict.fromkeys(n for several in numbers.values() for n in several))
        if max(files) > dataset.count:
            raise ImageryError(
                f"{self.source.owner}: {self.item.id} needs band {max(files)} of a file that has "
                f"{dataset.count}; the collection is described wrongly"
            )
        days = self._days(dataset)
        prefetch(dataset, [window], files)
        raw, valid = Values(dataset, files).read_raw(window)
        reduced = []
        for i, asset in held:
            band = self.bands[i]
            places = [files.index(number) for number in numbers[i]]
            unit = self._unit(dataset, band, asset, numbers[i][0])
            data = raw[places]
            present = valid[places] & valid_mask(data, band.nodata)
            if band.code is not None:
                values = (data == band.code).astype(np.float64)
            else:
                values = data.astype(np.float64) * unit.scale + unit.offset
            values = np.where(present, values, np.nan)
            if days is not None and band.reduce == "daily_sum":
                reduced.append(np.sum(values * days[:, None, None], axis=0))
            else:
                reduced.append(REDUCERS[band.reduce](values, axis=0) if band.reduce else values[0])
        return reduced

    def _days(self, dataset: DatasetReader) -> np.ndarray | None:
        """Days of each month of a file of twelve months; None: the collection has no such files."""
        files, item = self.source.collection.files, self.item
        if files is None or not files.months:
            self._check_whole_year(dataset)
            return None
        return month_lengths(dataset, item.start.year, f"{self.source.owner}: {item.id}")

    def _check_whole_year(self, dataset: DatasetReader) -> None:
        """Raise if bands are reduced to a value of a year of which months are missing."""
        reduced = self.source.collection.kind == "annual" and any(b.reduce for b in self.bands)
        if reduced and dataset.count < MONTHS:
            raise ImageryError(
                f"{self.source.owner}: a file of {self.item.id} holds {dataset.count} steps of "
                f"time, fewer than the {MONTHS} months of {self.item.start.year}; the year is not "
                "complete, so leave it out of `years`"
            )

    def _unit(self, dataset: DatasetReader, band: Band, asset: Asset, number: int) -> Unit:
        """Scale and offset from the raw numbers of a file to the unit of a band."""
        unit_of_file = Unit(dataset.scales[number - 1], dataset.offsets[number - 1])
        dtype = dataset.dtypes[number - 1]
        unit = stated_unit(self.source.owner, self.item, band, asset, unit_of_file, dtype)
        if band.file_unit is None:
            return unit
        stated = dataset.tags(number).get("units", "").strip()
        if stated != band.file_unit:
            raise ImageryError(
                f"{self.source.owner}: {asset.member or band.name} of {self.item.id} has the unit "
                f"{escaped(stated, 40)!r}, and {band.file_unit!r} was expected; take the file as "
                "the archive gives it"
            )
        factor, summand = conversion(band.file_unit, band.unit)
        return Unit(unit.scale * factor, unit.offset * factor + summand)

    def _grid_of(self, dataset: DatasetReader) -> Grid:
        where = f"{self.source.owner}: {self.item.id}"
        if dataset.driver != "netCDF":
            return Grid.of(dataset, where)
        crs, transform = place(dataset, None, None, where)
        return Grid.placed(crs, transform, dataset.shape, where, "leave the source out")

    def _check_shape(self, dataset: DatasetReader) -> None:
        """Raise if a file has another number of pixels than the one that gave the place."""
        if dataset.shape != self.grid.shape:
            raise ImageryError(
                f"{self.source.owner}: a file of {self.item.id} has {dataset.height} x "
                f"{dataset.width} pixels, and {self.grid.height} x {self.grid.width} were "
                "expected; read its bands as sources of their own"
            )

    def _run(self, asset: Asset, task: Any) -> Any:
        href = whole_file(asset, self.source.access)
        if href.startswith("netcdf:"):
            return read_variable(href, self.source.owner, task)
        return read_file(href, self.source, task)


def _rounded(size: float) -> float:
    """The size of a pixel without the noise of its last digits."""
    return float(f"{size:.{DIGITS}g}")
