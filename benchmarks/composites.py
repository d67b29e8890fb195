"""Composites of a year: memory, and how far workers of a Dask cluster help.

    python -m benchmarks.composites memory            of a composite of 10 dates, 6 bands
    python -m benchmarks.composites workers           one thread against two Dask workers
    python -m benchmarks.composites --side 1000 ...   smaller scenes than 5,000 x 5,000 pixels

The scenes are made in a temporary folder, which needs about 3 GB at full size, and lie in a UTM
zone; the grid is that zone's ("same") or EPSG:3577 ("other"). Memory is the largest resident set of
the process that reads, computes and writes, as the kernel counts it.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.warp import transform_bounds

from spatioformer.archives.collections import Band, Collection, QualityMask
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.remote import Access
from spatioformer.archives.source import Source
from spatioformer.archives.stack import SourceStack
from spatioformer.archives.write import write_year
from spatioformer.config.archives import SourceSection
from spatioformer.geo.grid import Grid

BANDS = ("blue", "green", "red", "nir", "swir1", "swir2")
DATES = 10
UTM = "EPSG:32755"
CORNER = Affine(10, 0, 500_000, 0, -10, 6_000_000)
COLLECTION = Collection(
    name="bench",
    title="scenes of a benchmark",
    kind="scenes",
    catalogue="folder",
    endpoint="",
    id="bench",
    bands=tuple(Band(name, (name,), scale=0.0001, nodata=0) for name in BANDS),
    masks=(
        QualityMask(
            "scl", ("scl",), "classes", {"cloud": 9}, ("cloud",), buffered=("cloud",), nodata=0
        ),
    ),
    resolution=10,
)


def make_scenes(folder: Path, side: int) -> None:
    """Write the scenes: smooth reflectances with noise, and a third of each date cloudy."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    rows = np.linspace(0, 20, side)
    pattern = (np.sin(rows)[:, None] + np.cos(rows)[None, :]) * 400
    for date in range(DATES):
        for number, band in enumerate(BANDS):
            noise = rng.integers(0, 64, (side, side), dtype=np.uint16)
            values = (1500 + 200 * number + pattern + 30 * date).astype(np.uint16) + noise
            _write(folder / f"{date}_{band}.tif", values, CORNER)
        half = side // 2
        clouds = np.kron(rng.random((half // 20 + 1,) * 2) < 0.33, np.ones((20, 20), bool))
        scl = np.where(clouds[:half, :half], 9, 4).astype(np.uint8)
        _write(folder / f"{date}_scl.tif", scl, CORNER @ Affine.scale(side / half))


def _write(path: Path, values: np.ndarray, transform: Affine) -> None:
    height, width = values.shape
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=height, width=width, crs=UTM,
        transform=transform, dtype=values.dtype, tiled=True, blockxsize=512, blockysize=512,
        compress="deflate", zlevel=1,
    ) as target:  # fmt: skip
        target.write(values, 1)


def stack_of(folder: Path, side: int, grid: str, composite: str) -> SourceStack:
    bounds = (500_000, 6_000_000 - 10 * side, 500_000 + 10 * side, 6_000_000)
    box = transform_bounds(UTM, "EPSG:4326", *bounds)
    items = []
    for date in range(DATES):
        start = datetime(2021, 1 + date, 5, tzinfo=UTC)
        assets = {n: Asset(str(folder / f"{date}_{n}.tif")) for n in (*BANDS, "scl")}
        items.append(Item(f"d{date}", "bench", start, start, box, assets))
    section = SourceSection(
        name="s", collection="bench", years=(2021,), composite=composite, min_clear=3, buffer=2
    )
    source = Source(section, COLLECTION, Access((), folder / "cache"), {2021: tuple(items)})
    if grid == "same":
        target = Grid(CRS.from_user_input(UTM), CORNER, side, side)
    else:
        crs = CRS.from_epsg(3577)
        target = Grid.from_bounds(crs, transform_bounds(UTM, crs, *bounds), (10, 10))
    return SourceStack((source,), target)


def once(folder: Path, side: int, grid: str, composite: str, scheduler: str, workers: int) -> None:
    """Write a composite and print its seconds and this process's largest resident set."""
    stack = stack_of(folder, side, grid, composite)
    start = time.perf_counter()
    write_year(stack, 2021, folder / "out.tif", workers=workers, scheduler=scheduler, memory=1.8)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{seconds:.2f} {peak / 1e9:.3f}")


def measured(*args: object) -> tuple[float, float]:
    """Seconds and GB of `once` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.composites", "once", *map(str, args)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return float(out[-2]), float(out[-1])


def memory(folder: Path, side: int) -> None:
    print(
        f"| grid | composite | s, 2 threads | largest resident set, GB ({side:,} pixels a side) |"
    )
    print("|---|---|---|---|")
    for grid in ("same", "other"):
        for composite in ("geomedian", "median"):
            seconds, peak = measured(folder, side, grid, composite, "threads", 2)
            print(f"| {grid} | {composite} | {seconds:.0f} | {peak:.2f} |")


def workers(folder: Path, side: int) -> None:
    from distributed import Client, LocalCluster

    print("| composite | one thread, s | two Dask workers, s | ratio |\n|---|---|---|---|")
    for composite in ("geomedian", "median"):
        alone, _ = measured(folder, side, "other", composite, "threads", 1)
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster:
            with Client(cluster) as client:  # imports are no part of the work
                client.run(lambda: __import__("spatioformer.archives.stack"))
            both, _ = measured(folder, side, "other", composite, cluster.scheduler_address, 2)
        print(f"| {composite} | {alone:.1f} | {both:.1f} | {alone / both:.2f} |")


def main() -> None:
    if sys.argv[1:2] == ["once"]:
        folder, side, grid, composite, scheduler, count = sys.argv[2:]
        once(Path(folder), int(side), grid, composite, scheduler, int(count))
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("memory", "workers"))
    parser.add_argument("--side", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="keep the scenes there")
    args = parser.parse_args()
    side = args.side or 5000
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        if not (folder / f"{DATES - 1}_scl.tif").exists():
            make_scenes(folder, side)
        {"memory": memory, "workers": workers}[args.what](folder, side)


if __name__ == "__main__":
    main()
