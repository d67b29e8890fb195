"""Do the intervals of polygon means hold? On Gaussian errors, and on a virtual flora.

    python -m benchmarks.zonal [--part gaussian|flora|size] [--replicates 30] [--seeds 20]

`gaussian`: error fields of exponential correlation over 60 x 60 pixels of half a degree, constant
intervals of 90 % for single plots, of whose error variance 0.3 is the plot's own. How often do the
intervals hold the true error of squares' means: with the true correlation, with the one estimated
from n plots, and with the root of the number of pixels?

`flora`: a forest's map of a virtual flora with intervals calibrated on kNNDM folds of 400 plots, as
`benchmarks.evaluation_survey` has it. The truth is known everywhere: how often do the intervals
hold the true mean of squares, and the mean of one fresh count in each pixel?

`size`: time and memory of one polygon over a raster of 8,000 x 8,000 pixels.
"""

import argparse
import resource
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from benchmarks.evaluation_survey import SIDE, mapped
from rasterio.transform import from_origin
from rasterio.windows import Window
from scipy.stats import norm
from shapely.geometry import Point, box

from spatioformer.analysis.zonal import summarise
from spatioformer.common.earth import on_sphere
from spatioformer.evaluation.correlation import ErrorCorrelation, apart
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.geo.raster.map_layers import TITLES
from spatioformer.geo.virtual import flora as virtual_flora

LEVEL, NUGGET = 0.9, 0.3
STEP = 30 / (SIDE - 1)  # degrees: the pixels of `make_land`
WEST, NORTH = 115 - STEP / 2, -15 + STEP / 2
GRID = Grid(LONLAT, from_origin(WEST, NORTH, STEP, STEP), SIDE, SIDE)
LAYERS = tuple(TITLES[name] for name in ("mean", "lower", "upper"))
RANGES, COUNTS = (100, 300, 1000), (100, 400, 1600)
SQUARES = (2, 4, 6, 12)  # pixels a side, about half as many degrees; they divide the land


