"""Headers of classic NetCDF files: valid ones pass, damaged ones are named before GDAL reads."""

import struct
from contextlib import suppress

import numpy as np
import pytest
from scipy.io import netcdf_file

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.cdf import problem_of_header
from spatioformer.geo.raster.layers import Layer, open_layer
from tests.helpers.rasters import write_netcdf

AXES = {"lat": (np.arange(5) + 0.5, "degrees_north"), "lon": (np.arange(6) + 0.5, "degrees_east")}


@pytest.fixture
def path(tmp_path):
    return write_netcdf(tmp_path / "a.nc", AXES, "t", np.ones((5, 6)), title="a", valid_min=0.5)


@pytest.mark.parametrize("version", [1, 2])
def test_valid_headers(tmp_path, version):
    with netcdf_file(tmp_path / "a.nc", "w", version=version) as out:
        out.createDimension("time", None)
        out.createDimension("x", 3)
        out.createVariable("t", "f4", ("time", "x"))[:] = np.ones((2, 3))
        out.createVariable("b", "i1", ("x",))[:] = 1
        out.createVariable("crs", "i4", ()).grid_mapping_name = "x"
        out.history = "made by a test"
    assert problem_of_header(tmp_path / "a.nc") == ""


def test_a_file_cut_anywhere(path):
    content = path.read_bytes()
    for size in (4, 8, 9, 20, 50, 100, 200, len(content) - 200, len(content) - 8):
        path.write_bytes(content[:size])
        assert problem_of_header(path).startswith("it ends ")


@pytest.mark.parametrize(
    ("place", "number", "problem"),
    [
        (8, 99, "a list of its header is damaged"),  # the tag of the dimensions
        (12, 2**31 - 1, "a list of its header is damaged"),  # their number
        (16, 2**30, "a name has 1073741824 bytes"),
        (24, 0xFFFFFFF0, "a count is negative"),  # the length of the first dimension
        (24, 2**30, "it ends before its last variable"),
    ],
)
def test_wrong_numbers(path, place, number, problem):
    content = bytearray(path.read_bytes())
    struct.pack_into(">I", content, place, number)
    path.write_bytes(content)
    assert problem_of_header(path) == problem
    with pytest.raises(ImageryError, match=f"{problem}\\): the file is damaged or cut short"):
        with open_layer(Layer(path, "t")):
            pass


def test_no_wrong_byte_is_a_crash(path):
    content = path.read_bytes()
    for place in range(4, 400, 13):
        for byte in (0, 1, 127, 255):
            path.write_bytes(content[:place] + bytes([byte]) + content[place + 1 :])
            with suppress(ImageryError), open_layer(Layer(path, "t")) as opened:
                opened.read_all()
