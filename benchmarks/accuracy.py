"""All models on five data sets, held out in four ways: docs/accuracy.md and docs/accuracy.csv.

    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --hours 12   # all that is missing
    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --data mongon --models random-forest
    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --table      # the two files, no training

A cell is a model on one fold of one split of one data set with one seed; its predictions stay in
runs/accuracy, so that a run goes on where the last one ended. A cell is made anew when the model's
code or settings change (`--keep` takes what there is).

Each model is tuned once a data set, with at most 8 settings, on plots in a fifth of the large
blocks (`DataSet.dev`): the settings with the best mean of r2 on random and on small-block folds of
those plots alone. They are trained on in every fold they are not held out with, and never scored.
"""

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.datasets import DATASETS, WIDE, DataSet
from sklearn.exceptions import ConvergenceWarning

import spatioformer
from spatioformer.common.files import hash_file, hash_value, read_json, write_json, writing
from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.evaluation import RandomKFold, SpatialBlockKFold, scores
from spatioformer.models.base import Estimator
from spatioformer.models.baselines import TABULAR
from spatioformer.models.distilled import DistilledEstimator
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.registry import STACKED
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.tabular import TabularEstimator

FOLDER = Path("runs/accuracy")
SPLITS = ("random", "small-blocks", "large-blocks", "regions")
DISTILLED = "spatioformer-distilled"
NETWORKS = ("spatioformer", "spatioformer-no-location")
OURS = ("spatioformer-stacked", DISTILLED, "gaussian-process", *NETWORKS)
NETWORK_SEEDS = 3
DEV_FOLDS = 3
FEW = 5000  # plots; with more, networks see enough of them in fewer epochs
EPOCHS, EPOCHS_OF_MANY = 40, 12
TREES, TREES_OF_MANY, TREES_TRIED = 300, 100, 60  # of forests; the last in tuning
TREE_COUNT = {
    "random-forest": "n_estimators",
    "extra-trees": "n_estimators",
    "forest-kriging": "forest__n_estimators",
}
"""Forests by name, and what they call the number of their trees."""

TABULAR_CODE = ("baselines/*.py",)
NETWORK_CODE = (
    *("nn/chip_spatioformer.py", "nn/geolocation.py", "nn/losses.py", "nn/rivals.py"),
    *("nn/spatioformer.py", "nn/transformer.py", "scaling.py", "stacking.py", "train.py"),
    *("nn/dense.py", "nn/neighbourhood.py", "distillation.py"),
    *("config.py", "inputs.py", "models.py"),  # defaults of the network and its training
)
"""Files whose change makes a cell anew."""


def combinations(**values: tuple) -> list[dict[str, Any]]:
    """Every choice of one value a name; "__" in a name stands for "." where it is a config key."""
    return [dict(zip(values, v, strict=True)) for v in itertools.product(*values.values())]


BOOSTED = {"learning_rate": (0.03, 0.1)}
PUBLISHED = combinations(train__batch=(32, 128))
TRAINING = combinations(train__learning_rate=(1e-3, 3e-3), model__dropout=(0.1, 0.3))
TOLD = {"model__location_dropout": 0.0, "model__location_jitter": 0.0}
"""Every plot's exact place, as the demo tells it; the default hides or moves it in training."""
OUR_NETWORK = [*TRAINING, *(settings | TOLD for settings in TRAINING)]
GRIDS: dict[str, list[dict[str, Any]]] = {
    "random-forest": combinations(min_samples_leaf=(1, 2, 5, 10), max_features=(1 / 3, 0.67)),
    "extra-trees": combinations(min_samples_leaf=(1, 2, 5, 10), max_features=(0.5, 1.0)),
    "gradient-boosting": combinations(
        **BOOSTED, max_leaf_nodes=(7, 31), l2_regularization=(1.0, 10.0)
    ),
    "lightgbm": combinations(**BOOSTED, num_leaves=(7, 31), reg_lambda=(1.0, 10.0)),
    "forest-kriging": combinations(
        forest__min_samples_leaf=(2, 5, 10), forest__max_features=(1 / 3, 0.67)
    ),
    "gaussian-process": combinations(prior=(0.3, 1.0, 3.0)),
    "location-knn": combinations(k=(3, 5, 10, 20, 40)),
    "spatioformer": OUR_NETWORK,
    "spatioformer-no-location": TRAINING,
    "spatioformer-published": PUBLISHED,
    "spatioformer-published-no-location": PUBLISHED,
    "cnn-published": PUBLISHED,
    "factoformer": TRAINING[:2],
}
BUILT_OF_TUNED = {"spatioformer-stacked": tuple(STACKED), DISTILLED: ("gaussian-process",)}
"""Models without settings of their own, and the tuned ones they are made of."""
MODELS = (*TABULAR, *(name for name in GRIDS if name not in TABULAR), *BUILT_OF_TUNED)


