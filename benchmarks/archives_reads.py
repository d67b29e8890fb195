"""Bytes and requests for chips from remote cloud-optimised GeoTIFFs, and 100 faults of the server.

    python -m benchmarks.archives_reads

A server on loopback serves 20 GeoTIFFs of 6 bands, 1,024 x 1,024 pixels in blocks of 128, deflate.
458 chips of 9 x 9 pixels are read from them at random places, a file at a time. "Blocks" are the
bytes of the compressed blocks that the chips touch, each block once: nothing that reads whole
blocks can read less. Three ways, each with an empty cache; GDAL's own reader is /vsicurl with the
options that odc-stac sets for clouds. Then the same once more, where nothing is sent, and with
faults of all kinds in a third of the answers.
"""

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.io import DatasetReader
from rasterio.shutil import copy
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter
from tests.helpers.servers import FileServer, sometimes

from spatioformer.archives import remote
from spatioformer.archives.remote import Access, block_spans, retries, source

FILES, CHIPS, SIDE = 20, 458, 9
SIZE, BLOCK, BANDS = 1024, 128, 6
CLOUD_OPTIONS = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_HTTP_MAX_RETRY": 10,
    "GDAL_HTTP_RETRY_DELAY": 0.5,
    "GDAL_HTTP_MERGE_CONSECUTIVE_RANGES": "YES",
}

Read = Callable[[str, list[Window]], list[np.ndarray]]


def write_scenes(folder: Path) -> None:
    """Write scenes that compress about as reflectances do."""
    for number in range(FILES):
        rng = np.random.default_rng(number)
        plain = folder / "plain.tif"
        profile = {"driver": "GTiff", "dtype": "uint16", "count": BANDS, "crs": "EPSG:32755"}
        place = Affine(10, 0, 500_000 + number * SIZE * 10, 0, -10, 6_000_000)
        with rasterio.open(
            plain, "w", **profile, width=SIZE, height=SIZE, transform=place, nodata=0
        ) as dataset:
            land = gaussian_filter(rng.normal(size=(SIZE, SIZE)), 6) * 8_000 + 2_000
            for band in range(BANDS):
                noise = rng.normal(0, 20, (SIZE, SIZE))
                dataset.write((land + 200 * band + noise).clip(1, 10_000), band + 1)
        copy(plain, folder / f"{number}.tif", driver="COG", compress="deflate", blocksize=BLOCK)
        plain.unlink()


def places() -> list[list[Window]]:
    """The windows of the chips in each file."""
    rng = np.random.default_rng(1)
    windows: list[list[Window]] = [[] for _ in range(FILES)]
    for number in rng.integers(0, FILES, CHIPS):
        column, row = rng.integers(0, SIZE - SIDE, 2)
        windows[number].append(Window(int(column), int(row), SIDE, SIDE))
    return windows


def planned(access: Access) -> Read:
    def read(url: str, windows: list[Window]) -> list[np.ndarray]:
        def chips(dataset: DatasetReader) -> list[np.ndarray]:
            remote.prefetch(dataset, windows)
            return [dataset.read(window=window) for window in windows]

        return remote.read_remote(url, access, chips)

    return read


def one_by_one(access: Access) -> Read:
    def read(url: str, windows: list[Window]) -> list[np.ndarray]:
        with remote.open_remote(url, access) as dataset:
            return [dataset.read(window=window) for window in windows]

    return read


def by_gdal(url: str, windows: list[Window]) -> list[np.ndarray]:
    with rasterio.Env(**CLOUD_OPTIONS), rasterio.open(f"/vsicurl/{url}") as dataset:
        return [dataset.read(window=window) for window in windows]


def run(server: FileServer, windows: list[list[Window]], read: Read) -> list[np.ndarray]:
    values = []
    for number, inside in enumerate(windows):
        values += read(f"{server.url}/{number}.tif", inside)
    return values


def report(
    name: str, server: FileServer, windows: list[list[Window]], read: Read, blocks: int
) -> list[np.ndarray]:
    server.clear()
    start = time.perf_counter()
    values = run(server, windows, read)
    seconds = time.perf_counter() - start
    print(
        f"{name:<34} {server.bytes / 1e6:8.2f} MB, {server.bytes / blocks:6.3f} x the blocks, "
        f"{len(server.sent):5} requests, {server.faults:4} faults, {seconds:6.2f} s"
    )
    return values


def same(values: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all((one == other).all() for one, other in zip(values, expected, strict=True))


def main() -> None:
    os.environ["no_proxy"] = "127.0.0.1"
    retries.FIRST_DELAY = 0.01
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "served").mkdir()
        write_scenes(folder / "served")
        windows = places()
        blocks, expected = 0, []
        for number, inside in enumerate(windows):
            with rasterio.open(folder / "served" / f"{number}.tif") as dataset:
                blocks += sum(stop - start for start, stop in block_spans(dataset, inside))
                expected += [dataset.read(window=window) for window in inside]
        print(f"{CHIPS} chips of {FILES} files; blocks {blocks / 1e6:.2f} MB")
        with FileServer(folder / "served") as server:
            access = server.access(folder / "cache", limit_gb=1.0)
            values = report("planned (prefetch)", server, windows, planned(access), blocks)
            print("same pixels:", same(values, expected))
            source.forget_all()  # as a new process would
            values = report("planned, once more", server, windows, planned(access), blocks)
            print("same pixels:", same(values, expected))
            other = replace(access, cache=folder / "other")
            report("chip by chip", server, windows, one_by_one(other), blocks)
            report("GDAL's /vsicurl", server, windows, by_gdal, blocks)

            remote.reset_counters()
            server.plan = sometimes(1 / 3, seed=0)
            faulty = replace(access, cache=folder / "faulty")
            values = report("planned, with faults", server, windows, planned(faulty), blocks)
            more = replace(access, cache=folder / "more")
            values += report("chip by chip, with faults", server, windows, one_by_one(more), blocks)
            print("same pixels:", same(values, expected * 2))
            print(f"attempts after faults: {remote.counters().retries}")


if __name__ == "__main__":
    main()
