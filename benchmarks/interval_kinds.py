"""Which kind of 90 % interval holds, and how wide it is: on real plots, and over virtual floras.

    SPATIOFORMER_DATA=... python -m benchmarks.interval_kinds saved [--data ausplots]
    SPATIOFORMER_DATA=... python -m benchmarks.interval_kinds plots [--data ausplots] [--draws 5]
    python -m benchmarks.interval_kinds floras [--seeds 20]

`saved`: the held-out predictions that `benchmarks.accuracy` left in runs/accuracy, by large blocks;
each fold's intervals are calibrated on the other folds. No model is trained.

`plots`: for each draw, kNNDM folds matched to the land of the plots' extent (k-means, another seed
and other points each time); the models predict each fold from the others. "raw" is what a network
says of itself, uncalibrated: its quantiles, or those of Poisson or negative binomial counts with
the dispersion it learned. "features" has margins by the dissimilarity of what each fold's network
makes of a plot, not of its bands and place.

`floras`: a forest on 400 plots of each flora of `evaluation_survey`, calibrated on kNNDM folds,
judged by a fresh count at every pixel inside the area of applicability.

"worst": coverage in the worst of up to five regions; "rank": Spearman's correlation of absolute
error and dissimilarity. Finished rows are kept in a CSV file and not computed again.
"""

import argparse
import csv
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from benchmarks.ablation import config_of
from benchmarks.accuracy import cache_file
from benchmarks.accuracy_plan import FOLDER
from benchmarks.datasets import DATASETS, DataSet
from benchmarks.evaluation_scale import land_points
from benchmarks.evaluation_survey import PLOTS, SIDE, calibrate, features, forest, make_land
from scipy.stats import spearmanr

from spatioformer.evaluation import (
    KNNDM,
    AreaOfApplicability,
    DegenerateFolds,
    Regions,
    count_bounds,
    interval_scores,
)
from spatioformer.geo.chips import ChipStore
from spatioformer.geo.virtual import flora as virtual_flora
from spatioformer.models.network import NetworkModel
from spatioformer.models.registry import make
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.models.uncertainty.crossfit import MINIMUM_GROUP, CrossFit
from spatioformer.models.uncertainty.kinds import REGIONS
from spatioformer.run.evaluate import importance
from spatioformer.run.jobs import DRAWS

LEVEL, FOLDS, MOST = 0.9, 5, 2500
MODELS = {
    "forest": ("random-forest", "poisson"),
    "network, Poisson": ("spatioformer", "poisson"),
    "network, negative binomial": ("spatioformer", "negative-binomial"),
    "network, quantiles": ("spatioformer", "quantile"),
}
"""Name of a row -> the model and its loss."""

SAVED = ("random-forest", "spatioformer", "spatioformer-stacked")
"""Models of `benchmarks.accuracy` whose predictions are looked at."""

SCORES = ["coverage", "worst", "width", "interval_score", "crps", "rank"]
COLUMNS = ["data", "model", "draw", "kind", *SCORES]
Row = dict[str, object]


def scored(observed: np.ndarray, bounds: np.ndarray, lonlat: np.ndarray) -> Row:
    """Scores of intervals (n, 2), and the coverage of the worst region."""
    region = Regions.of(lonlat, REGIONS, least=MINIMUM_GROUP).at(lonlat)
    inside = (bounds[:, 0] <= observed) & (observed <= bounds[:, 1])
    worst = min(inside[region == number].mean() for number in np.unique(region))
    return interval_scores(observed, bounds, LEVEL) | {"worst": worst}


def seen(model: NetworkModel, store: ChipStore, rows: np.ndarray) -> np.ndarray:
    """Features (n, width) of plots."""
    found = model.features(store.chips[rows], store.lon[rows], store.lat[rows])
    return found.astype(np.float64)


def rank(held_out: HeldOut, di: np.ndarray) -> float:
    return float(spearmanr(di, np.abs(held_out.observed - held_out.predicted)).statistic)


