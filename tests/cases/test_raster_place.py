"""Where a raster lies: read rightly, or refused in a sentence with a way out."""

import json
import re
import shlex
import shutil
import subprocess
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.layers import open_layer
from spatioformer.geo.raster.stack import Layer, Stack, build_stack
from spatioformer.mapping import Output, map_raster
from tests.helpers.landscape import write_raster
from tests.helpers.maps import noise, small
from tests.helpers.rasters import longitudes, refused, stack_of, write_netcdf

pytestmark = [pytest.mark.filterwarnings("error::RuntimeWarning"), pytest.mark.integration]

FROM = "(gdalwarp comes with QGIS, conda install gdal or apt install gdal-bin)"


def points(path: Path) -> Path:
    """A swath of 30 x 30 pixels, turned by 20 degrees and placed by four corners."""
    turned = Affine.translation(150, -30) @ Affine.rotation(-20) @ Affine.scale(0.1, -0.1)
    corners = [(row, col, *(turned @ (col, row))) for row in (0, 30) for col in (0, 30)]
    gcps = [GroundControlPoint(row, col, x, y, 0) for row, col, x, y in corners]
    y, x = np.mgrid[:30, :30] + 0.5
    lon = (turned @ (x, y))[0].astype(np.float32)
    with rasterio.open(
        path, "w", driver="GTiff", width=30, height=30, count=1, dtype="float32", gcps=gcps,
        crs="EPSG:4326",
    ) as target:  # fmt: skip
        target.write(lon, 1)
    return path


@pytest.mark.parametrize("told", [{}, {"crs": "EPSG:4326", "bounds": (150, 153, -33, -30)}])
def test_ground_control_points(tmp_path, told):
    path = points(tmp_path / "swath.tif")
    refused(
        f"layer swath: {path} is placed by 4 ground control points, which `crs` and `bounds` "
        f"cannot replace; warp it first: gdalwarp -t_srs EPSG:4326 -dstalpha {path} "
        f"swath-warped.tif {FROM}",
        Layer(path, "swath", **told),
        out=tmp_path / "s.tif",
    )


def test_the_way_out_of_ground_control_points(tmp_path):
    """What gdalwarp -dstalpha writes is read: each value is the longitude of its pixel."""
    with rasterio.open(points(tmp_path / "swath.tif")) as source:
        raw, (gcps, crs) = source.read(1), source.gcps
    transform, shape = from_origin(149, -28, 0.1, 0.1), (2, 60, 60)
    warped = np.zeros(shape, np.float32)
    for band, values in zip(warped, (raw, np.full_like(raw, 255)), strict=True):
        reproject(
            values, band, gcps=gcps, src_crs=crs, dst_crs=crs, dst_transform=transform,
            resampling=Resampling.bilinear,
        )  # fmt: skip
    path = write_raster(tmp_path / "w.tif", warped, transform=transform, alpha="yes")
    data, wanted, summary = stack_of(tmp_path / "s.tif", Layer(path, "swath"))
    assert summary["bands"] == ["swath"]
    lon = 149 + 0.1 * (np.arange(60) + 0.5)
    assert 700 < wanted.sum() < 1100
    assert np.abs(data[0] - lon)[wanted].max() < 0.06


def test_curvilinear_coordinates(tmp_path):
    """Two-dimensional longitudes and latitudes without a grid mapping are refused, with a way."""

    def two_dimensional(out) -> None:
        for name, units in (("lat", "degrees_north"), ("lon", "degrees_east")):
            held = out.createVariable(name, "f8", ("rlat", "rlon"))
            held[:] = np.add.outer(np.arange(10) * 0.1 + 50, np.arange(12) * 0.1)
            held.units = units

    steps = {"rlat": (np.arange(10) * 0.1, "degrees"), "rlon": (np.arange(12) * 0.1, "degrees")}
    path = write_netcdf(
        tmp_path / "pole.nc", steps, "t", np.zeros((10, 12)), two_dimensional, coordinates="lon lat"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotGeoreferencedWarning)
        refused(
            f"layer t: {path} is placed by arrays of longitude and latitude, not by equal steps, "
            "which `crs` and `bounds` cannot replace; warp it first: gdalwarp -geoloc "
            f"-t_srs EPSG:4326 -dstalpha 'netcdf:\"{path}\":t' pole-warped.tif {FROM}",
            Layer(path, "t", variable="t"),
            out=tmp_path / "s.tif",
        )
    path = write_netcdf(tmp_path / "lost.nc", steps, "t", np.zeros((10, 12)))
    refused(
        f"layer t: {path} has no axes of longitudes and latitudes (units degrees_east and "
        "degrees_north) or projected coordinates, so its pixels have no place; write such axes "
        "into the file, or write it as a GeoTIFF with a place",
        Layer(path, "t"),
        out=tmp_path / "s.tif",
    )


