"""NetCDF on unequal steps, rotated poles and rows of longitude: each value is at its place."""

import geopandas as gpd
import numpy as np
import pytest
from pyproj import CRS, Transformer
from rasterio.transform import from_origin
from rasterio.windows import Window
from shapely.geometry import box

from spatioformer.analysis.years.series import Series
from spatioformer.analysis.zonal import summarise
from spatioformer.geo.grid import LONLAT
from spatioformer.geo.raster import checks
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.raster.stack import Layer, Mask, Stack
from spatioformer.mapping import map_raster
from spatioformer.models.network import NetworkModel
from tests.helpers.landscape import write_raster
from tests.helpers.maps import Mirror, read
from tests.helpers.rasters import refused, stack_of, write_netcdf

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")

EAST, NORTH = "degrees_east", "degrees_north"
GAUSSIAN = np.degrees(np.arcsin(np.linspace(-0.9, 0.9, 30)))  # 3.6 to 8 degrees apart
POLE = {
    "grid_mapping_name": "rotated_latitude_longitude",
    "grid_north_pole_latitude": 39.25,
    "grid_north_pole_longitude": -162.0,
}
ROTATED = CRS.from_cf(POLE)


def of_axes(path, lat, lon, values, order=("lat", "lon"), **attributes):
    axes = {"lat": (lat, NORTH), "lon": (lon, EAST)}
    return write_netcdf(path, {name: axes[name] for name in order}, "t", values, **attributes)


def rotated(path, rlat, rlon, *, arrays: bool, values=None):
    """Each value is the longitude plus ten times the latitude."""
    lon, lat = Transformer.from_crs(ROTATED, LONLAT, always_xy=True).transform(
        *np.meshgrid(rlon, rlat)
    )

    def more(out) -> None:
        mapping = out.createVariable("pole", "i4", ())
        for key, value in POLE.items():
            setattr(mapping, key, value)
        out.variables["rlat"].standard_name = "grid_latitude"
        out.variables["rlon"].standard_name = "grid_longitude"
        for name, held, units in (("lat", lat, NORTH), ("lon", lon, EAST)) if arrays else ():
            variable = out.createVariable(name, "f8", ("rlat", "rlon"))
            variable[:] = held
            variable.units = units

    axes = {"rlat": (rlat, "degrees"), "rlon": (rlon, "degrees")}
    values = lon + 10 * lat if values is None else values
    coordinates = {"coordinates": "lon lat"} if arrays else {}
    return write_netcdf(path, axes, "t", values, more, grid_mapping="pole", **coordinates)


def whole(path, **settings):
    """Values (y, x) of a layer on its own grid, longitudes, latitudes and the remark."""
    with open_layer(Layer(path, "t", variable="t", **settings)) as opened:
        rows, cols = np.mgrid[: opened.grid.height, : opened.grid.width]
        return opened.read_all()[0], *opened.grid.lonlat(rows, cols), opened.regularity


@pytest.mark.parametrize("lat", [GAUSSIAN, GAUSSIAN[::-1]])
@pytest.mark.parametrize("order", [("lat", "lon"), ("lon", "lat")])
def test_unequal_rows(tmp_path, lat, order):
    lon = np.arange(40) + 0.5
    values = np.add.outer(lat, 1000 * lon)
    path = of_axes(tmp_path / "a.nc", lat, lon, values if order[0] == "lat" else values.T, order)
    data, at_lon, at_lat, remark = whole(path)
    assert data.shape == (39, 40)
    inner = np.abs(at_lat) < 64
    assert np.abs(data - at_lat - 1000 * at_lon)[inner].max() < 0.01
    assert np.abs(data - at_lat - 1000 * at_lon).max() < 4.1  # the outer half of the last row
    steps = np.diff(GAUSSIAN)
    assert remark == (
        f"rows of {path} are {steps.min():.4g} to {steps.max():.4g} degrees apart; values are "
        f"interpolated, at equal steps of {abs(at_lat[0, 0] - at_lat[1, 0]):.4g}"
    )


