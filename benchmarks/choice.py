"""Is the score of the chosen model honest, and what does the choice cost?

    python -m benchmarks.choice --cache runs/choice            # all cases, then the table
    python -m benchmarks.choice --cache runs/choice --limit 4  # cases for 4 minutes, then the table

A case is a virtual flora, some of its plots, and folds of a design (`DESIGNS`): five folds of whole
tiles, or a few regions, each left out in turn. Floras take turns in what models see (`KINDS`):
imagery; imagery and climate; imagery of a window of 8 degrees; imagery and the plots' areas, which
vary. Each model is fitted without each fold. Fresh plots lie in the tiles or regions of the
held-out plots. The models without that fold predict them too, so they are as far from training as
the held-out plots are. The cases are kept in the cache, so that a rule can be changed and tried.

Candidates (`CANDIDATES`): those of a run, where the stack is the usual model; and models of which
another one is better than the usual one, so that the rule should replace it.

Rules: `usual` never replaces the usual model; `best` has the smallest error; `auto` is the rule of
a run, and `slow` the same without the exchange for a faster model that is as good.

Scores of a choice: `naive`, its own held-out predictions, and `validated`, where nine tenths of the
units choose and the others score.
"""

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.virtual_flora import AUSTRALIA, LOCATION, features, make_flora
from scipy.spatial import cKDTree
from threadpoolctl import threadpool_limits

from spatioformer.common.files import writing
from spatioformer.evaluation.choice import Choice, choice_shares, scores_of_choice
from spatioformer.evaluation.conformal import Conformal
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.splits import LeaveRegionOut, SpatialBlockKFold
from spatioformer.geo.virtual.flora import survey
from spatioformer.geo.virtual.pip_rasters import Landscape, read_landscape
from spatioformer.models.baselines import TABULAR
from spatioformer.run.choice import TOLERANCE, USUAL

FIRST_FLORA = 400
"""Seed of the first flora; no other score or choice of the project uses these."""

FLORAS = 20
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

TREES = 100
"""Number of trees of a forest: fewer than in a run, so that many cases can be measured."""


@dataclass(frozen=True)
class Design:
    """Number of plots, and of regions that are left out in turn; 0: folds of tiles."""

    plots: int
    regions: int = 0


DESIGNS = {
    "60 plots, tiles": Design(60),
    "150 plots, tiles": Design(150),
    "300 plots, tiles": Design(300),
    "150 plots, 4 regions": Design(150, 4),
    "150 plots, 8 regions": Design(150, 8),
}

CANDIDATES = {
    "those of a run": (("location-knn", "random-forest", "gaussian-process", "stack"), USUAL),
    "all": (MODELS, USUAL),
    "another is better": (("gradient-boosting", "gaussian-process", "stack"), "gradient-boosting"),
    "another is far better": (("location-knn", "gaussian-process", "stack"), "location-knn"),
}
"""Names, the fastest first, and the usual one."""

RULES = ("usual", "best", "slow", "auto")

Case = dict[str, np.ndarray]


