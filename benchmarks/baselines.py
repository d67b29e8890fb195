"""Tuned trees against the defaults of scikit-learn and LightGBM: r2 on held-out plots.

    SPATIOFORMER_DATA=... python -m benchmarks.baselines --data mongon ausplots   # some of the sets
    SPATIOFORMER_DATA=... python -m benchmarks.baselines --table                  # Markdown

The defaults are as many trees as tuned forests have, with leaves of 1 and all features, and 100
boosting steps. Nothing is tuned on held-out plots. Sets with more plots are thinned to MOST.
Finished rows in runs/baselines.csv are kept.
"""

import argparse
import os
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.datasets import DATASETS
from pyproj import Transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
)
from threadpoolctl import threadpool_limits

from spatioformer.evaluation import RandomKFold, SpatialBlockKFold
from spatioformer.models.baselines import TABULAR, Regressor, chip_statistics
from spatioformer.models.baselines.tuned_forest import TREES

MOST = 1200
OUT = Path("runs/baselines.csv")
SPLITS = ("random", "small-blocks", "large-blocks", "regions")

Folds = dict[str, np.ndarray]
Plots = tuple[np.ndarray, np.ndarray, Folds]
"""Features (n, features), longitude and latitude last; richness (n,); split -> fold (n,)."""


def _lightgbm() -> Regressor:
    from lightgbm import LGBMRegressor

    return LGBMRegressor(random_state=0, n_jobs=1, verbose=-1)


DEFAULTS: dict[str, Callable[[], Regressor]] = {
    "random-forest": lambda: RandomForestRegressor(TREES, random_state=0),
    "extra-trees": lambda: ExtraTreesRegressor(TREES, random_state=0),
    "gradient-boosting": lambda: HistGradientBoostingRegressor(random_state=0),
    "lightgbm": _lightgbm,
}


def from_store(name: str) -> Plots:
    """Plots of a data set of `benchmarks.datasets`, at most MOST of them."""
    data = DATASETS[name]()
    store = data.store
    kept = np.sort(np.random.default_rng(0).permutation(len(store))[:MOST])
    X = chip_statistics(store.chips[kept], store.lon[kept], store.lat[kept])
    folds = {s: data.folds(s)[kept] for s, splitter in data.splits.items() if splitter is not None}
    return X, store.richness[kept], folds


def keil_chase() -> Plots:
    """1,336 forest plots of the world; held out at random, in 10-degree blocks and by realm."""
    table = pd.read_csv(_folder() / "keil_chase" / "plots.csv")
    names = ["area_m2", "min_DBH_cm", *table.loc[:, "GPP":"island"], "Lon", "Lat"]
    realm = pd.factorize(table["REALM_PK"])[0]
    return _plots(table, names, "S", {"large-blocks": (10, "degrees")}, {"regions": realm})


def ecospat() -> Plots:
    """300 plots in the Swiss Alps; held out at random and in blocks of 2 and 10 km."""
    table = pd.read_csv(_folder() / "ecospat" / "plots.csv")
    degrees = Transformer.from_crs(21781, 4326, always_xy=True)
    table["lon"], table["lat"] = degrees.transform(table["long"], table["lat"])
    names = ["ddeg", "mind", "srad", "slp", "topo", "lon", "lat"]
    sizes = {"small-blocks": (2, "km"), "large-blocks": (10, "km")}
    return _plots(table, names, "richness", sizes, {})


SETS: dict[str, Callable[[], Plots]] = {
    **{name: lambda name=name: from_store(name) for name in DATASETS},
    "keil-chase": keil_chase,
    "ecospat": ecospat,
}


def _plots(
    table: pd.DataFrame, names: list[str], target: str, sizes: dict[str, tuple], folds: Folds
) -> Plots:
    table = table.dropna(subset=[*names[-2:], target])
    X = table[names].to_numpy(float)
    folds = {"random": RandomKFold(5, seed=0).assign(X[:, -2:])} | folds
    for name, (size, unit) in sizes.items():
        folds[name] = SpatialBlockKFold(5, size=size, unit=unit, seed=0).assign(X[:, -2:])
    return X, table[target].to_numpy(float), folds


def _folder() -> Path:
    return Path(os.environ.get("SPATIOFORMER_DATA", "data"))


def scored(name: str, models: list[str], finished: set[tuple]) -> Iterator[dict]:
    """A row for each split, model and kind of settings of a data set that is not finished."""
    X, y, folds = SETS[name]()
    for split, fold in folds.items():
        for model in models:
            for kind in ("defaults", "tuned"):
                if (name, split, model, kind) in finished:
                    continue
                start, predictions, chosen = time.process_time(), np.empty(len(y)), []
                for number in np.unique(fold):
                    out = fold == number
                    regressor = DEFAULTS[model]() if kind == "defaults" else TABULAR[model](0)
                    regressor.fit(X[~out], y[~out])
                    predictions[out] = regressor.predict(X[out])
                    chosen.append(getattr(regressor, "chosen_", {}))
                error = np.sum((predictions - y) ** 2) / np.sum((y - y.mean()) ** 2)
                yield {
                    "data": name,
                    "split": split,
                    "model": model,
                    "settings": kind,
                    "r2": 1 - error,
                    "seconds_a_fold": (time.process_time() - start) / len(chosen),
                    "chosen": "; ".join(map(_short, chosen)),
                }


def _short(chosen: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in chosen.items())


def markdown(table: pd.DataFrame) -> str:
    """r2 with tuning / with defaults, a row for each split and a column for each model."""
    r2 = table.pivot(index=["data", "split"], columns=["model", "settings"], values="r2")
    models = [name for name in DEFAULTS if name in r2]
    lines = [f"| r2, tuned / defaults | {' | '.join(models)} |", "|---" * (len(models) + 1) + "|"]
    for (data, split), row in r2.iterrows():
        cells = [f"{row[m, 'tuned']:.3f} / {row[m, 'defaults']:.3f}" for m in models]
        lines.append(f"| {data}, {split} | {' | '.join(cells)} |")
    means = r2.mean()
    cells = [f"{means[m, 'tuned']:.3f} / {means[m, 'defaults']:.3f}" for m in models]
    return "\n".join([*lines, f"| mean of {len(r2)} splits | {' | '.join(cells)} |"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--models", nargs="+", choices=DEFAULTS, default=list(DEFAULTS))
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    table = pd.read_csv(args.out) if args.out.exists() else pd.DataFrame()
    if args.table:
        print(markdown(table))
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    keys = ["data", "split", "model", "settings"]
    finished = set(table[keys].itertuples(index=False, name=None)) if len(table) else set()
    with warnings.catch_warnings(), threadpool_limits(1):
        warnings.simplefilter("ignore")  # uneven folds; feature names of LightGBM
        for name in args.data:
            for row in scored(name, args.models, finished):
                header = not args.out.exists()
                pd.DataFrame([row]).to_csv(args.out, mode="a", header=header, index=False)
                print(row["data"], row["split"], row["model"], row["settings"], round(row["r2"], 4))


if __name__ == "__main__":
    main()
