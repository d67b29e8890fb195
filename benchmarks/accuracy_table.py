"""Finished cells of `benchmarks.accuracy` -> docs/accuracy.csv and docs/accuracy.md.

Scores are pooled over all held-out plots outside those for tuning. Intervals are 95 % bootstrap
intervals over the large blocks, since plots of one block err together; with several seeds a plot's
squared error is the mean over them. A difference of r2 is taken draw by draw, so that what makes a
draw easy does not count.

Prediction intervals of 90 % are calibrated as in a run: those of each fold on the other folds, of
the kind with the best interval score.

The rows of `CANDIDATES` are the choice of `map.model: auto`: nine tenths of the blocks (of regions
where regions are left out) choose a model, and the plots of the others score it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from benchmarks.accuracy_plan import (
    CANDIDATES,
    OURS,
    SCORED,
    SEEDS,
    SPLITS,
    why_not,
)
from benchmarks.accuracy_ranks import draw
from benchmarks.accuracy_text import ALONE, markdown
from benchmarks.datasets import DATASETS, DataSet

from spatioformer.common.files import write_text, writing
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.evaluation.bootstrap import Bootstrap, central_interval
from spatioformer.evaluation.choice import Choice, choice_shares
from spatioformer.evaluation.intervals import interval_scores
from spatioformer.models.baselines import TABULAR
from spatioformer.models.uncertainty.crossfit import CrossFit, ranked
from spatioformer.models.uncertainty.plots import Predictions
from spatioformer.run.choice import TOLERANCE, USUAL

LEVEL = 0.95
COVERAGE = 0.9
"""Nominal coverage of the prediction intervals."""

KINDS = ("constant", "counts", "region")
"""Kinds of prediction intervals that need nothing but held-out predictions."""

FORMER = "2026-11-23"
"""Day of measurement of rows of accuracy.csv that do not name theirs."""


@dataclass(frozen=True)
class Errors:
    """Held-out errors of a model on a split, over the plots that all its seeds predicted.

    Attributes:
        signed: (seeds, n), predicted minus observed; no seeds where errors are means over models.
        squared, absolute: (n,), mean over the seeds.
        per_seed: r2 of each seed.
        seconds: of processor time, one seed.
        settings: JSON; those of several folds with " | " between them, if they differ.
        measured: day of the newest cell.
        interval: kind of the prediction intervals.
        covered: (n,), share of the intervals of a plot that hold its richness: 0 or 1 for a model.
        interval_score: (n,), species.
    """

    signed: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    per_seed: tuple[float, ...]
    seconds: float
    settings: str
    measured: str
    interval: str
    covered: np.ndarray
    interval_score: np.ndarray


def collect(folder: Path, name: str, data: DataSet, split: str, model: str) -> Errors | None:
    """The finished folds of a model on a split; None unless some seed has all folds."""
    fold, richness = data.folds(split), data.wide.richness
    wanted = np.flatnonzero(~data.dev)
    needed = np.unique(fold[wanted])
    seeds, newest_file = [], 0.0
    for seed in range(SEEDS):
        stems = [f"{name}_{split}_{model}_{seed}_{number}" for number in needed]
        files = [path for stem in stems if (path := newest(folder, stem)) is not None]
        if len(files) == len(stems):
            seeds.append([dict(np.load(path)) for path in files])
            newest_file = max(newest_file, *(path.stat().st_mtime for path in files))
    if not seeds:
        return None
    predicted = np.empty((len(seeds), len(richness)))
    for out, parts in zip(predicted, seeds, strict=True):
        for part in parts:
            out[part["rows"]] = part["predicted"]
    error = predicted[:, wanted] - richness[wanted]
    sst = np.sum((richness[wanted] - richness[wanted].mean()) ** 2)
    seconds = sum(float(part["seconds"]) for parts in seeds for part in parts) / len(seeds)
    kind, bounds = intervals(data, wanted, predicted[0, wanted], fold[wanted])
    scored = [
        interval_scores([y], [bound], COVERAGE)
        for y, bound in zip(richness[wanted], bounds, strict=True)
    ]
    return Errors(
        signed=error,
        squared=np.mean(error**2, axis=0),
        absolute=np.mean(np.abs(error), axis=0),
        per_seed=tuple(1 - np.sum(error**2, axis=1) / sst),
        seconds=seconds,
        settings=" | ".join(dict.fromkeys(str(part["settings"]) for part in seeds[0])),
        measured=str(date.fromtimestamp(newest_file)),
        interval=kind,
        covered=np.array([row["coverage"] for row in scored]),
        interval_score=np.array([row["interval_score"] for row in scored]),
    )


def intervals(
    data: DataSet, rows: np.ndarray, predicted: np.ndarray, fold: np.ndarray
) -> tuple[str, np.ndarray]:
    """Kind and bounds (n, 2) of the prediction intervals of plots `rows`, predicted by folds."""
    places = data.wide.coordinates[rows]
    predictions = Predictions(np.maximum(predicted, 0), np.zeros(len(rows)), *places.T)
    fitted = CrossFit(data.wide.richness[rows], predictions, fold, COVERAGE)
    kinds = {kind: fitted.fitted(kind) for kind in fitted.kinds() if kind in KINDS}
    best = ranked(kinds)[0]
    return best, kinds[best].bounds


def chosen(
    among: tuple[str, ...], finished: Mapping[str, Errors], data: DataSet, split: str
) -> Errors | None:
    """The choice among models as a model of its own; None if one without imagery is missing."""
    names = [name for name in among if name in finished]
    if not {*among} & {*TABULAR} <= {*names}:
        return None
    rows = np.flatnonzero(~data.dev)
    richness = data.wide.richness[rows]
    models = [finished[name] for name in names]
    errors = np.column_stack([model.signed[0] for model in models])
    unit = (data.folds(split) if split == "regions" else data.blocks)[rows]
    order = np.array([CATALOGUE[name].map_rank for name in names])
    judged = errors, unit, order, TOLERANCE * richness.var(), names.index(USUAL)
    shares = choice_shares(*judged, rng=np.random.default_rng(0))

    def mean(attribute: str) -> np.ndarray:
        columns = np.column_stack([getattr(model, attribute) for model in models])
        return np.asarray(np.sum(shares * columns, axis=1))

    squared = np.sum(shares * errors**2, axis=1)
    r2 = 1 - squared.sum() / np.sum((richness - richness.mean()) ** 2)
    mean_shares = {
        name: round(float(share), 2) for name, share in zip(names, shares.mean(0), strict=True)
    }
    return Errors(
        signed=np.empty((0, len(rows))),
        squared=squared,
        absolute=np.sum(shares * np.abs(errors), axis=1),
        per_seed=(r2,),
        seconds=sum(model.seconds for model in models),
        settings=json.dumps({"chosen": names[Choice.of(*judged).chosen], "shares": mean_shares}),
        measured=max(model.measured for model in models),
        interval="of the chosen model",
        covered=mean("covered"),
        interval_score=mean("interval_score"),
    )


def newest(folder: Path, stem: str) -> Path | None:
    """A cell's file, the newest where older code left others."""
    files = sorted(folder.glob(f"{stem}_*.npz"), key=lambda path: path.stat().st_mtime)
    return files[-1] if files else None


