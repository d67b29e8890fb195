"""All models on seven data sets, held out in four ways: docs/accuracy.md and docs/accuracy.csv.

    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --hours 10   # all that is missing
    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --data mongon --models random-forest
    SPATIOFORMER_DATA=... python -m benchmarks.accuracy --table      # the two files, no training

A cell is a model on one fold of one split of one data set with one seed. Its predictions are cached
in runs/accuracy, so that a run resumes where the last one ended. A cell is computed anew when the
model's code or settings change (`--keep` uses the cached predictions nevertheless).

All models but networks choose their settings on the training plots of each fold. A network is
tuned once a data set, with at most 8 settings, on plots in a fifth of the large blocks
(`DataSet.dev`): the settings with the best mean of r2 on random and on small-block folds of those
plots alone. They are trained on in every fold they are not held out with, and never scored. Keil &
Chase and ecospat have no such plots: all of theirs are scored.
"""

import argparse
import itertools
import json
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.accuracy_plan import (
    CHEAP,
    DEFAULTS,
    DISTILLED,
    FOLDER,
    GRIDS,
    MODELS,
    NEIGHBOURS,
    NETWORK_CODE,
    SEEDLESS,
    SEEDS,
    SPLITS,
    STACK_OF_NETWORKS,
    TABULAR_CODE,
    TREE_COUNT,
    Cell,
    why_not,
)
from benchmarks.datasets import DATASETS, WIDE, DataSet
from sklearn.exceptions import ConvergenceWarning

import spatioformer
from spatioformer.common.files import hash_file, hash_value, read_json, write_json, writing
from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.evaluation import RandomKFold, SpatialBlockKFold, scores
from spatioformer.models.base import Estimator
from spatioformer.models.baselines import TABULAR, LocationKNN
from spatioformer.models.baselines.areas import divisions, held_out
from spatioformer.models.baselines.tuned_forest import TREES
from spatioformer.models.capabilities import FitContext
from spatioformer.models.distilled import DistilledEstimator
from spatioformer.models.network_estimator import NetworkEstimator
from spatioformer.models.parts import STACKED, TABULAR_PARTS
from spatioformer.models.stack_estimator import StackEstimator
from spatioformer.models.tabular import TabularEstimator, TabularModel

DEV_FOLDS = 3
FEW = 5000  # plots; with more, networks see enough of them in fewer epochs
EPOCHS_OF_MANY = 12
TREES_OF_MANY = 100  # of forests


def config_of(data: DataSet, settings: dict[str, Any]) -> tuple[ModelSection, TrainSection]:
    """Settings of a network and of its training."""
    few = len(data.wide) <= FEW
    sections: dict[str, dict[str, Any]] = {
        "model": {"patch": data.store.patch, "covariates": dict.fromkeys(data.covariates)},
        "train": {
            "validation_tile": data.tile,
            "epochs": None if few else EPOCHS_OF_MANY,
            "batch": None if few else 256,
        },
    }
    for key, value in settings.items():
        section, name = key.split("__")
        sections[section][name] = value
    return ModelSection(**sections["model"]), TrainSection(**sections["train"])


def build(name: str, data: DataSet, settings: dict[str, Any], seed: int) -> Estimator:
    """Make an estimator; for the stack of networks, `settings` maps members to their settings."""
    if name == STACK_OF_NETWORKS:
        members = {
            member: build(member, data, settings.get(member, {}), seed) for member in STACKED
        }
        return StackEstimator(members, STACKED, data.tile, seed)
    model, train = config_of(data, {} if name in TABULAR else settings)
    if name in TABULAR:
        if name in TREE_COUNT:
            settings = {TREE_COUNT[name]: trees_of(data), **settings}
        return TabularEstimator(name, model, seed, settings)
    if name == DISTILLED:
        teacher = "gaussian-process"
        return DistilledEstimator(build(teacher, data, {}, seed), teacher, model, train, seed)
    if name == "cnn-published":
        model = model.model_copy(update={"patch": WIDE})
    return NetworkEstimator(name, model, train, seed)


