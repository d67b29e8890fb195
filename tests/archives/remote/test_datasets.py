"""Remote rasters against the same rasters on disk."""

import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from spatioformer.archives import remote
from spatioformer.archives.remote import block_spans, open_remote, prefetch, read_remote
from spatioformer.archives.remote import source as sources
from spatioformer.common.errors import ImageryError
from tests.archives.remote.conftest import write_raster
from tests.helpers import servers

LAYOUTS = {
    "pixel": {"interleave": "pixel"},
    "band": {"interleave": "band"},
    "strips": {"tiled": False, "blockxsize": None, "blockysize": 16},
    "plain": {"compress": None},
    "big": {"BIGTIFF": "YES"},
    "predictor": {"compress": "lzw", "predictor": 2},
    "south-up": {"transform": Affine(10, 0, 500_000, 0, 10, 6_000_000)},
    "nodata": {"nodata": 0},
    "sparse": {"SPARSE_OK": True},
}


def windows(count: int, seed: int = 0, size: int = 256, side: int = 11) -> list[Window]:
    draw = random.Random(seed)
    return [
        Window(draw.randrange(0, size - side), draw.randrange(0, size - side), side, side)
        for _ in range(count)
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("ahead", [True, False])
def test_every_layout_reads_as_on_disk(served, access, layout, ahead):
    profile = {key: value for key, value in LAYOUTS[layout].items() if value is not None}
    if layout == "strips":
        profile |= {"blockxsize": 256}
    path = write_raster(served.folder / "a.tif", **profile)
    with open_remote(f"{served.url}/a.tif", access) as far, rasterio.open(path) as near:
        assert far.profile == near.profile
        assert far.tags() == near.tags()
        for window in windows(10):
            if ahead:
                prefetch(far, [window])
                served.plan = servers.always(servers.status(404))
            assert (far.read(window=window) == near.read(window=window)).all()
            served.plan = None
        assert (far.read() == near.read()).all()
    assert {sent.path for sent in served.sent} == {"/a.tif"}  # nothing beside it is looked for


def test_cloud_optimised_files_with_overviews_and_masks(served, access, tmp_path):
    source = write_raster(tmp_path / "source.tif", size=600, nodata=0)
    path = served.folder / "a.tif"
    copy(source, path, driver="COG", compress="deflate", blocksize=128, add_mask=True)
    with open_remote(f"{served.url}/a.tif", access) as far, rasterio.open(path) as near:
        assert far.overviews(1) == near.overviews(1)
        prefetch(far, [Window(300, 300, 100, 100)])
        for area in (Window(300, 300, 100, 100), Window(0, 0, 600, 600)):
            assert (far.read(window=area) == near.read(window=area)).all()
            assert (far.read_masks(window=area) == near.read_masks(window=area)).all()
            shape = (3, 20, 20)
            assert (
                far.read(window=area, out_shape=shape) == near.read(window=area, out_shape=shape)
            ).all()
        with WarpedVRT(far, crs="EPSG:4326") as warped, WarpedVRT(near, crs="EPSG:4326") as local:
            assert (warped.read() == local.read()).all()


def test_only_the_blocks_of_the_windows_are_fetched(served, access):
    write_raster(served.folder / "a.tif", size=1024, bands=6)
    chosen = windows(12, seed=2, size=1024)
    with open_remote(f"{served.url}/a.tif", access) as dataset:
        spans = block_spans(dataset, chosen)
        served.clear()
        prefetch(dataset, chosen)
        blocks = sum(stop - start for start, stop in spans)
        assert blocks <= served.bytes + 16_384 <= 1.01 * blocks + 16_384
        served.clear()
        for window in chosen:
            dataset.read(window=window)
        prefetch(dataset, chosen)
    assert served.sent == []


@pytest.mark.parametrize(
    ("interleave", "bands", "expected"),
    [("pixel", [1, 3], 1), ("band", [1, 3], 2), ("band", None, 3)],
)
def test_spans_of_bands(served, access, interleave, bands, expected):
    write_raster(served.folder / "a.tif", interleave=interleave)
    with open_remote(f"{served.url}/a.tif", access) as dataset:
        spans = block_spans(dataset, [Window(70, 70, 5, 5)], bands)
        assert len(spans) == expected
        assert block_spans(dataset, [Window(-50, 300, 20, 20)], bands) == []
        assert len(block_spans(dataset, [Window(-5, -5, 10, 10)], bands)) == expected
        everything = block_spans(dataset, [Window(-99, -99, 999, 999)], bands)
        assert len(everything) == 16 * expected


def test_a_block_that_is_not_in_the_file_is_not_fetched(served, access):
    path = served.folder / "a.tif"
    profile = {"driver": "GTiff", "dtype": "uint8", "width": 256, "height": 256, "count": 1}
    profile["transform"] = Affine(10, 0, 500_000, 0, -10, 6_000_000)
    with rasterio.open(
        path, "w", **profile, tiled=True, blockxsize=64, blockysize=64, SPARSE_OK=True, nodata=9
    ) as dataset:
        dataset.write(np.ones((1, 64, 64), "uint8"), window=Window(0, 0, 64, 64))
    with open_remote(f"{served.url}/a.tif", access) as dataset:
        assert len(block_spans(dataset, [Window(0, 0, 256, 256)])) == 1
        assert dataset.read(1).sum() == 64 * 64 + 9 * 15 * 64 * 64


def test_faults_give_the_same_pixels(served, access):
    path = write_raster(served.folder / "a.tif", size=1024, bands=2)
    served.plan = servers.sometimes(0.7, seed=5)
    with rasterio.open(path) as near:
        for number, window in enumerate(windows(45, seed=3, size=1024)):
            with open_remote(f"{served.url}/a.tif", access) as far:
                if number % 2:
                    prefetch(far, [window])
                assert (far.read(window=window) == near.read(window=window)).all()
    assert served.faults > 30
    assert served.faults == remote.counters().retries


def test_a_read_that_fails_is_said_even_if_the_caller_goes_on(served, access, raster):
    served.plan = lambda asked: None if asked.number < 1 else servers.status(404)
    with pytest.raises(remote.NotFound, match=r"a\.tif does not exist"):
        with open_remote(f"{served.url}/a.tif", access) as dataset:
            dataset.read()

    def careless(dataset) -> None:
        with contextlib.suppress(rasterio.errors.RasterioError):
            dataset.read()

    with pytest.raises(remote.NotFound):
        read_remote(f"{served.url}/a.tif", access, careless)
    served.plan = None
    with open_remote(f"{served.url}/a.tif", access) as dataset:
        dataset.read()


def test_errors_of_the_caller_stay_as_they_are(served, access, raster):
    with pytest.raises(KeyError, match="mine"):
        with open_remote(f"{served.url}/a.tif", access):
            raise KeyError("mine")


def test_a_raster_that_changes_is_read_anew(served, access, tmp_path):
    path = write_raster(served.folder / "a.tif")
    new = write_raster(tmp_path / "new.tif", seed=9)
    changes = []

    def task(dataset) -> np.ndarray:
        if not changes:
            path.write_bytes(new.read_bytes())
            served.tags["/a.tif"] = "new"
            changes.append(1)
        return dataset.read()

    values = read_remote(f"{served.url}/a.tif", access, task)
    with rasterio.open(new) as dataset:
        assert (values == dataset.read()).all()

    def always_new(dataset) -> np.ndarray:
        served.tags["/a.tif"] = f"tag{len(changes)}"
        changes.append(1)
        return dataset.read()

    sources.forget_all()
    with pytest.raises(remote.FileChanged):
        read_remote(f"{served.url}/a.tif", replace(access, cache=tmp_path / "other"), always_new)


@pytest.mark.parametrize(
    "content",
    [
        b"<html>Please log in</html>",
        b"II*\0",
        b"II*\0" + bytes(100),
        b"II*\0\x08\0\0\0" + b"\xff" * 500,
    ],
)
def test_what_is_no_geotiff(served, access, content):
    (served.folder / "a.tif").write_bytes(content)
    with pytest.raises(remote.RemoteError, match=r"a\.tif cannot be read as a GeoTIFF") as caught:
        with open_remote(f"{served.url}/a.tif", access):
            pass
    assert "\n" not in str(caught.value)
    assert "archive://" not in str(caught.value)


def test_a_damaged_block_is_said(served, access):
    path = write_raster(served.folder / "a.tif")
    content = bytearray(path.read_bytes())
    content[-60_000:] = b"\xff" * 60_000
    path.write_bytes(content)
    with pytest.raises(remote.RemoteError, match="cannot be read as a GeoTIFF"):
        with open_remote(f"{served.url}/a.tif", access) as dataset:
            dataset.read()
    assert not [path for path in access.cache.rglob("*") if path.is_file()]
    good = write_raster(served.folder / "a.tif")
    with open_remote(f"{served.url}/a.tif", access) as far, rasterio.open(good) as near:
        assert (far.read() == near.read()).all()


def test_a_raster_that_states_an_absurd_size(served, access):
    with MemoryFile() as memory:
        profile = {"driver": "GTiff", "dtype": "uint8", "width": 2_000_000, "height": 2_000_000}
        profile["transform"] = Affine(10, 0, 500_000, 0, -10, 6_000_000)
        with memory.open(
            **profile, count=1, tiled=True, blockxsize=65_536, blockysize=65_536, SPARSE_OK=True
        ):
            pass
        (served.folder / "a.tif").write_bytes(memory.read())
    with pytest.raises(ImageryError, match="states 2000000 x 2000000 pixels"):
        with open_remote(f"{served.url}/a.tif", access):
            pass


def test_threads_read_the_same_pixels(served, access):
    path = write_raster(served.folder / "a.tif", size=512)
    with rasterio.open(path) as near:
        chosen = windows(40, seed=4, size=512)
        expected = [near.read(window=window) for window in chosen]
    barrier = threading.Barrier(8, timeout=30)

    def read(start: int) -> list[np.ndarray]:
        barrier.wait()
        with open_remote(f"{served.url}/a.tif", access) as far:
            return [far.read(window=window) for window in chosen[start::8]]

    with ThreadPoolExecutor(8) as threads:
        results = list(threads.map(read, range(8)))
    for start, values in enumerate(results):
        for one, other in zip(values, expected[start::8], strict=True):
            assert (one == other).all()
    assert served.bytes <= path.stat().st_size + 16_384


def test_two_rasters_of_one_folder_are_open_at_once(served, access):
    paths = [write_raster(served.folder / f"{i}.tif", seed=i) for i in range(3)]
    with (
        open_remote(f"{served.url}/0.tif", access) as a,
        open_remote(f"{served.url}/1.tif", access) as b,
        open_remote(f"{served.url}/0.tif", access) as c,
    ):
        values = [dataset.read() for dataset in (a, b, c)]
    for path, value in zip((paths[0], paths[1], paths[0]), values, strict=True):
        with rasterio.open(path) as near:
            assert (value == near.read()).all()


def test_a_local_raster(access, tmp_path):
    path = write_raster(tmp_path / "local.tif")
    with open_remote(str(path), access) as far, rasterio.open(path) as near:
        prefetch(far, [Window(0, 0, 10, 10)])
        assert (far.read() == near.read()).all()
    with open_remote(path.as_uri(), access) as far:
        assert far.count == 3
    with pytest.raises(
        ImageryError, match=r"cannot open .*x\.tif: .*No such file .*; check the path"
    ):
        with open_remote(str(tmp_path / "x.tif"), access):
            pass


def test_offline_rasters(served, access, raster):
    window = Window(100, 100, 20, 20)
    with open_remote(f"{served.url}/a.tif", access) as dataset:
        values = dataset.read(window=window)
    sources.forget_all()
    offline = replace(access, offline=True)
    served.plan = servers.always(servers.status(500))
    with open_remote(f"{served.url}/a.tif", offline) as dataset:
        assert (dataset.read(window=window) == values).all()
    with pytest.raises(remote.NotCached, match=r"a\.tif is not in the cache"):
        with open_remote(f"{served.url}/a.tif", offline) as dataset:
            dataset.read()


def test_an_interrupt_while_gdal_reads_arrives(served, access, raster, monkeypatch):
    def interrupted(*_: object) -> bytes:
        raise KeyboardInterrupt

    def read(dataset) -> None:
        monkeypatch.setattr(remote.RemoteFile, "read_at", interrupted)
        dataset.read()

    with pytest.raises(KeyboardInterrupt):
        read_remote(f"{served.url}/a.tif", access, read)
