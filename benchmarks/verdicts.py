"""Is the verdict on a map right? On virtual floras, whose true richness is known everywhere.

    python -m benchmarks.verdicts --set choose --first 0 --count 60 --out verdicts.csv   # repeat
    python -m benchmarks.verdicts --table verdicts*.csv

A flora is a land of 60 x 60 pixels with many or few species, surveyed by many or few plots, all
over the land or near one corner. A cheap model maps it from climate and greenness, more or less
disturbed by noise, with or without location. Each verdict rests on kNNDM folds, as in a run. The
true r2 compares the map with the expected richness of every pixel. The rules in
`evaluation.verdict` were chosen on the set `choose`; docs/report.md has the table of `check`.
"""

import argparse
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.evaluation_survey import SIDE, Land, make_land
from sklearn.base import RegressorMixin
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spatioformer.evaluation import KNNDM, interval_scores, neighbour_distances
from spatioformer.evaluation import verdict as verdicts
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.verdict import CARE, REFUSE, USE, decide
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.models.uncertainty import HeldOut, Uncertainty

SETS = {"choose": 0, "check": 100_000}
"""First seed of each set of floras."""
LEVEL = 0.9
NAMES = ["temperature", "precipitation", "greenness"]
ENOUGH = 20
"""Floras of each verdict that are judged; at least 18 of them have to be right."""


def conditions(rng: np.random.Generator) -> dict[str, float]:
    """Few or many plots, a weak or a strong signal, and kinds of survey and model.

    A weak signal: predictors under noise of 1 or 3 standard deviations, seldom location, and few
    species, whose counts are noisy.
    """
    strong, many = bool(rng.random() < 0.5), bool(rng.random() < 0.5)
    plots, species = (300, 1000) if many else (40, 150), (100, 400) if strong else (30, 100)
    return {
        "plots": int(np.exp(rng.uniform(*np.log(plots)))),
        "strong": strong,
        "species": int(np.exp(rng.uniform(*np.log(species)))),
        "noise": float(rng.choice([0.0, 0.3] if strong else [1.0, 3.0])),
        "located": bool(rng.random() < (0.75 if strong else 0.25)),
        "corner": bool(rng.random() < 0.35),
        "forest": bool(rng.random() < 0.75),
    }


def placed(land: Land, asked: dict[str, float], seed: int) -> np.ndarray:
    """Pixels of the plots: an uneven survey of the land, or one in a part of it."""
    if not asked["corner"]:
        table = virtual_flora.survey(land.flora, asked["plots"], seed=seed)
        return (table["row"] * SIDE + table["col"]).to_numpy()
    rng = np.random.default_rng([seed, 12])
    centre = rng.integers(len(land.lon))
    distance = np.hypot(land.lon - land.lon[centre], land.lat - land.lat[centre])
    weight = np.exp(-distance / rng.uniform(2, 8))  # degrees
    return rng.choice(len(land.lon), asked["plots"], replace=False, p=weight / weight.sum())


def predictors(land: Land, asked: dict[str, float], rng: np.random.Generator) -> np.ndarray:
    """The bands of every pixel with noise, (n, 3), in standard deviations."""
    bands = (land.pixels - land.pixels.mean(0)) / land.pixels.std(0)
    return bands + asked["noise"] * rng.standard_normal(bands.shape)


def model(asked: dict[str, float], seed: int) -> RegressorMixin:
    if asked["forest"]:
        return RandomForestRegressor(
            60, min_samples_leaf=3, max_features=0.5, random_state=seed, n_jobs=1
        )
    return make_pipeline(StandardScaler(), KNeighborsRegressor(5, weights="distance"))


