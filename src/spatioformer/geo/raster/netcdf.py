"""What a NetCDF file states in its attributes: variables, axes, missing values, flags."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import LONLAT
from spatioformer.geo.place import check_transform

_DEGREES = re.compile(r"degrees?_?(north|east|n|e)", re.IGNORECASE)  # CF conventions, 4.1 and 4.2
_LENGTH = re.compile(r"(k?m|(kilo)?met(er|re)s?)", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")


def address(path: Path, variable: str | None) -> str:
    """Name of a variable for GDAL's tools; quoted, because a path may hold colons and spaces."""
    if variable is None:
        return str(path)
    quoted = f'"{path}"' if '"' not in str(path) else str(path)
    return f"netcdf:{quoted}:{variable}"


def chosen_variable(variables: Sequence[str], wanted: str | None, owner: str) -> str:
    """The variable that a layer names, which must be one of the file's.

    Args:
        owner: subject of the message, such as "layer rain: rain.nc".

    Raises:
        ImageryError: it is not; the message lists the variables.
    """
    if wanted is not None and wanted in variables:
        return wanted
    layer, _, path = owner.partition(": ")
    choice = variables[0] if len(variables) == 1 else f"one of {', '.join(variables)}"
    raise ImageryError(f"{layer}: variable {wanted!r} is not in {path}; set `variable` to {choice}")


def only_variable(source: DatasetReader, wanted: str | None, owner: str) -> str | None:
    """Name of the variable that is open; it must be the one that a layer names.

    Raises:
        ImageryError: the layer names another one.
    """
    name = source.tags(1).get("NETCDF_VARNAME") if source.count else None
    if name is not None and wanted is not None and _last(wanted) != _last(name):
        return chosen_variable([name], wanted, owner)
    return name


def _last(variable: str) -> str:
    """A variable's name without its groups."""
    return variable.rpartition("/")[2]


def place(
    source: DatasetReader, variable: str | None, crs: str | None, owner: str
) -> tuple[CRS, Affine]:
    """CRS and transform of an open variable.

    Args:
        crs: CRS of the configuration, which replaces that of the file.

    Raises:
        ImageryError: the file tells no axes, or they have no known CRS.
    """
    transform = source.transform
    if transform == Affine.identity():
        raise ImageryError(
            f"{owner} has no axes of longitudes and latitudes (units degrees_east and "
            "degrees_north) or projected coordinates, so its pixels have no place; write such "
            "axes into the file, or write it as a GeoTIFF with a place"
        )
    if crs or source.crs:
        return known_crs(crs or source.crs, owner.partition(":")[0]), transform
    axes = {
        key.partition("#")[0]: value
        for key, value in source.tags().items()
        if key.endswith("#units") and key.partition("#")[0] != variable
    }
    if not any(_DEGREES.fullmatch(unit) for unit in axes.values()):
        try:
            check_transform(transform, source.shape, LONLAT, owner, "")
            lengths = any(_LENGTH.fullmatch(unit) for unit in axes.values())
        except ImageryError:
            lengths = True
        if lengths:
            raise ImageryError(
                f"{owner} has the coordinates of a projection but no coordinate reference system; "
                "set `crs: EPSG:...` in the layer's configuration"
            )
    return LONLAT, transform


def stated_missing(source: DatasetReader) -> tuple[tuple[float, ...], tuple[float, float]]:
    """Raw values that mean no data, and the smallest and largest valid raw value, of a variable.

    GDAL itself uses one of `_FillValue` and `missing_value`. Other formats state neither here.
    """
    if source.driver not in ("netCDF", "HDF5Image") or not source.count:
        return (), (-np.inf, np.inf)
    tags, prefix = source.tags(1), ""
    if source.driver == "netCDF":
        tags, prefix = source.tags(), f"{tags.get('NETCDF_VARNAME')}#"

    def numbers(attribute: str) -> list[float]:
        return [float(text) for text in _NUMBER.findall(tags.get(prefix + attribute, ""))]

    missing = tuple(numbers("missing_value") + numbers("_FillValue"))
    low, high = (
        numbers("valid_range")
        if len(numbers("valid_range")) == 2
        else (
            (numbers("valid_min") or [-np.inf])[0],
            (numbers("valid_max") or [np.inf])[0],
        )
    )
    return missing, (low, high)


def check_flags(
    source: DatasetReader, variable: str | None, categorical: bool | None, owner: str
) -> None:
    """Raise if a variable states that its values are classes, and the layer says nothing.

    Raises:
        ImageryError: it has the attribute `flag_values` or `flag_masks`.
    """
    flags = [f for f in ("flag_values", "flag_masks") if f"{variable}#{f}" in source.tags()]
    if flags and categorical is None:
        raise ImageryError(
            f"{owner} has the attribute {flags[0]}, so its values look like classes; set "
            "`categorical: true` for one 0/1 band a class, or `categorical: false` for numbers"
        )


def reduced(data: np.ndarray, reduce: str, min_share: float | None) -> np.ndarray:
    """Combine the bands of (band, y, x) into one: float64 (1, y, x), NaN where too few have data.

    Args:
        reduce: mean, sum, min or max.
        min_share: smallest share of the bands with data, 0 to 1, never fewer than one band; None: 1
            for a sum, which would be too small, and one band for the others.
    """
    data = data.astype(np.float64)
    present = np.isfinite(data)
    count = present.sum(axis=0, keepdims=True)
    if reduce in ("min", "max"):
        ufunc = np.fmin if reduce == "min" else np.fmax
        out = ufunc.reduce(data, axis=0, keepdims=True)
    else:
        out = np.where(present, data, 0).sum(axis=0, keepdims=True)
        if reduce == "mean":
            out = out / np.maximum(count, 1)
    share = (1.0 if reduce == "sum" else 0.0) if min_share is None else min_share
    enough = (count >= share * len(data) - 1e-9) & (count > 0)
    return np.where(enough, out, np.nan)


def westward(data: np.ndarray, transform: Affine) -> tuple[np.ndarray, Affine]:
    """Move columns east of 180 degrees to the west, so that longitudes run from -180 to 180.

    Columns are moved only if the result is one block: all of them, or part of a whole turn.
    """
    centres = transform.c + transform.a * (np.arange(data.shape[2]) + 0.5)
    moved = int((centres >= 180).sum())
    if moved in (0, len(centres)):
        return data, transform @ Affine.translation(-360 / transform.a if moved else 0, 0)
    if abs(len(centres) * transform.a - 360) > 0.5 * transform.a:
        return data, transform  # over the antimeridian: the columns stay beside each other
    first = len(centres) - moved
    rolled = np.concatenate([data[:, :, first:], data[:, :, :first]], axis=2)
    west = centres[first] - 360 - transform.a / 2
    return rolled, Affine(transform.a, 0, west, 0, transform.e, transform.f)
