"""Is the score of the chosen model honest, and does it cost accuracy to choose the fastest tied one?

    python -m benchmarks.choice --cache runs/choice            # about 45 minutes of processor time
    python -m benchmarks.choice --cache runs/choice --limit 4  # go on for 4 minutes, then stop

A case is a virtual flora, some hundred of its plots, and five folds of whole tiles. Each model is
fitted without each fold, and without each pair of folds. Fresh plots lie in the tiles of the held-out
plots; the models without that fold predict them too, so they are as far from training as the
held-out plots are. The cases are kept in the cache, so that a rule can be changed and tried.

Ways to choose: `best` has the smallest error, `tied` is the fastest within one standard error,
`close` the fastest within one standard error and .01 of r2. Ways to score the choice: `naive` (its
own held-out predictions), `nested` (each fold's model is chosen on the predictions of the other
folds) and `inner` (the same, with predictions of models fitted without that fold as well).
"""

import argparse
import time
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.virtual_flora import AUSTRALIA, LOCATION, features, make_flora

from spatioformer.common.files import writing
from spatioformer.evaluation.choice import Choice
from spatioformer.evaluation.conformal import Conformal
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.virtual.flora import survey
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.baselines import TABULAR

FIRST_FLORA = 200
"""Seed of the first flora; no other score or choice of the project uses these."""

FLORAS = 20
PLOTS = (120, 300, 800)
SURVEYED = 4000
"""Number of plots of a flora; those that are not learned from are the fresh ones."""

FOLDS = 5
TILE = 2.0  # degrees
MODELS = (
    *("location-knn", "lightgbm", "gradient-boosting", "extra-trees", "random-forest"),
    *("gaussian-process", "forest-kriging"),
)
"""Candidates, the fastest first."""

CLOSE = 0.01
"""Largest loss of r2 for a faster model, of the way `close`."""

Case = dict[str, np.ndarray]
Rule = Callable[[np.ndarray, np.ndarray, float], int]
"""From errors (n, m), units (n,) and the variance of the observed richness to a model's number."""


def make_case(landscape: Landscape, seed: int, plots: int) -> Case:
    """Predictions of a case.

    Returns:
        Of the n plots `observed`, `fold`, `tile` (n,), `held_out` (n, m), and `inner` (k, n, m),
        predicted by models without the plot's fold and fold k; of fresh plots `fresh_observed`
        (f,), `fresh_fold` (f,) and `fresh` (f, m).
    """
    flora = make_flora(landscape, seed)
    table = survey(flora, SURVEYED, seed=seed)
    order = np.random.default_rng([seed, plots]).permutation(SURVEYED)
    table = table.iloc[order].reset_index(drop=True)
    X, y = features(landscape, table), table["richness"].to_numpy(float)
    split = SpatialBlockKFold(FOLDS, size=TILE, seed=seed)
    tile, own = split.tiles(X[:, LOCATION]), np.arange(SURVEYED) < plots
    fold_of_tile = dict(zip(tile[own], split.assign(X[own][:, LOCATION]), strict=True))
    fold = np.array([fold_of_tile.get(number, -1) for number in tile])
    predicted = np.full((SURVEYED, len(MODELS)), np.nan)
    inner = np.full((FOLDS, plots, len(MODELS)), np.nan)
    for column, name in enumerate(MODELS):
        for k in range(FOLDS):
            model, test = TABULAR[name](seed), fold == k
            model.fit(X[own & ~test], y[own & ~test])
            predicted[test, column] = model.predict(X[test])
        for k, j in combinations(range(FOLDS), 2):
            model, rest = TABULAR[name](seed), own & (fold != k) & (fold != j)
            model.fit(X[rest], y[rest])
            for outer, test in ((k, fold[:plots] == j), (j, fold[:plots] == k)):
                inner[outer, test, column] = model.predict(X[:plots][test])
    new = ~own & (fold >= 0)
    return {
        "observed": y[own],
        "fold": fold[own],
        "tile": tile[own],
        "held_out": predicted[own],
        "inner": inner,
        "fresh_observed": y[new],
        "fresh_fold": fold[new],
        "fresh": predicted[new],
    }


