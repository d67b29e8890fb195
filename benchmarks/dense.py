"""The dense network: speed against the published one, accuracy against the network of chips.

    python -m benchmarks.dense speed        # pixels a second, under a minute
    python -m benchmarks.dense accuracy     # held-out r2 on the virtual flora, some minutes
    python -m benchmarks.dense picture docs/images/dense.png

Plain build: torch.nn.TransformerEncoder, eval(), inference_mode, batch 2,048, chips of 9 x 9.
"""

import argparse
import io
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import torch
from benchmarks.core_speed import PlainSpatioformer

from spatioformer.common.files import writing
from spatioformer.config.learning import ModelSection
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.virtual.flora import VirtualFlora, simulate, survey
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import make
from spatioformer.models.scaling import Scaling
from spatioformer.nn import DenseSpatioformer
from spatioformer.nn.kernels import tiles as kernel

AUSTRALIA = (112.0, 154.0, -44.0, -10.0)
BANDS = ["red", "green", "blue"]
BATCH, SIDE, FOLDS = 2048, 512, 3
LOCATION = {"name": "sphere", "wavelengths": [84.0, 42.0, 21.0, 10.5]}


def seconds(step: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    step()
    return clock() - start


def speed(rounds: int = 3) -> None:
    """Pixels a second in turns; each ratio is the median over rounds of the ratio in a round.

    One thread by its processor seconds, so that other programs hardly count; two threads by the
    clock, which needs two free cores, and by the processor seconds of both together.
    """
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plain = PlainSpatioformer(9).eval()
    chips = torch.rand(BATCH, 9, 9, 6)
    places = torch.rand(2, BATCH, 9, 9, dtype=torch.float64) * 30

    def plain_batch():
        with torch.inference_mode():
            plain(chips, *places)

    reference = "plain build, P = 9"
    steps = {reference: (plain_batch, BATCH, time.process_time)}
    for side in (9, 3):
        step, name = dense_map(side), f"dense, P = {side}"
        steps[f"{name}, modules"] = (by_modules(step), SIDE**2, time.process_time)
        steps[name] = (step, SIDE**2, time.process_time)
        both = twice(step), 2 * SIDE**2
        steps[f"{name}, two threads, clock"] = (*both, time.perf_counter)
        steps[f"{name}, two threads, CPU"] = (*both, time.process_time)
    for step, *_ in steps.values():
        step()
    rates = [
        {n: pixels / seconds(step, clock) for n, (step, pixels, clock) in steps.items()}
        for _ in range(rounds)
    ]
    print(f"torch {torch.__version__}; median of {rounds} rounds")
    for name in steps:
        rate = statistics.median(r[name] for r in rates)
        ratio = statistics.median(r[name] / r[reference] for r in rates)
        print(f"{name:<32} {rate:10,.0f} pixels/s   {ratio:7.1f} x", flush=True)


def by_modules(step: Callable[[], object]) -> Callable[[], object]:
    """The step without the kernel, as where numba is not installed."""

    def run():
        with mock.patch.object(kernel, "has_numba", return_value=False):
            return step()

    return run


def twice(step: Callable[[], object]) -> Callable[[], object]:
    """The step in two threads at once, as the mapping engine computes tiles."""

    def run():
        with ThreadPoolExecutor(2) as pool:
            return [job.result() for job in [pool.submit(step), pool.submit(step)]]

    return run


def dense_map(patch: int) -> Callable[[], object]:
    """`Bundle.predict_tile` of SIDE x SIDE pixels, all that a map does between two files."""
    edges = np.linspace(-2, 2, 9)[None].repeat(6, axis=0).tolist()
    network = DenseSpatioformer(patch, 6, edges=edges, location=LOCATION).eval()
    bundle = NetworkModel(network, list("abcdef"), Scaling((0.5,) * 6, (0.3,) * 6, 40.0, 10.0))
    side = SIDE + patch - 1
    data = np.random.default_rng(0).random((6, side, side), np.float32)
    lon, lat = np.meshgrid(np.linspace(140, 145, side), np.linspace(-20, -25, side))
    return lambda: bundle.predict_tile(data, np.ones((side, side), bool), lon, lat)


def accuracy(seeds: list[int], patches: list[int]) -> None:
    """Held-out r2 of both networks on the same folds, against the noisy counts of the plots."""
    landscape = read_landscape(AUSTRALIA)
    rows = []
    for seed in seeds:
        flora = make_flora(landscape, seed)
        for patch in patches:
            store = cut(landscape, flora, patch, seed)
            for split in ("random", "1-degree tiles"):
                fold = folds(store, split, seed)
                for name in ("spatioformer", "spatioformer-dense"):
                    start = time.process_time()
                    r2 = held_out(name, store, fold, seed)
                    spent = round(time.process_time() - start)
                    rows.append((patch, split, name, seed, r2, spent))
                    print(*rows[-1], flush=True)
    table = pd.DataFrame(rows, columns=["P", "split", "model", "seed", "r2", "cpu_s"])
    table = table.groupby(["P", "split", "model"], sort=False)[["r2", "cpu_s"]].mean().round(4)
    print(table.to_string())


def make_flora(landscape: Landscape, seed: int) -> VirtualFlora:
    return simulate(
        landscape.lon,
        landscape.lat,
        landscape.land,
        landscape.temperature,
        landscape.precipitation,
        landscape.greenness,
        seed=seed,
    )


def cut(landscape: Landscape, flora: VirtualFlora, patch: int, seed: int) -> ChipStore:
    """Chips of the flora's survey; plots too close to the edge are left out."""
    table, half = survey(flora, seed=seed), patch // 2
    height, width = landscape.lon.shape
    kept = table["row"].between(half, height - half - 1)
    kept &= table["col"].between(half, width - half - 1)
    table = table[kept].reset_index(drop=True)
    at = table["row"].to_numpy() - half, table["col"].to_numpy() - half

    def windows(array: np.ndarray) -> np.ndarray:
        view = np.lib.stride_tricks.sliding_window_view(array, (patch, patch), axis=(-2, -1))
        return view[..., *at, :, :]

    chips = np.moveaxis(windows(landscape.rgb), 0, -1).astype(np.float32)
    return ChipStore(chips, windows(landscape.lon), windows(landscape.lat), table, BANDS)


def folds(store: ChipStore, split: str, seed: int) -> np.ndarray:
    if split == "random":
        return np.random.default_rng(seed).integers(0, FOLDS, len(store))
    return SpatialBlockKFold(FOLDS, size=1.0, seed=seed).assign(store.coordinates)


def held_out(name: str, store: ChipStore, fold: np.ndarray, seed: int) -> float:
    predicted = np.empty(len(store))
    for k in range(FOLDS):
        estimator = make(name, ModelSection(patch=store.patch), seed=seed)
        model = estimator.fit(store, np.flatnonzero(fold != k))
        test = np.flatnonzero(fold == k)
        predicted[test] = model.predict_rows(store, test)
    return round(scores(store.richness, predicted)["r2"], 4)


def picture(path: Path, patch: int = 9, seed: int = 0) -> None:
    """The way to one pixel's value, the virtual truth, and the map of a dense network."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    landscape = read_landscape(AUSTRALIA)
    flora = make_flora(landscape, seed)
    store = cut(landscape, flora, patch, seed)
    estimator = make("spatioformer-dense", ModelSection(patch=patch), seed=seed)
    model = estimator.fit(store, np.arange(len(store)))
    h = patch // 2
    spent = time.process_time()
    found = model.predict_tile(
        landscape.rgb.astype(np.float32), flora.land, landscape.lon, landscape.lat
    )
    spent = time.process_time() - spent
    print(f"{np.isfinite(found).sum():,} pixels in {spent:.2f} s of processor time")
    figure, (way, truth, map_) = plt.subplots(
        1, 3, figsize=(11, 3.6), layout="constrained", width_ratios=(0.8, 1, 1)
    )
    cone(way, model.network)
    top = np.nanpercentile(flora.truth, 99.5)
    edges = (AUSTRALIA[0], AUSTRALIA[1], AUSTRALIA[2], AUSTRALIA[3])
    inner = flora.truth[h : len(flora.truth) - h, h : flora.truth.shape[1] - h]
    for axes, values, title in (
        (truth, inner, "VIRTUAL richness: the truth"),
        (map_, found, "Mapped from 3,000 virtual plots"),
    ):
        shown = axes.imshow(values, extent=edges, cmap="viridis", vmin=0, vmax=top)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="longitude, degrees", ylabel="latitude, degrees")
    figure.colorbar(shown, ax=[truth, map_], label="species in one plot", shrink=0.8)
    raw = io.BytesIO()
    figure.savefig(raw, dpi=90)
    plt.close(figure)
    with writing(path) as part:  # 128 colours: half the size
        Image.open(raw).convert("RGB").quantize(128).save(part, optimize=True)


def cone(axes, network: DenseSpatioformer) -> None:
    """Tiles one above the other, each smaller by the radius of its block."""
    from matplotlib.patches import Rectangle

    side, level = network.config["patch"], 0.0
    names = ["tokens"] + [f"block {i + 1}" for i in range(len(network.blocks))]
    for i, name in enumerate(names):
        if i:
            side -= 2 * network.blocks[i - 1].radius
        for col in range(side):
            corner = (col - side / 2, level)
            axes.add_patch(Rectangle(corner, 1, 1, facecolor="#9ecae1", edgecolor="white"))
        axes.text(
            -5.2, level + 0.5, f"{name}\n{side} x {side}", ha="right", va="center", fontsize=9
        )
        level += 2.0
    axes.add_patch(Rectangle((-0.5, level - 2), 1, 1, facecolor="#d95f02", edgecolor="white"))
    axes.set(xlim=(-8.5, 5), ylim=(-0.5, level), title="One row of what a pixel sees")
    axes.title.set_fontsize(10)
    axes.axis("off")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("speed")
    scored = commands.add_parser("accuracy")
    scored.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    scored.add_argument("--patches", type=int, nargs="+", default=[3])
    commands.add_parser("picture").add_argument("path", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "speed":
        speed()
    elif arguments.command == "accuracy":
        accuracy(arguments.seeds, arguments.patches)
    else:
        picture(arguments.path)


if __name__ == "__main__":
    main()
