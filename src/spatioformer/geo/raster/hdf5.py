"""HDF5 files: those with axes after the CF conventions are read as NetCDF, others as plain arrays.

GDAL's driver for HDF5 places the grids of HDF-EOS5 only. Other products (GPM, many climate data)
state axes as NetCDF files do, with latitudes from the south or longitude as the slower dimension.
"""

from collections.abc import Mapping
from pathlib import Path

from affine import Affine
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.geo.raster.axes import DEGREES
from spatioformer.geo.raster.checks import open_with

ENDINGS = (".h5", ".hdf5", ".he5")
MOST_SETS = 100  # data sets whose axes are looked at
STANDARD_NAMES = {
    *("latitude", "longitude", "grid_latitude", "grid_longitude"),
    *("projection_x_coordinate", "projection_y_coordinate"),
}


def states_axes(file: Path) -> bool:
    """Whether an HDF5 file states axes after the CF conventions, and no place as HDF-EOS5 does."""
    with open_with(str(file.absolute()), "HDF5") as plain:
        if plain.transform != Affine.identity() or plain.gcps[0]:
            return False
        if any("HDFEOS" in name for name in plain.subdatasets):
            return False
    try:
        with open_with(str(file.absolute()), "netCDF") as container:
            names = data_sets(container)[:MOST_SETS]
            if not names:
                return _are_stated(container.tags())
        for name in names:
            with open_with(f'netcdf:"{file.absolute()}":{name}', "netCDF") as dataset:
                if _are_stated(dataset.tags()):
                    return True
    except RasterioIOError:
        pass
    return False


def _are_stated(tags: Mapping[str, str]) -> bool:
    for key, value in tags.items():
        attribute = key.rpartition("#")[2]
        if attribute == "grid_mapping_name":
            return True
        if attribute == "units" and DEGREES.fullmatch(value):
            return True
        if attribute == "standard_name" and value.lower() in STANDARD_NAMES:
            return True
    return False


def data_sets(container: DatasetReader) -> list[str]:
    """Names of the data sets, or variables, of an open file; empty if it has only one."""
    return [name.rpartition(":")[2].removeprefix("//") for name in container.subdatasets]
