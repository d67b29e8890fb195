"""Copy of a map as Zarr (version 3), for tools that read chunks: xarray, Dask, web viewers.

Follows the CF conventions: one array (y, x) a layer, the centres of rows and columns in `y` and
`x`, the coordinate reference system in `spatial_ref`. Reproducible bytes: no timestamps.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.common.errors import OutputError
from spatioformer.common.files import writing_folder

CHUNK = 512
NO_ZARR = "--zarr needs the package zarr, which is not installed; pip install 'spatioformer[zarr]'"


def zarr_of(out: Path) -> Path:
    """Path of the Zarr folder beside a map: NAME.zarr."""
    return out.with_suffix(".zarr")


def check_zarr() -> None:
    """Check that the package zarr is installed.

    Raises:
        OutputError: it is not.
    """
    if find_spec("zarr") is None:
        raise OutputError(NO_ZARR)


def write_zarr(out: Path, files: Mapping[Path, Sequence[str]]) -> Path:
    """Copy a finished map into NAME.zarr, a row of chunks at a time; nothing remains if it fails.

    Chunks without a prediction are not written.

    Args:
        files: the map's GeoTIFFs and the layers in each.

    Raises:
        OutputError: it cannot be written.
    """
    import zarr

    target = zarr_of(out)
    with writing_folder(target) as part:
        group = zarr.open_group(part, mode="w", zarr_format=3)
        for number, (path, names) in enumerate(files.items()):
            with rasterio.open(path) as source:
                if number == 0:
                    _write_place(group, source)
                for band, name in enumerate(names, start=1):
                    _write_layer(group, source, band, name)
    return target


def _write_place(group, source: DatasetReader) -> None:
    a, b, c, d, e, f = source.transform[:6]
    group.attrs.update({"Conventions": "CF-1.11", **source.tags()})
    crs = CRS.from_user_input(source.crs)
    reference = group.create_array("spatial_ref", shape=(), dtype="int64", dimension_names=())
    # GDAL's order of the six numbers, which GDAL-based readers of CF files expect.
    reference.attrs.update(
        crs.to_cf() | {"crs_wkt": crs.to_wkt(), "GeoTransform": f"{c} {a} {b} {f} {d} {e}"}
    )
    if b or d:  # a rotated raster has no 1-D coordinates of rows and columns
        return
    standard = ("longitude", "latitude") if crs.is_geographic else tuple(
        f"projection_{axis}_coordinate" for axis in "xy"
    )  # fmt: skip
    axes = (("x", a, c, source.width, standard[0]), ("y", e, f, source.height, standard[1]))
    for axis, step, start, count, name in axes:
        centres = start + step * (np.arange(count) + 0.5)
        array = group.create_array(axis, data=centres, dimension_names=(axis,))
        unit = {"longitude": "degrees_east", "latitude": "degrees_north"}.get(name)
        array.attrs.update({"standard_name": name} | ({"units": unit} if unit else {}))


def _write_layer(group, source: DatasetReader, band: int, name: str) -> None:
    chunk = min(CHUNK, source.height), min(CHUNK, source.width)
    array = group.create_array(
        name, shape=source.shape, chunks=chunk, dtype=source.dtypes[band - 1],
        fill_value=source.nodata, dimension_names=("y", "x"),
    )  # fmt: skip
    attributes = {"long_name": source.descriptions[band - 1], "grid_mapping": "spatial_ref"}
    if source.units[band - 1]:
        attributes["units"] = source.units[band - 1]
    if not np.isnan(source.nodata):  # readers treat NaN as missing by default
        attributes |= {"_FillValue": int(source.nodata), "scale_factor": source.scales[band - 1]}
    array.attrs.update(attributes | source.tags(band))
    for row in range(0, source.height, CHUNK):
        height = min(CHUNK, source.height - row)
        for col in range(0, source.width, CHUNK):
            width = min(CHUNK, source.width - col)
            window = Window(col, row, width, height)
            array[row : row + height, col : col + width] = source.read(band, window=window)