def rules() -> dict[str, Rule]:
    order = np.arange(len(MODELS))

    def best(errors: np.ndarray, unit: np.ndarray, variance: float) -> int:
        return Choice.of(errors, unit, order).best

    def tied(errors: np.ndarray, unit: np.ndarray, variance: float) -> int:
        return Choice.of(errors, unit, order).chosen

    def close(errors: np.ndarray, unit: np.ndarray, variance: float) -> int:
        choice = Choice.of(errors, unit, order)
        return int(np.argmax(choice.tied & (choice.behind <= CLOSE * variance)))

    return {"best": best, "tied": tied, "close": close}


def judge(case: Case, rule: Rule, units: str) -> dict[str, float]:
    """Estimates and true scores of a rule on one case; differences are estimate minus truth."""
    y, fold, fresh = case["observed"], case["fold"], case["fresh_observed"]
    errors, variance = case["held_out"] - y[:, None], float(y.var())
    unit = case[units]
    chosen = rule(errors, unit, variance)
    nested, inner = np.empty(len(y)), np.empty(len(y))
    for k in range(FOLDS):
        rest = fold != k
        nested[~rest] = case["held_out"][~rest, rule(errors[rest], unit[rest], variance)]
        held_out = case["inner"][k][rest] - y[rest, None]
        inner[~rest] = case["held_out"][~rest, rule(held_out, unit[rest], variance)]

    def r2(predicted: np.ndarray) -> float:
        return scores(y, predicted)["r2"]

    truth = np.array([scores(fresh, column)["r2"] for column in case["fresh"].T])
    estimates = np.array([r2(column) for column in case["held_out"].T])
    luck = float((estimates - truth).mean())  # of these plots, the same for all models
    new_error = np.abs(fresh - case["fresh"][:, chosen])
    half = {
        "own": Conformal(0.9).calibrate(y, case["held_out"][:, chosen]).margin_,
        "nested": Conformal(0.9).calibrate(y, nested).margin_,
    }
    return {
        "r2": float(truth[chosen]),
        "shortfall": float(truth.max() - truth[chosen]),
        "naive": estimates[chosen] - truth[chosen],
        "nested": r2(nested) - truth[chosen],
        "inner": r2(inner) - truth[chosen],
        "naive - luck": estimates[chosen] - truth[chosen] - luck,
        "nested - luck": r2(nested) - truth[chosen] - luck,
        "inner - luck": r2(inner) - truth[chosen] - luck,
        **{f"coverage, {name}": float((new_error <= q).mean()) for name, q in half.items()},
    }


def cases(cache: Path, plots: int, deadline: float) -> list[Case]:
    """The cases of one number of plots; those that are not in the cache are made before `deadline`."""
    result, landscape = [], None
    for seed in range(FIRST_FLORA, FIRST_FLORA + FLORAS):
        path = cache / f"{plots}-{seed}.npz"
        if not path.exists():
            if time.monotonic() > deadline:
                continue
            landscape = landscape or read_landscape(AUSTRALIA)
            case = make_case(landscape, seed, plots)
            with writing(path) as part:
                np.savez_compressed(part, **case)  # type: ignore[arg-type]
        with np.load(path) as arrays:
            result.append(dict(arrays))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--plots", type=int, nargs="+", default=list(PLOTS))
    parser.add_argument("--units", default="tile", choices=["tile", "fold"])
    parser.add_argument("--limit", type=float, default=np.inf, help="minutes")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.limit
    rows = []
    for plots in options.plots:
        for case in cases(options.cache, plots, deadline):
            rows += [
                {"plots": plots, "rule": name, **judge(case, rule, options.units)}
                for name, rule in rules().items()
            ]
    table = pd.DataFrame(rows)
    means = table.groupby(["plots", "rule"], sort=False).mean()
    means["se of nested - luck"] = table.groupby(["plots", "rule"])["nested - luck"].sem()
    means.insert(0, "floras", table.groupby(["plots", "rule"]).size())
    print(means.round(3).T.to_string())
    overall = table.drop(columns="plots").groupby("rule", sort=False)
    print(overall.mean().assign(floras=overall.size()).round(4).T.to_string())


if __name__ == "__main__":
    main()