def make_case(landscape: Landscape, seed: int, design: Design) -> Case:
    """Predictions of a case.

    Returns:
        Of the n plots `observed`, `unit` (n,) and `held_out` (n, m); of fresh plots
        `fresh_observed` (f,) and `fresh` (f, m). A unit is a tile or a region.
    """
    X, y, tile_side = surveyed(landscape, seed, design.plots)
    own, lonlat = np.arange(len(y)) < design.plots, X[:, LOCATION]
    if design.regions:
        region = LeaveRegionOut(design.regions, seed=seed).assign(lonlat[own])
        unit = fold = region[cKDTree(lonlat[own]).query(lonlat)[1]]
    else:
        split = SpatialBlockKFold(FOLDS, size=tile_side, seed=seed)
        unit = split.tiles(lonlat)
        fold_of_tile = dict(zip(unit[own], split.assign(lonlat[own]), strict=True))
        fold = np.array([fold_of_tile.get(number, -1) for number in unit])
    predicted = np.full((len(y), len(MODELS)), np.nan)
    with threadpool_limits(1):
        for k in range(fold.max() + 1):
            test = fold == k
            predicted[test] = predictions(X[own & ~test], y[own & ~test], X[test], seed)
    new = ~own & (fold >= 0)
    return {
        "observed": y[own],
        "unit": unit[own],
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


def judge(case: Case, among: str, rule: str) -> dict[str, float]:
    """Estimates and true scores of a rule on one case; differences are estimate minus truth."""
    names, usual = CANDIDATES[among]
    columns, number = [MODELS.index(name) for name in names], names.index(usual)
    y, fresh = case["observed"], case["fresh_observed"]
    held_out, new = case["held_out"][:, columns], case["fresh"][:, columns]
    errors, order = held_out - y[:, None], np.arange(len(names))
    if rule == "usual":
        chosen, shares = number, np.eye(len(names))[np.full(len(y), number)]
    else:
        tolerance = TOLERANCE * y.var() if rule == "auto" else 0.0
        judged = errors, case["unit"], order, tolerance, None if rule == "best" else number
        chosen = Choice.of(*judged).chosen
        shares = choice_shares(*judged, rng=np.random.default_rng(0))
    truth = np.array([scores(fresh, column)["r2"] for column in new.T])
    estimates = np.array([scores(y, column)["r2"] for column in held_out.T])
    luck = float((estimates - truth).mean())  # of these plots, the same for all models
    margin = Conformal(0.9).calibrate(y, held_out[:, chosen]).margin_
    estimated = {
        "naive": float(estimates[chosen]),
        "validated": scores_of_choice(y, held_out, shares)["r2"],
    }
    return {
        "units": len(np.unique(case["unit"])),
        "r2": float(truth[chosen]),
        "shortfall": float(truth.max() - truth[chosen]),
        "r2 minus that of the usual": float(truth[chosen] - truth[number]),
        "share of the usual": float(chosen == number),
        **{name: value - truth[chosen] for name, value in estimated.items()},
        **{f"{name} - luck": value - truth[chosen] - luck for name, value in estimated.items()},
        "coverage": float((np.abs(fresh - new[:, chosen]) <= margin).mean()),
    }


def cases(cache: Path, name: str, deadline: float) -> list[Case]:
    """The cases of one design; before `deadline`, those not in the cache are made."""
    result, landscape, design = [], None, DESIGNS[name]
    for seed in range(FIRST_FLORA, FIRST_FLORA + FLORAS):
        path = cache / f"{design.plots}-{design.regions}-{seed}.npz"
        if not path.exists():
            if time.monotonic() > deadline:
                continue
            landscape = landscape or read_landscape(AUSTRALIA)
            case = make_case(landscape, seed, design)
            with writing(path) as part:
                np.savez_compressed(part, **case)  # type: ignore[arg-type]
        with np.load(path) as arrays:
            result.append(dict(arrays))
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--designs", nargs="+", choices=DESIGNS, default=list(DESIGNS))
    parser.add_argument("--limit", type=float, default=np.inf, help="minutes")
    options = parser.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + 60 * options.limit
    rows = [
        {"models": among, "design": name, "rule": rule} | judge(case, among, rule)
        for name in options.designs
        for case in cases(options.cache, name, deadline)
        for among in CANDIDATES
        for rule in RULES
    ]
    table = pd.DataFrame(rows)
    for keys in (["models", "design", "rule"], ["models", "rule"]):
        groups = table.drop(columns={"design"} - set(keys)).groupby(keys, sort=False)
        means = groups.mean()
        means["worst shortfall"] = groups["shortfall"].max()
        for name in ("r2 minus that of the usual", "validated", "validated - luck"):
            means[f"se of {name}"] = groups[name].sem()
        means.insert(0, "cases", groups.size())
        print(means.round(4).T.to_string(), end="\n\n")


if __name__ == "__main__":
    main()