def trees_of(data: DataSet) -> int:
    """Number of trees of a forest."""
    return TREES if len(data.wide) <= FEW else TREES_OF_MANY


def predicted(
    name: str,
    data: DataSet,
    settings: dict[str, Any],
    seed: int,
    training: np.ndarray,
    test: np.ndarray,
    fitted: dict[str, Any] | None = None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """Predictions, float64, for rows `test` of a model trained on rows `training`.

    Also the settings that were chosen on the training plots, empty for most models.

    Args:
        fitted: models fitted to the same rows, of which this one may have parts, as in a run; this
            model is added.
    """
    store = data.wide if name == "cnn-published" else data.store
    if name in DEFAULTS:
        return by_defaults(name, data, seed, training, test), {}
    if name == "location-knn":
        settings = {"k": neighbours(store.coordinates[training], store.richness[training])}
    estimator = build(name, data, settings, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = {} if fitted is None else fitted
        model = estimator.fit(store, training, context=FitContext(fitted=fitted))
        fitted[name] = model
        predictions = np.asarray(model.predict_rows(store, test), np.float64)
        chosen = settings if name == "location-knn" else model.facts.get("chosen", {})
        return predictions, chosen


def by_defaults(
    name: str, data: DataSet, seed: int, training: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Predictions of a forest with the defaults of scikit-learn, on the features of all models."""
    features = build("location-knn", data, {}, seed).fit(data.store, training)
    assert isinstance(features, TabularModel)
    X, X_test = (
        features.features(
            features.plot_chips(data.store, rows), features.plot_covariates(data.store, rows)
        )
        for rows in (training, test)
    )
    forest = DEFAULTS[name](trees_of(data), random_state=seed)
    return np.asarray(forest.fit(X, data.store.richness[training]).predict(X_test), np.float64)


def neighbours(places: np.ndarray, richness: np.ndarray) -> int:
    """The best number of neighbours for plots left out, by sites and by blocks, as of forests.

    Args:
        places: lon, lat (n, 2), degrees, of the training plots.
        richness: (n,).
    """
    error = dict.fromkeys(NEIGHBOURS, 0.0)
    for division in divisions(places):
        outs = held_out(division, np.random.default_rng(0))
        for k, out in itertools.product(NEIGHBOURS, outs):
            model = LocationKNN(k).fit(places[~out], richness[~out])
            error[k] += float(np.sum((model.predict(places[out]) - richness[out]) ** 2))
    return min(error, key=error.__getitem__)


def tuned(name: str, data_name: str, data: DataSet, folder: Path, keep: bool) -> dict[str, Any]:
    """Best settings of a network on a data set, from its cache file or by trying all.

    Of the stack of networks, those of each member that is a network. Empty for other models, and
    the first ones of the grid where a data set has no plots for tuning.
    """
    if name == STACK_OF_NETWORKS:
        return {m: tuned(m, data_name, data, folder, keep) for m in STACKED if m in GRIDS}
    if len(GRIDS.get(name, [])) <= 1 or not data.dev.any():
        return GRIDS.get(name, [{}])[0]
    path = cache_file(folder, f"tuned_{data_name}_{name}", key_of(name, GRIDS[name]), ".json", keep)
    record = read_json(path) if path.exists() else {"tried": []}
    for settings in GRIDS[name][len(record["tried"]) :]:
        start = time.perf_counter()
        r2 = dev_scores(name, data, settings)
        record["tried"].append(
            {"settings": settings, "r2": r2, "seconds": round(time.perf_counter() - start, 1)}
        )
        write_json(path, record)
    return max(record["tried"], key=lambda tried: np.mean(list(tried["r2"].values())))["settings"]


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
            out[test] = predicted(name, data, settings, 0, rows[training], rows[test])[0]
        r2[kind] = round(scores(richness, out)["r2"], 4)
    return r2


def key_of(name: str, settings: Any) -> str:
    """Cache key of a model: a short hash of its code and settings.

    Raises:
        FileNotFoundError: a pattern of the code matches no file.
    """
    patterns: tuple[str, ...] = TABULAR_CODE if name in CHEAP else NETWORK_CODE
    if name in (DISTILLED, STACK_OF_NETWORKS):
        patterns += TABULAR_CODE
    hashes = [hash_file(path) for pattern in patterns for path in code_files(pattern)]
    return hash_value([hashes, settings])[:10]


def code_files(pattern: str) -> list[Path]:
    """The package's files that match a pattern of `accuracy_plan`, sorted.

    Raises:
        FileNotFoundError: there are none.
    """
    package = Path(spatioformer.__file__).parent
    files = sorted(package.glob(pattern))
    if not files:
        raise FileNotFoundError(
            f"no file of {package} matches {pattern!r}; correct it in benchmarks/accuracy_plan.py"
        )
    return files


def cache_file(folder: Path, stem: str, key: str, suffix: str, keep: bool) -> Path:
    """The file with this key; with `keep` and no such file, the newest with any other key."""
    path = folder / f"{stem}_{key}{suffix}"
    if keep and not path.exists():
        others = sorted(folder.glob(f"{stem}_*{suffix}"), key=lambda p: p.stat().st_mtime)
        return others[-1] if others else path
    return path


def run_cell(
    cell: Cell,
    data: DataSet,
    folder: Path,
    keep: bool,
    fitted: dict[str, Any] | None = None,
) -> Path | None:
    """Predictions of a cell's held-out plots in a file; None where nothing of it is scored.

    Args:
        fitted: models of the same fold and seed that are fitted already; this cell's is added.
    """
    fold = data.folds(cell.split)
    test = np.flatnonzero((fold == cell.fold) & ~data.dev)
    if not len(test):
        return None
    settings = tuned(cell.model, cell.data, data, folder, keep)
    path = cache_file(folder, cell.name, key_of(cell.model, settings), ".npz", keep)
    if not path.exists():
        start = time.process_time()
        out, chosen = predicted(
            cell.model, data, settings, cell.seed, np.flatnonzero(fold != cell.fold), test, fitted
        )
        with writing(path) as part:
            np.savez(
                part,
                rows=test,
                predicted=out,
                seconds=time.process_time() - start,
                settings=json.dumps(settings | chosen, sort_keys=True),
            )
    return path


def cells(
    names: list[str], splits: list[str], models: list[str], seeds: int, sets: dict[str, DataSet]
) -> Iterator[Cell]:
    """All cells that apply, the first seed of everything before the second of anything.

    Cells of one fold and group follow each other, parts of other models first: they share fits.
    """
    cheap = sorted((m for m in models if m in CHEAP), key=lambda m: len(TABULAR_PARTS.get(m, ())))
    order = [cheap, *([m] for m in models if m not in CHEAP)]
    for seed, group, name, split in itertools.product(range(seeds), order, names, splits):
        applies = [
            m for m in group if not ((seed and m in SEEDLESS) or why_not(sets[name], split, m))
        ]
        if applies:
            folds = range(int(sets[name].folds(split).max()) + 1)
            for fold, model in itertools.product(folds, applies):
                yield Cell(name, split, model, seed, fold)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--hours", type=float, default=10.0, help="of processor time; no cell starts after"
    )
    parser.add_argument("--data", nargs="+", choices=DATASETS, default=list(DATASETS))
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of models that draw numbers")
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
    start = time.process_time()
    sets = {name: DATASETS[name]() for name in args.data}
    todo = list(cells(args.data, args.splits, args.models, args.seeds, sets))
    fitted: dict[str, Any] = {}
    for number, cell in enumerate(todo):
        if number and cell.fold_of != todo[number - 1].fold_of:
            fitted = {}
        if time.process_time() - start > args.hours * 3600:
            print(f"{len(todo) - number} of {len(todo)} cells are left; run again to go on")
            return
        before = time.monotonic()
        run_cell(cell, sets[cell.data], args.folder, args.keep, fitted)
        if time.monotonic() - before > 1:
            print(f"{cell.name}: {time.monotonic() - before:.0f} s", flush=True)
    print(f"all {len(todo)} cells are there")


if __name__ == "__main__":
    main()
