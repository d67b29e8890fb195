"""The Gaussian process against extremely randomised trees on real plots: docs/models.md.

    SPATIOFORMER_DATA=... python -m benchmarks.process                 # rows that are missing
    SPATIOFORMER_DATA=... python -m benchmarks.process --label before  # with other code on the path
    SPATIOFORMER_DATA=... python -m benchmarks.process --table

A row is a model on all folds of a split: pooled r2 of held-out plots, and processor seconds of
fits and predictions. Rows are kept in runs/process/rows.csv under a label, and a row that is there
is not computed again. No hyperparameter is chosen here: the process chooses on its training plots.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.datasets import DATASETS
from pyproj import Transformer
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from threadpoolctl import threadpool_limits

from spatioformer.evaluation import LeaveRegionOut, RandomKFold, SpatialBlockKFold, scores
from spatioformer.models.baselines import GaussianProcess, chip_statistics, extra_trees

FOLDER = Path("runs/process")
FEW = 2500  # plots of New Zealand's subset
COLUMNS = ["label", "data", "split", "model", "seed", "order", "plots", "r2", "cpu_seconds"]


@dataclass(frozen=True)
class Table:
    """Plots as features X (n, f + 2), lon and lat last, richness y (n,), and folds by split.

    Attributes:
        effort: column of X with the logarithm of the area, or None.
    """

    X: np.ndarray
    y: np.ndarray
    folds: dict[str, np.ndarray]
    effort: int | None = None


def keil_chase() -> Table:
    """1,336 forest plots of the world; areas from 100 m2 to 60 ha."""
    table = pd.read_csv(_folder() / "keil_chase" / "plots.csv")
    names = [n for n in table.columns[4:] if n != "REALM_PK"]
    X = np.column_stack([np.log10(table["area_m2"]), table[names], table[["Lon", "Lat"]]])
    X = X.astype(float)
    folds = _splits(X, 10.0) | {"regions": _regions(X, table["REALM_PK"].to_numpy(str))}
    return Table(X, table["S"].to_numpy(float), folds, effort=0)


def ecospat() -> Table:
    """300 Alpine plots, five covariates."""
    table = pd.read_csv(_folder() / "ecospat" / "plots.csv")
    degrees = Transformer.from_crs("EPSG:21781", "EPSG:4326", always_xy=True)
    lonlat = np.column_stack(degrees.transform(table["long"], table["lat"]))
    names = ["ddeg", "mind", "srad", "slp", "topo"]
    X = np.hstack([table[names].to_numpy(float), lonlat])
    return Table(X, table["richness"].to_numpy(float), _splits(X, 10.0, "km"))


def of_accuracy(name: str, count: int | None = None) -> Table:
    """A data set of `benchmarks.accuracy`, or `count` of its plots, with its own blocks."""
    data = DATASETS[name]()
    store = data.store
    rows = np.arange(len(store))
    if count is not None:
        rows = np.sort(np.random.default_rng(0).choice(rows, count, replace=False))
    X = chip_statistics(store.chips[rows], store.lon[rows], store.lat[rows])
    sizes = dict(zip(("small-blocks", "large-blocks"), data.sizes, strict=True))
    splits = {split: _splits(X, size, data.unit) for split, size in sizes.items()}
    folds = {split: folds["blocks"] for split, folds in splits.items()}
    random = splits["small-blocks"]["random"]
    if data.regions is not None:
        folds["regions"] = data.folds("regions")[rows]
    return Table(X, store.richness[rows], {"random": random} | folds)


TABLES: dict[str, Callable[[], Table]] = {
    "keil-chase": keil_chase,
    "ecospat": ecospat,
    "ausplots": lambda: of_accuracy("ausplots"),
    "mongon": lambda: of_accuracy("mongon"),
    "south-america": lambda: of_accuracy("south-america"),
    "new-zealand-2500": lambda: of_accuracy("new-zealand", FEW),
}


def process(table: Table, seed: int) -> GaussianProcess:
    model = GaussianProcess(seed=seed)
    knows_area = "effort" in model.get_params() and table.effort is not None
    return model.set_params(effort=table.effort) if knows_area else model


def stack(table: Table, seed: int) -> object:
    from spatioformer.models.baselines import ClosedFormStack  # older code has none

    return ClosedFormStack(seed, table.effort)


MODELS: dict[str, Callable[[Table, int], object]] = {
    "gaussian-process": process,
    "closed-form stack": stack,
    "extra-trees": lambda table, seed: make_pipeline(
        SimpleImputer(strategy="median"), extra_trees(seed)
    ),
    "extra-trees, leaf 1": lambda table, seed: make_pipeline(
        SimpleImputer(strategy="median"), ExtraTreesRegressor(300, random_state=seed)
    ),
}


def row(table: Table, split: str, model: str, seed: int, order: int) -> dict[str, float]:
    """Pooled r2 of a model on a split, and processor seconds.

    Args:
        order: 0 keeps the order of the plots; others shuffle the training plots.
    """
    fold, out = table.folds[split], np.empty(len(table.y))
    start = time.process_time()
    for number in range(fold.max() + 1):
        train, test = np.flatnonzero(fold != number), fold == number
        if order:
            train = np.random.default_rng(order).permutation(train)
        with threadpool_limits(1):
            fitted = MODELS[model](table, seed).fit(table.X[train], table.y[train])  # type: ignore
            out[test] = fitted.predict(table.X[test])
    seconds = time.process_time() - start
    r2 = scores(table.y, out)["r2"]
    return {"plots": len(out), "r2": round(r2, 4), "cpu_seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--label", default="after")
    parser.add_argument("--data", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--splits", nargs="+")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--orders", type=int, default=1)
    parser.add_argument("--table", action="store_true", help="print the table and end")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    path = args.folder / "rows.csv"
    if args.table:
        print(markdown(pd.read_csv(path)))
        return
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in args.data:
        table = TABLES[name]()
        for split in args.splits or table.folds:
            for model in args.models:
                for seed, order in [(s, o) for s in range(args.seeds) for o in range(args.orders)]:
                    _keep(path, table, [args.label, name, split, model, seed, order])


def _keep(path: Path, table: Table, key: list) -> None:
    """Compute a row and append it to the file, unless it is there."""
    kept = pd.read_csv(path) if path.exists() else pd.DataFrame(columns=COLUMNS)
    names = COLUMNS[: len(key)]
    if (kept[names].astype(str) == [str(part) for part in key]).all(axis=1).any():
        return
    result = row(table, *key[2:])
    line = pd.DataFrame([dict(zip(names, key, strict=True)) | result])[COLUMNS]
    line.to_csv(path, mode="a", header=not path.exists(), index=False)
    print(line.to_csv(header=False, index=False).strip(), flush=True)


def markdown(rows: pd.DataFrame) -> str:
    """Table of r2 by split and model; processor seconds in brackets."""
    rows = rows.assign(model=rows["model"] + ", " + rows["label"])
    groups = rows.groupby(["data", "split", "model"], sort=False)
    mean = groups[["r2", "cpu_seconds"]].mean().reset_index()
    mean["cell"] = mean.apply(lambda r: f"{r['r2']:.3f} ({r['cpu_seconds']:.0f} s)", axis=1)
    wide = mean.pivot_table("cell", ["data", "split"], "model", aggfunc="first", sort=False)
    wide = wide.fillna("").reset_index()
    lines = [list(wide.columns), ["---"] * len(wide.columns), *wide.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _splits(X: np.ndarray, size: float, unit: str = "degrees") -> dict[str, np.ndarray]:
    """Folds at random, and by blocks."""
    places = X[:, -2:]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # blocks are as uneven as they are
        blocks = SpatialBlockKFold(5, size=size, unit=unit, seed=0).assign(places)
        return {"random": RandomKFold(5, seed=0).assign(places), "blocks": blocks}


def _regions(X: np.ndarray, names: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LeaveRegionOut().assign(X[:, -2:], names)


def _folder() -> Path:
    return Path(os.environ.get("SPATIOFORMER_DATA", "data"))


if __name__ == "__main__":
    main()
