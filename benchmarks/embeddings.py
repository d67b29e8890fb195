"""What models make of 64 bands of an embedding, and of fewer components: docs/models.md.

    SPATIOFORMER_DATA=... python -m benchmarks.embeddings      # half an hour on a core
    SPATIOFORMER_DATA=... python -m benchmarks.embeddings --data flora-300-21 --models extra-trees

The embeddings are synthetic. Layers of a landscape, and smooth fields that have nothing to do with
plants, pass through random non-linear functions to 64 numbers, which are scaled to unit length and
rounded as AlphaEarth's are. Principal components are fitted to the training plots of each fold.
"chosen" takes all bands or 8, 16 or 32 components, whichever has the smallest squared error on
held-out tiles of the training plots.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from benchmarks.accuracy import config_of
from benchmarks.datasets import AUSTRALIA, DataSet, ausplots, flora, read_landscape
from benchmarks.stack_trials import part
from threadpoolctl import threadpool_limits

from spatioformer.evaluation import SpatialBlockKFold, scores
from spatioformer.geo.chips import ChipStore
from spatioformer.models.registry import make

BANDS = 64
NUISANCES = 12
HIDDEN = 128
TESTED = 2  # folds
COUNTS = (8, 16, 32)
Reduce = Callable[[ChipStore, np.ndarray], ChipStore]
"""From chips and the rows of training plots to chips of other bands."""


def fields(lon: np.ndarray, lat: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Smooth random fields with wavelengths of 1 to 20 degrees, sd 1: (..., count)."""
    waves = 40
    length = np.exp(rng.uniform(np.log(1), np.log(20), (waves, count)))
    angle, phase = rng.uniform(0, 2 * np.pi, (2, waves, count))
    total = np.zeros((*lon.shape, count))
    for i in range(waves):  # one after another, because all waves of all land need 14 GB
        along = lon[..., None] * np.cos(angle[i]) + lat[..., None] * np.sin(angle[i])
        total += np.cos(2 * np.pi * along / length[i] + phase[i])
    return total / np.sqrt(waves / 2)


def embedded(store: ChipStore, seed: int, like: ChipStore | None = None) -> ChipStore:
    """The same plots, seen by an embedding of the store's bands and of the nuisances.

    Args:
        like: store whose bands have the mean and sd that the embedding expects; None: this one.
    """
    rng = np.random.default_rng(seed)
    expected = np.asarray((like or store).chips, np.float64)
    mean, sd = expected.mean(axis=(0, 1, 2)), expected.std(axis=(0, 1, 2))
    known = (np.asarray(store.chips, np.float64) - mean) / sd
    inputs = np.concatenate([known, fields(store.lon, store.lat, NUISANCES, rng)], axis=-1)
    weights = rng.normal(size=(inputs.shape[-1], HIDDEN)) / np.sqrt(inputs.shape[-1])
    hidden = np.tanh(inputs @ weights + rng.normal(size=HIDDEN))
    vectors = hidden @ rng.normal(size=(HIDDEN, BANDS)) / np.sqrt(HIDDEN)
    vectors += rng.normal(scale=0.05, size=vectors.shape)
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    raw = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).clip(-127, 127)
    decoded = np.sign(raw) * (raw / 127.5) ** 2
    decoded /= np.linalg.norm(decoded, axis=-1, keepdims=True)
    land = store.unlabelled and embedded(store.unlabelled, seed, store)
    names = [f"A{i:02d}" for i in range(BANDS)]
    return replace(store, chips=decoded.astype(np.float32), bands=names, unlabelled=land)


def components(count: int) -> Reduce:
    """Principal components of the training plots' pixels."""

    def reduce(store: ChipStore, training: np.ndarray) -> ChipStore:
        pixels = np.asarray(store.chips[training], np.float64).reshape(-1, len(store.bands))
        mean = pixels.mean(axis=0)
        axes = np.linalg.svd(pixels - mean, full_matrices=False)[2][:count]
        chips = ((store.chips - mean) @ axes.T).astype(np.float32)
        # Names that are not numbered at their end, so that they are not taken for an embedding.
        return replace(store, chips=chips, bands=[f"PC{i} of {count}." for i in range(count)])

    return reduce


