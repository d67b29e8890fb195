"""Evaluate models: held-out predictions, scores, and the calibration of intervals.

All models use the same folds. Scores are computed from the predictions of all folds together, not
averaged over folds.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.analysis.importance import groups_of, pooled_rises
from spatioformer.common.cache import Arrays
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import Stream, generator
from spatioformer.common.workers import Task
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.learning import AUTO
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.metrics import scores
from spatioformer.evaluation.sizes import splittable
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.parts import QUICK_FORMS
from spatioformer.models.target import highest
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.run.folds import all_splits, assign
from spatioformer.run.jobs import SPREAD_COLUMNS, Job, distinct, folds_name, run_jobs, save_folds

WhenJudged = Callable[[pd.DataFrame], Task[Sequence[Job]] | None]

IMPORTANCE_PLOTS = 5000
"""Largest number of plots for the importance of predictors; more plots hardly change it."""

IMPORTANCE_COLUMNS = ["model", "split", "group", "rise", "sd", "rmse", "plots"]

SCORE_COLUMNS = ["model", "split", "n", "r", "r2", "rmse", "mae", "bias"]


def held_out_predictions(
    chips: Path,
    imagery: Path,
    config: RunConfig,
    cache: Arrays,
    *,
    console: Console = SILENT,
    when_judged: WhenJudged = lambda predictions: None,
) -> pd.DataFrame:
    """Compute the held-out predictions of each model on each split.

    Args:
        chips: folder of a chip store.
        imagery: the stack that the chips were cut from; kNNDM alone reads it.
        config: resolved with the plots (`models.resolved`).
        cache: folds and results of finished jobs. Its content must come from the same chips,
            `config.model`, `config.train` and seed.
        when_judged: called once with the rows of the candidates on the map-like split, as soon as
            they are there, unless all jobs run in this process. The worker processes go on
            meanwhile, and then take up the task that it returns; it finishes no job.

    Returns:
        One row for each model, split and plot. Columns: model, split, fold, plot_id, lon, lat,
        observed, predicted, spread, lower and upper. The last three are NaN except for models that
        may make the map, on the map-like split; lower and upper are quantiles that the model
        predicts.

    Raises:
        EvaluationError: there are too few plots or tiles for the folds, or a process was killed.
    """
    store = open_chips(chips)
    section, map_like = config.evaluate, config.evaluate.map_like
    drawn = _drawn(config)
    folds: dict[str, np.ndarray] = {}
    jobs: list[Job] = []
    for split in all_splits(config):  # impossible folds fail here, before any training
        folds[split.name] = assign(split, config, store.table, imagery, console)
        _say_smaller_tiles(split, folds[split.name], store, config, console)
        key = save_folds(cache, folds[split.name])
        on_curve = split not in section.splits
        for model in section.curve_models if on_curve else section.models:
            with_spread = model in drawn and split == map_like
            # A curve with the folds of a split takes its predictions.
            scored = {(job.model, job.folds) for job in jobs}
            quick = on_curve and model in QUICK_FORMS and (model, key) not in scored
            jobs += [
                Job(model, split.name, fold, key, with_spread, cache, quick, split == map_like)
                for fold in range(int(folds[split.name].max()) + 1)
            ]
    unique = distinct(jobs)
    todo = in_queue([job for job in unique if not job.done], map_like.name)
    workers = min(section.processes, max(1, len(todo)))

    def rows_of(some: Sequence[Job]) -> pd.DataFrame:
        rows = [_job_rows(job, store, folds[job.split]) for job in some]
        return pd.concat(rows, ignore_index=True)

    judging = [j for j in jobs if j.split == map_like.name and j.model in config.candidates]
    judged = _Judged(
        {j.predictions for j in judging} & {j.predictions for j in todo},
        lambda: when_judged(rows_of(judging)) if judging else None,
    )

    with console.task("evaluate", len(unique)) as advance:
        advance(len(unique) - len(todo))
        with closing(run_jobs(todo, chips, config, workers, judged)) as finished:
            for job in finished:
                advance(1, f"{job.model}, {job.split}")
                judged.missing.discard(job.predictions)
    return rows_of(jobs)


@dataclass
class _Judged:
    """Makes a task once, when the jobs are done whose predictions are `missing`."""

    missing: set[str]
    make: Callable[[], Task[Sequence[Job]] | None]
    made: bool = False

    def __call__(self) -> Task[Sequence[Job]] | None:
        if self.missing or self.made:
            return None
        self.made = True
        return self.make()


def _drawn(config: RunConfig) -> set[str]:
    """Models whose spread is computed: the one of the map, or the networks among the candidates.

    The choice of the map's model comes after the jobs. Tabular models have no spread, so their jobs
    stay finished when `map.model` becomes auto.
    """
    named = config.map.model != AUTO
    return {m for m in config.candidates if named or CATALOGUE[m].kind != "tabular"}


def _say_smaller_tiles(
    split: SplitSection, folds: np.ndarray, store: ChipStore, config: RunConfig, console: Console
) -> None:
    """Say in which folds the training plots are too close together for the validation tiles."""
    wanted = config.train.validation_tile
    assert wanted is not None  # of a resolved configuration
    sizes = {k: splittable(store.coordinates[folds != k], wanted) for k in np.unique(folds)}
    smaller = [k for k, size in sizes.items() if size < wanted]
    if smaller:
        names = ", ".join(str(k + 1) for k in smaller)
        console.say(
            f"  {split.name}: without fold {names} all plots lie in one validation tile of "
            f"{wanted:.3g} degrees; tiles of {min(sizes.values()):.3g} degrees are used there"
        )


def _job_rows(job: Job, store: ChipStore, folds: np.ndarray) -> pd.DataFrame:
    """Rows of `held_out_predictions` from a finished job."""
    rows = np.flatnonzero(folds == job.fold)
    plots = store.table.iloc[rows][["plot_id", "lon", "lat"]].reset_index(drop=True)
    table = plots.assign(observed=store.richness[rows], predicted=job.cache.load(job.predictions))
    table[SPREAD_COLUMNS] = job.cache.load(job.spread) if job.with_spread else np.nan
    for position, name in enumerate(("model", "split", "fold")):
        table.insert(position, name, getattr(job, name))
    return table


def in_queue(jobs: Sequence[Job], first: str = "") -> list[Job]:
    """Jobs in the order of their start: those of the split `first`, the others, then the curve.

    They go fold by fold.

    In each fold the longest trainings come first, so that no core waits for one long job at the
    end. One network, a published one if there is any, and then one tabular model come before all
    others. They compile their kernels. Two networks that begin together would both compile them.
    """

    def place(job: Job) -> tuple[int, int, bool, bool]:
        entry = CATALOGUE[job.model]
        part = 2 if job.split.startswith("curve-") else int(job.split != first)
        return part, job.fold, entry.kind == "tabular", entry.published

    queue = sorted(jobs, key=place)
    networks = [job for job in queue if CATALOGUE[job.model].kind == "network"]
    published = [job for job in networks if CATALOGUE[job.model].published]
    tabular = [job for job in queue if CATALOGUE[job.model].kind == "tabular"]
    first_jobs = [*(published or networks)[:1], *tabular[:1]]
    return [*first_jobs, *(job for job in queue if job not in first_jobs)]


def held_out_importance(
    chips: Path, predictions: pd.DataFrame, config: RunConfig, cache: Arrays
) -> pd.DataFrame:
    """Permutation importance of each model's inputs on the held-out plots of the map-like split.

    Args:
        predictions: from `held_out_predictions`, whose jobs are in the cache.

    Returns:
        One row for each model and group of inputs. Columns: model, split, group, rise (of the RMSE,
        species), sd (of the rise over folds), rmse (without a shuffle, of the same plots), plots.
    """
    store, split = open_chips(chips), config.evaluate.map_like.name
    names, tables = [group.name for group in groups_of(store)], []
    table = pd.Series(np.arange(len(store)), store.table["plot_id"])
    for model in config.evaluate.models:
        rows = predictions[(predictions["model"] == model) & (predictions["split"] == split)]
        folds = np.empty(len(store), np.int64)
        folds[table.loc[rows["plot_id"]].to_numpy()] = rows["fold"]
        jobs = (
            Job(model, split, int(fold), folds_name(folds), False, cache)
            for fold in np.unique(folds)
        )
        arrays = [array for job in jobs if (array := cache.load(job.importance)) is not None]
        rmse, rises = pooled_rises(names, [(int(array[0]), array[1:]) for array in arrays])
        plots = int(sum(array[0] for array in arrays))
        part = pd.DataFrame(rises).assign(model=model, split=split, rmse=rmse, plots=plots)
        tables.append(part[IMPORTANCE_COLUMNS])
    return pd.concat(tables, ignore_index=True)


def score_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Scores, one row for each split and model, over all folds together; r2 = 1 - SSE/SST."""
    rows = [
        {"model": model, "split": split} | scores(part["observed"], part["predicted"])
        for (split, model), part in predictions.groupby(["split", "model"], sort=False)
    ]
    return pd.DataFrame(rows)[SCORE_COLUMNS]


