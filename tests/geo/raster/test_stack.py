"""Layers and stacks: known values, nodata x dtype x resampling, coordinates that come back."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.io import netcdf_file
from scipy.ndimage import binary_erosion

from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.stack import Layer, Mask, Stack, build_stack, valid_mask
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, write_raster

SQUARE = from_origin(0, 4, 1, 1)


def four(values, path, **options):
    """A 4 x 4 raster with pixels of one degree, upper left at (0, 4)."""
    return write_raster(path, np.asarray(values), transform=SQUARE, **options)


def read_layer(layer: Layer, grid: Grid | None = None) -> np.ndarray:
    with open_layer(layer) as opened:
        grid = grid or opened.grid
        return opened.read(Window(0, 0, grid.width, grid.height), grid)


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("uint8", 255), ("int16", -9999), ("uint16", 65535), ("int32", -(2**31)),
     ("float32", -3.4e38), ("float32", np.nan), ("float64", -9999.5), ("uint8", None)],
)  # fmt: skip
def test_nodata_of_every_dtype_is_masked(tmp_path, dtype, nodata):
    values = np.arange(1, 17).reshape(4, 4).astype(dtype)
    if nodata is not None:
        values[1, 2] = nodata
    got = read_layer(Layer(four(values, tmp_path / "a.tif", nodata=nodata), "a"))[0]
    expected = np.arange(1, 17, dtype=float).reshape(4, 4)
    if nodata is not None:
        expected[1, 2] = np.nan
    np.testing.assert_array_equal(got, expected)


def test_valid_mask_compares_in_the_data_type():
    data = np.array([np.float32(-3.4e38), 1], np.float32)
    np.testing.assert_array_equal(valid_mask(data, -3.4e38), [False, True])
    assert valid_mask(np.array([0, 5], np.uint8), -9999).all()
    assert valid_mask(np.array([0, 5], np.uint8), 0.5).all()
    np.testing.assert_array_equal(valid_mask(np.array([np.inf, 5.0]), None), [False, True])


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average", "mode"])
def test_nodata_never_leaks_into_neighbours(tmp_path, resampling):
    """A constant raster with a hole stays constant however it is resampled."""
    values = np.full((40, 40), 7, np.int16)
    values[17:20, 11:15] = -9999
    path = write_raster(
        tmp_path / "a.tif", values, nodata=-9999, transform=from_origin(0, 40, 1, 1)
    )
    grid = Grid(LONLAT, from_origin(0.3, 39.6, 1.7, 1.3), 29, 22)
    got = read_layer(Layer(path, "a", resampling=resampling), grid)[0]
    inside = got[np.isfinite(got)]
    assert inside.size > 400
    np.testing.assert_array_equal(inside, 7)
    assert np.isnan(got).any()


def test_average_of_two_by_two(tmp_path):
    values = np.arange(16, dtype=np.float32).reshape(4, 4)
    path = four(values, tmp_path / "a.tif")
    grid = Grid(LONLAT, from_origin(0, 4, 2, 2), 2, 2)
    got = read_layer(Layer(path, "a", resampling="average"), grid)[0]
    np.testing.assert_allclose(got, [[2.5, 4.5], [10.5, 12.5]])


def test_scale_offset_and_the_files_own(tmp_path):
    path = four(np.full((4, 4), 10, np.uint8), tmp_path / "a.tif")
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5,), (1.0,)
    assert read_layer(Layer(path, "a"))[0, 0, 0] == 6
    assert read_layer(Layer(path, "a", scale=2.0, offset=-3.0))[0, 0, 0] == 17


def test_a_users_nodata_replaces_the_files(tmp_path):
    values = np.array([[1, 2], [3, 0]], np.uint8)
    path = write_raster(tmp_path / "a.tif", values, nodata=0)
    np.testing.assert_array_equal(
        np.isnan(read_layer(Layer(path, "a", nodata=2))[0]), [[False, True], [False, True]]
    )


def test_internal_mask_is_honoured(tmp_path):
    path = four(np.ones((4, 4), np.float32), tmp_path / "a.tif")
    flags = np.full((4, 4), 255, np.uint8)
    flags[0, 3] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(flags)
    got = read_layer(Layer(path, "a"))[0]
    assert np.isnan(got[0, 3])
    assert np.isfinite(got).sum() == 15


def test_classes_become_bands(tmp_path):
    values = np.array([[1, 1, 5, 5]] * 4, np.uint8)
    path = four(values, tmp_path / "a.tif", nodata=255)
    summary = build_stack([Layer(path, "cover", categorical=True)], tmp_path / "s.tif")
    assert summary["bands"] == ["cover_1", "cover_5"]
    with Stack(tmp_path / "s.tif") as stack:
        data, valid, _ = stack.read(Window(0, 0, 4, 4))
    np.testing.assert_array_equal(data[0], values == 1)
    np.testing.assert_array_equal(data.sum(axis=0), 1)
    assert valid.all()


def test_mask_says_where_to_predict(tmp_path):
    path = four(np.ones((4, 4), np.float32), tmp_path / "a.tif")
    cover = four(np.array([[0, 1, 12, 255]] * 4, np.uint8), tmp_path / "c.tif", nodata=255)
    summary = build_stack(
        [Layer(path, "a")], tmp_path / "s.tif", masks=[Mask(Layer(cover, "c"), (0, 12))]
    )
    assert summary["pixels_to_predict"] == 4
    with Stack(tmp_path / "s.tif") as stack:
        _, valid, wanted = stack.read(Window(0, 0, 4, 4))
    assert valid.all(), "the mask hides no data"
    np.testing.assert_array_equal(wanted, [[False, True, False, False]] * 4)


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        ("EPSG:4326", from_origin(WEST, NORTH, STEP / 3, STEP / 2), (130, 197)),
        ("EPSG:4326", Affine(STEP, 0, WEST, 0, STEP, NORTH - SIDE * STEP), (64, 64)),
        ("EPSG:32755", from_origin(0, 7_900_000, 9000, 7000), (120, 110)),
        ("EPSG:3577", Affine(8000, 900, 700_000, -700, -9000, -2_000_000), (110, 120)),
    ],
)
def test_a_raster_of_its_own_coordinates_comes_back(tmp_path, crs, transform, shape):
    """Filled with lon and lat and brought onto another grid, it still says where it is."""
    source = Grid(CRS.from_user_input(crs), transform, *shape)
    lon, lat = source.lonlat(*np.mgrid[: shape[0], : shape[1]])
    path = write_raster(tmp_path / "xy.tif", np.stack([lon, lat]), crs=crs, transform=transform)
    grid = Grid(LONLAT, from_origin(142, -22, 0.05, 0.07), 33, 41)
    out = tmp_path / "s.tif"
    build_stack([Layer(path, "xy", band_names=("lon", "lat"))], out, grid=grid)
    with Stack(out) as stack:
        data, valid, _ = stack.read(Window(0, 0, grid.width, grid.height))
    want = grid.lonlat(*np.mgrid[: grid.height, : grid.width])
    assert valid.mean() > 0.9
    # At the source's own edge a kernel has only one side to average.
    valid = binary_erosion(valid, iterations=3, border_value=1)
    pixel = max(abs(np.diff(lon, axis=1)).max(), abs(np.diff(lat, axis=0)).max())
    for got, expected in zip(data, want, strict=True):
        assert np.abs(got - expected)[valid].max() < pixel / 15


def test_blocks_leave_no_seams(tmp_path, monkeypatch):
    """The stack does not depend on the size of the blocks it was made in."""
    lon, lat = np.meshgrid(np.linspace(0, 60, 90), np.linspace(0, 50, 80))
    path = write_raster(
        tmp_path / "a.tif", np.sin(lon * lat).astype(np.float32), crs="EPSG:32755",
        transform=from_origin(500_000, 7_500_000, 1000, 1000),
    )  # fmt: skip
    grid = Grid.from_bounds(LONLAT, (147.0, -23.3, 147.85, -22.65), (0.01, 0.01))
    stacks = []
    for block in (256, 16):
        monkeypatch.setattr("spatioformer.geo.raster.stack.BLOCK", block)
        build_stack([Layer(path, "a")], tmp_path / f"{block}.tif", grid=grid)
        with Stack(tmp_path / f"{block}.tif") as stack:
            stacks.append(stack.read(Window(0, 0, grid.width, grid.height))[0])
    np.testing.assert_allclose(*stacks, rtol=0, atol=1e-7)


def write_netcdf(path, months):
    """A CF file (month, lat, lon) with longitudes 22.5 to 337.5, and a second variable."""
    with netcdf_file(path, "w") as out:
        for name, values in (
            ("month", np.arange(len(months))),
            ("lat", 67.5 - 45 * np.arange(4)),
            ("lon", 22.5 + 45 * np.arange(8)),
        ):
            out.createDimension(name, len(values))
            out.createVariable(name, "f8", (name,))[:] = values
        out.variables["lat"].units, out.variables["lon"].units = "degrees_north", "degrees_east"
        for name in ("rain", "other"):
            out.createVariable(name, "f4", ("month", "lat", "lon"))[:] = months
    return path


@pytest.mark.parametrize("reduce", [None, "mean", "sum", "min", "max"])
def test_netcdf_rolls_and_reduces(tmp_path, reduce):
    """Longitudes 0-360 become -180-180; months stay bands or become their mean, sum, ..."""
    months = np.random.default_rng(0).normal(size=(3, 4, 8)).astype(np.float32)
    path = write_netcdf(tmp_path / "a.nc", months)
    with open_layer(Layer(path, "a", variable="rain", reduce=reduce, scale=2, offset=1)) as opened:
        assert opened.grid.bounds == (-180, -90, 180, 90)
        got = opened.read_all()
    expected = np.roll(months, 4, axis=2) * 2 + 1
    if reduce is not None:
        expected = getattr(np, reduce)(expected, axis=0, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_netcdf_variable_must_be_named(tmp_path):
    path = write_netcdf(tmp_path / "a.nc", np.ones((1, 4, 8)))
    with (
        pytest.raises(ImageryError, match=r"variable None is not in .*; set `variable` to one of"),
        open_layer(Layer(path, "a")),
    ):
        pass


def test_reading_beyond_the_edge_is_invalid(tmp_path):
    out = tmp_path / "s.tif"
    build_stack([Layer(four(np.ones((4, 4), np.float32), tmp_path / "a.tif"), "a")], out)
    with Stack(out) as stack:
        data, valid, wanted = stack.read(Window(2, 2, 3, 3), halo=1)
    assert data.shape == (1, 5, 5)
    assert wanted.shape == (3, 3)
    np.testing.assert_array_equal(valid[:3, :3], True)
    assert not valid[3:].any()
    assert not valid[:, 3:].any()
    np.testing.assert_array_equal(data[0], valid)


def test_names_decide_which_bands_are_read(tmp_path):
    values = np.stack([np.full((4, 4), v, np.float32) for v in (1, 2, 3)])
    path = four(values, tmp_path / "a.tif", names=("red", "green", "blue"))
    with Stack(path, ["blue", "red"]) as stack:
        data, _, _ = stack.read(Window(0, 0, 1, 1))
    assert data[:, 0, 0].tolist() == [3, 1]
    with pytest.raises(
        ImageryError, match="lacks 1 of the 2 bands the model needs, among them 'nir'"
    ):
        Stack(path, ["red", "nir"])