@pytest.mark.parametrize("name", ["swath.tif", "two words.nc"])
def test_the_command_of_the_message_works(tmp_path, monkeypatch, name):
    """Each value is the longitude of its pixel, after the command in the message was run."""
    if shutil.which("gdalwarp") is None:
        pytest.skip("gdalwarp is absent: the command of the message is not run")
    monkeypatch.chdir(tmp_path)
    path, chosen = Path(name), {} if name == "swath.tif" else {"variable": "t"}
    if name == "swath.tif":
        points(path)
    else:
        rows, cols = np.mgrid[:30, :40]
        lon, lat = 140 + 0.1 * cols + 0.03 * rows, -20 - 0.1 * rows + 0.02 * cols

        def arrays(out) -> None:
            for held, values, units in (("lon", lon, "east"), ("lat", lat, "north")):
                variable = out.createVariable(held, "f8", ("y", "x"))
                variable[:] = values
                variable.units = f"degrees_{units}"

        axes = {"y": (np.arange(30), ""), "x": (np.arange(40), "")}
        write_netcdf(path, axes, "t", lon, arrays, coordinates="lon lat")
    with pytest.raises(ImageryError) as caught, open_layer(Layer(path, "a", **chosen)):
        pass
    command = re.search("warp it first: (.*) \\(gdalwarp", str(caught.value))[1]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    with open_layer(Layer(Path(f"{path.stem}-warped.tif"), "a")) as opened:
        data, grid = opened.read_all()[0], opened.grid
    cols, rows = np.meshgrid(np.arange(grid.width), np.arange(grid.height))
    lon, _ = grid.lonlat(rows, cols)
    assert np.isfinite(data).mean() > 0.5
    assert np.nanmax(np.abs(data - lon)) < 0.15


@pytest.mark.parametrize("start", [0.0, 500_000.0])
def test_projected_metres_without_a_crs(tmp_path, start):
    """Also when the metres could be degrees; the remedy works."""
    steps = (1.0 if start == 0 else 1000.0) * np.arange(10)
    axes = {"y": (start + steps, "m"), "x": (start + steps, "m")}

    def standard(out) -> None:
        out.variables["x"].standard_name = "projection_x_coordinate"
        out.variables["y"].standard_name = "projection_y_coordinate"

    path = write_netcdf(tmp_path / "m.nc", axes, "t", np.ones((10, 10)), standard)
    refused(
        f"layer t: {path} has the coordinates of a projection but no coordinate reference system; "
        "set `crs: EPSG:...` in the layer's configuration",
        Layer(path, "t"),
        out=tmp_path / "s.tif",
    )
    with open_layer(Layer(path, "t", crs="EPSG:32633")) as opened:
        assert opened.grid.crs.to_epsg() == 32633
        assert opened.grid.bounds[0] == start - (0.5 if start == 0 else 500)


@pytest.mark.parametrize(
    ("transform", "reason"),
    [
        (Affine(1, 1, 140, 1, 1, -30), "lays all pixels on one line"),
        (Affine(0, 0, 140, 0, 0, -30), "lays all pixels on one line"),
        (Affine(np.nan, 0, 140, 0, -1, -30), "is not finite"),
        (Affine(1e-15, 0, 140, 0, -1e-15, -30), "too small or too large"),
        (Affine(1e9, 0, 140, 0, -1e9, -30), "would reach from 140 to 4e+09 in longitude"),
        (Affine(30, 0, 500_000, 0, -30, 6_000_000), "would reach from 500000 to 500120"),
    ],
)
def test_transforms_that_are_none(tmp_path, transform, reason):
    path = write_raster(tmp_path / "a.tif", np.ones((4, 4), np.float32), transform=transform)
    with pytest.raises(ImageryError, match=re.escape(reason)) as error:
        build_stack([Layer(path, "a")], tmp_path / "s.tif")
    assert str(error.value).endswith(
        "set the right `crs` and `bounds: [W, E, S, N]` in the layer's configuration"
    )
    with pytest.raises(ImageryError, match=re.escape(reason)):
        Stack(path)
    bounds = (140, 141, -31, -30)
    build_stack([Layer(path, "a", crs="EPSG:4326", bounds=bounds)], tmp_path / "s.tif")


