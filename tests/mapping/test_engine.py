"""The mapping engine: the same map whatever tiles, workers and layouts; each pixel exactly once."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.common.progress import Console
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.stack import Stack
from spatioformer.mapping import Output, Resources, map_raster
from spatioformer.mapping import plan as planning
from spatioformer.mapping.options import parse_memory, parse_shard
from spatioformer.mapping.plan import Plan, make_plan, tile_bytes
from spatioformer.mapping.source import Source
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from tests.helpers.landscape import write_raster
from tests.helpers.maps import (
    BANDS,
    KINDS,
    LAYOUTS,
    Mirror,
    echo,
    mask,
    noise,
    numbered,
    read,
    small,
)  # fmt: skip

pytestmark = pytest.mark.slow


@pytest.fixture
def tiles_of_16(monkeypatch):
    monkeypatch.setattr("spatioformer.mapping.predictor.UNIT", 16)


# --- where each pixel goes ------------------------------------------------------------------------


@pytest.mark.usefixtures("tiles_of_16")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_raster_of_its_own_numbers_comes_back(tmp_path, kind, layout):
    shape = (37, 53)
    scene = numbered(tmp_path / "a.tif", shape, kind, **LAYOUTS[layout])
    model = Mirror(np.prod(shape))
    out = tmp_path / "map.tif"
    map_raster(NetworkModel(model, BANDS), scene, out, samples=0, resources=Resources(workers=2))
    np.testing.assert_array_equal(read(out)[0], np.arange(37 * 53).reshape(shape))
    assert (model.seen == 1).all(), "each pixel was predicted exactly once"
    with rasterio.open(out) as one, rasterio.open(scene) as other:
        assert one.crs == other.crs
        assert one.transform == other.transform


@pytest.mark.usefixtures("tiles_of_16")
@pytest.mark.parametrize("kind", KINDS)
def test_the_model_is_told_where_each_pixel_lies(tmp_path, kind):
    scene, out = numbered(tmp_path / "a.tif", (37, 53), kind), tmp_path / "map.tif"
    map_raster(echo(1), scene, out, samples=0)
    with Stack(scene) as stack:
        lon, lat = stack.grid.lonlat(*np.mgrid[:37, :53])
    expected = np.maximum(lon * 10 - lat, 0)  # a negative richness becomes 0
    np.testing.assert_allclose(read(out)[0], expected, rtol=1e-6)
    if "antimeridian" in kind:
        assert lon.max() > 179
        assert lon.min() < -179


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (300, 1), (257, 255)])
def test_odd_sizes(tmp_path, shape):
    model, out = Mirror(np.prod(shape)), tmp_path / "map.tif"
    map_raster(NetworkModel(model, BANDS), numbered(tmp_path / "a.tif", shape), out, samples=0)
    np.testing.assert_array_equal(read(out)[0], np.arange(np.prod(shape)).reshape(shape))
    assert (model.seen == 1).all()


@pytest.mark.usefixtures("tiles_of_16")
def test_nodata_in_the_halo_of_a_tile(tmp_path):
    """A missing pixel in one tile takes its neighbours in the next, and no other pixel."""
    data = np.ones((2, 40, 40), np.float32)
    data[1, 16, 15] = -9  # the first row of the second row of tiles, the last column of the first
    scene = write_raster(tmp_path / "a.tif", data, names=("a", "b"), nodata=-9)
    map_raster(echo(3), scene, tmp_path / "map.tif", samples=0)
    expected = np.ones((40, 40), bool)
    expected[[0, -1]] = expected[:, [0, -1]] = False
    expected[15:18, 14:17] = False
    np.testing.assert_array_equal(np.isfinite(read(tmp_path / "map.tif")[0]), expected)


@pytest.mark.usefixtures("tiles_of_16")
def test_pixels_without_a_place_get_no_prediction(tmp_path):
    """The corners of a view of the globe show space."""
    side = 4e5
    transform = Affine(side, 0, -20 * side, 0, -side, 20 * side)
    crs = "+proj=ortho +lat_0=-25 +lon_0=135 +a=6378137 +b=6378137"
    data = np.ones((2, 40, 40), np.float32)
    scene = write_raster(tmp_path / "a.tif", data, names=("a", "b"), crs=crs, transform=transform)
    summary = map_raster(echo(1), scene, tmp_path / "map.tif", samples=0)
    made = np.isfinite(read(tmp_path / "map.tif")[0])
    y, x = np.mgrid[:40, :40] + 0.5
    on_earth = np.hypot(x - 20, y - 20) * side < 6378137
    assert summary["pixels"] == made.sum() == on_earth.sum()
    np.testing.assert_array_equal(made, on_earth)


# --- what does not matter -------------------------------------------------------------------------


@pytest.mark.usefixtures("tiles_of_16")
def test_tile_size_does_not_matter(tmp_path, monkeypatch):
    scene = noise(tmp_path / "a.tif", (75, 83))
    maps = []
    for units in (1, 2, 5):
        monkeypatch.setattr("spatioformer.mapping.plan._useful_units", lambda *_, n=units: n)
        out = tmp_path / f"{units}.tif"
        map_raster(small(), scene, out, samples=3, sd_step=3)
        maps.append(read(out))
    assert (maps[0][1] > 0).sum() > 5000
    for other in maps[1:]:
        np.testing.assert_allclose(other, maps[0], rtol=2e-6)


@pytest.mark.usefixtures("tiles_of_16")
@pytest.mark.slow
def test_number_of_workers_does_not_matter(tmp_path):
    scene = noise(tmp_path / "a.tif", (75, 83))
    files = []
    for workers in (1, 2, 5):
        out = tmp_path / f"{workers}.tif"
        map_raster(small(), scene, out, samples=3, resources=Resources(workers=workers))
        files.append(out.read_bytes())
    assert files[0] == files[1] == files[2]


@pytest.mark.usefixtures("tiles_of_16")
def test_four_parts_and_their_merging(tmp_path, monkeypatch):
    scene = noise(tmp_path / "a.tif", (75, 83))
    whole, out = tmp_path / "whole.tif", tmp_path / "parts.tif"
    map_raster(small(), scene, whole, samples=3)
    tiles = 0
    for part in (3, 1, 4):
        done = map_raster(
            small(), scene, out, samples=3, resources=Resources(shard=(part, 4))
        )  # fmt: skip
        tiles += done["tiles"]
        assert not out.exists()
    assert tiles == 5 * 6 - 8, "one part is left"
    computed = count_tiles(monkeypatch)
    map_raster(small(), scene, out, samples=3)
    assert len(computed) == 8, "the merge computes what a lost part left undone"
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir() if "parts" in p.name) == [
        "parts.qml",
        "parts.tif",
    ]


def count_tiles(monkeypatch) -> list[int]:
    """The numbers of tiles computed from now on."""
    from spatioformer.mapping import engine

    computed: list[int] = []
    original = engine.record

    def counted(predictor, grid, number, tile):
        computed.append(number)
        return original(predictor, grid, number, tile)

    monkeypatch.setattr(engine, "record", counted)
    return computed


# --- work that is left out ------------------------------------------------------------------------


@pytest.mark.usefixtures("tiles_of_16")
def test_tiles_of_sea_are_not_read(tmp_path, monkeypatch):
    wanted = np.zeros((160, 160), bool)
    wanted[70, 5] = wanted[150:, 150:] = True
    scene = mask(noise(tmp_path / "a.tif", (160, 160)), wanted)
    windows = []
    original = Source.read

    def counted(self, window, halo=0):
        windows.append((window.row_off, window.col_off, halo))
        return original(self, window, halo)

    monkeypatch.setattr(Source, "read", counted)
    summary = map_raster(small(), scene, tmp_path / "map.tif", samples=0)
    assert summary["pixels"] == 1 + 9 * 9  # the last row and column have no whole chip
    assert [w for w in windows if w[2]] == [(64, 0, 1), (128, 128, 1)]
    sizes = (tmp_path / "map.tif").stat().st_size
    map_raster(small(), noise(tmp_path / "b.tif", (160, 160)), tmp_path / "b_map.tif", samples=0)
    assert sizes < (tmp_path / "b_map.tif").stat().st_size / 5


@pytest.mark.usefixtures("tiles_of_16")
def test_an_outline(tmp_path, monkeypatch):
    import geopandas
    from shapely.geometry import Point

    scene = noise(tmp_path / "a.tif", (160, 160))
    disc = Point(144, -24).buffer(2)  # 20 pixels around pixel (40, 40)
    outline = tmp_path / "disc.gpkg"
    frame = geopandas.GeoDataFrame(geometry=[disc], crs="EPSG:4326")
    frame.to_crs("EPSG:3577").to_file(outline)
    computed = count_tiles(monkeypatch)
    summary = map_raster(small(), scene, tmp_path / "map.tif", samples=0, outline=outline)
    y, x = np.mgrid[:160, :160] + 0.5
    distance = np.hypot(y - 40, x - 40)
    made = np.isfinite(read(tmp_path / "map.tif")[0])
    assert made[distance < 19.5].all()
    assert not made[distance > 20.5].any()
    assert summary["pixels"] == made.sum()
    assert len(computed) == 4, "of 25 tiles"
    far = tmp_path / "far.gpkg"
    geopandas.GeoDataFrame(geometry=[Point(0, 0).buffer(1)], crs="EPSG:4326").to_file(far)
    with pytest.raises(ImageryError, match="lies outside the imagery"):
        map_raster(small(), scene, tmp_path / "b.tif", outline=far)
    with pytest.raises(ImageryError, match=r"none.gpkg cannot be read"):
        map_raster(small(), scene, tmp_path / "b.tif", outline=tmp_path / "none.gpkg")


# --- the plan -------------------------------------------------------------------------------------


def test_a_million_tiles():
    side = 256_000
    grid = Grid(CRS.from_epsg(3577), Affine(30, 0, 0, 0, -30, 0), side, side - 1)
    plan = Plan(grid, 256, 256, 4)
    tiles = plan.tiles()
    assert len(tiles) == plan.count == 1_000_000
    last = plan.window(tiles[-1])
    assert (last.row_off, last.col_off, last.height, last.width) == (
        side - 256, side - 256, 256, 255,
    )  # fmt: skip
    parts = [plan.tiles(shard=(i, 7)) for i in range(1, 8)]
    assert np.array_equal(np.sort(np.concatenate(parts)), tiles)


@pytest.mark.slow
def test_memory_decides_the_tiles(tmp_path):
    scene = noise(
        tmp_path / "a.tif",
        (5000, 5000),
        sparse_ok=True,
        transform=from_origin(140, -20, 0.01, 0.01),
    )
    with Source(scene, BANDS) as source:
        now = planning.resident()
        whole, budget = make_plan(source, 32, 2, 256, now + 10**10, 2)
        # 32 pixels around: (1 + 64 / 1280) ** 2 = 1.1025 and (1 + 64 / 1536) ** 2 = 1.085
        assert (whole.rows, whole.cols, budget.waiting) == (1250 // 256 * 256, 1024, 3)
        little, short = make_plan(source, 32, 2, 256, now + 2 * 192 * 2**20 + 10**8, 2)
        assert little.rows < whole.rows
        held = (2 + short.waiting + 1) * tile_bytes(source, little.rows, 32, 2) + short.cache
        assert held <= 10**8
        with pytest.raises(OutputError, match=r"^--memory \S+MB is below what 2 workers with the "
                           r"smallest tile of 256 x 256 pixels need; give --memory \S+B or fewer "
                           r"--workers$"):  # fmt: skip
            make_plan(source, 32, 2, 256, now + 10**8, 2)


@pytest.mark.parametrize(
    ("text", "value"),
    [("2GB", 2 * 10**9), ("512MiB", 512 * 2**20), (" 0.5 gb", 5 * 10**8), ("8e8", None),
     ("0GB", None), ("much", None), ("2TBx", None), ("-1GB", None)],
)  # fmt: skip
def test_amounts_of_memory(text, value):
    if value is not None:
        assert parse_memory(text) == value
    else:
        with pytest.raises(OutputError, match="is not an amount of memory; give one such as 2GB"):
            parse_memory(text)


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "1/0", "-1/4"])
def test_parts_of_a_run(text):
    assert parse_shard("2/4") == (2, 4)
    with pytest.raises(OutputError, match="is not a part of a run; give one such as 1/4"):
        parse_shard(text)


# --- what is written ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """Imagery of 300 x 350 pixels and the map of it, in default form."""
    folder = tmp_path_factory.mktemp("plain")
    scene = noise(folder / "a.tif", (300, 350))
    map_raster(small(), scene, folder / "map.tif", samples=2, sd_step=16)
    return scene, folder / "map.tif"


@pytest.mark.parametrize(
    ("dtype", "compress"),
    [
        ("float32", "deflate"),
        ("uint16", "zstd"),
        pytest.param("float32", "zstd", marks=pytest.mark.soak),
        pytest.param("uint16", "deflate", marks=pytest.mark.soak),
    ],
)
@pytest.mark.slow
def test_a_cog_of_either_type(tmp_path, plain, dtype, compress):
    out, output = tmp_path / "map.tif", Output(("sd", "valid", "mean"), dtype, compress, year=2021)
    map_raster(small(), plain[0], out, samples=2, sd_step=16, output=output)
    assert cog_validate(out, quiet=True) == (True, [], [])
    with rasterio.open(out) as source:
        assert source.dtypes == (dtype,) * 3
        assert source.compression.value.lower() == compress
        assert [d.split(", ")[1] for d in source.descriptions] == [
            "standard deviation", "a prediction was made (1)", "mean",
        ]  # fmt: skip
        assert source.tags()["YEAR"] == "2021"
        raw, scale = source.read(masked=True), np.array(source.scales)
        half = source.read(out_shape=(3, 150, 175), masked=True)
    values = raw.astype(np.float64).filled(np.nan) * scale[:, None, None]
    mean, sd = read(plain[1])
    tolerance = 0.0051 if dtype == "uint16" else 0
    np.testing.assert_allclose(values[2], mean, atol=tolerance)
    np.testing.assert_allclose(values[0], sd, atol=tolerance)
    np.testing.assert_array_equal(values[1] == 1, np.isfinite(mean))
    below = raw.astype(np.float64).filled(np.nan).reshape(3, 150, 2, 175, 2)
    with np.errstate(invalid="ignore"):
        expected = np.where(
            np.isfinite(below).any(axis=(2, 4)), np.nansum(below, axis=(2, 4)), np.nan
        ) / np.isfinite(below).sum(axis=(2, 4))
    rounding = {"rtol": 1e-6} if dtype == "float32" else {"atol": 0.51}
    np.testing.assert_allclose(half.astype(np.float64).filled(np.nan), expected, **rounding)


def test_a_file_a_layer(tmp_path):
    scene, out = noise(tmp_path / "a.tif", (60, 70)), tmp_path / "map.tif"
    map_raster(small(), scene, out, samples=2)
    map_raster(small(), scene, tmp_path / "one.tif", samples=2, output=Output(separate=True))
    assert not (tmp_path / "one.tif").exists()
    for band, name in enumerate(["mean", "sd"]):
        path = tmp_path / f"one_{name}.tif"
        np.testing.assert_array_equal(read(path)[0], read(out)[band])
        assert cog_validate(path, quiet=True)[0]
    with pytest.raises(OutputError, match=r"one_mean.tif exists; give --force"):
        map_raster(small(), scene, tmp_path / "one.tif", output=Output(separate=True))


# --- what cannot be -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"layers": ("mean", "mode")}, "layer 'mode' is unknown; choose from mean, sd, lower, "),
     ({"layers": ("sd", "sd")}, "the layers sd, sd repeat; name each once"),
     ({"dtype": "int8"}, "dtype 'int8' is unknown; choose from float32, uint16"),
     ({"compress": "lzw"}, "compression 'lzw' is unknown; choose from deflate, zstd"),
     ({"stac": True}, "a STAC item needs a date; give the imagery's year with --year")],
)  # fmt: skip
def test_outputs_that_do_not_exist(options, sentence):
    with pytest.raises(OutputError, match=sentence):
        Output(**options)


def test_layers_that_the_model_cannot_give(tmp_path):
    scene, out = noise(tmp_path / "a.tif", (9, 9)), tmp_path / "map.tif"
    with pytest.raises(ModelError, match="no measured uncertainty, which the layer 'di' needs"):
        map_raster(small(), scene, out, output=Output(layers=("mean", "di")))
    with pytest.raises(ModelError, match="the layer 'sd' needs Monte Carlo dropout"):
        map_raster(small(), scene, out, samples=0, output=Output(layers=("sd",)))
    with pytest.raises(ModelError, match="the layer 'sd' needs Monte Carlo dropout"):
        map_raster(small(dropout=0.0), scene, out, output=Output(layers=("sd",)))


def test_what_stands_is_not_replaced_unasked(tmp_path):
    scene, out = noise(tmp_path / "a.tif", (9, 9)), tmp_path / "map.tif"
    out.write_text("mine")
    with pytest.raises(OutputError, match=r"map.tif exists; give --force to replace it, or"):
        map_raster(small(), scene, out)
    assert out.read_text() == "mine"
    map_raster(small(), scene, out, samples=0, overwrite=True)
    assert read(out).shape == (1, 9, 9)


def test_a_disk_that_is_too_small_is_noticed_before(tmp_path, monkeypatch):
    scene, out = noise(tmp_path / "a.tif", (300, 300)), tmp_path / "new" / "map.tif"
    usage = type("Usage", (), {"free": 2 * 10**6})
    monkeypatch.setattr("spatioformer.mapping.raster.disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"about 3MB are needed while the map is made and "
                       "2MB are free; free some space or write elsewhere"):  # fmt: skip
        map_raster(small(), scene, out, samples=3)
    assert not list(tmp_path.rglob("*.tiles"))
    usage.free = 5 * 10**6
    map_raster(small(), scene, out, samples=2, sd_step=16)


def test_a_raster_smaller_than_a_chip(tmp_path):
    scene = noise(tmp_path / "a.tif", (2, 50))
    with pytest.raises(
        ImageryError, match=r"a.tif has 2 x 50 pixels and the model needs 3 x 3 around a pixel"
    ):
        map_raster(small(), scene, tmp_path / "map.tif")


def test_a_crs_that_leads_nowhere(tmp_path):
    local = 'LOCAL_CS["site grid",UNIT["metre",1]]'
    scene = noise(tmp_path / "a.tif", (9, 9), crs=local)
    with pytest.raises(ImageryError, match=r"a\.tif: crs of the file \(site grid\) is neither "
                       r"geographic nor projected; write the right one into the file, for example "
                       r"with gdal_edit\.py -a_srs EPSG:4326$"):  # fmt: skip
        map_raster(small(), scene, tmp_path / "map.tif")


def test_imagery_on_another_scale_is_remarked(tmp_path, capsys):
    bundle = small()
    bundle.scaling = Scaling((0.0, 3000.0), (1.0, 400.0), 10.0, 5.0)
    scene, out = noise(tmp_path / "a.tif", (90, 90)), tmp_path / "map.tif"
    map_raster(bundle, scene, out, samples=0, console=Console(interactive=False))
    said = capsys.readouterr().err
    assert "band b has mean" in said
    assert "3000 and 400 at the training plots; check its scale" in said
    assert "band a" not in said
