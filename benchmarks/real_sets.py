"""Do our models stand on real tables of other fields than those of `benchmarks.accuracy`?

    Rscript benchmarks/real_tables.R TABLES                      # needs R and packages of Debian
    python -m benchmarks.real_sets TABLES --cache runs/real-sets                 # all cells
    python -m benchmarks.real_sets TABLES --cache runs/real-sets --models stack ET --sets bryce

33 tables of 50 to 2,000 sites: species, metals in soil, rain, prices of houses and others. They are
held out in three folds at random, in three of 15 compact blocks, and in four compact regions. The
figure is r2 of pooled predictions. scikit-learn's models have their defaults and 300 trees, and get
the same columns. These tables serve to choose among designs, so they are no test of what was chosen
by them: docs/log.md says what was.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.odd_sets import SKLEARN
from threadpoolctl import threadpool_limits

from spatioformer.common.earth import on_sphere
from spatioformer.common.files import writing
from spatioformer.evaluation.units import sites
from spatioformer.geo.plots.target import kind_of
from spatioformer.models.baselines import TABULAR
from spatioformer.models.baselines.gaussian.groups import blocks

OURS = ("stack", "gaussian-process", "random-forest", "extra-trees")
MODELS: dict[str, Callable[[int], object]] = {n: TABULAR[n] for n in OURS} | SKLEARN
DEFAULTS = {"random-forest": "RF", "extra-trees": "ET"}
"""scikit-learn's forest of each of ours."""
MOST = 2000  # sites of a table; of more, as many are drawn
BLOCKS, REGIONS, FOLDS = 15, 4, 3


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Features, lon and lat (n, f + 2), and the response (n,)."""
    table = pd.read_csv(path)
    if len(table) > MOST:
        rows = np.random.default_rng(1).choice(len(table), MOST, replace=False)
        table = table.iloc[np.sort(rows)]
    names = [n for n in table if n not in ("lon", "lat", "response") and table[n].nunique() > 1]
    return table[[*names, "lon", "lat"]].to_numpy(float), table["response"].to_numpy(float)


def folds_of(places: np.ndarray) -> dict[str, np.ndarray]:
    """Fold (n,) of each site at lon, lat (n, 2), for each split."""
    rng, points = np.random.default_rng(0), on_sphere(places)
    site, block = sites(places), blocks(points, BLOCKS)
    return {
        "random": (rng.permutation(site.max() + 1) % FOLDS)[site],
        "blocks": (rng.permutation(block.max() + 1) % FOLDS)[block],
        "regions": blocks(points, REGIONS),
    }


def cell(X: np.ndarray, y: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """Held-out predictions (n,) of a model for each split, and processor seconds."""
    start, out = time.process_time(), {}
    for split, fold in folds_of(X[:, -2:]).items():
        out[split] = np.empty(len(y))
        for k in np.unique(fold):
            model = MODELS[name](0)
            if "counts" in model.get_params():
                model.set_params(counts=kind_of(y)[0] == "count")
            model.fit(X[fold != k], y[fold != k])
            out[split][fold == k] = model.predict(X[fold == k])
    return out | {"seconds": np.array(time.process_time() - start)}


def r2_of(folder: Path, names: list[str], cache: Path, models: list[str]) -> pd.DataFrame:
    """r2 of each table and split (rows) and model (columns); missing cells are computed."""
    rows = []
    for name in names:
        X, y = read(folder / f"{name}.csv")
        row = {split: {"table": name, "split": split} for split in folds_of(X[:, -2:])}
        for model in models:
            path = cache / f"{name}-{model}.npz"
            if not path.exists():
                with threadpool_limits(1):
                    out = cell(X, y, model)
                with writing(path) as part:
                    np.savez(part, **out)
            with np.load(path) as arrays:
                for split, values in row.items():
                    values[model] = 1 - np.mean((arrays[split] - y) ** 2) / y.var()
        rows += row.values()
    return pd.DataFrame(rows).set_index(["table", "split"])


def summary(gains: pd.Series) -> pd.DataFrame:
    """Mean and others of gains in r2 over the tables, a row a split."""
    groups = gains.groupby("split", sort=False)
    return pd.DataFrame(
        {
            "mean": groups.mean(),
            "median": groups.median(),
            "worst": groups.min(),
            "above 0": groups.apply(lambda gain: (gain > 0).mean()),
            "below -.005": groups.apply(lambda gain: (gain < -0.005).mean()),
        }
    ).round(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", type=Path, help="folder of benchmarks/real_tables.R")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", help="tables by name; all unless given")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    names = options.sets or sorted(path.stem for path in options.tables.glob("*.csv"))
    r2 = r2_of(options.tables, names, options.cache, options.models)
    print(r2.round(3).to_string())
    rivals = [name for name in SKLEARN if name in r2]
    for name in r2.columns.intersection(OURS):
        for rival in [DEFAULTS[name]] if name in DEFAULTS else rivals:
            if rival in r2:
                print(f"\n{name} against scikit-learn's {rival}")
                print(summary(r2[name] - r2[rival]).to_string())
        if name not in DEFAULTS and rivals:
            print(f"\n{name} against the best of {', '.join(rivals)} in each row")
            print(summary(r2[name] - r2[rivals].max(axis=1)).to_string())


if __name__ == "__main__":
    main()