def test_unequal_columns_over_180_and_classes(tmp_path):
    lon = 170 + np.cumsum(np.linspace(0.5, 1, 20))
    lat = -10 - np.arange(10.0)
    path = of_axes(tmp_path / "a.nc", lat, (lon + 180) % 360 - 180, np.tile(lon, (10, 1)))
    data, at_lon, _, remark = whole(path)
    error = np.abs(data - at_lon % 360)
    assert error[:, 1:-1].max() < 0.01
    assert remark.startswith(f"columns of {path} are 0.52")
    codes = np.tile(np.arange(20) % 2 * 7 + 20_000_000, (10, 1))
    path = of_axes(tmp_path / "c.nc", lat, lon, codes)
    data, at_lon, _, remark = whole(path, categorical=True, classes=(20_000_000,))
    nearest = np.abs(at_lon[0][:, None] % 360 - lon).argmin(axis=1)
    np.testing.assert_array_equal(data, codes.astype(np.float32).astype(float)[:, nearest])
    assert "each pixel takes the nearest value" in remark


def test_equal_steps_north_up_can_be_left_as_they_are(tmp_path):
    lat, lon = np.linspace(90, -90, 19), np.arange(36) * 10.0  # rows are centred on the poles
    values = np.random.default_rng(0).normal(size=(19, 36))
    path = of_axes(tmp_path / "a.nc", lat, lon, values)
    with open_raster(path, placed=True) as dataset:
        assert (dataset.driver, dataset.transform) == ("netCDF", from_origin(-5, 95, 10, 10))
        np.testing.assert_allclose(dataset.read(1), values)
    unequal = of_axes(tmp_path / "b.nc", GAUSSIAN, lon, np.zeros((30, 36)))
    with open_raster(unequal, placed=True) as dataset:
        assert dataset.driver == "MEM"


@pytest.mark.parametrize("north", [90, -90])
@pytest.mark.parametrize("order", [("lat", "lon"), ("lon", "lat")])
def test_rows_centred_on_the_poles_keep_their_values(tmp_path, north, order):
    lat, lon = np.linspace(north, -north, 19), np.arange(-175, 180, 10.0)
    values = np.random.default_rng(0).normal(size=(19, 36)).astype(np.float32)
    path = of_axes(tmp_path / "a.nc", lat, lon, values if order[0] == "lat" else values.T, order)
    data, at_lon, at_lat, remark = whole(path)
    np.testing.assert_allclose(at_lat[:, 0], np.linspace(90, -90, 19), atol=1e-12)
    np.testing.assert_allclose(at_lon[0], lon, atol=1e-12)
    np.testing.assert_allclose(data, values if north == 90 else values[::-1], rtol=1e-6, atol=1e-6)
    assert remark is None


def test_missing_values_are_not_spread(tmp_path):
    """Half of the weight must have data; fill values and the configured nodata are no data."""
    lon = np.arange(40) + 0.5
    values = np.tile(GAUSSIAN[:, None], (1, 40)).astype(np.float32)
    values[10:20, :10], values[10:20, 10:20], values[10:20, 20:30] = -999, -888, -777
    path = of_axes(
        tmp_path / "a.nc", GAUSSIAN, lon, values, missing_value=np.float32(-888),
        _FillValue=np.float32(-999),
    )  # fmt: skip
    data, _, at_lat, _ = whole(path, nodata=-777)
    missing = np.isnan(data)
    assert not missing[:, 30:].any()
    np.testing.assert_array_equal(missing[:, :10], missing[:, 10:20])
    np.testing.assert_array_equal(missing[:, :10], missing[:, 20:30])
    low, high = (GAUSSIAN[9] + GAUSSIAN[10]) / 2, (GAUSSIAN[19] + GAUSSIAN[20]) / 2
    np.testing.assert_array_equal(missing[:, 0], (at_lat[:, 0] > low) & (at_lat[:, 0] < high))
    inner = ~missing & (np.abs(at_lat) < 64)
    assert np.abs(data - at_lat)[inner].max() < 3.6  # beside missing rows the one row is taken


