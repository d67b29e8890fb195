"""Stacks of layers, and small NetCDF files and longitudes to make them of."""

import re
from pathlib import Path

import numpy as np
import pytest
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.io import netcdf_file

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.stack import Layer, Stack, build_stack
from tests.helpers.landscape import write_raster


def refused(sentence: str, *layers: Layer, out: Path, **options) -> None:
    """`build_stack` refuses with `sentence` in full, `...` in it for numbers."""
    expected = re.escape(sentence).replace(re.escape("..."), ".*")
    with pytest.raises(ImageryError) as error:
        build_stack(layers, out, **options)
    assert re.fullmatch(expected, str(error.value)), str(error.value)
    assert not out.exists()


def stack_of(path: Path, *layers: Layer, **options) -> tuple[np.ndarray, np.ndarray, dict]:
    """Values (band, y, x), pixels to predict and summary of a stack of layers."""
    summary = build_stack(layers, path, **options)
    with Stack(path) as stack:
        data, _, wanted = stack.read(Window(0, 0, stack.grid.width, stack.grid.height))
    return data, wanted, summary


def longitudes(path: Path, west: float, step: float, shape=(20, 40), turn=360, **options) -> Path:
    """A raster of 0.5 to 10 N whose values are the longitude of each centre, less whole turns."""
    height, width = shape
    lon = west + step * (np.arange(width) + 0.5)
    data = np.tile(lon % turn, (height, 1)).astype(np.float32)
    return write_raster(path, data, transform=from_origin(west, 10, step, 0.5), **options)


def write_netcdf(path: Path, axes: dict, variable: str, values, extra=None, **attributes) -> Path:
    """A CF file; axes: name -> (values, units), slowest first."""
    with netcdf_file(path, "w") as out:
        for name, (points, units) in axes.items():
            out.createDimension(name, len(points))
            axis = out.createVariable(name, "f8", (name,))
            axis[:] = points
            if units:
                axis.units = units
        if extra is not None:
            extra(out)
        held = out.createVariable(variable, "f4", tuple(axes))
        held[:] = values
        for name, value in attributes.items():
            setattr(held, name, value)
        out.Conventions = "CF-1.6"
    return path


def months(values, path: Path, **attributes) -> Path:
    """Values (step, y, x) at 0.25 W .. and 0.25 S .., 0.5 degrees apart."""
    values = np.asarray(values, np.float32)
    axes = {
        "time": (np.arange(len(values)), "days since 2000-01-01"),
        "lat": (-0.25 - 0.5 * np.arange(values.shape[1]), "degrees_north"),
        "lon": (0.25 + 0.5 * np.arange(values.shape[2]), "degrees_east"),
    }
    return write_netcdf(path, axes, "tp", values, **attributes)
