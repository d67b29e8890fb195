"""Open one data set of an HDF5 file that states no axes."""

from pathlib import Path

from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster import netcdf
from spatioformer.geo.raster.checks import Trust
from spatioformer.geo.raster.opening import open_raster, variables_of


def open_data_set(path: Path, variable: str | None, trust: Trust, layer: str) -> DatasetReader:
    """Open the data set `variable` of an HDF5 file, with its groups (`g/t`), or its only one.

    Args:
        layer: name of the layer, for the messages.

    Raises:
        ImageryError: there is no such data set, no choice among several, or none of numbers.
        RasterioIOError: the file is damaged.
    """
    wanted = variable and variable.lstrip("/")
    if listed := variables_of(path, trust):
        wanted = netcdf.chosen_variable(listed, wanted, f"layer {layer}: {path}")
    try:
        dataset = open_raster(path if wanted is None else f"hdf5:{path}:{wanted}", trust)
    except RasterioIOError as error:
        if wanted is None or listed:
            raise
        raise ImageryError(
            f"layer {layer}: variable {variable!r} is not in {path}, which has one data set; "
            "remove `variable`"
        ) from error
    if not dataset.count:
        dataset.close()
        raise ImageryError(
            f"layer {layer}: {path} has no data set of numbers with two or three dimensions; give "
            "another file, or write one step as a GeoTIFF"
        )
    return dataset
