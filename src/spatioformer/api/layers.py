"""Rasters as the Python door takes them, as keys of a layer of the configuration."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioIOError
from rioxarray.exceptions import MissingSpatialDimensionError

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.opening import open_raster

Layer: TypeAlias = str | Path | Mapping[str, Any] | xarray.DataArray
"""A raster: a path, a dict with the keys of a configuration's layer, or an array with a CRS."""


def is_stack_file(path: str | Path) -> bool:
    """Whether a file is a stack as `build_stack` writes it: float32, named bands, one mask."""
    try:
        with open_raster(path) as source:
            names = source.descriptions
            masked = all(flags == [MaskFlags.per_dataset] for flags in source.mask_flag_enums)
            named = all(names) and len(set(names)) == len(names)
            return bool(masked and named and set(source.dtypes) == {"float32"})
    except (RasterioIOError, ImageryError, TypeError):
        return False  # another kind of file, or none: `build_imagery` says which


def layer_keys(layer: Layer, place: int, folder: Path) -> dict[str, Any]:
    """A layer as the keys of the configuration.

    Args:
        place: its number among the layers.
        folder: where an array is written.

    Raises:
        ImageryError: it is no layer, or an array without CRS or with too many dimensions.
    """
    if isinstance(layer, xarray.DataArray):
        return _written(layer, place, folder)
    if isinstance(layer, Mapping):
        return named(dict(layer))
    if isinstance(layer, str | Path):
        return named({"path": layer})
    raise ImageryError(
        f"layer {place} is a {type(layer).__name__}; give a path, a dict with a path, or an "
        "xarray.DataArray"
    )


def named(values: dict[str, Any]) -> dict[str, Any]:
    """A layer's keys with its path as text, and a name after its file unless it has one."""
    path = values.get("path")
    if isinstance(path, str | Path):
        values["path"] = str(path)
        values.setdefault("name", plain_name(Path(str(path).removeprefix("pip:")).stem))
    return values


def plain_name(text: str) -> str:
    """Text as the name of a layer: letters, digits, _ and -, a letter first."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", text)
    return name if re.match("[A-Za-z]", name) else f"layer_{name}"


def _written(array: xarray.DataArray, place: int, folder: Path) -> dict[str, Any]:
    """Write an array as a GeoTIFF; returns its keys as a layer."""
    name = plain_name(str(array.name)) if array.name is not None else f"layer_{place}"
    try:
        crs, spatial = array.rio.crs, {array.rio.y_dim, array.rio.x_dim}
    except MissingSpatialDimensionError as error:
        raise ImageryError(
            f"layer {name} has the dimensions {', '.join(map(str, array.dims))}; give an array "
            "([band,] y, x)"
        ) from error
    if crs is None:
        raise ImageryError(
            f"layer {name} has no CRS; give it one with array.rio.write_crs('EPSG:...')"
        )
    others = [dim for dim in array.dims if dim not in spatial]
    if len(others) > 1:
        raise ImageryError(
            f"layer {name} has the dimensions {', '.join(map(str, array.dims))}; reduce all but "
            "one of them besides y and x, for example with array.mean('time')"
        )
    values: dict[str, Any] = {"path": str(folder / f"{place}.tif"), "name": name}
    if others:
        array = array.transpose(*others, array.rio.y_dim, array.rio.x_dim)
        labels = array[others[0]].to_numpy() if others[0] in array.coords else np.empty(0)
        if labels.dtype.kind in "UOT" and all(isinstance(label, str) for label in labels):
            values["band_names"] = tuple(str(label) for label in labels)
    # A coordinate of texts is no attribute that a GeoTIFF can hold.
    array.drop_vars(others, errors="ignore").rio.to_raster(values["path"])
    return values