def whole(store: ChipStore, training: np.ndarray) -> ChipStore:
    return store


def separate(store: ChipStore, training: np.ndarray) -> ChipStore:
    """All bands, with names that do not say that they are one embedding."""
    return replace(store, bands=[f"{name}." for name in store.bands])


def chosen(data: DataSet, name: str) -> Reduce:
    """The best of all bands and COUNTS components on held-out tiles of the training plots."""

    def error(store: ChipStore, rows: np.ndarray, reduce: Reduce) -> float:
        folds = SpatialBlockKFold(3, size=data.tile, seed=1).assign(store.coordinates[rows])
        total = 0.0
        for fold in range(3):
            training, test = rows[folds != fold], rows[folds == fold]
            seen = reduce(store, training)
            model = make(name, *config_of(data, {})).fit(seen, training)
            total += float(np.sum((model.predict_rows(seen, test) - store.richness[test]) ** 2))
        return total

    def reduce(store: ChipStore, training: np.ndarray) -> ChipStore:
        ways = [whole, *(components(count) for count in COUNTS)]
        return min(ways, key=lambda way: error(store, training, way))(store, training)

    return reduce


def data_set(name: str) -> DataSet:
    """`flora-300-21`: plots of the virtual flora 21, with climate; or `ausplots`."""
    if name == "ausplots":
        return ausplots()
    count, seed = (int(number) for number in name.split("-")[1:])
    data = flora(seed)
    drawn = np.random.default_rng(1).choice(len(data.wide), count, replace=False)
    return replace(data, wide=part(with_climate(data.wide), np.sort(drawn)))


def with_climate(store: ChipStore) -> ChipStore:
    """Add the temperature and the logarithm of precipitation at each pixel."""
    land = read_landscape(AUSTRALIA)
    step = land.lon[0, 1] - land.lon[0, 0]
    cols = np.rint((store.lon - land.lon[0, 0]) / step).astype(int)
    rows = np.rint((land.lat[0, 0] - store.lat) / step).astype(int)
    climate = np.stack([land.temperature, np.log(land.precipitation)], axis=-1)[rows, cols]
    climate = np.where(np.isfinite(climate), climate, np.nanmean(climate, axis=(0, 1, 2)))
    return replace(
        store,
        chips=np.concatenate([store.chips, climate], axis=-1).astype(np.float32),
        bands=[*store.bands, "temperature", "precipitation"],
        unlabelled=store.unlabelled and with_climate(store.unlabelled),
    )


def scored(data: DataSet, store: ChipStore, name: str, split: str, reduce: Reduce) -> float:
    """Pooled r2 of the tested folds."""
    folds = data.folds(split)
    observed, predicted = [], []
    for fold in range(TESTED):
        training, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        seen = reduce(store, training)
        model = make(name, *config_of(data, {})).fit(seen, training)
        predicted.append(np.asarray(model.predict_rows(seen, test), np.float64))
        observed.append(store.richness[test])
    return scores(np.concatenate(observed), np.concatenate(predicted))["r2"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", default=["flora-300-21", "flora-300-22", "ausplots"])
    parser.add_argument("--models", nargs="+", default=["extra-trees", "gaussian-process"])
    parser.add_argument("--splits", nargs="+", default=["random", "small-blocks"])
    parser.add_argument("--only", nargs="+", help="columns, for example layers embedding")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in arguments.data:
        data = data_set(name)
        layers, embedding = data.store, embedded(data.store, seed=3)
        for model in arguments.models:
            columns = {
                "layers": (layers, whole),
                "embedding": (embedding, whole),
                "separate bands": (embedding, separate),
                **{f"{count} components": (embedding, components(count)) for count in COUNTS},
                "chosen": (embedding, chosen(data, model)),
            }
            for split in arguments.splits:
                row = []
                for column in arguments.only or columns:
                    start = time.process_time()
                    with threadpool_limits(1):
                        r2 = scored(data, columns[column][0], model, split, columns[column][1])
                    row.append(f"{column} {r2:.3f} ({time.process_time() - start:.0f} s)")
                print(f"{name} {model} {split}: {', '.join(row)}", flush=True)


if __name__ == "__main__":
    main()
