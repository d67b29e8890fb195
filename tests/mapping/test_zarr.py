"""A map as Zarr: the same numbers, in the right place, readable by others."""

import numpy as np
import pytest
import rasterio
import xarray
import zarr
from pyproj import CRS

from spatioformer.common.errors import OutputError
from spatioformer.geo.raster.zarr_copy import CHUNK, zarr_of
from spatioformer.mapping import Output, map_raster
from tests.helpers.maps import mask, noise, numbered, read, small


def mapped(tmp_path, scene, **options):
    out = tmp_path / "map.tif"
    map_raster(small(), scene, out, samples=2, output=Output(zarr=True, **options))
    return out, zarr.open_group(zarr_of(out), mode="r")


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_layers_are_the_maps_bands(tmp_path, dtype):
    wanted = np.ones((40, 30), bool)
    wanted[:, :9] = False
    scene = mask(noise(tmp_path / "scene.tif", (40, 30)), wanted)
    out, group = mapped(tmp_path, scene, dtype=dtype)
    bands = read(out)
    for name, band in zip(("mean", "sd"), bands, strict=True):
        np.testing.assert_array_equal(group[name][:], band)
        assert group[name].attrs["units"] == "species"
        assert group[name].metadata.dimension_names == ("y", "x")
    if dtype == "uint16":
        assert group["mean"].attrs["scale_factor"] == 0.01
        assert group["mean"].attrs["_FillValue"] == group["mean"].fill_value == 65535
    else:
        assert np.isnan(group["mean"].fill_value)
    assert group.attrs["GRAIN"] == "plots of 400 m2"


@pytest.mark.parametrize("kind", ["south-up", "projected", "rotated"])
def test_it_says_where_it_lies(tmp_path, kind):
    out, group = mapped(tmp_path, numbered(tmp_path / "scene.tif", (20, 30), kind))
    reference = group["spatial_ref"].attrs
    with rasterio.open(out) as source:
        assert CRS.from_wkt(reference["crs_wkt"]) == CRS.from_user_input(source.crs)
        c, a, b, f, d, e = map(float, reference["GeoTransform"].split())
        assert (a, b, c, d, e, f) == tuple(source.transform)[:6]
        if kind == "rotated":
            assert "x" not in group
            return
        rows, cols = np.arange(20), np.arange(30)
        x, _ = source.transform @ (cols + 0.5, np.full(30, 0.5))
        _, y = source.transform @ (np.full(20, 0.5), rows + 0.5)
    np.testing.assert_allclose(group["x"][:], x, rtol=1e-12)
    np.testing.assert_allclose(group["y"][:], y, rtol=1e-12)
    name = "longitude" if kind == "south-up" else "projection_x_coordinate"
    assert group["x"].attrs["standard_name"] == name


def test_two_maps_are_the_same_bytes_and_the_sea_is_no_chunk(tmp_path):
    wanted = np.zeros((CHUNK + 8, CHUNK + 8), bool)
    wanted[:50, :50] = True
    scene = mask(noise(tmp_path / "scene.tif", wanted.shape), wanted)
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        out, _ = mapped(tmp_path / name, scene)
        folder = zarr_of(out)
        files.append({p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.*")})
        chunks = [p for p in (folder / "mean" / "c").rglob("*") if p.is_file()]
        assert len(chunks) == 1
    assert files[0] == files[1]


def test_xarray_reads_it(tmp_path):
    out, _ = mapped(tmp_path, noise(tmp_path / "scene.tif", (40, 30)), dtype="uint16")
    cube = xarray.open_zarr(zarr_of(out), consolidated=False, chunks=None)
    values = np.where(read(out)[0] == 65535, np.nan, read(out)[0] * 0.01)
    np.testing.assert_allclose(cube["mean"].values, values, rtol=1e-6)
    assert {*cube["mean"].coords} == {"y", "x"}


def test_without_the_package_one_sentence_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("spatioformer.geo.raster.zarr_copy.find_spec", lambda name: None)
    with pytest.raises(OutputError, match="pip install 'spatioformer\\[zarr\\]'"):
        mapped(tmp_path, noise(tmp_path / "scene.tif", (9, 9)))
    assert not (tmp_path / "map.tif").exists()
