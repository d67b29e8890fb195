"""What models make of 64 bands of an embedding, and of fewer components: docs/models.md.

    SPATIOFORMER_DATA=... python -m benchmarks.embeddings --data flora-300-21 --models extra-trees

The embeddings are synthetic. Layers of a landscape and smooth fields that have nothing to do with
plants pass through random non-linear functions to 64 numbers, which are scaled to unit length and
rounded as AlphaEarth's are. Principal components are fitted to the training plots of each fold.
"""

import argparse
import time
import warnings
from dataclasses import replace

import numpy as np
from benchmarks.accuracy import config_of
from benchmarks.datasets import DataSet, ausplots, flora
from benchmarks.stack_trials import part
from threadpoolctl import threadpool_limits

from spatioformer.evaluation import SpatialBlockKFold, scores
from spatioformer.geo.chips import ChipStore
from spatioformer.models.registry import make

BANDS = 64
NUISANCES = 12
HIDDEN = 128
FOLDS = 5
TESTED = 2  # folds
CHOSEN = 999
CANDIDATES = (None, 8, 16, 32)


def fields(lon: np.ndarray, lat: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random fields with wavelengths of 1 to 20 degrees, sd 1: (..., count)."""
    waves = 40
    length = np.exp(rng.uniform(np.log(1), np.log(20), (waves, count)))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, waves, count))
    along = lon[..., None, None] * np.cos(angle) + lat[..., None, None] * np.sin(angle)
    return np.cos(2 * np.pi * along / length + phase).sum(axis=-2) / np.sqrt(waves / 2)


def embedded(store: ChipStore, seed: int) -> ChipStore:
    """The same plots, seen by an embedding of the store's bands and of the nuisances."""
    rng = np.random.default_rng(seed)
    pixels = np.asarray(store.chips, np.float64)
    mean, sd = pixels.mean(axis=(0, 1, 2)), pixels.std(axis=(0, 1, 2))
    known = (pixels - mean) / sd
    inputs = np.concatenate([known, fields(store.lon, store.lat, NUISANCES, rng)], axis=-1)
    weights = rng.normal(size=(inputs.shape[-1], HIDDEN)) / np.sqrt(inputs.shape[-1])
    hidden = np.tanh(inputs @ weights + rng.normal(size=HIDDEN))
    vectors = hidden @ rng.normal(size=(HIDDEN, BANDS)) / np.sqrt(HIDDEN)
    vectors += rng.normal(scale=0.05, size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    raw = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).clip(-127, 127)
    decoded = np.sign(raw) * (raw / 127.5) ** 2
    decoded /= np.linalg.norm(decoded, axis=-1, keepdims=True)
    return replace(
        store,
        chips=decoded.astype(np.float32),
        bands=[f"A{i:02d}" for i in range(BANDS)],
        unlabelled=None,
    )


def reduced(store: ChipStore, training: np.ndarray, count: int) -> ChipStore:
    """Principal components of the training plots' pixels, the same for all plots."""
    pixels = np.asarray(store.chips[training], np.float64).reshape(-1, len(store.bands))
    mean = pixels.mean(axis=0)
    axes = np.linalg.svd(pixels - mean, full_matrices=False)[2][:count]
    chips = ((store.chips - mean) @ axes.T).astype(np.float32)
    return replace(store, chips=chips, bands=[f"PC{i}" for i in range(count)])


def data_set(name: str) -> DataSet:
    """`flora-300-21`: plots of the virtual flora 21, with climate; or `ausplots`."""
    if name == "ausplots":
        return ausplots()
    count, seed = (int(part) for part in name.split("-")[1:])
    data = flora(seed)
    chosen = np.random.default_rng(1).choice(len(data.wide), count, replace=False)
    return replace(data, wide=part(with_climate(data.wide), np.sort(chosen)))


def with_climate(store: ChipStore) -> ChipStore:
    """Add the temperature and the logarithm of precipitation at each pixel."""
    from benchmarks.datasets import AUSTRALIA, read_landscape

    land = read_landscape(AUSTRALIA)
    step = land.lon[0, 1] - land.lon[0, 0]
    cols = np.rint((store.lon - land.lon[0, 0]) / step).astype(int)
    rows = np.rint((land.lat[0, 0] - store.lat) / step).astype(int)
    climate = np.stack([land.temperature, np.log(land.precipitation)], axis=-1)[rows, cols]
    climate = np.where(np.isfinite(climate), climate, np.nanmean(climate, axis=(0, 1, 2)))
    chips = np.concatenate([store.chips, climate], axis=-1).astype(np.float32)
    return replace(store, chips=chips, bands=[*store.bands, "temperature", "precipitation"],
                   unlabelled=None)  # fmt: skip


def inner(data: DataSet, store: ChipStore, name: str, rows: np.ndarray, count: int | None) -> float:
    """Squared error of held-out tiles of the training plots."""
    splitter = SpatialBlockKFold(3, size=data.tile, seed=1)
    folds = splitter.assign(store.coordinates[rows])
    total = 0.0
    for fold in range(3):
        training, test = rows[folds != fold], rows[folds == fold]
        seen = store if count is None else reduced(store, training, count)
        model = make(name, *config_of(data, {})).fit(seen, training)
        total += float(np.sum((model.predict_rows(seen, test) - store.richness[test]) ** 2))
    return total / len(rows)


def scored(data: DataSet, store: ChipStore, name: str, split: str, count: int | None) -> tuple:
    """Pooled r2 of the tested folds and processor seconds; `count` components, or all bands."""
    folds = data.folds(split)
    observed, predicted, start = [], [], time.process_time()
    for fold in range(TESTED):
        training, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        if count == CHOSEN:
            errors = {k: inner(data, store, name, training, k) for k in CANDIDATES}
            count_here = min(errors, key=lambda k: errors[k])
            print("   ", {k: round(v, 1) for k, v in errors.items()}, count_here)
        else:
            count_here = count
        seen = store if count_here is None else reduced(store, training, count_here)
        model = make(name, *config_of(data, {})).fit(seen, training)
        predicted.append(np.asarray(model.predict_rows(seen, test), np.float64))
        observed.append(store.richness[test])
    r2 = scores(np.concatenate(observed), np.concatenate(predicted))["r2"]
    return r2, time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["flora-300-21", "flora-1200-21", "ausplots"])
    parser.add_argument("--models", nargs="+", default=["extra-trees", "gaussian-process"])
    parser.add_argument("--splits", nargs="+", default=["random", "small-blocks"])
    parser.add_argument("--counts", nargs="+", type=int, default=[-1, 0, 8, 16, 32])
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in arguments.data:
        data = data_set(name)
        bands, embedding = data.store, embedded(data.store, seed=3)
        for model in arguments.models:
            for split in arguments.splits:
                for count in arguments.counts:
                    store = bands if count < 0 else embedding
                    with threadpool_limits(1):
                        r2, seconds = scored(
                            data, store, model, split, count if count > 0 else None
                        )
                    what = {-1: "layers", 0: "64 bands"}.get(count, f"{count} components")
                    print(f"{name:<11} {model:<22} {split:<13} {what:<14} {r2:6.3f} {seconds:6.1f}",
                          flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