def squares(side: int) -> gpd.GeoDataFrame:
    """The land in squares of so many pixels a side, row by row."""
    size = side * STEP
    corners = [(WEST + i * size, NORTH - j * size) for j, i in np.ndindex((SIDE // side,) * 2)]
    return gpd.GeoDataFrame(
        geometry=[box(x, y - size, x + size, y) for x, y in corners], crs=LONLAT
    )


def write(path: Path, *layers: np.ndarray) -> Path:
    """A map of mean, lower and upper, each (SIDE, SIDE), or of mean alone."""
    profile = {"driver": "GTiff", "count": len(layers), "dtype": "float32", "nodata": np.nan}
    with rasterio.open(
        path, "w", crs="EPSG:4326", transform=GRID.transform, height=SIDE, width=SIDE, **profile
    ) as out:
        for band, (values, title) in enumerate(zip(layers, LAYERS, strict=False), 1):
            out.write(values.reshape(SIDE, SIDE).astype(np.float32), band)
            out.set_band_description(band, title)
    return path


def gaussian(folder: Path, replicates: int) -> None:
    lon, lat = (v.ravel() for v in GRID.lonlat(*np.mgrid[:SIDE, :SIDE]))
    distance = apart(on_sphere(np.column_stack([lon, lat])))
    half = norm.ppf((1 + LEVEL) / 2)
    flat = write(folder / "flat.tif", *(np.full(SIDE**2, v) for v in (50, 50 - half, 50 + half)))
    areas = pixel_areas(GRID, Window(0, 0, SIDE, SIDE))
    print("| range, km | square | true correlation | " + " | ".join(f"{n} plots" for n in COUNTS))
    for reach in RANGES:
        root = np.linalg.cholesky(np.exp(-distance / reach) + 1e-9 * np.eye(len(distance)))
        rng = np.random.default_rng(reach)
        held = defaultdict(list)
        for _ in range(replicates):
            field = np.sqrt(1 - NUGGET) * (root @ rng.normal(size=len(root)))
            tried = {"true": ErrorCorrelation(reach, NUGGET)}
            for count in COUNTS:
                at = rng.choice(len(field), count, replace=False)
                seen = field[at] + np.sqrt(NUGGET) * rng.normal(size=count)
                tried[count] = ErrorCorrelation.estimate(
                    lon[at], lat[at], seen, np.full(count, half), LEVEL
                )
            for side in (4, 12):
                true = np.abs(block_means(field, areas, side))
                across = len(true)  # squares of one latitude have intervals of one width
                for key, correlation in tried.items():
                    found = summarise(flat, squares(side)[::across], correlation)
                    held[side, key].append(true <= found["half_width"].to_numpy()[:, None])
                naive = found["half_width_naive"].to_numpy()[:, None]
                held[side, "naive"].append(true <= naive)
        for side in (4, 12):
            shares = [f"{np.mean(held[side, key]):.3f}" for key in ("true", *COUNTS, "naive")]
            print(f"| {reach} | {side} pixels | " + " | ".join(shares) + " |", flush=True)


def block_means(values: np.ndarray, areas: np.ndarray, side: int) -> np.ndarray:
    """Area-weighted means (y, x) of the squares of `squares`."""
    blocks = (SIDE // side, side, SIDE // side, side)
    total = (values.reshape(SIDE, SIDE) * areas).reshape(blocks).sum((1, 3))
    return total / areas.reshape(blocks).sum((1, 3))


def flora(folder: Path, seeds: int) -> None:
    held = defaultdict(list)
    areas = pixel_areas(GRID, Window(0, 0, SIDE, SIDE))
    for seed in range(seeds):
        done = mapped(seed)
        land, mean, layers = done.land, done.mean, done.layers
        rng = np.random.default_rng([seed, 12])
        correlation = ErrorCorrelation(**done.known.facts["correlation"])
        map_ = write(folder / "map.tif", mean, layers["lower"], layers["upper"])
        fresh = virtual_flora.observe(land.flora, land.rows, land.cols, rng)
        for side in SQUARES:
            found = summarise(map_, squares(side), correlation)
            means = found["mean"].to_numpy()
            off = np.abs(block_means(land.truth, areas, side).ravel() - means)
            counts_off = np.abs(block_means(fresh, areas, side).ravel() - means)
            held[side, "expected"].append((off <= found["half_width"]).mean())
            held[side, "counts"].append((counts_off <= found["half_width_counts"]).mean())
            held[side, "naive"].append((off <= found["half_width_naive"]).mean())
            held[side, "half-width"].append(found["half_width"].mean())
            held[side, "naive half-width"].append(found["half_width_naive"].mean())
        said = {name: round(value, 2) for name, value in done.known.facts["correlation"].items()}
        print(
            seed, said, {s: round(float(held[s, "expected"][-1]), 3) for s in SQUARES}, flush=True
        )
    columns = ("expected", "counts", "naive", "half-width", "naive half-width")
    print("| square, pixels | " + " | ".join(columns) + " |")
    for side in SQUARES:
        cells = [
            f"{np.mean(held[side, c]):.3f} ({np.std(held[side, c], ddof=1):.3f})" for c in columns
        ]
        print(f"| {side} | " + " | ".join(cells) + " |")


def size(folder: Path) -> None:
    side, path = 8_000, folder / "large.tif"
    profile = {"driver": "GTiff", "count": 3, "dtype": "float32", "tiled": True, "nodata": np.nan}
    block = np.random.default_rng(0).integers(10, 50, (2000, 2000)).astype(np.float32)
    with rasterio.open(
        path, "w", crs="EPSG:3577", transform=from_origin(0, -2e6, 30, 30), height=side,
        width=side, compress="zstd", **profile,
    ) as out:  # fmt: skip
        for row in range(0, side, 2000):
            for col in range(0, side, 2000):
                window = Window(col, row, 2000, 2000)
                out.write(np.stack([block, block - 10, block + 10]), window=window)
        for band, title in enumerate(LAYERS, 1):
            out.set_band_description(band, title)
    disc = gpd.GeoDataFrame(geometry=[Point(1.2e5, -2.12e6).buffer(1.15e5)], crs="EPSG:3577")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    found = summarise(path, disc, ErrorCorrelation(50.0, 0.3)).iloc[0]
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{found['pixels']:,} pixels of a raster of {side:,} x {side:,}: {wall:.0f} s, {cpu:.0f} s "
        f"of processor time, {found['pixels'] / cpu / 1e6:.1f} million pixels/s; largest resident "
        f"set {before:.0f} MiB before, {after:.0f} MiB after; mean {found['mean']:.3f} -+ "
        f"{found['half_width']:.3f} (a pixel 10, root-n {found['half_width_naive']:.4f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--part", choices=("gaussian", "flora", "size"), nargs="*")
    parser.add_argument("--replicates", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=20)
    asked = parser.parse_args()
    parts = asked.part or ("gaussian", "flora", "size")
    with tempfile.TemporaryDirectory() as folder:
        if "gaussian" in parts:
            gaussian(Path(folder), asked.replicates)
        if "flora" in parts:
            flora(Path(folder), asked.seeds)
        if "size" in parts:
            size(Path(folder))


if __name__ == "__main__":
    main()
