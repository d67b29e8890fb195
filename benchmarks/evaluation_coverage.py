"""Do 90 % intervals hold on plots held out as far from training as the map is?

    SPATIOFORMER_DATA=... python -m benchmarks.evaluation_coverage [--draws 10]

For each draw: kNNDM folds (k-means, another seed and other prediction points each time). Each fold
in turn is the test set; the other folds, each predicted from the rest of them, calibrate; a forest
trained on all of them predicts the test fold. So no test plot has a part in its own interval.
Kinds: one margin for all (split), margins by distance in feature space (local), quantiles of the
forest's trees conformalised (CQR), and as a warning random folds calibrating the same test plots.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.evaluation_scale import land_points
from sklearn.ensemble import RandomForestRegressor

from spatioformer.evaluation import KNNDM, Conformal, LocalConformal, RandomKFold, interval_scores

DATA = Path(os.environ.get("SPATIOFORMER_DATA", "data"))
LEVEL = 0.9


def ausplots(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lon/lat (458, 2), predictors with lon/lat (458, 12), voucher richness (458,)."""
    table = pd.read_csv(DATA / "ausplots" / "sites.csv")
    lonlat = table[["Longitude", "Latitude"]]
    covariates = table.loc[:, "Precipitation Seasonality":"Topographic relief"]
    covariates = covariates.fillna(covariates.median())
    X = np.column_stack([lonlat, covariates])
    return lonlat.to_numpy(), X, table["Species richness_vouchers"].to_numpy(float)


def new_zealand(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same for 2,500 of the 19,120 plots, another draw each time; richness of 52 species."""
    table = pd.read_csv(DATA / "new_zealand" / "plots.csv.gz")
    table = table.iloc[rng.choice(len(table), 2500, replace=False)]
    lonlat = table[["lon", "lat"]]
    X = np.column_stack([lonlat, table.loc[:, "age":"vpd"]])
    return lonlat.to_numpy(), X, table["richness52"].to_numpy(float)


PLACES = {
    "AusPlots": (ausplots, (112, 154, -44, -10)),
    "New Zealand": (new_zealand, (166, 179, -47.5, -34)),
}


class Predictions:
    """A forest's mean and 5 and 95 % quantiles over its trees."""

    def __init__(self, X: np.ndarray, y: np.ndarray, seed: int) -> None:
        self.forest = RandomForestRegressor(
            100, min_samples_leaf=5, max_features=1 / 3, n_jobs=-1, random_state=seed
        ).fit(X, y)

    def __call__(self, X: np.ndarray) -> np.ndarray:
        trees = np.stack([tree.predict(X) for tree in self.forest.estimators_])
        return np.column_stack([trees.mean(0), *np.quantile(trees, [0.05, 0.95], axis=0)])


def held_out(X: np.ndarray, y: np.ndarray, fold: np.ndarray, seed: int) -> np.ndarray:
    """Mean and two quantiles for every row, (n, 3), each fold predicted from the others."""
    out = np.empty((len(y), 3))
    for number in np.unique(fold):
        test = fold == number
        out[test] = Predictions(X[~test], y[~test], seed)(X[test])
    return out


def one_draw(place: str, seed: int, k: int) -> tuple[dict[str, dict[str, float]], np.ndarray]:
    """Scores of each kind of interval, and coverage of `split` by test fold, (k,)."""
    load, region = PLACES[place]
    lonlat, X, y = load(np.random.default_rng(seed))
    target = land_points(2000, region, seed)
    folds = KNNDM(k, prediction_points=target, clustering="kmeans", seed=seed).search(lonlat).folds
    bounds = {kind: np.empty((len(y), 2)) for kind in ("split", "local", "CQR", "split, random")}
    for number in range(k):
        test, rest = folds == number, folds != number
        new = Predictions(X[rest], y[rest], seed)(X[test])
        old = held_out(X[rest], y[rest], folds[rest], seed)
        split = Conformal(LEVEL).calibrate(y[rest], old[:, 0])
        bounds["split"][test] = split.interval(new[:, 0])
        local = LocalConformal(LEVEL, neighbours=min(200, rest.sum() // 2), space="feature")
        local.calibrate(y[rest], old[:, 0], X[rest])
        bounds["local"][test] = local.interval(new[:, 0], X[test])
        cqr = Conformal(LEVEL).calibrate(y[rest], old[:, 1:])
        bounds["CQR"][test] = cqr.interval(new[:, 1:])
        random = RandomKFold(k, seed=seed).assign(lonlat[rest])
        easy = held_out(X[rest], y[rest], random, seed)
        bounds["split, random"][test] = (
            Conformal(LEVEL).calibrate(y[rest], easy[:, 0]).interval(new[:, 0])
        )
    inside = (bounds["split"][:, 0] <= y) & (y <= bounds["split"][:, 1])
    by_fold = np.bincount(folds, inside) / np.bincount(folds)
    return {kind: interval_scores(y, b, LEVEL) for kind, b in bounds.items()}, by_fold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--places", nargs="+", default=list(PLACES), choices=list(PLACES))
    options = parser.parse_args()
    for place in options.places:
        rows, worst = [], []
        for seed in range(options.draws):
            scores, by_fold = one_draw(place, seed, options.folds)
            rows += [{"kind": kind, **row} for kind, row in scores.items()]
            worst.append(by_fold.min())
        table = pd.DataFrame(rows).groupby("kind", sort=False)
        print(f"\n{place}, {options.draws} draws, mean (sd of coverage):")
        for kind, row in table.mean().iterrows():
            sd = table["coverage"].std()[kind]
            print(
                f"  {kind:14s} coverage {row['coverage']:.3f} ({sd:.3f})  width {row['width']:.1f}"
                f"  interval score {row['interval_score']:.1f}"
            )
        print(f"  split, worst fold of a draw: {np.mean(worst):.3f} on average", flush=True)


if __name__ == "__main__":
    main()
