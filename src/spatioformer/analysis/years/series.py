"""Series of yearly rasters on one grid, from the command line or a table; read by window."""

import csv
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.analysis.trends import FEWEST_YEARS, MOST_YEARS
from spatioformer.common.errors import ConfigError, ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.checks import short
from spatioformer.geo.raster.layers import unreadable
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.regular import remark_of
from spatioformer.geo.raster.values import Values, band_titles, check_numbers, value_bands

TOLERANCE = 0.01  # largest difference between the grids of two years, pixels


def parse_years(words: Sequence[str]) -> dict[int, Path]:
    """Parse rasters by year, ascending, from `2015=a.tif` words or the path of one CSV.

    The CSV has the columns year and path; relative paths start at the folder of the CSV.

    Raises:
        ConfigError: a word or row is not a year and a raster, a year repeats, or there are fewer
            than FEWEST_YEARS or more than MOST_YEARS.
    """
    if len(words) == 1 and Path(words[0]).suffix.lower() == ".csv":
        return _by_year(_rows(Path(words[0])))
    pairs = []
    for word in words:
        year, equals, path = word.partition("=")
        if not equals or not path:
            raise ConfigError(
                f"{word!r} is not a year and a raster; give words such as 2015=a.tif, or one CSV "
                "with the columns year and path"
            )
        pairs.append((year, Path(path)))
    return _by_year(pairs)


def _rows(table: Path) -> list[tuple[str, Path]]:
    try:
        with open(table, newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not text in UTF-8"
        raise ConfigError(
            f"{table} cannot be read ({reason}); give a CSV with the columns year and path"
        ) from error
    if not rows or not {"year", "path"} <= rows[0].keys():
        raise ConfigError(f"{table} needs the columns year and path, and a row for each year")
    return [(row["year"] or "", table.parent / (row["path"] or "")) for row in rows]


def _by_year(pairs: Sequence[tuple[str, Path]]) -> dict[int, Path]:
    rasters: dict[int, Path] = {}
    for text, path in pairs:
        if not re.fullmatch(r"\s*\d{1,4}\s*", text):
            raise ConfigError(f"{text!r} is not a year for {path}; give one such as 2015")
        if int(text) in rasters:
            raise ConfigError(
                f"the year {int(text)} has two rasters, {rasters[int(text)]} and {path}; give one "
                "raster a year"
            )
        rasters[int(text)] = path
    return ordered(rasters)


def ordered(rasters: Mapping[int, str | Path]) -> dict[int, Path]:
    """Sort rasters by year.

    Raises:
        ConfigError: there are fewer than FEWEST_YEARS or more than MOST_YEARS years.
    """
    if not FEWEST_YEARS <= len(rasters) <= MOST_YEARS:
        raise ConfigError(
            f"a trend needs {FEWEST_YEARS} to {MOST_YEARS} years and there are {len(rasters)}; "
            "give that many rasters, one a year"
        )
    return {year: Path(rasters[year]) for year in sorted(rasters)}


def check_one_grid(grids: Mapping[int, Grid], paths: Mapping[int, Path], remedy: str) -> None:
    """Raise if the pixels of any year do not coincide with those of the first year.

    Args:
        grids: grid of each year.
        paths: raster of each year, for the message.
        remedy: end of the error message.

    Raises:
        ImageryError: grids differ; the message describes the first one that does.
    """
    (first, reference), *others = grids.items()
    for year, other in others:
        if not is_one_grid(reference, other):
            raise ImageryError(
                f"{paths[year]} ({year}) is on another grid than {paths[first]} ({first}): "
                f"{_shown(other)} against {_shown(reference)}; {remedy}"
            )


def is_one_grid(one: Grid, other: Grid) -> bool:
    """Whether the pixels of two grids coincide, to TOLERANCE pixels."""
    if one.shape != other.shape or not one.crs.equals(other.crs, ignore_axis_order=True):
        return False
    corners = [(0, 0), (one.width, 0), (0, one.height)]
    there = [~one.transform @ (other.transform @ corner) for corner in corners]
    return bool(np.abs(np.subtract(there, corners)).max() <= TOLERANCE)


def _shown(grid: Grid) -> str:
    west, east, south, north = (round(edge, 4) for edge in grid.region)
    return (
        f"{grid.height} x {grid.width} pixels in {grid.crs.name!r} over W, E, S, N = "
        f"{[west, east, south, north]}"
    )


class Series:
    """Maps of several years, open for reading by window; a context manager.

    Args:
        maps: path of each year's map: one band, or bands described as `map_raster` does.

    Attributes:
        years: int (year,), ascending.
        layers: ("mean", "lower", "upper") if all maps have these layers, otherwise ("mean",).
        tags: GeoTIFF tags that all maps share.
        remarks: how values of NetCDF files were brought to equal steps, a sentence a file.

    Raises:
        ImageryError: a map cannot be read, has no mean band, or has another grid.
    """

    def __init__(self, maps: Mapping[int, str | Path]):
        self.paths = ordered(maps)
        self.years = np.array(list(self.paths))
        with ExitStack() as stack:
            self._maps = {
                year: stack.enter_context(_opened(path)) for year, path in self.paths.items()
            }
            self._bands = {year: _bands(self._maps[year], self.paths[year]) for year in self.paths}
            grids = {
                year: Grid.of(dataset, str(self.paths[year]))
                for year, dataset in self._maps.items()
            }
            check_one_grid(grids, self.paths, "warp it to that grid first, for example by gdalwarp")
            self._open = stack.pop_all()
        self.remarks = [remark for map_ in self._maps.values() if (remark := remark_of(map_))]
        self.grid = grids[int(self.years[0])]
        common = set.intersection(*(set(bands) for bands in self._bands.values()))
        self.layers = ("mean", "lower", "upper") if {"lower", "upper"} <= common else ("mean",)
        tags = [set(dataset.tags().items()) for dataset in self._maps.values()]
        self.tags: dict[str, str] = dict(set.intersection(*tags))

    def __enter__(self) -> "Series":
        return self

    def __exit__(self, *exception) -> None:
        self._open.close()

    def read(self, window: Window) -> np.ndarray:
        """Read a window: float32 (layer, year, pixel), NaN where a year has no value.

        Raises:
            ImageryError: a map is damaged.
        """
        shape = len(self.layers), len(self.years), int(window.width * window.height)
        out = np.empty(shape, np.float32)
        for index, year in enumerate(self.years.tolist()):
            bands = tuple(self._bands[year][name] for name in self.layers)
            try:
                values = Values(self._maps[year], bands).read(window)
            except RasterioIOError as error:
                raise unreadable(self.paths[year], error) from error
            out[:, index] = values.reshape(len(bands), -1)
        return out


def _opened(path: Path) -> DatasetReader:
    if not path.exists():
        raise ImageryError(f"{path} does not exist; give the path of a map")
    try:
        dataset = open_raster(path)
    except RasterioIOError as error:
        raise ImageryError(
            f"{path} cannot be opened as a raster ({error}); give a GeoTIFF"
        ) from error
    return dataset


def _bands(source: DatasetReader, path: Path) -> dict[str, int]:
    """Band numbers by layer; a single band without a description is the mean."""
    bands = bands_of(source)
    values = value_bands(source)
    if "mean" not in bands and len(values) == 1:
        bands = {"mean": values[0]}
    check_numbers(source, list(bands.values()), str(path))
    if "mean" in bands:
        return bands
    described = short(", ".join(name or "no name" for name in band_titles(source)))
    raise ImageryError(
        f"none of the {source.count} bands of {path} ({described}) is described as the mean; "
        "give a map with one band, or one written by `spatioformer map`"
    )
