"""Is the score of the chosen model honest, and what does it cost to choose a faster one?

    python -m benchmarks.choice --cache runs/choice            # all cases, then the table
    python -m benchmarks.choice --cache runs/choice --limit 4  # cases for 4 minutes, then the table

A case is a virtual flora, some hundred of its plots, and five folds of whole tiles. Each model is
fitted without each fold, and without each pair of folds. Fresh plots lie in the tiles of the
held-out plots. The models without that fold predict them too, so they are as far from training as
the held-out plots are. The cases are kept in the cache, so that a rule can be changed and tried.

Ways to choose: `best` has the smallest error, `tied` is the fastest within one standard error,
`close` the fastest within one standard error and .01 of r2. Ways to score the choice:

- `naive`: its own held-out predictions;
- `tiles`: each tile's model is chosen on the predictions of the other tiles; `folds`: by folds;
- `inner`: by folds, with predictions of models that were fitted without that fold as well;
- `bootstrap`: samples of tiles choose, the tiles outside a sample score (Tsamardinos et al. 2018,
  Mach. Learn. 107:1895).
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
from spatioformer.evaluation.choice import Choice, choice_shares, scores_of_choice
from spatioformer.evaluation.conformal import Conformal
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.virtual.flora import survey
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.baselines import TABULAR, Regressor
from spatioformer.run.choice import TOLERANCE

FIRST_FLORA = 200
"""Seed of the first flora; no other score or choice of the project uses these."""

FLORAS = 20
PLOTS = (150, 400)
SURVEYED = 4000
"""Number of plots of a flora; those that are not learned from are the fresh ones."""

FOLDS = 5
TILE = 2.0  # degrees
MODELS = (
    *("location-knn", "lightgbm", "gradient-boosting", "extra-trees", "random-forest"),
    "gaussian-process",
)
"""Candidates, the fastest first."""

CANDIDATES = {"all": MODELS, "without the process": MODELS[:-1]}
"""On these floras the process is best almost always; without it, several models are close."""

TREES = 100
"""Number of trees of a forest: fewer than in a run, so that many cases can be measured."""

Case = dict[str, np.ndarray]
Rule = Callable[[float], float]
"""From the variance of the observed richness to the tolerance of `Choice.of`."""


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
            model, test = regressor(name, seed), fold == k
            model.fit(X[own & ~test], y[own & ~test])
            predicted[test, column] = model.predict(X[test])
        for k, j in combinations(range(FOLDS), 2):
            model, rest = regressor(name, seed), own & (fold != k) & (fold != j)
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


def regressor(name: str, seed: int) -> Regressor:
    model = TABULAR[name](seed)
    is_forest = name in ("extra-trees", "random-forest")
    return model.set_params(n_estimators=TREES) if is_forest else model


RULES: dict[str, Rule] = {
    "best": lambda variance: 0.0,
    "tied": lambda variance: np.inf,
    "close": lambda variance: TOLERANCE * variance,
}


def choose(errors: np.ndarray, unit: np.ndarray, tolerance: float) -> int:
    return Choice.of(errors, unit, np.arange(errors.shape[1]), tolerance).chosen


def only(case: Case, models: tuple[str, ...]) -> Case:
    """The same case with some of the models."""
    columns = [MODELS.index(name) for name in models]
    predicted = {name: case[name][..., columns] for name in ("held_out", "inner", "fresh")}
    return case | predicted


def judge(case: Case, rule: Rule, units: str) -> dict[str, float]:
    """Estimates and true scores of a rule on one case; differences are estimate minus truth."""
    y, fold, fresh = case["observed"], case["fold"], case["fresh_observed"]
    errors, variance = case["held_out"] - y[:, None], float(y.var())
    unit = case[units]
    tolerance = rule(variance)
    chosen = choose(errors, unit, tolerance)
    held_out, tiles = case["held_out"], case["tile"]
    by_tile, by_fold, inner = (np.empty(len(y)) for _ in range(3))
    for label in np.unique(tiles):
        rest = tiles != label
        by_tile[~rest] = held_out[~rest, choose(errors[rest], unit[rest], tolerance)]
    for k in range(FOLDS):
        rest = fold != k
        by_fold[~rest] = held_out[~rest, choose(errors[rest], unit[rest], tolerance)]
        without = case["inner"][k][rest] - y[rest, None]
        inner[~rest] = held_out[~rest, choose(without, unit[rest], tolerance)]

    order = np.arange(errors.shape[1])
    shares = choice_shares(errors, unit, order, tolerance, rng=np.random.default_rng(0))
    bootstrap = scores_of_choice(y, held_out, shares)["r2"]

    def r2(predicted: np.ndarray) -> float:
        return scores(y, predicted)["r2"]

    truth = np.array([scores(fresh, column)["r2"] for column in case["fresh"].T])
    estimates = np.array([r2(column) for column in case["held_out"].T])
    luck = float((estimates - truth).mean())  # of these plots, the same for all models
    new_error = np.abs(fresh - case["fresh"][:, chosen])
    half = {
        "own": Conformal(0.9).calibrate(y, held_out[:, chosen]).margin_,
        "tiles": Conformal(0.9).calibrate(y, by_tile).margin_,
    }
    found = {
        "naive": float(estimates[chosen]),
        "tiles": r2(by_tile),
        "folds": r2(by_fold),
        "inner": r2(inner),
        "bootstrap": bootstrap,
    }
    return {
        "r2": float(truth[chosen]),
        "shortfall": float(truth.max() - truth[chosen]),
        **{name: value - truth[chosen] for name, value in found.items()},
        **{f"{name} - luck": value - truth[chosen] - luck for name, value in found.items()},
        **{f"coverage, {name}": float((new_error <= q).mean()) for name, q in half.items()},
    }


def cases(cache: Path, plots: int, deadline: float) -> list[Case]:
    """The cases of one number of plots; before `deadline`, those not in the cache are made."""
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
                {"models": of, "plots": plots, "rule": name}
                | judge(only(case, models), rule, options.units)
                for of, models in CANDIDATES.items()
                for name, rule in RULES.items()
            ]
    table = pd.DataFrame(rows)
    for keys in (["models", "plots", "rule"], ["models", "rule"]):
        groups = table.drop(columns={"plots"} - set(keys)).groupby(keys, sort=False)
        means = groups.mean()
        means["se of bootstrap"] = groups["bootstrap"].sem()
        means["se of bootstrap - luck"] = groups["bootstrap - luck"].sem()
        means.insert(0, "cases", groups.size())
        print(means.round(4).T.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
