"""Is the score of the chosen model honest, and what does it cost to choose a faster one?

    python -m benchmarks.choice --cache runs/choice            # all cases, then the table
    python -m benchmarks.choice --cache runs/choice --limit 4  # cases for 4 minutes, then the table

A case is a virtual flora, some hundred of its plots, and five folds of whole tiles. Floras take
turns in what models see (`KINDS`): imagery; imagery and climate; imagery of a window of 8 degrees;
imagery and the plots' areas, which vary. Each model is fitted without each fold. Fresh plots lie in
the tiles of the held-out plots. The models without that fold predict them too, so they are as far
from training as the held-out plots are. The cases are kept in the cache, so that a rule can be
changed and tried.

Rules: `best` has the smallest error; `close` is the fastest whose difference of r2 to the best,
plus its standard error, is at most .01; `usual` is the stack, unless another model is clearly
better, or close and faster. The row "r2 of the stack minus r2" compares with the stack always.

Scores of a choice: `naive`, its own held-out predictions, and `bootstrap`, where samples of tiles
choose and the tiles outside a sample score (Tsamardinos et al. 2018, Mach. Learn. 107:1895).
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.virtual_flora import AUSTRALIA, LOCATION, features, make_flora
from threadpoolctl import threadpool_limits

from spatioformer.common.files import writing
from spatioformer.evaluation.choice import Choice, choice_shares, scores_of_choice
from spatioformer.evaluation.conformal import Conformal
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.geo.virtual.flora import survey
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.baselines import TABULAR
from spatioformer.run.choice import TOLERANCE, USUAL

FIRST_FLORA = 400
"""Seed of the first flora; no other score or choice of the project uses these."""

FLORAS = 12
PLOTS = (150, 300)
SURVEYED = 4000
"""Number of plots of a flora; those that are not learned from are the fresh ones."""

KINDS = ("imagery", "climate", "window", "areas")
WINDOW = 8.0  # degrees
AREA_SPREAD, AREA_POWER = 1.2, 0.3
"""Standard deviation of the logarithm of the plots' areas, and the power of the area to which
expected richness is proportional."""

FOLDS = 5
TILE = 2.0  # degrees; a quarter of that in a window
MODELS = (
    *("location-knn", "gradient-boosting", "extra-trees", "random-forest"),
    *("gaussian-process", "stack"),
)
"""Candidates, the fastest first."""

CANDIDATES = {
    "the usual ones": ("location-knn", "random-forest", "gaussian-process", "stack"),
    "all": MODELS,
}

TREES = 100
"""Number of trees of a forest: fewer than in a run, so that many cases can be measured."""

Case = dict[str, np.ndarray]
Rule = Callable[[float], tuple[float, int | None]]
"""From the variance of the observed richness to the tolerance and the usual model of `Choice`."""


def make_case(landscape: Landscape, seed: int, plots: int) -> Case:
    """Predictions of a case.

    Returns:
        Of the n plots `observed`, `tile` (n,) and `held_out` (n, m); of fresh plots
        `fresh_observed` (f,) and `fresh` (f, m).
    """
    X, y, tile_side = surveyed(landscape, seed, plots)
    split = SpatialBlockKFold(FOLDS, size=tile_side, seed=seed)
    tile, own = split.tiles(X[:, LOCATION]), np.arange(len(y)) < plots
    fold_of_tile = dict(zip(tile[own], split.assign(X[own][:, LOCATION]), strict=True))
    fold = np.array([fold_of_tile.get(number, -1) for number in tile])
    predicted = np.full((len(y), len(MODELS)), np.nan)
    with threadpool_limits(1):
        for k in range(FOLDS):
            test = fold == k
            predicted[test] = predictions(X[own & ~test], y[own & ~test], X[test], seed)
    new = ~own & (fold >= 0)
    return {
        "observed": y[own],
        "tile": tile[own],
        "held_out": predicted[own],
        "fresh_observed": y[new],
        "fresh": predicted[new],
    }


def surveyed(landscape: Landscape, seed: int, plots: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Features and counts of a flora's plots in random order, and the side of a tile, degrees."""
    kind, flora = KINDS[seed % len(KINDS)], make_flora(landscape, seed)
    table = survey(flora, SURVEYED, seed=seed)
    rng = np.random.default_rng([seed, plots])
    table = table.iloc[rng.permutation(SURVEYED)].reset_index(drop=True)
    X, y = features(landscape, table), table["richness"].to_numpy(float)
    if kind == "climate":
        at = table["row"], table["col"]
        X = np.column_stack([landscape.temperature[at], landscape.precipitation[at], X])
    if kind == "areas":
        area = rng.normal(0, AREA_SPREAD, len(y))
        y = rng.poisson(y * np.exp(AREA_POWER * area)).astype(float)
        X = np.column_stack([area, X])
    if kind == "window":
        apart = np.abs(X[:, LOCATION] - X[:, LOCATION][:, None]).max(axis=2)
        inside = apart[(apart <= WINDOW / 2).sum(axis=1).argmax()] <= WINDOW / 2
        return X[inside], y[inside], TILE / 4
    return X, y, TILE