def draw_rows(data: DataSet, name: str, draw: int) -> Iterator[Row]:
    """One draw of folds, one model: a row a kind of interval."""
    model_name, loss = MODELS[name]
    store = data.store
    rows = np.sort(np.random.default_rng(draw).permutation(len(store))[:MOST])
    lonlat = store.coordinates[rows]
    (west, south), (east, north) = lonlat.min(axis=0), lonlat.max(axis=0)
    target = land_points(2000, (west, east, south, north), draw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateFolds)
        match = KNNDM(FOLDS, prediction_points=target, clustering="kmeans", seed=draw)
        fold = match.search(lonlat).folds
    config = config_of(data, {"train": {"loss": loss}})
    predicted, spread, unlike = (np.full(len(rows), np.nan) for _ in range(3))
    quantiles, raw = (np.full((len(rows), 2), np.nan) for _ in range(2))
    for number in np.unique(fold):
        test = fold == number
        model = make(model_name, *config, seed=draw).fit(store, rows[~test])
        predicted[test] = model.predict_rows(store, rows[test])
        if model_name != "spatioformer":
            continue
        chips = model.plot_chips(store, rows[test])
        spread[test] = model.draws.spread(*chips, samples=DRAWS, seed=draw)
        area = AreaOfApplicability(workers=1).fit(seen(model, store, rows[~test]))
        unlike[test] = area.di(seen(model, store, rows[test]))
        if loss == "quantile":
            quantiles[test] = raw[test] = model.quantiles(*chips)
        else:
            k = model.scaling.dispersion or 0.0
            raw[test] = count_bounds(predicted[test], k, LEVEL)
    more = (v if np.isfinite(v).all() else None for v in (spread, quantiles))
    held_out = of_plots(store, rows, predicted, fold, *more)
    yield from kind_rows(held_out, draw)
    if np.isfinite(unlike).all():
        cross = CrossFit(held_out.observed, held_out.predictions(unlike), fold, LEVEL)
        fit = cross.fitted("dissimilarity")
        row = scored(held_out.observed, fit.bounds, lonlat) | {"crps": fit.scores["crps"]}
        yield {"kind": "features", "rank": rank(held_out, unlike)} | row
    if np.isfinite(raw).all():
        yield {"kind": "raw"} | scored(held_out.observed, raw, lonlat)


def of_plots(store: ChipStore, rows: np.ndarray, predicted, fold, *more) -> HeldOut:
    half = store.patch // 2
    pixels = np.asarray(store.chips[rows, half, half], np.float64)
    observed = store.richness[rows].astype(float)
    return HeldOut(pixels, *store.coordinates[rows].T, observed, predicted, fold, *more)


def kind_rows(held_out: HeldOut, seed: int) -> Iterator[Row]:
    """A row a kind of interval, and one for the kind that a run would take."""
    names = [f"band {i}" for i in range(held_out.pixels.shape[1])]
    weights = importance(held_out, seed)
    known, tried, di = Uncertainty.calibrate(held_out, names, weights, level=LEVEL)
    lonlat = np.column_stack([held_out.lon, held_out.lat])
    for kind, fit in tried.items():
        row = scored(held_out.observed, fit.bounds, lonlat) | {"crps": fit.scores["crps"]}
        if kind == "dissimilarity":
            row["rank"] = rank(held_out, di)
        yield {"kind": kind} | row
        if kind == next(iter(known.margins)):
            yield {"kind": "auto"} | row


def saved_rows(data: DataSet, name: str, model: str) -> Iterator[Row]:
    """The same for predictions that are on disk."""
    parts = []
    for fold in range(FOLDS):
        path = cache_file(FOLDER, f"{name}_large-blocks_{model}_0_{fold}", "", ".npz", keep=True)
        if path.exists():
            with np.load(path) as arrays:
                rows, predicted = arrays["rows"], arrays["predicted"]
            parts.append((rows, predicted, np.full(len(rows), fold)))
    if not parts:
        return
    rows, predicted, fold = (np.concatenate(column) for column in zip(*parts, strict=True))
    some = np.random.default_rng(0).permutation(len(rows))[:MOST]
    yield from kind_rows(of_plots(data.store, rows[some], predicted[some], fold[some]), 0)