@dataclass(frozen=True)
class Cell:
    """One model on one fold."""

    data: str
    split: str
    model: str
    seed: int
    fold: int

    @property
    def name(self) -> str:
        return f"{self.data}_{self.split}_{self.model}_{self.seed}_{self.fold}"


def why_not(data: DataSet, split: str, model: str) -> str | None:
    """Why a cell does not apply, or None."""
    if data.splits[split] is None:
        return "no regions"
    if model == "cnn-published" and data.wide.patch < WIDE:
        return "tabular data: P = 1"
    if model == DISTILLED and data.wide.unlabelled is None:
        return "tabular data: no pixels without plots"
    return None


def config_of(data: DataSet, settings: dict[str, Any]) -> tuple[ModelSection, TrainSection]:
    """A network's configuration."""
    few = len(data.wide) <= FEW
    sections: dict[str, dict[str, Any]] = {
        "model": {"patch": data.store.patch},
        "train": {
            "validation_tile": data.tile,
            "epochs": EPOCHS if few else EPOCHS_OF_MANY,
            "batch": 64 if few else 256,
        },
    }
    for key, value in settings.items():
        section, name = key.split("__")
        sections[section][name] = value
    return ModelSection(**sections["model"]), TrainSection(**sections["train"])


def build(name: str, data: DataSet, settings: dict[str, Any], seed: int) -> Estimator:
    """An estimator. Of BUILT_OF_TUNED, `settings` maps its parts to theirs."""
    if name == "spatioformer-stacked":
        members = {member: build(member, data, settings[member], seed) for member in STACKED}
        return StackEstimator(members, STACKED, data.tile, seed)
    if name in TABULAR:
        if name in TREE_COUNT:
            trees = TREES if len(data.wide) <= FEW else TREES_OF_MANY
            settings = {TREE_COUNT[name]: trees, **settings}
        return TabularEstimator(name, config_of(data, {})[0], seed, settings)
    if name == DISTILLED:
        teacher = "gaussian-process"
        tuned_teacher = build(teacher, data, settings[teacher], seed)
        return DistilledEstimator(tuned_teacher, teacher, *config_of(data, {}), seed)
    model, train = config_of(data, settings)
    if name == "cnn-published":
        model = model.model_copy(update={"patch": WIDE})
    return NetworkEstimator(name, model, train, seed)


