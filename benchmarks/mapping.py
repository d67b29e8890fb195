"""The mapping engine: planning, memory, and what reading and writing cost beside the network.

    python -m benchmarks.mapping plan              # a million tiles
    python -m benchmarks.mapping speed [SIDE]      # end to end against the bare network
    python -m benchmarks.mapping memory [SIDE]     # a window of a 40,000 x 40,000 x 6 raster

Imagery is made up, six bands uint16; the dense network has random weights, P = 9.
"""

import argparse
import resource
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import geopandas
import numpy as np
import rasterio
import torch
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window
from shapely.geometry import box

from spatioformer.common.threads import one_thread
from spatioformer.geo.grid import Grid
from spatioformer.mapping import Resources, map_raster
from spatioformer.mapping.plan import MIB, Plan, make_plan, resident
from spatioformer.mapping.source import Source
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from spatioformer.nn import DenseSpatioformer

BANDS = ["blue", "green", "red", "nir", "swir1", "swir2"]
TRANSFORM = Affine(30, 0, 0, 0, -30, 0)
TILE = 256


def dense() -> NetworkModel:
    torch.manual_seed(0)
    network = DenseSpatioformer(patch=9, bands=6).eval()
    return NetworkModel(network, BANDS, Scaling((3000.0,) * 6, (1000.0,) * 6, 50.0, 20.0))


def imagery(path: Path, side: int, window: Window) -> Path:
    """A sparse raster of side x side pixels with noise in `window`."""
    profile = {
        "driver": "GTiff", "count": 6, "dtype": "uint16", "height": side, "width": side,
        "crs": "EPSG:3577", "transform": TRANSFORM, "nodata": 0, "tiled": True,
        "blockxsize": 256, "blockysize": 256, "compress": "deflate", "sparse_ok": True,
        "bigtiff": "yes",
    }  # fmt: skip
    rng = np.random.default_rng(0)
    shape = (6, window.height, window.width)
    with rasterio.open(path, "w", **profile) as target:
        target.descriptions = BANDS
        target.write(rng.integers(1000, 5000, shape, dtype=np.uint16), window=window)
    return path


def plan() -> None:
    start = time.perf_counter()
    grid = Grid(CRS.from_epsg(3577), TRANSFORM, 256_000, 256_000)
    tiles = Plan(grid, TILE, TILE, 4).tiles(box(*grid.bounds).buffer(-30))
    print(f"{len(tiles):,} tiles planned in {time.perf_counter() - start:.2f} s")


def speed(side: int, rounds: int = 3) -> None:
    """Pixels a second in turns; each ratio is the median over rounds of the ratio in a round.

    On a busy machine only the processor's seconds, which the process alone spends, say much.
    """
    bundle = dense()
    with tempfile.TemporaryDirectory() as folder:
        scene = imagery(Path(folder) / "a.tif", side, Window(0, 0, side, side))
        found = [
            tuple(how(bundle, scene, workers) for how in (_bare, _map) for workers in (2, 1))
            for _ in range(rounds)
        ]
    bare, alone, two, one = np.array(found).transpose(1, 2, 0)  # each (wall, processor) x round
    print("                           wall     processor   (pixels a second)")
    names = ("bare network, 2 threads", "bare network, 1 thread", "2 workers", "1 worker")
    for name, values in zip(names, (bare, alone, two, one), strict=True):
        rates = side**2 / np.median(values, axis=1)
        print(f"{name:<24} {rates[0]:>9,.0f} {rates[1]:>9,.0f}")
    print("end to end against bare  {:>8.2f}  {:>8.2f}".format(*np.median(bare / two, axis=1)))
    print(f"2 workers against 1      {np.median(one / two, axis=1)[0]:>8.2f}")
    print(f"2 threads against 1      {np.median(alone / bare, axis=1)[0]:>8.2f}")


def _bare(bundle: NetworkModel, scene: Path, workers: int) -> tuple[float, float]:
    """Wall and processor seconds the network takes for the raster's tiles, from memory."""
    halo = bundle.halo
    with Source(scene, BANDS) as source:
        plan, _ = make_plan(source, halo, 1, TILE, 4 * 10**9, workers)
        tiles = []
        for number in plan.tiles():
            window = plan.window(number)
            data, valid, _ = source.read(window, halo)
            rows = np.arange(window.row_off - halo, window.row_off + window.height + halo)
            cols = np.arange(window.col_off - halo, window.col_off + window.width + halo)
            tiles.append((data, valid, *source.grid.lonlat(rows[:, None], cols[None, :])))
    start = _clocks()
    with one_thread(), ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda tile: bundle.predict_tile(*tile), tiles))
    return tuple(_clocks() - start)


def _clocks() -> np.ndarray:
    return np.array([time.perf_counter(), time.process_time()])


def _map(bundle: NetworkModel, scene: Path, workers: int) -> tuple[float, float]:
    out = scene.with_name("map.tif")
    start = _clocks()
    resources = Resources(4 * 10**9, workers)
    map_raster(bundle, scene, out, samples=0, overwrite=True, resources=resources)
    return tuple(_clocks() - start)


def memory(side: int, limit: int = 2 * 10**9) -> None:
    with tempfile.TemporaryDirectory() as folder:
        window = Window(19_000, 19_000, side, side)
        scene = imagery(Path(folder) / "a.tif", 40_000, window)
        bounds = rasterio.windows.bounds(window, TRANSFORM)
        outline = Path(folder) / "outline.gpkg"
        geopandas.GeoDataFrame(geometry=[box(*bounds)], crs="EPSG:3577").to_file(outline)
        print(f"before: {resident() / MIB:,.0f} MiB; limit {limit / MIB:,.0f} MiB")
        start = time.perf_counter()
        found = map_raster(
            dense(), scene, Path(folder) / "map.tif", samples=0, outline=outline,
            resources=Resources(limit),
        )  # fmt: skip
        seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{found['pixels']:,} pixels of 40,000 x 40,000 in {seconds:.0f} s")
    print(f"largest resident memory: {peak / MIB:,.0f} MiB, {peak / limit:.0%} of the limit")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("plan", "speed", "memory"))
    parser.add_argument("side", nargs="?", type=int)
    chosen = parser.parse_args()
    if chosen.what == "plan":
        plan()
    elif chosen.what == "speed":
        speed(chosen.side or 1024)
    else:
        memory(chosen.side or 2000)


if __name__ == "__main__":
    main()