def interval(draws: np.ndarray) -> tuple[float, float]:
    """Central interval of a table's draws."""
    return central_interval(draws, LEVEL)


def rows_of(folder: Path, name: str, data: DataSet) -> list[dict[str, Any]]:
    """One row per split and model of one data set: scores, or the reason why there are none."""
    scored = np.flatnonzero(~data.dev)
    richness = data.wide.richness[scored]
    bootstrap = Bootstrap(richness, data.blocks[scored], np.random.default_rng(0))
    table = []
    for split in SPLITS:
        reasons = {model: why_not(data, split, model) for model in SCORED}
        finished: dict[str, Errors] = {}
        for model in (m for m in SCORED if m not in CANDIDATES and not reasons[m]):
            errors = collect(folder, name, data, split, model)
            if errors is not None:
                finished[model] = errors
        for choice, among in CANDIDATES.items():
            errors = None if reasons[choice] else chosen(among, finished, data, split)
            if errors is not None:
                finished[choice] = errors
        for model, reason in reasons.items():
            row = {"data": name, "split": split, "model": model}
            if model in finished:
                row |= {"status": "done"} | figures(finished[model], richness, bootstrap)
            else:
                row |= {"status": f"n/a: {reason}" if reason else "not run"}
            table.append(row)
        add_differences(table, split, finished, bootstrap)
    return table


