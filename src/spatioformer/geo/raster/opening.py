"""Open a raster file for reading: the one door for rasters that users give.

A raster may come from anyone. GDAL knows about 140 formats, of which some fetch from the network or
read other files, and it chooses by content. Here the file's extension chooses the driver, the
content must agree, and a file may refer to others only inside the permitted folders.
docs/security.md describes what that prevents.
"""

from pathlib import Path

from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.checks import (
    SUBDATASET,
    UNTRUSTED,
    Trust,
    check_file,
    check_references,
    check_size,
    open_with,
    refuse_address,
)
from spatioformer.geo.raster.hdf5 import ENDINGS, data_sets, states_axes
from spatioformer.geo.raster.regular import regular
from spatioformer.geo.raster.signatures import EXTENSIONS
from spatioformer.geo.raster.turns import turn
from spatioformer.geo.raster.vrt import check_vrt


def open_raster(
    path: Path | str,
    trust: Trust = UNTRUSTED,
    *,
    nearest: bool = False,
    nodata: float | None = None,
    placed: bool = False,
) -> DatasetReader:
    """Open a raster file, or a variable given as `netcdf:PATH:VARIABLE` or `hdf5:...`, for reading.

    A NetCDF variable on unequal steps or a rotated pole is interpolated to equal steps.

    Args:
        nearest: whether it takes the nearest values instead, as classes need.
        nodata: raw value that means no data in it; None: as the file states.
        placed: whether a variable on equal steps, north up, is returned as it is, even without a
            CRS: windows of a large file are then read alone.

    Raises:
        ImageryError: no regular file, a format that is not listed, content of another format than
            the extension says, a reference to a file elsewhere, or a size above the limit.
        RasterioIOError: the file is missing or damaged.
    """
    dataset, file = _opened(path, trust)
    if dataset.driver != "netCDF":
        return dataset
    with turn(dataset.driver):
        try:
            return regular(dataset, file, nearest, nodata, placed)
        except (ImageryError, RasterioIOError):
            dataset.close()
            raise


def variables_of(path: Path | str, trust: Trust = UNTRUSTED) -> list[str]:
    """Names of the variables of a NetCDF or HDF5 file; an empty list if it has only one.

    Raises:
        ImageryError, RasterioIOError: as `open_raster`.
    """
    container = _opened(path, trust)[0]
    with turn(container.driver), container:
        return data_sets(container)


def is_netcdf(path: Path, trust: Trust = UNTRUSTED) -> bool:
    """Whether a file is read as NetCDF: by its extension, or because it is HDF5 with axes.

    Raises:
        ImageryError, RasterioIOError: as `open_raster`.
    """
    if path.suffix.lower() not in ENDINGS:
        return path.suffix.lower() in EXTENSIONS["netCDF"]
    with _opened(path, trust)[0] as dataset:
        return dataset.driver == "netCDF"


def _opened(path: Path | str, trust: Trust) -> tuple[DatasetReader, Path]:
    """An open raster as it is, and its file."""
    subdataset = SUBDATASET.fullmatch(str(path))
    file = Path(subdataset[3] if subdataset else path)
    refuse_address(file)
    driver = check_file(file, trust)
    if driver == "VRT" and not trust.everything:
        check_vrt(file, trust)
    with turn(driver):
        if driver == "HDF5" and (
            subdataset[1].lower() == "netcdf" if subdataset else states_axes(file)
        ):
            driver = "netCDF"
        name = _location(file, driver)
        if subdataset:  # quoted, for a path may hold colons
            inner = f"//{subdataset[4]}" if driver == "HDF5" else subdataset[4]
            name = f'{subdataset[1]}:"{name}":{inner}'
        dataset = open_with(name, "HDF5Image" if subdataset and driver == "HDF5" else driver)
        try:
            _check_opened(dataset, file, trust)
        except ImageryError:
            dataset.close()
            raise
    return dataset, file


def _location(file: Path, driver: str) -> str:
    """The path for GDAL: absolute, so that a file's name is never taken for a driver's prefix."""
    # GDAL looks for the sources of a linked VRT beside the link's target.
    return str(file.resolve() if driver == "VRT" else file.absolute())


def _check_opened(dataset: DatasetReader, file: Path, trust: Trust) -> None:
    if trust.everything:
        return
    check_references(dataset, file)
    check_size(file, dataset.width, dataset.height, dataset.count)
