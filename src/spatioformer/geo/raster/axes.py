"""Axes of a NetCDF variable, where GDAL's affine transform does not place its pixels.

GDAL gives no transform for unequal steps and no CRS for a rotated pole. It takes rows for columns
if longitude is the slower dimension. The coordinate variables tell (CF conventions, 4 and 5.6).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.geo.grid import LONLAT
from spatioformer.geo.raster.checks import open_with

Floats = NDArray[np.float64]

DEGREES = re.compile(r"degrees?_?(north|east|n|e)", re.IGNORECASE)  # CF conventions, 4.1 and 4.2
NORTH = re.compile(r"degrees?_?n(orth)?", re.IGNORECASE)
EAST = re.compile(r"degrees?_?e(ast)?", re.IGNORECASE)
NAME = re.compile(r"[\w./ -]+")
FILE_ORDER = {"GDAL_NETCDF_BOTTOMUP": "NO"}
SPACED = "GDAL_NETCDF_IGNORE_EQUALLY_SPACED_XY_CHECK"
EQUAL = 5e-4  # of a step, the tolerance of GDAL


@dataclass(frozen=True)
class Axes:
    """Where the pixels of a NetCDF variable lie.

    Attributes:
        x: centres of the columns, ascending or descending, as in the file.
        y: centres of the rows, as in the file. `in_file_order` reads values in that order; GDAL
            alone may turn the rows round, of unequal ones also where they lie north up.
        crs: CRS of x and y; None: the file does not say.
        transposed: whether the file's rows are the columns here, for longitude varies slowest.
    """

    x: Floats
    y: Floats
    crs: CRS | None
    transposed: bool = False

    @property
    def is_rotated(self) -> bool:
        """Whether x and y are longitudes and latitudes about another pole."""
        return self.crs is not None and bool(self.crs.is_geographic and self.crs.is_derived)

    @property
    def is_regular(self) -> bool:
        """Whether columns and rows are equally spaced."""
        return is_equal(self.x) and is_equal(self.y)


def is_equal(centres: Floats) -> bool:
    """Whether steps are equal within the tolerance of GDAL."""
    steps = np.diff(centres)
    return bool(np.abs(steps - steps.mean()).max() <= EQUAL * abs(steps.mean()))


def axes_of(dataset: DatasetReader, file: Path) -> Axes | None:
    """Axes of an open NetCDF variable; None if its coordinate variables do not tell them.

    Args:
        file: the NetCDF file.
    """
    if min(dataset.shape) < 2:
        return None
    rotated = _rotated_pole(dataset)
    axes = _one_dimensional(dataset, file, rotated)
    if axes is None and rotated is not None:
        axes = _two_dimensional(dataset, file, rotated) or _named(dataset, file, rotated)
    if axes is None or not (_is_monotonic(axes.x) and _is_monotonic(axes.y)):
        return None
    return axes if _is_on_earth(axes) else None


def _one_dimensional(dataset: DatasetReader, file: Path, rotated: CRS | None) -> Axes | None:
    transform = _stretched_transform(dataset)
    if transform is None:
        return None
    (height, width), tags = dataset.shape, dataset.tags()
    places = (width, transform.c, transform.a), (height, transform.f, transform.e)
    columns: dict[str, Floats] = {}
    rows: dict[str, Floats] = {}
    for name, points in _variables(dataset, file):
        for (count, edge, step), matching in zip(places, (columns, rows), strict=True):
            placed = _as_placed(points, count, edge + step / 2, step)
            if placed is not None:
                matching[name] = placed
    east = {name for name in (*columns, *rows) if _is(tags, name, "longitude", EAST)}
    north = {name for name in (*columns, *rows) if _is(tags, name, "latitude", NORTH)}
    straight = _pair(columns, east, rows, north)
    turned = _pair(rows, east, columns, north)
    # GDAL leaves the rows of a variable with longitude as slower dimension as they are.
    is_turned = straight is None or transform.e > 0 or transform.a < 0
    pair = turned if turned is not None and is_turned else straight
    transposed, degrees = pair is turned and pair is not None, pair is not None
    if pair is None and transform != Affine.identity() and columns and rows:
        pair = next(iter(columns.values())), next(iter(rows.values()))
    if pair is None:
        return None
    crs = None if dataset.crs is None else CRS.from_user_input(dataset.crs)
    return Axes(*pair, rotated or crs or (LONLAT if degrees else None), transposed)


def _pair(
    xs: dict[str, Floats], x_names: set[str], ys: dict[str, Floats], y_names: set[str]
) -> tuple[Floats, Floats] | None:
    """The first of the x that has one of the names, and the first of the y."""
    x = next((xs[name] for name in xs if name in x_names), None)
    y = next((ys[name] for name in ys if name in y_names), None)
    return None if x is None or y is None else (x, y)


def _stretched_transform(dataset: DatasetReader) -> Affine | None:
    """GDAL's transform from the ends of the axes, whatever the steps between them.

    It says which dimension is which axis.
    """
    with rasterio.Env(**{SPACED: "YES"}), open_with(dataset.name, dataset.driver) as stretched:
        transform = stretched.transform
    return transform if (transform.b, transform.d) == (0, 0) else None


def _as_placed(points: Floats, count: int, first: float, step: float) -> Floats | None:
    """An axis in the unit of pixels that begin at `first`; None if its ends are not theirs."""
    if len(points) != count:
        return None
    last = first + step * (count - 1)
    for ordered in (points, points[::-1]):
        for factor in (1.0, 1000.0):  # GDAL converts kilometres
            shift = first - factor * ordered[0]
            turns = 360 * np.round(shift / 360) if factor == 1 else 0.0
            ends = np.array([shift - turns, last - factor * ordered[-1] - turns])
            if np.abs(ends).max() <= 1e-3 * abs(step):
                return factor * points + turns
    return None


def _variables(dataset: DatasetReader, file: Path) -> Iterator[tuple[str, Floats]]:
    """Names and values of the one-dimensional variables that have attributes."""
    tags = dataset.tags()
    own = {dataset.tags(1).get("NETCDF_VARNAME"), "NC_GLOBAL"}
    for name in sorted({key.partition("#")[0] for key in tags if "#" in key} - own):
        points = _read(file, name)
        if points is not None and points.shape[0] == 1:
            degrees = _is(tags, name, "longitude", EAST)
            yield name, np.unwrap(points[0], period=360) if degrees else points[0]


def _read(file: Path, name: str) -> Floats | None:
    """Values (y, x) of a coordinate variable; None if GDAL cannot read it."""
    if not NAME.fullmatch(name):
        return None
    try:
        with (
            rasterio.Env(**FILE_ORDER),
            open_with(f'netcdf:"{file.absolute()}":{name}', "netCDF") as source,
        ):
            if source.count != 1 or max(source.shape) > 10**6 < source.width * source.height:
                return None
            scale, offset = source.scales[0], source.offsets[0]
            return np.asarray(source.read(1), np.float64) * scale + offset
    except RasterioIOError:
        return None


def _is(tags: dict[str, str], name: str, standard: str, units: re.Pattern[str]) -> bool:
    """Whether a variable's attributes say that it is a longitude or a latitude."""
    stated = tags.get(f"{name}#standard_name", "").lower()
    return stated == standard or bool(units.fullmatch(tags.get(f"{name}#units", "")))


