"""Stacks of sources and their files: the same bytes everywhere, nothing left out silently."""

import json
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives import pools, work
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import item_path, write_year
from spatioformer.archives.yearly import FailedItems
from spatioformer.common import cluster as shared
from spatioformer.common.errors import ImageryError, OutputError
from spatioformer.common.progress import Console
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster import cog
from tests.helpers.scenes import CORNER, UTM55, source, write_scene

UTM = CRS.from_user_input(UTM55)
GRID = Grid(UTM, CORNER, 300, 280)
DAYS = ["2021-01-05", "2021-02-07", "2021-05-01", "2021-09-30"]


class Lines(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines: list[str] = []
        self.log = self.lines.append


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Two tiles a day on four days, the second in the next UTM zone; clouds in a fifth of them."""
    folder = tmp_path_factory.mktemp("scenes")
    rng = np.random.default_rng(3)
    other = "EPSG:32754"
    lon, lat = GRID.lonlat(np.array([100]), np.array([150]))
    from pyproj import Transformer

    x, y = Transformer.from_crs(4326, other, always_xy=True).transform(lon[0], lat[0])
    places = [(UTM55, CORNER), (other, Affine(10, 0, round(x, -1), 0, -10, round(y, -1)))]
    items = []
    for day, when in enumerate(DAYS):
        for tile, (crs, transform) in enumerate(places):
            bands = {
                name: rng.integers(200, 4000, (200, 240)).astype(np.uint16)
                for name in ("blue", "red", "nir")
            }
            scl = np.where(rng.random((100, 120)) < 0.2, 9, 4)
            name, time = f"d{day}t{tile}", f"{when}T00:10:{tile:02}"
            items.append(write_scene(folder, name, bands, time, crs, transform, scl))
    return items


def stack(items, **section) -> SourceStack:
    values = {"min_clear": 2, "composite": "median", "count": True, "indices": ["NDVI"]}
    return SourceStack((source(items, **values | section),), GRID)


def whole(of: SourceStack, year: int = 2021) -> np.ndarray:
    return of.read(Window(0, 0, GRID.width, GRID.height), year)


def content(path) -> np.ndarray:
    with rasterio.open(path) as raster:
        return raster.read()


def test_a_window_with_a_halo_is_a_part_of_the_whole(scenes):
    of = stack(scenes)
    everything = whole(of)
    assert of.bands == ["s_blue", "s_red", "s_nir", "s_NDVI", "s_count"]
    assert set(np.unique(everything[-1])) <= {0, 1, 2, 3, 4}
    padded = np.pad(everything, ((0, 0), (3, 3), (3, 3)), constant_values=np.nan)
    for window in (Window(0, 0, 40, 30), Window(270, 290, 10, 10), Window(100, 100, 1, 1)):
        r, c = window.row_off, window.col_off
        expected = padded[:, r : r + window.height + 6, c : c + window.width + 6]
        np.testing.assert_array_equal(of.read(window, 2021, halo=3), expected)


def test_only_items_that_touch_a_window_are_opened(scenes, monkeypatch):
    of, seen = stack(scenes), []
    monkeypatch.setattr("spatioformer.archives.stack.MARGIN", 0.0)
    read = SceneReader.read
    monkeypatch.setattr(
        SceneReader, "read", lambda self, item, w: (seen.append(item.id), read(self, item, w))[1]
    )
    of.read(Window(0, 0, 10, 10), 2021)
    assert set(seen) == {f"d{day}t0" for day in range(4)}


def test_threads_processes_and_windows_of_any_size_give_the_same_file(
    scenes, tmp_path, monkeypatch
):
    of, written = stack(scenes), {}
    for name, scheduler, workers, side in (
        ("one", "threads", 1, 2048),
        ("two", None, 2, 256),
        ("small", "threads", 3, 100),
        ("processes", "processes", 2, 160),
    ):
        monkeypatch.setattr(work, "SMALLEST", side)
        monkeypatch.setattr(work, "LARGEST", side)
        out = tmp_path / f"{name}.tif"
        write_year(of, 2021, out, workers=workers, scheduler=scheduler)
        written[name] = out.read_bytes()
        assert not list(tmp_path.glob("*.windows-*")), "nothing is left beside a finished file"
    assert len(set(written.values())) == 1
    np.testing.assert_array_equal(content(out), whole(of))


def test_a_dask_cluster_gives_the_same_file(scenes, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(work, "SMALLEST", 128)
    monkeypatch.setattr(work, "LARGEST", 128)
    of = stack(scenes)
    write_year(of, 2021, tmp_path / "here.tif", workers=1)
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
    ) as cluster:
        write_year(of, 2021, tmp_path / "there.tif", scheduler=cluster.scheduler_address)
    assert (tmp_path / "here.tif").read_bytes() == (tmp_path / "there.tif").read_bytes()


def test_blocks_of_rasters_take_an_eighth_of_the_memory(scenes, tmp_path, monkeypatch):
    seen, copy = [], cog.to_cog

    def look(*arguments):
        seen.append(rasterio.env.getenv()["GDAL_CACHEMAX"])
        copy(*arguments)

    monkeypatch.setattr(cog, "to_cog", look)
    write_year(stack(scenes), 2021, tmp_path / "2021.tif", workers=1, memory=0.8)
    assert seen == [100_000_000]


def test_a_file_says_what_it_is_made_of(scenes, tmp_path):
    pystac = pytest.importorskip("pystac")
    out = tmp_path / "2021.tif"
    facts = write_year(stack(scenes), 2021, out, workers=1)
    assert facts["items"] == {"s": 8}
    with rasterio.open(out) as raster:
        assert raster.descriptions == ("s_blue", "s_red", "s_nir", "s_NDVI", "s_count")
        assert raster.tags()["YEAR"] == "2021"
        assert raster.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    item = json.loads(item_path(out).read_text())
    links = [link for link in item["links"] if link["rel"] == "derived_from"]
    assert [link["title"] for link in links] == [item.id for item in scenes]
    assert links[0]["href"] == "https://example.org/items/d0t0"
    (of,) = item["properties"]["spatioformer:sources"]
    assert (of["collection"], of["composite"], of["license"]) == ("toy", "median", "CC0-1.0")
    pystac.Item.from_dict(item | {"stac_extensions": []}).validate()


def test_a_killed_run_computes_only_what_is_missing(scenes, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "SMALLEST", 100)
    monkeypatch.setattr(work, "LARGEST", 100)
    of, out = stack(scenes), tmp_path / "2021.tif"
    write_year(of, 2021, tmp_path / "whole.tif", workers=1)
    calls = []
    compute = work.compute_window

    def dying(packed, year, window):
        calls.append(window)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return compute(packed, year, window)

    monkeypatch.setattr(work, "compute_window", dying)
    with pytest.raises(KeyboardInterrupt):
        write_year(of, 2021, out, workers=1)
    assert not out.exists()
    before = len(list(tmp_path.glob("2021.windows-*/*.npy")))
    assert 1 <= before <= 4
    calls.clear()
    calls.extend([None] * 10)  # past the fifth
    write_year(of, 2021, out, workers=1)
    assert len(calls) - 10 == 9 - before
    assert out.read_bytes() == (tmp_path / "whole.tif").read_bytes()


def broken(items, tmp_path, name):
    """The items, one of them with a damaged file."""
    (item,) = (item for item in items if item.id == name)
    path = tmp_path / "damaged.tif"
    with open(item.assets["red"].href, "rb") as stream:
        path.write_bytes(stream.read()[:3000])
    asset = replace(item.assets["red"], href=str(path))
    other = replace(item, assets={**item.assets, "red": asset})
    return [other if each is item else each for each in items]


def test_an_item_that_cannot_be_read_ends_the_run(scenes, tmp_path):
    of = stack(broken(scenes, tmp_path, "d1t0"))
    with pytest.raises(ImageryError, match=r"damaged.tif cannot be read .* `on_error: skip`"):
        write_year(of, 2021, tmp_path / "2021.tif", workers=1)
    assert not (tmp_path / "2021.tif").exists()


def test_an_item_left_out_is_left_out_everywhere(scenes, tmp_path, monkeypatch):
    """The file equals that of a run without the item, whichever window met the fault first."""
    monkeypatch.setattr(work, "SMALLEST", 100)
    monkeypatch.setattr(work, "LARGEST", 100)
    of = stack(broken(scenes, tmp_path, "d1t0"), on_error="skip")
    console, out = Lines(), tmp_path / "2021.tif"
    facts = write_year(of, 2021, out, workers=2, console=console)
    assert facts["left_out"] == {"s": ["d1t0"]}
    assert any("left out d1t0" in line and "damaged.tif" in line for line in console.lines)
    rest = stack([item for item in scenes if item.id != "d1t0"])
    write_year(rest, 2021, tmp_path / "rest.tif", workers=1)
    assert out.read_bytes() == (tmp_path / "rest.tif").read_bytes()
    item = json.loads(item_path(out).read_text())
    assert item["properties"]["spatioformer:left_out"] == {"s": ["d1t0"]}


def test_a_window_that_meets_the_fault_says_so(scenes, tmp_path):
    of = stack(broken(scenes, tmp_path, "d1t0"), on_error="skip")
    with pytest.raises(FailedItems) as caught:
        whole(of)
    again = of.without(caught.value.reasons)
    assert again.failed == {"s": frozenset({"d1t0"})}
    assert again.read(Window(0, 0, 50, 50), 2021)[-1].max() == 3


def test_clouds_everywhere_are_said(scenes, tmp_path):
    of = stack(scenes, min_clear=5, count=False)
    with pytest.raises(ImageryError, match="no pixel of 2021 has a value although 8 items"):
        write_year(of, 2021, tmp_path / "2021.tif", workers=1)
    assert not (tmp_path / "2021.tif").exists()


def test_a_year_without_imagery_is_named(scenes):
    with pytest.raises(ImageryError, match="no imagery of 2020; the sources have 2021"):
        stack(scenes).read(Window(0, 0, 4, 4), 2020)


def test_a_scheduler_that_does_not_answer_is_named(scenes, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(shared, "PATIENCE", 0.5)
    with pytest.raises(OutputError, match="no Dask scheduler answers at tcp://127"):
        write_year(stack(scenes), 2021, tmp_path / "a.tif", scheduler="tcp://127.0.0.1:1")
    with pytest.raises(ImageryError, match="the scheduler 'dask' is unknown"):
        pools.scheduler_of("dask")


def test_a_scheduler_without_workers_ends_the_run(scenes, tmp_path, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(shared, "NOTICE", 0.2)
    monkeypatch.setattr(shared, "WORKER_TIMEOUT", 0.5)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        with pytest.raises(OutputError, match=r"has had no worker for 0\.5 s; start one with"):
            write_year(stack(scenes), 2021, tmp_path / "a.tif", scheduler=cluster.scheduler_address)


def test_workers_that_all_die_end_the_run(scenes, tmp_path, monkeypatch):
    """In the middle of the work; finished windows are kept."""
    distributed = pytest.importorskip("distributed")
    for name, seconds in (
        ("NOTICE", 0.1),
        ("WORKER_TIMEOUT", 1.0),
        ("REFRESH", 0.1),
        ("PAUSE", 0.1),
    ):
        monkeypatch.setattr(shared, name, seconds)
    monkeypatch.setattr(work, "SMALLEST", 30)
    monkeypatch.setattr(work, "LARGEST", 30)
    console, save = Lines(), work.Arrays.save
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:

        def deadly(store, name, array):
            save(store, name, array)
            cluster.scale(0)

        monkeypatch.setattr(work.Arrays, "save", deadly)
        out, address = tmp_path / "a.tif", cluster.scheduler_address
        with pytest.raises(OutputError, match=r"no worker for 1 s; .* keeps the finished windows"):
            write_year(stack(scenes), 2021, out, scheduler=address, console=console)
    assert any("has no worker; start one" in line for line in console.lines)
    assert not out.exists()
    assert 1 <= len(list(tmp_path.glob("a.windows-*/*.npy"))) < 100


def test_two_sources_give_their_bands_side_by_side(scenes):
    first = stack(scenes, bands=["red"], indices=[], count=False).sources[0]
    second = source(scenes, name="t", bands=["nir"], composite="mean", min_clear=2)
    of = SourceStack((first, second), GRID)
    assert of.bands == ["s_red", "t_nir"]
    out = whole(of)
    np.testing.assert_array_equal(out[:1], whole(SourceStack((first,), GRID)))
    np.testing.assert_array_equal(out[1:], whole(SourceStack((second,), GRID)))


def test_more_memory_and_fewer_workers_give_larger_windows(scenes):
    of = replace(stack(scenes), grid=Grid(UTM, CORNER, 20_000, 20_000))
    sides = [work.window_size(of, 2021, w, m) for w, m in ((1, 0.5), (1, 2), (4, 2))]
    assert sides[0] < sides[1] > sides[2]
