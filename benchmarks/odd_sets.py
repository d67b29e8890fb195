"""Do our models stand on tables of other kinds than those of `benchmarks.accuracy`?

    python -m benchmarks.odd_sets --cache runs/odd-sets                       # all cells, the table
    python -m benchmarks.odd_sets --cache runs/odd-sets --kinds thousands --limit 4   # 4 minutes
    python -m benchmarks.odd_sets --cache runs/odd-sets --csv FOLDER          # tables for the CLI

A kind is a table of plots with known truth: few or many, with gaps, areas, outliers, classes as
numbers, useless columns, thresholds, clusters and so on. Each is made with three seeds, and held
out in three folds at random and in three of 2-degree tiles. Features are those of a run without
imagery: missing numbers are medians, with a column that says where. scikit-learn's models get the
same columns, and longitude and latitude. The figure is r2 of pooled predictions, mean of seeds.
`auto` is the choice of `map.model: auto`, scored by tiles that had no part in it.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.odd_tables import KINDS, made
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from threadpoolctl import threadpool_limits

from spatioformer.common.files import writing
from spatioformer.evaluation.choice import choice_shares, scores_of_choice
from spatioformer.evaluation.splits import RandomKFold, SpatialBlockKFold
from spatioformer.geo.covariates import LOGARITHMIC, Covariates, effort_column
from spatioformer.geo.plots.target import kind_of
from spatioformer.models.baselines import TABULAR
from spatioformer.run.choice import TOLERANCE, USUAL

TILE, FOLDS, SEEDS = 2.0, 3, 3
CANDIDATES = ("location-knn", "random-forest", "gaussian-process", "stack")
"""Of `auto`, the fastest first."""
SKLEARN: dict[str, Callable[[int], object]] = {
    "ET": lambda seed: ExtraTreesRegressor(300, random_state=seed),
    "RF": lambda seed: RandomForestRegressor(300, random_state=seed),
    "HGB": lambda seed: HistGradientBoostingRegressor(random_state=seed),
}
MODELS = (*CANDIDATES, *SKLEARN)
COLUMNS = ("gaussian-process", "stack", "auto", *SKLEARN)
RESERVED = ("lon", "lat", "richness")


def features(table: pd.DataFrame) -> tuple[np.ndarray, int | None]:
    """Features (n, f + 2) as in a run without imagery, and the column of the area."""
    names = [n for n in table if n not in RESERVED and table[n].nunique() > 1]
    filled = Covariates.of(table, dict.fromkeys(names), LOGARITHMIC).filled(table)
    X = np.column_stack([filled.to_numpy(np.float32), table[["lon", "lat"]]])
    return X, effort_column((), list(filled))


def folds_of(table: pd.DataFrame, seed: int) -> dict[str, np.ndarray]:
    places = table[["lon", "lat"]].to_numpy()
    return {
        "random": RandomKFold(FOLDS, seed=seed).assign(places),
        "tiles": SpatialBlockKFold(FOLDS, size=TILE, seed=seed).assign(places),
    }


def cell(table: pd.DataFrame, name: str, seed: int) -> dict[str, np.ndarray]:
    """Held-out predictions (n,) of a model for each split, and processor seconds."""
    (X, effort), y = features(table), table["richness"].to_numpy(float)
    out, start = {}, time.process_time()
    for split, fold in folds_of(table, seed).items():
        out[split] = np.full(len(y), np.nan)
        for k in range(FOLDS):
            model = (TABULAR | SKLEARN)[name](seed)
            if "effort" in model.get_params():
                model.set_params(effort=effort, counts=kind_of(y)[0] == "count")
            model.fit(X[fold != k], y[fold != k])
            out[split][fold == k] = model.predict(X[fold == k])
    return out | {"seconds": np.array((time.process_time() - start) / (2 * FOLDS))}


def scored(kind: str, seed: int, cells: dict[str, dict[str, np.ndarray]]) -> list[dict]:
    """r2 of all models and of `auto`, a row a split."""
    table, rows = made(kind, seed), []
    y, places = table["richness"].to_numpy(float), table[["lon", "lat"]].to_numpy()
    tile = SpatialBlockKFold(FOLDS, size=TILE).tiles(places)
    for split in ("random", "tiles"):
        row = {name: 1 - np.mean((out[split] - y) ** 2) / y.var() for name, out in cells.items()}
        odd = [n for n in CANDIDATES if not np.all(cells[n][split] >= 0)]
        held_out = np.column_stack([cells[name][split] for name in CANDIDATES])
        order, usual = np.arange(len(CANDIDATES)), CANDIDATES.index(USUAL)
        shares = choice_shares(held_out - y[:, None], tile, order, TOLERANCE * y.var(), usual,
                               rng=np.random.default_rng(0))  # fmt: skip
        row["auto"] = scores_of_choice(y, held_out, shares)["r2"]
        seconds = float(cells[USUAL]["seconds"])
        rows.append({"kind": kind, "split": split, **row, "odd": " ".join(odd), "s": seconds})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--kinds", nargs="+", default=list(KINDS))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--limit", type=float, default=np.inf, help="minutes")
    parser.add_argument("--csv", type=Path, help="folder for the tables; nothing is fitted")
    options = parser.parse_args()
    folder = options.csv or options.cache
    folder.mkdir(parents=True, exist_ok=True)
    deadline, rows = time.monotonic() + 60 * options.limit, []
    for seed in range(options.seeds):
        for kind in options.kinds:
            stem = f"{kind}-{seed}".replace(" ", "_").replace(",", "").replace("%", "pct")
            if options.csv:
                made(kind, seed).to_csv(folder / f"{stem}.csv", index=False)
                continue
            cells = {}
            for name in MODELS:
                path = folder / f"{stem}-{name}.npz"
                if not path.exists() and time.monotonic() < deadline:
                    with threadpool_limits(1):
                        out = cell(made(kind, seed), name, seed)
                    with writing(path) as part:
                        np.savez(part, **out)
                if path.exists():
                    with np.load(path) as arrays:
                        cells[name] = dict(arrays)
            if len(cells) == len(MODELS):
                rows += scored(kind, seed, cells)
    if rows:
        table = pd.DataFrame(rows)
        groups = table.groupby(["kind", "split"], sort=False)
        mean = groups[[*COLUMNS, "s"]].mean()
        best = mean[list(SKLEARN)].max(axis=1)
        mean["auto - best"] = mean["auto"] - best
        mean["seeds"] = groups.size()
        print(mean.round(3).to_string())
        if (table["odd"] != "").any():
            print("NaN or negative predictions:")
            print(table.loc[table["odd"] != "", ["kind", "split", "odd"]].to_string())


if __name__ == "__main__":
    main()