def _is_monotonic(centres: Floats) -> bool:
    steps = np.diff(centres)
    finite = bool(np.isfinite(centres).all())
    return finite and bool((steps > 0).all() or (steps < 0).all())


def _is_on_earth(axes: Axes) -> bool:
    """Whether degrees are those of latitudes and of longitudes once round; True of lengths."""
    if axes.crs is None or not axes.crs.is_geographic:
        return True
    return bool(
        np.abs(axes.y).max() <= 90.01 and np.ptp(axes.x) <= 360.01 and np.abs(axes.x).max() <= 720
    )


def _rotated_pole(dataset: DatasetReader) -> CRS | None:
    """CRS of a grid mapping with a rotated pole, of which GDAL makes none."""
    tags = dataset.tags()
    for key, value in tags.items():
        name, _, attribute = key.partition("#")
        if (attribute, value) == ("grid_mapping_name", "rotated_latitude_longitude"):
            stated = {k.partition("#")[2]: v for k, v in tags.items() if k.startswith(f"{name}#")}
            mapping: dict[str, Any] = {k: _number(v) for k, v in stated.items()}
            try:
                return CRS.from_cf(mapping)
            except (CRSError, KeyError, TypeError, ValueError):
                return None
    return None


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _named(dataset: DatasetReader, file: Path, rotated: CRS) -> Axes | None:
    """Axes of a rotated grid by their standard names and numbers, where GDAL gives no transform."""
    tags = dataset.tags()
    named: dict[str | None, Floats] = {}
    for name, points in _variables(dataset, file):
        named.setdefault(tags.get(f"{name}#standard_name"), points)
    x, y = named.get("grid_longitude"), named.get("grid_latitude")
    if x is None or y is None or len(x) == len(y):
        return None
    x = np.unwrap(x, period=360)
    if (len(y), len(x)) == dataset.shape:
        return Axes(x, y, rotated)
    if (len(x), len(y)) == dataset.shape:
        return Axes(x, y, rotated, transposed=True)
    return None


@contextmanager
def in_file_order(dataset: DatasetReader) -> Iterator[DatasetReader]:
    """Open a dataset again, with its rows as in the file."""
    with (
        rasterio.Env(**FILE_ORDER),
        open_with(dataset.name, dataset.driver) as ordered,
    ):
        yield ordered


def _two_dimensional(dataset: DatasetReader, file: Path, rotated: CRS) -> Axes | None:
    """Axes of a rotated grid from its arrays of longitude and latitude."""
    names = [dataset.tags(ns="GEOLOCATION").get(f"{axis}_DATASET", "") for axis in "XY"]
    lon, lat = (_read(file, name.rpartition('":')[2]) for name in names)
    if lon is None or lat is None or lon.shape != dataset.shape or lat.shape != dataset.shape:
        return None
    x, y = Transformer.from_crs(LONLAT, rotated, always_xy=True).transform(lon, lat)
    x = np.unwrap(np.unwrap(x, axis=1, period=360), axis=0, period=360)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        return None
    columns, rows = np.median(x, axis=0), np.median(y, axis=1)
    step = min(np.abs(np.diff(columns)).min(), np.abs(np.diff(rows)).min())
    apart = max(np.abs(x - columns).max(), np.abs(y - rows[:, None]).max())
    return Axes(columns, rows, rotated) if apart <= 0.05 * step else None