def test_a_raster_of_two_billion_columns(tmp_path):
    source = write_raster(tmp_path / "good.tif", np.ones((4, 4), np.float32))
    path = tmp_path / "wide.vrt"
    path.write_text(
        '<VRTDataset rasterXSize="2000000000" rasterYSize="1"><SRS>EPSG:4326</SRS><GeoTransform>'
        '140, 0.1, 0, -30, 0, -0.1</GeoTransform><VRTRasterBand dataType="Float32" band="1">'
        f'<SimpleSource><SourceFilename relativeToVRT="1">{source.name}</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    refused(
        f"{path} states 2000000000 x 1 pixels and 1 bands, above the limit of 50000000 pixels a "
        "side, 1e+11 pixels and 65535 bands; cut it with gdal_translate -projwin, or in a run set "
        "`imagery.trust: true` if you trust it",
        Layer(path, "a"),
        out=tmp_path / "s.tif",
    )


@pytest.mark.parametrize(
    ("crs", "reason"),
    [
        ("IAU_2015:30100", "is of another celestial body than the Earth"),
        ("+proj=airy", "has no inverse, so that its coordinates have no longitude and latitude"),
        ('LOCAL_CS["site grid",UNIT["metre",1]]', "is neither geographic nor projected"),
        ("EPSG:4978", "is neither geographic nor projected"),
    ],
)
def test_crs_of_no_place_on_earth(crs, reason):
    sentence = rf"layer a: crs .* {reason}; give one such as EPSG:4326"
    with pytest.raises(ImageryError, match=f"^{sentence}$"):
        known_crs(crs, "layer a")


@pytest.mark.parametrize(
    "crs", ["EPSG:3577", "EPSG:27200", "EPSG:4807", "EPSG:32701", "ESRI:54009"]
)
def test_crs_of_earth(crs):
    assert known_crs(crs, "layer a")


def test_a_raster_of_the_moon(tmp_path):
    path = write_raster(tmp_path / "moon.tif", np.ones((4, 4), np.float32), crs="IAU_2015:30100")
    with pytest.raises(ImageryError, match="is of another celestial body than the Earth"):
        build_stack([Layer(path, "a")], tmp_path / "s.tif")
    with pytest.raises(ImageryError, match="is of another celestial body than the Earth"):
        Stack(path)


@pytest.mark.parametrize("step", [2.0, 1.5, 2.5])
def test_longitudes_0_to_360_as_second_layer(tmp_path, step):
    """Land on both sides of Greenwich, on the lattice and off it, without a seam."""
    base = write_raster(
        tmp_path / "base.tif", np.ones((16, 60), np.float32),
        transform=from_origin(-10, 9, 0.5, 0.5),
    )  # fmt: skip
    lon = np.cos(np.radians(step * (np.arange(round(360 / step)) + 0.5)))
    clim = write_raster(
        tmp_path / "clim.tif", np.tile(lon, (20, 1)).astype(np.float32),
        transform=from_origin(0, 10, step, 0.5),
    )  # fmt: skip
    data, wanted, summary = stack_of(tmp_path / "s.tif", Layer(base, "a"), Layer(clim, "clim"))
    assert wanted.all()
    expected = np.cos(np.radians(-10 + 0.5 * (np.arange(60) + 0.5)))
    assert np.abs(data[1] - expected).max() < 0.001
    assert summary["region"] == [-10, 20, 1, 9]


@pytest.mark.parametrize("west", [190.0, -170.0])
@pytest.mark.parametrize("other", [190.0, -170.0])
@pytest.mark.parametrize("region", [None, (-168.0, -155.0, 2.0, 8.0)])
def test_wholly_west(tmp_path, west, other, region):
    """Both ways to count, in the first layer and in the second, with and without a region."""
    first = longitudes(tmp_path / "a.tif", west, 0.5)
    second = longitudes(tmp_path / "b.tif", other, 0.4, shape=(20, 50))
    data, wanted, summary = stack_of(
        tmp_path / "s.tif", Layer(first, "a"), Layer(second, "b"), region=region
    )
    assert wanted.all()
    assert np.abs(data[0] - data[1]).max() < 0.25  # half a pixel at the edge
    west, east, *_ = summary["region"]
    assert (west, east) == ((-170, -150) if region is None else (-168, -155))