def calibrate(
    chips: Path, predictions: pd.DataFrame, config: RunConfig
) -> tuple[Uncertainty, pd.DataFrame] | None:
    """Calibrate intervals and the area of applicability of the mapped model.

    The predictors of the area are the bands at a plot's pixel, longitude and latitude, weighted by
    their importance in a random forest.

    Args:
        predictions: from `held_out_predictions`.
        config: resolved, with the name of the mapped model.

    Returns:
        The uncertainty, and a table with one row for each plot: plot_id, lon, lat, fold, observed,
        predicted, di, inside, and for each kind of interval lower-KIND, upper-KIND and crps-KIND,
        calibrated on the other folds. None if the mapped model was not evaluated.

    Raises:
        EvaluationError: there are too few plots for `evaluate.level`, or all predictors are
            constant.
    """
    split, store = config.evaluate.map_like, open_chips(chips)
    rows = predictions.query("model == @config.map.model and split == @split.name")
    if rows.empty:
        return None
    table = store.table[["plot_id"]].assign(row=np.arange(len(store)))
    store_rows = rows[["plot_id"]].merge(table, "left", "plot_id")["row"].to_numpy()
    half = store.patch // 2
    pixels = np.asarray(store.chips[:, half, half], np.float64)[store_rows]
    spread, quantiles = rows["spread"].to_numpy(), rows[SPREAD_COLUMNS[1:]].to_numpy()
    held_out = HeldOut(
        pixels,
        *(rows[name].to_numpy() for name in ("lon", "lat", "observed", "predicted", "fold")),
        *(v if np.isfinite(v).all() else None for v in (spread, quantiles)),
    )
    uncertainty, cross_fitted, di = Uncertainty.calibrate(
        held_out,
        list(store.bands),
        importance(held_out, config.seed),
        level=config.evaluate.level,
        kind=config.evaluate.interval,
        seed=config.seed,
        highest=highest(store.target_kind),
    )
    uncertainty.facts["split"] = split.name
    plots = rows[["plot_id", "lon", "lat", "fold", "observed", "predicted"]].assign(
        di=di, inside=di <= uncertainty.area.threshold_
    )
    for kind, intervals in cross_fitted.items():
        plots[[f"lower-{kind}", f"upper-{kind}"]] = intervals.bounds
        plots[f"crps-{kind}"] = intervals.crps
    return uncertainty, plots.reset_index(drop=True)


def importance(held_out: HeldOut, seed: int) -> np.ndarray:
    """Importance (band + 2,) of each band, lon and lat in a random forest, sum 1.

    It is the share in the decrease of the squared error.
    """
    from spatioformer.models.baselines import random_forest

    predictors = np.column_stack([held_out.pixels, held_out.lon, held_out.lat])
    sample = generator(seed, Stream.IMPORTANCE_PLOTS).permutation(len(predictors))[
        :IMPORTANCE_PLOTS
    ]
    forest = random_forest(seed).set_params(n_estimators=100)
    return forest.fit(predictors[sample], held_out.observed[sample]).feature_importances_