def predicted(
    name: str,
    data: DataSet,
    settings: dict[str, Any],
    seed: int,
    training: np.ndarray,
    test: np.ndarray,
) -> np.ndarray:
    """What a model trained on some rows says of others, float64."""
    store = data.wide if name == "cnn-published" else data.store
    estimator = build(name, data, settings, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = estimator.fit(store, training)
        return np.asarray(model.predict_rows(store, test), np.float64)


def tuned(name: str, data_name: str, data: DataSet, folder: Path, keep: bool) -> dict[str, Any]:
    """The settings of a model on a data set, from its file or by trying them all."""
    if name in BUILT_OF_TUNED:
        return {m: tuned(m, data_name, data, folder, keep) for m in BUILT_OF_TUNED[name]}
    path = found(folder, f"tuned_{data_name}_{name}", key_of(name, GRIDS[name]), ".json", keep)
    known = read_json(path) if path.exists() else {"tried": []}
    for settings in GRIDS[name][len(known["tried"]) :]:
        start = time.perf_counter()
        few = {TREE_COUNT[name]: TREES_TRIED} if name in TREE_COUNT else {}
        r2 = dev_scores(name, data, settings | few)
        known["tried"].append(
            {"settings": settings, "r2": r2, "seconds": round(time.perf_counter() - start, 1)}
        )
        write_json(path, known)
    return max(known["tried"], key=lambda tried: np.mean(list(tried["r2"].values())))["settings"]


def dev_scores(name: str, data: DataSet, settings: dict[str, Any]) -> dict[str, float]:
    """r2 on random and small-block folds within the plots for tuning."""
    rows = np.flatnonzero(data.dev)
    places, richness = data.wide.coordinates[rows], data.wide.richness[rows]
    r2 = {}
    for kind, splitter in (
        ("random", RandomKFold(DEV_FOLDS, seed=1)),
        ("small-blocks", SpatialBlockKFold(DEV_FOLDS, size=data.sizes[0], unit=data.unit, seed=1)),
    ):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few blocks make uneven folds
            pairs = list(splitter.split(places))
        out = np.empty(len(rows))
        for training, test in pairs:
            out[test] = predicted(name, data, settings, 0, rows[training], rows[test])
        r2[kind] = round(scores(richness, out)["r2"], 4)
    return r2


def key_of(name: str, settings: Any) -> str:
    """Short hash of a model's code and settings."""
    source = Path(spatioformer.__file__).parent
    patterns = TABULAR_CODE if name in TABULAR else NETWORK_CODE
    if name in BUILT_OF_TUNED:
        patterns += TABULAR_CODE
    files = [path for pattern in patterns for path in sorted(source.glob(pattern))]
    return hash_value([[hash_file(path) for path in files], settings])[:10]


def found(folder: Path, stem: str, key: str, suffix: str, keep: bool) -> Path:
    """The file of this key, or with `keep` the newest of any key."""
    path = folder / f"{stem}_{key}{suffix}"
    if keep and not path.exists():
        others = sorted(folder.glob(f"{stem}_*{suffix}"), key=lambda p: p.stat().st_mtime)
        return others[-1] if others else path
    return path


def run_cell(cell: Cell, data: DataSet, folder: Path, keep: bool) -> Path | None:
    """Predictions of a cell's held-out plots in a file; None where nothing of it is scored."""
    fold = data.folds(cell.split)
    test = np.flatnonzero((fold == cell.fold) & ~data.dev)
    if not len(test):
        return None
    settings = tuned(cell.model, cell.data, data, folder, keep)
    path = found(folder, cell.name, key_of(cell.model, settings), ".npz", keep)
    if not path.exists():
        start = time.process_time()
        out = predicted(
            cell.model, data, settings, cell.seed, np.flatnonzero(fold != cell.fold), test
        )
        with writing(path) as part:
            np.savez(
                part,
                rows=test,
                predicted=out,
                seconds=time.process_time() - start,
                settings=json.dumps(settings, sort_keys=True),
            )
    return path


def cells(
    names: list[str], splits: list[str], models: list[str], seeds: int, sets: dict[str, DataSet]
) -> Iterator[Cell]:
    """All cells that apply, the first seed of everything before the second of anything."""
    for seed, model, name, split in itertools.product(range(seeds), models, names, splits):
        if (seed and model in TABULAR) or why_not(sets[name], split, model):
            continue
        for fold in range(int(sets[name].folds(split).max()) + 1):
            yield Cell(name, split, model, seed, fold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hours", type=float, default=12.0, help="start no cell after them")
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=NETWORK_SEEDS, help="of networks")
    parser.add_argument("--keep", action="store_true", help="cells of older code will do")
    parser.add_argument("--table", action="store_true", help="write docs/accuracy.* and end")
    parser.add_argument("--note", default="", help="with --table: what readers must know of it")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    if args.table:
        from benchmarks.accuracy_table import write_tables

        write_tables(args.folder, Path("docs"), args.note)
        return
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    args.folder.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    sets = {name: DATASETS[name]() for name in args.data}
    todo = list(cells(args.data, args.splits, args.models, args.seeds, sets))
    for number, cell in enumerate(todo):
        if time.monotonic() - start > args.hours * 3600:
            print(f"{len(todo) - number} of {len(todo)} cells are left; run again to go on")
            return
        before = time.monotonic()
        run_cell(cell, sets[cell.data], args.folder, args.keep)
        if time.monotonic() - before > 1:
            print(f"{cell.name}: {time.monotonic() - before:.0f} s", flush=True)
    print(f"all {len(todo)} cells are there")


if __name__ == "__main__":
    main()
