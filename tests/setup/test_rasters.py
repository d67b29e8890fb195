"""A look at a raster finds what its header and a sample of its values show."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from scipy.io import netcdf_file

from spatioformer.geo.raster.layers import Layer
from spatioformer.setup.rasters import examine
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, imagery, plots, write_raster
from tests.helpers.rasters import write_netcdf

LONLAT = plots()[["lon", "lat"]].to_numpy()


def looked(path: Path, lonlat=LONLAT, **options):
    return examine(Layer(path=path, name="layer", **options), lonlat)


def test_bands_grid_and_plots(tmp_path):
    path = write_raster(tmp_path / "a.tif", imagery(), names=("red", "green", "blue"))
    facts = looked(path)
    assert facts.error is None
    assert facts.bands == ("red", "green", "blue")
    assert facts.grid.shape == (SIDE, SIDE)
    assert facts.holds.all()
    assert facts.empty == 0
    assert facts.few == []
    assert facts.few_bands == ()
    assert facts.suspect is None
    assert facts.stated == ()


def test_plots_beside_the_raster(tmp_path):
    left = imagery()[:, :, : SIDE // 2]
    facts = looked(write_raster(tmp_path / "a.tif", left))
    expected = LONLAT[:, 0] < WEST + STEP * SIDE / 2
    np.testing.assert_array_equal(facts.holds, expected)


def test_plots_without_data(tmp_path):
    data = imagery().astype(np.float32)
    data[:, SIDE // 2 :] = -9999
    facts = looked(write_raster(tmp_path / "a.tif", data, nodata=-9999))
    share = (LONLAT[:, 1] < NORTH - STEP * SIDE / 2).mean()
    assert facts.empty == pytest.approx(share, abs=0.1)
    assert facts.holds.all()
    assert facts.suspect is None
    assert facts.stated == ("nodata -9999",)


def test_undeclared_missing_data(tmp_path):
    data = imagery().astype(np.float32)
    data[:, :8] = -9999
    value, share = looked(write_raster(tmp_path / "a.tif", data)).suspect
    assert value == -9999
    assert share == pytest.approx(8 / SIDE, abs=0.01)


def test_scale_and_offset(tmp_path):
    path = write_raster(tmp_path / "a.tif", imagery())
    with rasterio.open(path, "r+") as target:
        target.scales, target.offsets = (0.5, 0.5, 0.5), (1, 1, 1)
    assert looked(path).stated == ("value = raw x 0.5 + 1",)


def test_no_crs(tmp_path):
    path = write_raster(tmp_path / "a.tif", imagery(), crs=None)
    facts = looked(path)
    assert facts.lacks_crs
    assert facts.grid is None
    assert facts.bounds == pytest.approx((WEST, NORTH - STEP * SIDE, WEST + STEP * SIDE, NORTH))
    assert looked(path, crs="EPSG:4326").holds.all()


def test_no_place(tmp_path):
    identity = rasterio.Affine(1, 0, 0, 0, 1, 0)
    with pytest.warns(NotGeoreferencedWarning):
        path = write_raster(tmp_path / "a.tif", imagery(), crs=None, transform=identity)
    assert "`bounds: [W, E, S, N]`" in str(looked(path).error)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_few_integers_look_like_classes(tmp_path, dtype):
    classes = (np.indices((SIDE, SIDE)).sum(0) // 20 + 1).astype(dtype)
    assert looked(write_raster(tmp_path / "a.tif", classes)).few == [1, 2, 3, 4, 5, 6, 7]


def test_a_colour_table_says_classes(tmp_path):
    classes = (np.indices((SIDE, SIDE)).sum(0) // 2).astype(np.uint8)  # 64 of them
    path = write_raster(tmp_path / "a.tif", classes)
    with rasterio.open(path, "r+") as target:
        target.write_colormap(1, {i: (i, i, i, 255) for i in range(64)})
    facts = looked(path)
    assert facts.states_classes
    assert facts.layer.categorical
    assert facts.error is None
    assert facts.holds.all()


def test_few_integers_among_bands(tmp_path):
    data = imagery().astype(np.int16)
    data[1] = np.indices((SIDE, SIDE)).sum(0) // 40
    facts = looked(write_raster(tmp_path / "a.tif", data, names=("a", "cover", "b")))
    assert facts.few_bands == ("cover",)
    assert facts.few == []


def axes() -> dict:
    return {
        "time": (np.arange(2), "days since 2000-01-01"),
        "lat": (NORTH - STEP * (np.arange(SIDE) + 0.5), "degrees_north"),
        "lon": (WEST + STEP * (np.arange(SIDE) + 0.5), "degrees_east"),
    }


def second_variable(out: netcdf_file) -> None:
    other = out.createVariable("t2m", "f4", ("time", "lat", "lon"))
    other[:] = 280.0


def test_a_netcdf_file_of_several_variables(tmp_path):
    data = np.stack([imagery()[0], imagery()[1]])
    path = write_netcdf(tmp_path / "a.nc", axes(), "tp", data, extra=second_variable)
    facts = looked(path)
    assert facts.variables == ("t2m", "tp")
    facts = looked(path, variable="tp")
    assert facts.steps == 2
    assert facts.bands == ("layer_1", "layer_2")
    assert facts.holds.all()


def test_only_the_header_of_a_large_netcdf_file(tmp_path, monkeypatch):
    data = np.stack([imagery()[0], imagery()[1]])
    path = write_netcdf(tmp_path / "a.nc", axes(), "tp", data)
    whole = looked(path)
    monkeypatch.setattr("spatioformer.setup.rasters.LARGE_NETCDF", 100)
    monkeypatch.setattr("spatioformer.setup.rasters.open_layer", None)
    facts = looked(path)
    assert facts.error is None
    assert facts.bands == whole.bands
    assert facts.grid.bounds == pytest.approx(whole.grid.bounds)
    assert facts.holds.all()


@pytest.mark.parametrize("tiled", [True, False])
def test_little_of_a_large_raster_is_read(tmp_path, monkeypatch, tiled):
    """10 GB, of which nothing is on the disk."""
    shape = {"blockxsize": 512, "blockysize": 512} if tiled else {}
    options = {"height": 36000, "width": 72000, "count": 1, "dtype": "float32", "crs": "EPSG:4326"}
    transform = from_origin(-180, 90, 0.005, 0.005)
    path = tmp_path / "large.tif"
    with rasterio.open(
        path,
        "w",
        "GTiff",
        transform=transform,
        sparse_ok=True,
        bigtiff=True,
        tiled=tiled,
        **shape,
        **options,
    ):
        pass
    pixels = []
    monkeypatch.setattr("spatioformer.geo.raster.values.Values.read_raw", _counted(pixels))
    facts = looked(path)
    assert facts.error is None
    assert facts.holds.all()
    assert sum(pixels) < 1e6


def _counted(pixels: list[int]):
    from spatioformer.geo.raster.values import Values

    read_raw = Values.read_raw

    def counting(self, window):
        pixels.append(window.width * window.height)
        return read_raw(self, window)

    return counting


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("absent.tif", None, "there is no file"),
        ("text.tif", b"not a raster", "cannot be opened as a raster"),
        ("table.csv", b"a,b\n1,2\n", "has the extension '.csv', which is not read"),
    ],
)
def test_what_is_no_raster(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    assert words in str(looked(path).error)