def figures(errors: Errors, richness: np.ndarray, bootstrap: Bootstrap) -> dict[str, Any]:
    """A row's figures: r2 with its interval, other scores, coverage, cost, settings."""
    low, high = interval(bootstrap.r2(errors.squared))
    return {
        "n": len(richness),
        "seeds": len(errors.per_seed),
        "r2": 1 - errors.squared.sum() / np.sum((richness - richness.mean()) ** 2),
        "r2_low": low,
        "r2_high": high,
        "r2_sd_of_seeds": np.std(errors.per_seed) if len(errors.per_seed) > 1 else None,
        "rmse": np.sqrt(errors.squared.mean()),
        "mae": errors.absolute.mean(),
        "interval": errors.interval,
        "coverage": errors.covered.mean(),
        "interval_score": errors.interval_score.mean(),
        "cpu_seconds": errors.seconds,
        "measured": errors.measured,
        "settings": errors.settings,
    }


def add_differences(
    table: list[dict[str, Any]], split: str, finished: dict[str, Errors], bootstrap: Bootstrap
) -> None:
    """Fill in the difference of r2 of each of our models to the best baseline and to ALONE."""
    squared = {m: e.squared for m, e in finished.items()}
    baselines = [m for m in squared if m not in OURS]
    if not baselines:
        return
    best = min(baselines, key=lambda m: squared[m].sum())
    r2 = {row["model"]: row["r2"] for row in table if row["split"] == split and "r2" in row}
    for row in table:
        if row["split"] != split or row["model"] not in OURS or row["status"] != "done":
            continue
        row["best_baseline"] = best
        for other, name in ((best, "ahead"), (ALONE, "ahead_alone")):
            if other in squared and other != row["model"]:
                ours, theirs = bootstrap.r2(squared[row["model"]]), bootstrap.r2(squared[other])
                low, high = interval(ours - theirs)
                ahead = r2[row["model"]] - r2[other]
                row |= {name: ahead, f"{name}_low": low, f"{name}_high": high}


def with_former(table: pd.DataFrame, former: pd.DataFrame) -> pd.DataFrame:
    """The table, with former rows (status "former") in place of those that were not run.

    Their plots and folds are those of the others. Their predictions are not kept, so they have no
    paired differences.
    """
    keys = ["data", "split", "model"]
    former = former[former["status"].isin(["done", "former"])].set_index(keys)
    missing = former.index.isin(table[table["status"] == "not run"].set_index(keys).index)
    columns = [c for c in former.columns if c in table and not c.startswith(("ahead", "best_"))]
    part = former.loc[missing, columns].assign(status="former")
    if "measured" not in part:
        part["measured"] = FORMER
    result = table.set_index(keys).astype(object)
    part = part.astype(object)
    for column in part:
        result.loc[part.index, column] = part[column]
    return result.reset_index().infer_objects()


def write_tables(folder: Path, docs: Path, note: str = "") -> None:
    """Write accuracy.csv, accuracy.md with a note on what was run, and the picture of ranks."""
    table = pd.DataFrame(
        [row for name, load in DATASETS.items() for row in rows_of(folder, name, load())]
    )
    if (docs / "accuracy.csv").exists():
        table = with_former(table, pd.read_csv(docs / "accuracy.csv"))
    with writing(docs / "accuracy.csv") as part:
        table.to_csv(part, index=False, float_format="%.4f")
    picture = draw(table, docs / "images" / "accuracy_ranks.png")
    write_text(docs / "accuracy.md", markdown(table, note, picture))
    done = (table["status"] == "done").sum()
    missing = table["status"].isin(["not run", "former"]).sum()
    print(f"{done} of {done + missing} rows are there; seconds of processor time in their cells:")
    models = table[(table["status"] == "done") & ~table["model"].isin(CANDIDATES)]
    cost = (models["cpu_seconds"] * models["seeds"]).groupby(models["data"], sort=False).sum()
    print(cost.round().to_string())