def test_a_first_layer_of_0_to_360_with_a_region_over_greenwich(tmp_path):
    world = longitudes(tmp_path / "a.tif", 0, 1.0, shape=(20, 360))
    data, wanted, summary = stack_of(tmp_path / "s.tif", Layer(world, "a"), region=(-10, 12, 2, 8))
    assert wanted.all()
    expected = (np.arange(-10, 12) + 0.5) % 360
    np.testing.assert_array_equal(data[0], np.tile(expected, (12, 1)))
    assert summary["region"] == [-10, 12, 2, 8]
    whole = stack_of(tmp_path / "w.tif", Layer(world, "a"), region=(-180, 180, 2, 8))
    np.testing.assert_array_equal(whole[0][0, 0], (np.arange(-180, 180) + 0.5) % 360)
    assert whole[2]["region"] == [-180, 180, 2, 8]


@pytest.mark.parametrize("crs", ["EPSG:3832", "EPSG:32701"])
@pytest.mark.parametrize(("west", "width"), [(-180.0, 720), (0.0, 720), (165.0, 70), (-195.0, 70)])
def test_a_projected_grid_over_the_antimeridian(tmp_path, crs, west, width):
    """Of longitudes counted in any way, the value is the longitude, 160 to 200."""
    path = longitudes(tmp_path / "a.tif", west, 0.5, shape=(40, width))
    origin = (2_700_000, 800_000) if crs == "EPSG:3832" else (-200_000, 10_800_000)
    grid = Grid(known_crs(crs, "grid"), from_origin(*origin, 40_000, 40_000), 10, 20)
    lon, _ = grid.lonlat(*np.mgrid[:10, :20])
    assert lon.min() < -175
    assert lon.max() > 175
    with open_layer(Layer(path, "a")) as opened:
        values = opened.read(Window(0, 0, 20, 10), grid)[0]
        parts = [opened.read(Window(col, 0, 5, 10), grid)[0] for col in range(0, 20, 5)]
    assert np.abs(values - lon % 360).max() < 0.01
    np.testing.assert_allclose(np.concatenate(parts, axis=1), values, atol=1e-4)


def test_netcdf_over_the_antimeridian_stays_in_one_piece(tmp_path):
    lon = 170.5 + np.arange(20)
    axes = {"lat": (9.5 - np.arange(10), "degrees_north"), "lon": (lon, "degrees_east")}
    path = write_netcdf(tmp_path / "a.nc", axes, "t", np.tile(lon, (10, 1)))
    with open_layer(Layer(path, "a")) as opened:
        assert opened.grid.bounds == (170, 0, 190, 10)
        assert opened.grid.region == (170, -170, 0, 10)
        row, col = opened.grid.pixel(np.array([-175.5]), np.array([4.5]))
        assert opened.read_all()[0, row[0], col[0]] == 184.5


def test_stac_over_the_antimeridian(tmp_path):
    scene = noise(tmp_path / "a.tif", (16, 16), transform=from_origin(179, -18.4, 0.1, 0.1))
    map_raster(small(), scene, tmp_path / "m.tif", samples=0, output=Output(year=2021, stac=True))
    item = json.loads((tmp_path / "m.item.json").read_text())
    assert item["bbox"] == [179.1, -19.9, -179.5, -18.5]
    assert item["geometry"]["type"] == "MultiPolygon"
    (east,), (west,) = item["geometry"]["coordinates"]
    for ring, edges in ((east, (179.1, 180)), (west, (-180, -179.5))):
        lons, lats = np.array(ring).T
        assert (lons.min(), lons.max()) == edges
        assert (lats.min(), lats.max()) == (-19.9, -18.5)
        assert ring[0] == ring[-1]
    collection = json.loads((tmp_path / "m.collection.json").read_text())
    assert collection["extent"]["spatial"]["bbox"] == [[179.1, -19.9, -179.5, -18.5]]


def test_grids_of_the_world_stay_as_they_were():
    world = Grid(LONLAT, from_origin(-180.25, 90, 0.5, 0.5), 360, 720)
    assert world.region == (-180.25, 179.75, -90, 90)
    part = world.clip((100, 180, -10, 10))
    assert (part.width, part.bounds[0]) == (160, 99.75)
    assert world.clip((-180, 180, -10, 10)).width == 720