def predictions(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, seed: int) -> np.ndarray:
    """Predictions (n, m) of all models for X_test (n, features)."""
    columns = {}
    for name in MODELS:
        model = TABULAR[name](seed)
        if name in ("extra-trees", "random-forest"):
            model.set_params(n_estimators=TREES)
        model.fit(X, y)
        columns[name] = model.predict(X_test)
    return np.column_stack([columns[name] for name in MODELS])


def rules(names: tuple[str, ...]) -> dict[str, Rule]:
    """Rules of choice among models."""
    usual = names.index(USUAL)
    return {
        "best": lambda variance: (0.0, None),
        "close": lambda variance: (TOLERANCE * variance, None),
        "usual": lambda variance: (TOLERANCE * variance, usual),
    }


def judge(case: Case, names: tuple[str, ...], rule: Rule) -> dict[str, float]:
    """Estimates and true scores of a rule on one case; differences are estimate minus truth."""
    columns = [MODELS.index(name) for name in names]
    y, fresh, tiles = case["observed"], case["fresh_observed"], case["tile"]
    held_out, new = case["held_out"][:, columns], case["fresh"][:, columns]
    errors, order, judged = held_out - y[:, None], np.arange(len(names)), rule(float(y.var()))
    chosen = Choice.of(errors, tiles, order, *judged).chosen
    rng = np.random.default_rng(0)
    shares = choice_shares(errors, tiles, order, *judged, rng=rng)
    truth = np.array([scores(fresh, column)["r2"] for column in new.T])
    estimates = np.array([scores(y, column)["r2"] for column in held_out.T])
    luck = float((estimates - truth).mean())  # of these plots, the same for all models
    margin = Conformal(0.9).calibrate(y, held_out[:, chosen]).margin_
    found = {
        "naive": float(estimates[chosen]),
        "bootstrap": scores_of_choice(y, held_out, shares)["r2"],
    }
    return {
        "r2": float(truth[chosen]),
        "shortfall": float(truth.max() - truth[chosen]),
        "r2 of the stack minus r2": float(truth[names.index(USUAL)] - truth[chosen]),
        "share of the stack": float(names[chosen] == USUAL),
        **{name: value - truth[chosen] for name, value in found.items()},
        **{f"{name} - luck": value - truth[chosen] - luck for name, value in found.items()},
        "coverage": float((np.abs(fresh - new[:, chosen]) <= margin).mean()),
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
    parser.add_argument("--limit", type=float, default=np.inf, help="minutes")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.limit
    rows = []
    for plots in options.plots:
        for case in cases(options.cache, plots, deadline):
            rows += [
                {"models": of, "plots": plots, "rule": name} | judge(case, names, rule)
                for of, names in CANDIDATES.items()
                for name, rule in rules(names).items()
            ]
    table = pd.DataFrame(rows)
    for keys in (["models", "plots", "rule"], ["models", "rule"]):
        groups = table.drop(columns={"plots"} - set(keys)).groupby(keys, sort=False)
        means = groups.mean()
        means["worst shortfall"] = groups["shortfall"].max()
        means["se of bootstrap"] = groups["bootstrap"].sem()
        means["se of bootstrap - luck"] = groups["bootstrap - luck"].sem()
        means.insert(0, "cases", groups.size())
        print(means.round(4).T.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