def one_flora(seed: int) -> dict[str, float]:
    """What the verdict on a flora's map rests on, the verdict, and the map's true r2."""
    rng = np.random.default_rng([seed, 12])
    asked = conditions(rng)
    land = make_land(seed, species=asked["species"])
    at, bands = placed(land, asked, seed), predictors(land, asked, rng)
    counts = virtual_flora.observe(land.flora, land.rows[at], land.cols[at], rng).astype(float)
    lonlat = np.column_stack([land.lon, land.lat])
    features = np.column_stack([bands, lonlat]) if asked["located"] else bands
    sample = rng.choice(len(lonlat), 1000, replace=False)
    search = KNNDM(5, prediction_points=lonlat[sample], seed=seed)
    folds = search.assign(lonlat[at])
    pairs = [(np.flatnonzero(folds != k), np.flatnonzero(folds == k)) for k in np.unique(folds)]
    predicted = cross_val_predict(model(asked, seed), features[at], counts, cv=pairs)
    mapped = model(asked, seed).fit(features[at], counts).predict(features)
    held = HeldOut(bands[at], land.lon[at], land.lat[at], counts, predicted, folds)
    known, fitted, _ = Uncertainty.calibrate(held, NAMES)
    kind = next(iter(known.margins))
    layers = known.layers(mapped, None, bands, land.lon, land.lat)
    skill = verdicts.measure(counts, predicted, lonlat[at], level=LEVEL, seed=seed)
    reached = verdicts.reached(neighbour_distances(lonlat[at], lonlat[sample], pairs))
    draws = np.random.default_rng([seed, 12])
    one, other = draws.integers(0, len(mapped), (2, 20_000))
    apart = np.abs(mapped[one] - mapped[other]) > skill.apart
    right = np.sign(mapped[one] - mapped[other]) == np.sign(land.truth[one] - land.truth[other])
    return {
        "seed": seed,
        **asked,
        **asdict(skill),
        "reached": reached,
        "inside": float(layers["inside"].mean()),
        "coverage": interval_scores(counts, fitted[kind].bounds, LEVEL)["coverage"],
        "r": scores(counts, predicted)["r"],
        "true_r2": scores(land.truth, mapped)["r2"],
        "pairs_apart": float(apart.mean()),
        "pairs_right": float(right[apart].mean()) if apart.any() else np.nan,
    }


def judged(row: pd.Series) -> str:
    """The verdict on a flora's map."""
    skill = verdicts.Skill(**{f.name: row[f.name] for f in fields(verdicts.Skill)})
    known = {name: row[name] for name in ("inside", "coverage", "reached")}
    return decide(skill, level=LEVEL, **known).verdict


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Right verdicts among the first `ENOUGH` floras of each, and the true r2 of all floras."""
    right = {USE: rows["true_r2"] > 0.5, REFUSE: rows["true_r2"] < 0.3}
    verdict = rows.apply(judged, axis=1)
    lines = []
    for name in (USE, CARE, REFUSE):
        own = rows[verdict == name]
        first = own.index[:ENOUGH]
        low, middle, high = own["true_r2"].quantile([0.1, 0.5, 0.9])
        line = {"verdict": name, "floras": len(own), "true r2, 10 %": low, "50 %": middle}
        line |= {"90 %": high, "right of the first 20": "-", "right of all": "-"}
        if name in right:
            line["right of the first 20"] = f"{right[name][first].sum()} of {len(first)}"
            line["right of all"] = f"{right[name][own.index].mean():.0%}"
        lines.append(line)
    return pd.DataFrame(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--set", choices=SETS, default="check")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path("verdicts.csv"))
    parser.add_argument("--table", nargs="+", type=Path, help="print the table of these files")
    options = parser.parse_args()
    if options.table:
        rows = pd.concat(map(pd.read_csv, options.table)).sort_values("seed", ignore_index=True)
        print(table(rows).round(2).to_string(index=False))
        apart = rows["pairs_right"].mean()
        print(f"{len(rows)} floras; order right in {apart:.1%} of the pairs that differ by more")
        return
    rows = []
    for number in range(options.first, options.first + options.count):
        rows.append(one_flora(SETS[options.set] + number))
        print({k: round(v, 3) for k, v in rows[-1].items()}, flush=True)
        pd.DataFrame(rows).to_csv(options.out, index=False)


if __name__ == "__main__":
    main()
