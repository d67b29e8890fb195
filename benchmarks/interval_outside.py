"""Do 90 % intervals hold outside the area of applicability? On virtual floras and on real plots.

    python -m benchmarks.interval_outside floras [--seeds 20] [--first 0]
    SPATIOFORMER_DATA=... python -m benchmarks.interval_outside blocks
    SPATIOFORMER_DATA=... python -m benchmarks.interval_outside regions [--data ausplots]

`floras`: a forest on 300, 400 or 600 plots (by seed) of the floras of `evaluation_survey`,
calibrated on kNNDM folds and judged by a fresh count at every pixel.

`blocks`: a forest's held-out predictions of large blocks (docs/accuracy.md); the intervals of each
fold are calibrated on the other folds, as in a run. "Within" says whether the coverage is within
two binomial standard errors of 90 %.

`regions`: each region is left out, and its intervals are calibrated on kNNDM folds of the others,
matched to the region. No plot of the region takes part.

"Before" are the same intervals, as wide outside as inside. Rows with fewer than 30 pixels or plots
outside the area say little.
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pandas as pd
from benchmarks.baselines import SETS
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import cross_val_predict

from benchmarks import evaluation_survey as survey
from spatioformer.evaluation import KNNDM, DegenerateFolds
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.models.uncertainty import HeldOut, Uncertainty

LEVEL = 0.9
PLOTS = (300, 400, 600)
REAL = ("ausplots", "mongon", "ecospat", "south-america", "keil-chase")


def judged(known: Uncertainty, mean: np.ndarray, observed: np.ndarray, *places) -> dict:
    """Coverage and width inside and outside, before and after; `places`: pixels, lon, lat."""
    row = {"kind": known.kind(with_spread=False)}
    for name, one in (("before", replace(known, widening={})), ("after", known)):
        layers = one.layers(mean, None, *places)
        held = (layers["lower"] <= observed) & (observed <= layers["upper"])
        width = layers["upper"] - layers["lower"]
        outside = ~layers["inside"]
        row["outside"] = int(outside.sum())
        for where, rows in (("inside", ~outside), ("outside", outside)):
            if name == "after" or where == "outside":
                row[f"{where} {name}"] = float(held[rows].mean()) if rows.any() else np.nan
                row[f"width {where} {name}"] = float(width[rows].mean()) if rows.any() else np.nan
    return row


def flora_row(seed: int) -> dict:
    """One virtual flora."""
    plots = PLOTS[seed % len(PLOTS)]
    found = survey.mapped(seed, plots)
    land = found.land
    rng = np.random.default_rng([seed, 11])
    fresh = virtual_flora.observe(land.flora, land.rows, land.cols, rng)
    row = judged(found.known, found.mean, fresh, land.pixels, land.lon, land.lat)
    return {"seed": seed, "plots": plots, "held out outside": _plots_outside(found.known)} | row


def _plots_outside(known: Uncertainty) -> int:
    return known.facts["outside"]["plots"]


def forest() -> RandomForestRegressor:
    return RandomForestRegressor(100, min_samples_leaf=3, max_features=0.5, random_state=0)


def calibrated(X: np.ndarray, y: np.ndarray, fold: np.ndarray) -> Uncertainty:
    """Uncertainty of the forest on folds; longitude and latitude are the last columns of X."""
    pairs = [(np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)]
    predicted = cross_val_predict(forest(), X, y, cv=pairs)
    held_out = HeldOut(X[:, :-2], X[:, -2], X[:, -1], y, predicted, fold)
    names = [f"band {i}" for i in range(X.shape[1] - 2)]
    weights = forest().fit(X, y).feature_importances_
    return Uncertainty.calibrate(held_out, names, weights, level=LEVEL)[0]


def block_rows(name: str) -> Iterator[dict]:
    """Coverage of the held-out plots of large blocks."""
    X, y, folds = SETS[name]()
    known = calibrated(X, y, folds["large-blocks"])
    facts = known.facts["kinds"][known.kind(with_spread=False)]
    coverage, n = facts["scores"]["coverage"], facts["scores"]["n"]
    error = np.sqrt(LEVEL * (1 - LEVEL) / n)
    area = {g["inside"]: g["coverage"] for g in facts["groups"] if g["by"] == "area"}
    yield {
        "data": name,
        "plots": n,
        "kind": known.kind(with_spread=False),
        "coverage": coverage,
        "two standard errors": 2 * error,
        "within": abs(coverage - LEVEL) <= 2 * error,
        "inside": area.get(True, np.nan),
        "outside": area.get(False, np.nan),
        "plots outside": _plots_outside(known),
    }


def region_rows(name: str) -> Iterator[dict]:
    """Each region of at least 10 plots left out."""
    X, y, folds = SETS[name]()
    region = folds["regions"]
    for number in np.unique(region):
        test = region == number
        if test.sum() < 10:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateFolds)
            match = KNNDM(5, prediction_points=X[test, -2:], clustering="kmeans", seed=0)
            fold = match.assign(X[~test, -2:])
        known = calibrated(X[~test], y[~test], fold)
        mean = forest().fit(X[~test], y[~test]).predict(X[test])
        row = judged(known, mean, y[test], X[test, :-2], X[test, -2], X[test, -1])
        yield {"region": number, "plots": int(test.sum())} | row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["floras", "blocks", "regions"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=0, help="first seed")
    parser.add_argument("--data", nargs="+", choices=list(SETS))
    options = parser.parse_args()
    rows = []
    if options.what == "floras":
        for seed in range(options.first, options.first + options.seeds):
            rows.append(flora_row(seed))
            print({k: _short(v) for k, v in rows[-1].items()}, flush=True)
    else:
        of = block_rows if options.what == "blocks" else region_rows
        for name in options.data or (REAL if options.what == "blocks" else ("ausplots",)):
            rows += of(name)
    table = pd.DataFrame(rows)
    if options.what != "floras":
        print(table.round(3).to_string(index=False))
    if options.what == "regions":
        for name in ("before", "after"):
            held = (table[f"outside {name}"] * table["outside"]).sum() / table["outside"].sum()
            print(f"plots outside, {name}: coverage {held:.3f} of {table['outside'].sum()}")
    if options.what == "floras":
        for name, values in table.select_dtypes("number").iloc[:, 1:].items():
            print(f"  {name:22s} {values.mean():.3f} ({values.std():.3f})")


def _short(value: object) -> object:
    return round(value, 3) if isinstance(value, float) else value


if __name__ == "__main__":
    main()