def flora_rows(seed: int) -> Iterator[Row]:
    """One flora: a row a kind of interval, judged inside the area of applicability."""
    land = make_land(seed)
    plots = virtual_flora.survey(land.flora, PLOTS, seed=seed)
    at = (plots["row"] * SIDE + plots["col"]).to_numpy()
    counts = plots["richness"].to_numpy(float)
    known = calibrate(land, at, counts, seed)
    mean = forest(land, at, counts, seed).predict(features(land, slice(None)))
    rng = np.random.default_rng([seed, 11])
    fresh = virtual_flora.observe(land.flora, land.rows, land.cols, rng)
    first = known.kind(with_spread=False)
    for kind, margin in known.margins.items():
        one = replace(known, margins={kind: margin})
        layers = one.layers(mean, None, land.pixels, land.lon, land.lat)
        bounds = np.column_stack([layers["lower"], layers["upper"]])
        inside = layers["inside"]
        lonlat = np.column_stack([land.lon, land.lat])[inside]
        row = scored(fresh[inside], bounds[inside], lonlat)
        yield {"kind": kind} | row
        if kind == first:
            yield {"kind": "auto"} | row


def run(cells: list[tuple[str, str, int]], rows_of, out: Path) -> None:
    """Compute the cells (data, model, draw) that `out` lacks, and append their rows to it."""
    out.parent.mkdir(parents=True, exist_ok=True)
    done = set()
    if out.exists():
        done = set(pd.read_csv(out)[COLUMNS[:3]].itertuples(index=False, name=None))
    for cell in cells:
        if cell in done:
            continue
        rows = [dict(zip(COLUMNS, cell, strict=False)) | row for row in rows_of(*cell)]
        with open(out, "a", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, extrasaction="ignore")
            if stream.tell() == 0:
                writer.writeheader()
            writer.writerows(rows)
        print(*cell, flush=True)


def table(path: Path) -> str:
    """Markdown: means over the draws, sd of the coverage."""
    groups = pd.read_csv(path).groupby(["data", "model", "kind"], sort=False)
    means, sd, count = groups.mean(numeric_only=True), groups["coverage"].std(), groups.size()
    lines = [
        "| plots | model | kind | draws | coverage (sd) | worst | width | interval score | CRPS |"
        " rank |",
        "|---" * 10 + "|",
    ]
    for key, row in means.iterrows():
        crps, rank = ("" if np.isnan(row[n]) else f"{row[n]:.2f}" for n in ("crps", "rank"))
        lines.append(
            f"| {' | '.join(key)} | {count[key]} | {row['coverage']:.3f} ({sd[key]:.3f}) | "
            f"{row['worst']:.2f} | {row['width']:.1f} | {row['interval_score']:.1f} | {crps} | "
            f"{rank} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["saved", "plots", "floras"])
    parser.add_argument("--data", nargs="+", choices=list(DATASETS), default=["ausplots"])
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--out", type=Path, help="CSV file of the finished rows")
    options = parser.parse_args()
    out = options.out or Path("runs") / f"interval-kinds-{options.what}.csv"
    if options.what == "floras":
        cells = [("virtual floras", "forest", seed) for seed in range(options.seeds)]
        run(cells, lambda _data, _model, seed: flora_rows(seed), out)
    elif options.what == "saved":
        loaded = {name: DATASETS[name]() for name in options.data}
        cells = [(name, model, 0) for name in options.data for model in SAVED]
        run(cells, lambda name, model, _seed: saved_rows(loaded[name], name, model), out)
    else:
        loaded = {name: DATASETS[name]() for name in options.data}
        cells = [
            (name, model, draw)
            for draw in range(options.draws)
            for name in options.data
            for model in options.models
        ]
        run(cells, lambda name, model, draw: draw_rows(loaded[name], model, draw), out)
    print(table(out))


if __name__ == "__main__":
    main()
