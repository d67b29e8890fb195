"""Geometric medians against hdstats and geomad, the kernels behind odc-algo.

    pip install --no-deps hdstats geomad
    python -m benchmarks.geomedian [--side 1000] [--dates 20] [--bands 6] [--threads 2]

Made-up series of reflectances, with and without gaps. Every program gets the data in the order of
axes that it wants; the time of bringing them there is not counted. hdstats has no threads and gets
a tenth of the rows; its time is scaled. A program's excess is (f - f*) / f*, with f the sum of
distances of its result and f* the smallest known, that of 20,000 steps of Weiszfeld in float64
included; over a sample of pixels. So a program that stops early is seen to.

Also timed: the three deviations against geomad's, and medians against numpy.nanmedian.
"""

import argparse
import resource
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from spatioformer.archives.composites.deviations import deviations
from spatioformer.archives.composites.geomedian import EPS, geomedian
from spatioformer.archives.composites.reduce import reduce

SAMPLE = 300  # pixels on which results are compared with the minimum
STEPS = 20_000
BASE = np.array([0.04, 0.07, 0.08, 0.3, 0.2, 0.12])
SEASON = np.array([-0.2, -0.1, -0.4, 0.5, -0.2, -0.4])


def series(seed: int, dates: int, bands: int, side: int, missing: float) -> np.ndarray:
    """Reflectances (time, band, y, x): season, brightness, noise, some clouds, gaps."""
    rng = np.random.default_rng(seed)
    values = np.empty((dates, bands, side, side), np.float32)
    base = np.resize(BASE, bands)[:, None, None] * rng.uniform(0.5, 1.5, (bands, side, side))
    phase = rng.uniform(0, 2 * np.pi, (side, side))
    for date, layer in enumerate(values):
        season = np.cos(2 * np.pi * date / dates + phase) * np.resize(SEASON, bands)[:, None, None]
        bright = 1 + 0.08 * rng.standard_normal((side, side))
        layer[...] = base * (1 + 0.3 * season) * bright
        layer += 0.004 * rng.standard_normal(layer.shape)
        layer += np.where(rng.random((side, side)) < 0.03, rng.uniform(0.1, 0.5), 0)
        layer[:, rng.random((side, side)) < missing] = np.nan
    return values


def least(points: np.ndarray) -> np.ndarray:
    """Minimum over points (n, band), float64: Weiszfeld, or an observation where one is better."""
    y = points.mean(axis=0)
    for _ in range(STEPS):
        distance = np.maximum(np.linalg.norm(points - y, axis=1), 1e-15)
        after = (points / distance[:, None]).sum(axis=0) / (1 / distance).sum()
        if np.abs(after - y).max() < 1e-13:
            break
        y = after
    return min((y, *points), key=lambda at: np.linalg.norm(points - at, axis=1).sum())


def excesses(values: np.ndarray, results: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """(f - f*) / f* of each program at a sample of pixels; results (band, y, x)."""
    rng = np.random.default_rng(0)
    height = min(len(result[0]) for result in results.values())
    rows = rng.integers(0, height, SAMPLE), rng.integers(0, values.shape[3], SAMPLE)
    sums = []
    for y, x in zip(*rows, strict=True):
        points = values[:, :, y, x].astype(np.float64)
        points = points[np.isfinite(points).all(axis=1)]
        if len(points) > 2:
            found = [least(points), *(result[:, y, x] for result in results.values())]
            sums.append([np.linalg.norm(points - at, axis=1).sum() for at in found])
    table = np.array(sums)
    best = table.min(axis=1)
    return {name: table[:, i + 1] / best - 1 for i, name in enumerate(results)}


def timed(work: Callable[[], Any], repeats: int = 1) -> tuple[float, Any]:
    """Shortest time of some repeats, s, and the result."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def rivals() -> tuple[Any, Any]:
    """The modules hdstats and geomad; hdstats asks scipy for functions that it no longer has."""
    import scipy.signal

    for name in ("cwt", "ricker"):
        if not hasattr(scipy.signal, name):
            setattr(scipy.signal, name, None)
    import geomad
    import hdstats

    return hdstats, geomad


def compare(values: np.ndarray, threads: int) -> None:
    hdstats, geomad = rivals()
    side = values.shape[2]
    few = max(1, side // 10)
    geomedian(values[:, :, :2, :64].copy())  # compiles
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ours, median = timed(lambda: geomedian(values, threads=threads), 3)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    one, _ = timed(lambda: geomedian(values))
    theirs = np.ascontiguousarray(values.transpose(2, 3, 1, 0))
    times, results = {}, {f"ours, eps {EPS:g} of the distances": median}
    for eps in (1e-4, 1e-6):
        name = f"geomad (odc-algo), eps {eps:g}"
        options = {"eps": eps, "nocheck": True, "maxiters": 10_000}
        times[name], found = timed(
            lambda o=options: geomad.nangeomedian_pcm(theirs, num_threads=threads, **o)
        )
        results[name] = found.transpose(2, 0, 1)
    name = "hdstats, eps 1e-4, one thread"
    seconds, found = timed(lambda: hdstats.nangeomedian_pcm(theirs[:few], eps=1e-4, nocheck=True))
    times[name], results[name] = seconds * side / few, found.transpose(2, 0, 1)
    excess = excesses(values, results)
    print(f"{'program':<40}{'s':>8}{'ratio':>8}{'excess: mean':>15}{'largest':>10}")
    for name, share in excess.items():
        seconds = times.get(name, ours)
        ratio = seconds / (one if "one thread" in name else ours)
        print(f"{name:<40}{seconds:8.2f}{ratio:8.2f}{share.mean():15.1e}{share.max():10.1e}")
    print(f"ours on one thread: {one:.2f} s; memory grew by {grown:.0f} MB while it ran")
    spread, _ = timed(lambda: deviations(values, median, threads=threads))
    middle = np.ascontiguousarray(median.transpose(1, 2, 0))
    ways = (geomad.smad_pcm, geomad.emad_pcm, geomad.bcmad_pcm)
    other, _ = timed(lambda: [way(theirs, middle, num_threads=threads) for way in ways])
    print(f"deviations: {spread:.2f} s, geomad {other:.2f} s, ratio {other / spread:.2f}")
    mine, _ = timed(lambda: reduce(values, "median", threads=threads))
    part, _ = timed(lambda: np.nanmedian(values[:, :, :few], axis=0))
    numpys = part * side / few
    print(f"medians: {mine:.2f} s, numpy.nanmedian {numpys:.2f} s, ratio {numpys / mine:.2f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--dates", type=int, default=20)
    parser.add_argument("--bands", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    warnings.simplefilter("ignore", RuntimeWarning)
    for missing in (0.0, 0.4):
        print(f"{given.dates} dates, {given.bands} bands, {given.side} x {given.side} pixels, "
              f"{missing:.0%} missing, {given.threads} threads")  # fmt: skip
        compare(series(0, given.dates, given.bands, given.side, missing), given.threads)


if __name__ == "__main__":
    main()