@pytest.mark.parametrize("arrays", [False, True])
@pytest.mark.parametrize("power", [1.0, 1.15])
def test_rotated_poles(tmp_path, arrays, power):
    rlat, rlon = 0.4 * np.arange(30) ** power - 8, 0.44 * np.arange(40) - 9
    path = rotated(tmp_path / "pole.nc", rlat, rlon, arrays=arrays)
    data, lon, lat, remark = whole(path)
    valid = np.isfinite(data)
    assert 0.6 < valid.mean() < 0.95
    assert np.abs(data - lon - 10 * lat)[valid].max() < 4.5  # the outer half of the edge pixels
    assert np.median(np.abs(data - lon - 10 * lat)[valid]) < 0.01
    x, y = Transformer.from_crs(LONLAT, ROTATED, always_xy=True).transform(lon, lat)
    inside = (x > rlon[0]) & (x < rlon[-1]) & (y > rlat[0]) & (y < rlat[-1])
    assert valid[inside].all()
    assert np.abs(data - lon - 10 * lat)[inside].max() < 0.05
    assert remark.startswith(
        f"{path} is on a rotated pole; values are interpolated, at equal steps"
    )


def test_a_rotated_grid_over_the_pole_of_the_earth(tmp_path):
    rlat, rlon = np.arange(20) + 28.0, np.arange(40) - 15.0  # the pole is at 0, 39.25
    _, lat = Transformer.from_crs(ROTATED, LONLAT, always_xy=True).transform(
        *np.meshgrid(rlon, rlat)
    )
    assert lat.max() > 89
    path = rotated(tmp_path / "p.nc", rlat, rlon, arrays=False, values=lat)
    data, _, at_lat, _ = whole(path)
    assert at_lat.max() > 89
    assert np.isfinite(data[:8]).all()
    assert np.abs(data - at_lat)[np.isfinite(data)].max() < 1


@pytest.mark.parametrize("same", [True, False])
def test_longitude_as_the_slower_dimension(tmp_path, same):
    """GDAL takes the latitudes for columns; also where both axes have the same values."""
    lat = np.arange(10) + 0.5
    lon = lat if same else np.arange(20) + 20.5
    path = of_axes(tmp_path / "t.nc", lat, lon, np.add.outer(100 * lon, lat), ("lon", "lat"))
    data, at_lon, at_lat, remark = whole(path)
    np.testing.assert_allclose(data, 100 * at_lon + at_lat)
    assert remark is None
    path = of_axes(tmp_path / "s.nc", lat, lon, np.add.outer(lat, 100 * lon))
    np.testing.assert_array_equal(whole(path)[0], data)


def test_every_command_reads_the_same(tmp_path):
    lat, lon = GAUSSIAN[15:27], np.arange(12) + 0.5
    path = of_axes(tmp_path / "a.nc", lat, lon, np.add.outer(lat, 0.1 * lon))
    values = whole(path)[0]
    with Stack(path) as stack:
        data, valid, wanted = stack.read(Window(0, 0, stack.grid.width, stack.grid.height))
        assert stack.remark.startswith("rows of ")
    assert valid.all()
    assert wanted.all()
    np.testing.assert_array_equal(data[0], values)
    stacked, _, summary = stack_of(tmp_path / "s.tif", Layer(path, "t"))
    np.testing.assert_array_equal(stacked[0], values)
    assert summary["notes"] == [stack.remark]
    with Series({2000: path, 2001: path, 2002: path}) as series:
        np.testing.assert_array_equal(
            series.read(Window(0, 0, 12, len(values)))[0, 1], values.ravel()
        )
        assert series.remarks == [stack.remark] * 3
    model = NetworkModel(Mirror(100), ["t"])
    map_raster(model, path, tmp_path / "m.tif", samples=0)
    np.testing.assert_allclose(read(tmp_path / "m.tif")[0], values, atol=1e-4)
    zones = gpd.GeoDataFrame(geometry=[box(2, 10, 8, 20)], crs="EPSG:4326")
    assert abs(summarise(path, zones)["mean"][0] - 15.5) < 0.1


