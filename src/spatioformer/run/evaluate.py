"""Models x folds -> predictions of held-out plots -> scores.

Every model sees the same folds. Scores are pooled over all held-out predictions, not averaged over
folds.
"""

from contextlib import closing
from os import cpu_count
from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.common.cache import Arrays
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import Stream, generator
from spatioformer.config.catalogue import CATALOGUE, Entry
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.metrics import scores
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.run.folds import all_splits, assign
from spatioformer.run.jobs import DRAWN, Job, distinct, keep_folds, run_jobs

IMPORTANCE_PLOTS = 5000
"""Plots that tell which predictors matter; more would cost time and say the same."""

SCORE_COLUMNS = ["model", "split", "n", "r", "r2", "rmse", "mae", "bias"]


def held_out_predictions(
    chips: Path, imagery: Path, config: RunConfig, cache: Arrays, *, console: Console = SILENT
) -> pd.DataFrame:
    """Predictions of every plot by every model that did not see it, for every split.

    Args:
        chips: folder of a chip store.
        imagery: the stack the chips were cut from.
        cache: keeps folds and finished jobs. What lies there is taken for the result of the same
            chips, `config.model`, `config.train` and seed.

    Returns:
        Columns model, split, fold, plot_id, lon, lat, observed, predicted, and of the mapped model
        on the map-like split, else NaN, spread, lower and upper (its own quantiles, if it has
        them); one row a model, split and plot.

    Raises:
        EvaluationError: too few plots or tiles for the folds, or a process was killed.
    """
    store = open_chips(chips)
    section, likest = config.evaluate, config.evaluate.map_like
    folds, jobs = {}, []
    for split in all_splits(config):  # fails here, before any training, when folds cannot be made
        folds[split.name] = assign(split, config, store.coordinates, imagery, console)
        key = keep_folds(cache, folds[split.name])
        for model in section.models if split in section.splits else section.curve_models:
            drawn = model == config.map.model and split == likest
            jobs += [Job(model, split.name, fold, key, drawn, cache) for fold in range(split.folds)]
    different = distinct(jobs)
    todo = [job for job in different if not job.done]
    # The slowest first, so that no core waits for one long job at the end.
    todo.sort(key=lambda job: _haste(CATALOGUE[job.model]))
    workers = min(section.workers or cpu_count() or 1, max(1, len(todo)))
    with console.task("evaluate", len(different)) as advance:
        advance(len(different) - len(todo))
        with closing(run_jobs(todo, chips, config, workers)) as finished:
            for job in finished:
                advance(1, f"{job.model}, {job.split}")
    return pd.concat([_told(job, store, folds[job.split]) for job in jobs], ignore_index=True)


def _told(job: Job, store: ChipStore, folds: np.ndarray) -> pd.DataFrame:
    """A finished job's rows of `held_out_predictions`."""
    rows = np.flatnonzero(folds == job.fold)
    plots = store.table.iloc[rows][["plot_id", "lon", "lat"]].reset_index(drop=True)
    told = plots.assign(observed=store.richness[rows], predicted=job.cache.load(job.predictions))
    told[DRAWN] = job.cache.load(job.draws) if job.drawn else np.nan
    for place, name in enumerate(("model", "split", "fold")):
        told.insert(place, name, getattr(job, name))
    return told


def _haste(entry: Entry) -> tuple[bool, bool]:
    """Sorts the models that take longest to train before the others."""
    return not entry.published, entry.kind == "tabular"


def score_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """One row a split and model, pooled over the folds; r2 = 1 - SSE/SST."""
    rows = [
        {"model": model, "split": split} | scores(part["observed"], part["predicted"])
        for (split, model), part in predictions.groupby(["split", "model"], sort=False)
    ]
    return pd.DataFrame(rows)[SCORE_COLUMNS]


def calibrate(
    chips: Path, predictions: pd.DataFrame, config: RunConfig
) -> tuple[Uncertainty, pd.DataFrame] | None:
    """Intervals and area of applicability of the mapped model, from `held_out_predictions`.

    The predictors of the area are the bands at a plot's pixel and its place, weighted by their
    importance to a random forest.

    Returns:
        The uncertainty, and a row a plot: plot_id, lon, lat, fold, observed, predicted, di, inside,
        and for each kind of interval lower-KIND, upper-KIND, crps-KIND, calibrated on the other
        folds. None where the mapped model was not evaluated.

    Raises:
        EvaluationError: too few plots for `evaluate.level`, or all alike.
    """
    split, store = config.evaluate.map_like, open_chips(chips)
    rows = predictions.query("model == @config.map.model and split == @split.name")
    if rows.empty:
        return None
    table = store.table[["plot_id"]].assign(row=np.arange(len(store)))
    at = rows[["plot_id"]].merge(table, "left", "plot_id")["row"].to_numpy()
    half = store.patch // 2
    pixels = np.asarray(store.chips[:, half, half], np.float64)[at]
    spread, quantiles = rows["spread"].to_numpy(), rows[DRAWN[1:]].to_numpy()
    held_out = HeldOut(
        pixels,
        *(rows[name].to_numpy() for name in ("lon", "lat", "observed", "predicted", "fold")),
        *(v if np.isfinite(v).all() else None for v in (spread, quantiles)),
    )
    found, tried, di = Uncertainty.calibrate(
        held_out,
        list(store.bands),
        importance(held_out, config.seed),
        level=config.evaluate.level,
        kind=config.evaluate.interval,
        seed=config.seed,
    )
    found.facts["split"] = split.name
    plots = rows[["plot_id", "lon", "lat", "fold", "observed", "predicted"]].assign(
        di=di, inside=di <= found.area.threshold_
    )
    for kind, intervals in tried.items():
        plots[[f"lower-{kind}", f"upper-{kind}"]] = intervals.bounds
        plots[f"crps-{kind}"] = intervals.crps
    return found, plots.reset_index(drop=True)


def importance(held_out: HeldOut, seed: int) -> np.ndarray:
    """Share (band + 2,) of a forest's fall in squared error that each band, lon and lat earns."""
    from spatioformer.models.baselines import random_forest

    predictors = np.column_stack([held_out.pixels, held_out.lon, held_out.lat])
    some = generator(seed, Stream.IMPORTANCE_PLOTS).permutation(len(predictors))[:IMPORTANCE_PLOTS]
    forest = random_forest(seed).set_params(n_estimators=100)
    return forest.fit(predictors[some], held_out.observed[some]).feature_importances_
