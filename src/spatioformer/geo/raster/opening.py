"""Open a raster file for reading: the one door for rasters that users give.

A raster may come from anyone. GDAL knows about 140 formats, of which some fetch from the network or
read other files, and it chooses by content. Here the file's extension chooses the driver, the
content must agree, and a file may refer to others only inside the permitted folders.
docs/security.md describes what that prevents.
"""

from pathlib import Path

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
from spatioformer.geo.raster.vrt import check_vrt


def open_raster(path: Path | str, trust: Trust = UNTRUSTED) -> DatasetReader:
    """Open a raster file, or a variable given as `netcdf:PATH:VARIABLE`, for reading.

    Raises:
        ImageryError: no regular file, a format that is not listed, content of another format than
            the extension says, a reference to a file elsewhere, or a size above the limit.
        RasterioIOError: the file is missing or damaged.
    """
    subdataset = SUBDATASET.fullmatch(str(path))
    file = Path(subdataset[3] if subdataset else path)
    refuse_address(file)
    driver = check_file(file, trust)
    if driver == "VRT" and not trust.everything:
        check_vrt(file, trust)
    name = subdataset[0] if subdataset else _location(file, driver)
    dataset = open_with(name, "HDF5Image" if subdataset and driver == "HDF5" else driver)
    try:
        _check_opened(dataset, file, trust)
    except ImageryError:
        dataset.close()
        raise
    return dataset


def _location(file: Path, driver: str) -> str:
    """The path for GDAL: absolute, so that a file's name is never taken for a driver's prefix."""
    # GDAL looks for the sources of a linked VRT beside the link's target.
    return str(file.resolve() if driver == "VRT" else file.absolute())


def _check_opened(dataset: DatasetReader, file: Path, trust: Trust) -> None:
    if trust.everything:
        return
    check_references(dataset, file)
    check_size(file, dataset.width, dataset.height, dataset.count)