def test_a_mask_takes_the_nearest_row(tmp_path):
    lat, lon = GAUSSIAN[5:20], np.arange(12) + 0.5
    codes = np.tile((np.arange(15) % 3)[:, None], (1, 12))
    base = write_raster(
        tmp_path / "b.tif", np.ones((20, 12), np.float32), transform=from_origin(0, 10, 1, 1)
    )
    path = of_axes(tmp_path / "m.nc", lat, lon, codes)
    mask = Mask(Layer(path, "m", resampling="nearest"), exclude=(1,))
    _, wanted, summary = stack_of(tmp_path / "s.tif", Layer(base, "a"), masks=[mask])
    nearest = np.abs((9.5 - np.arange(20))[:, None] - lat).argmin(axis=1)
    assert (wanted[:, 0] == (nearest % 3 != 1)).sum() >= 18  # two steps of nearest
    assert "each pixel takes the nearest value" in summary["notes"][0]


def test_crs_and_bounds_do_not_replace_the_axes(tmp_path):
    path = of_axes(tmp_path / "a.nc", GAUSSIAN, np.arange(12) + 0.5, np.zeros((30, 12)))
    for option, value in (("bounds", (0, 12, -60, 60)), ("crs", "EPSG:3577")):
        refused(
            f"layer t: {path} is placed by axes with unequal steps or a rotated pole, which "
            f"`{option}` cannot replace; remove `{option}`",
            Layer(path, "t", **{option: value}),
            out=tmp_path / "s.tif",
        )
    assert whole(path, crs="EPSG:4326")[3] is not None


def test_unequal_metres_need_a_crs(tmp_path):
    y = 5e6 + 1000 * np.arange(10) ** 1.3
    axes = {"y": (y, "m"), "x": (5e5 + 1000.0 * np.arange(12), "m")}

    def standard(out) -> None:
        out.variables["x"].standard_name = "projection_x_coordinate"
        out.variables["y"].standard_name = "projection_y_coordinate"

    path = write_netcdf(tmp_path / "m.nc", axes, "t", np.tile(y[:, None], (1, 12)), standard)
    refused(
        f"layer t: {path} has the coordinates of a projection but no coordinate reference system; "
        "set `crs: EPSG:...` in the layer's configuration",
        Layer(path, "t"),
        out=tmp_path / "s.tif",
    )
    with open_layer(Layer(path, "t", crs="EPSG:32633")) as opened:
        grid, data = opened.grid, opened.read_all()[0]
    north = grid.transform.f + grid.transform.e * (np.arange(grid.height) + 0.5)
    assert np.abs(data[:, 0] - north)[1:-1].max() < 1


@pytest.mark.parametrize("lat", [np.linspace(-10, 10, 30), GAUSSIAN])
def test_more_than_the_memory_holds_is_refused(tmp_path, monkeypatch, lat):
    """30 bytes a value, of the file or of the rows at equal steps: what is more numerous."""
    path = of_axes(tmp_path / "a.nc", lat, np.arange(40.0), np.zeros((30, 40)))
    height = len(whole(path)[1]) if lat is GAUSSIAN else 30
    needed = 30 * height * 40
    monkeypatch.setattr(checks, "memory_of_computer", lambda: needed)
    with open_layer(Layer(path, "t")):
        pass
    monkeypatch.setattr(checks, "memory_of_computer", lambda: needed - 1)
    refused(
        f"...{path} has 1 steps of {height} x 40 pixels, which take about ... GB when they are "
        "read, and this computer has ... GB of memory; cut out the region first, for example with "
        "cdo sellonlatbox,W,E,S,N IN.nc OUT.nc, or keep fewer steps",
        Layer(path, "t"),
        out=tmp_path / "s.tif",
    )
    monkeypatch.setattr(checks, "memory_of_computer", lambda: None)
    with open_layer(Layer(path, "t")):
        pass
