"""Models x folds -> predictions of held-out plots -> scores.

Every model sees the same folds. Scores are pooled over all held-out predictions, not averaged over
folds. Jobs run in processes of one thread each, so results do not depend on the number of cores; a
job that is finished stays finished when the evaluation is interrupted.
"""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.config import RunConfig, SplitSection
from spatioformer.errors import EvaluationError
from spatioformer.evaluation.metrics import scores
from spatioformer.files import hash_value, save_array, writing
from spatioformer.folds import all_splits, assign
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.progress import SILENT, Console
from spatioformer.uncertainty import HeldOut, Uncertainty

MAP_LIKE = ("knndm", "tiles", "regions", "random")
"""Kinds of splits, the one first that holds plots out most as the map is used."""

DRAWS = 20
"""Monte Carlo dropout passes at a held-out plot."""

IMPORTANCE_PLOTS = 5000
"""Plots that tell which predictors matter; more would cost time and say the same."""

QUANTILES = ["lower", "upper"]
"""Columns of the mapped model's own quantiles."""

SCORE_COLUMNS = ["model", "split", "n", "r", "r2", "rmse", "mae", "bias"]


@dataclass(frozen=True)
class Job:
    """One model on one fold."""

    model: str
    split: SplitSection
    fold: int


def held_out_predictions(
    chips: Path, imagery: Path, config: RunConfig, folder: Path, *, console: Console = SILENT
) -> pd.DataFrame:
    """Predictions of every plot by every model that did not see it, for every split.

    Args:
        chips: folder of a chip store.
        imagery: the stack the chips were cut from.
        folder: where folds and finished jobs are kept until all are done.

    Returns:
        Columns model, split, fold, plot_id, lon, lat, observed, predicted, and of the mapped model
        on the map-like split, else NaN, spread, lower and upper (its own quantiles, if it has
        them); one row a model, split and plot.

    Raises:
        EvaluationError: too few plots or tiles for the folds, or a process was killed.
    """
    store = open_chips(chips)
    section = config.evaluate
    jobs = [
        Job(model, split, fold)
        for split in all_splits(config)
        for model in (section.models if split in section.splits else section.curve_models)
        for fold in range(split.folds)
    ]
    folds = {}
    for split in all_splits(config):  # fails here, before any training, when folds cannot be made
        folds[split.name] = assign(split, config, store.coordinates, imagery, console)
        with writing(_folds_path(folder, split)) as part:
            save_array(part, folds[split.name])
    todo = [job for job in jobs if not _path(folder, job).exists()]
    # The slowest first, so that no core waits for one long job at the end.
    todo.sort(key=lambda job: ("published" not in job.model, "spatioformer" not in job.model))
    workers = min(section.workers or cpu_count() or 1, max(1, len(todo)))
    with console.task("evaluate", len(jobs)) as advance:
        advance(len(jobs) - len(todo))
        with closing(_run(todo, chips, config, folder, workers)) as finished:
            for job in finished:
                advance(1, f"{job.model}, {job.split.name}")
    frames = []
    for job in jobs:
        rows = np.flatnonzero(folds[job.split.name] == job.fold)
        table = store.table.iloc[rows]
        frames.append(
            pd.DataFrame(
                {
                    "model": job.model,
                    "split": job.split.name,
                    "fold": job.fold,
                    "plot_id": table["plot_id"].to_numpy(),
                    "lon": table["lon"].to_numpy(),
                    "lat": table["lat"].to_numpy(),
                    "observed": store.richness[rows],
                    "predicted": np.load(_path(folder, job)),
                    "spread": _load(_extra_path(folder, job, "spread"), (len(rows),)),
                }
            ).assign(**_load_quantiles(folder, job, len(rows)))
        )
    return pd.concat(frames, ignore_index=True)


def _run(
    jobs: Sequence[Job], chips: Path, config: RunConfig, folder: Path, workers: int
) -> Iterator[Job]:
    if workers == 1:
        for job in jobs:
            yield run_job(job, chips, config, folder)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        with _interrupts_held_back():
            pending = {pool.submit(run_job, job, chips, config, folder) for job in jobs}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BaseException as error:
        _end(pool, folder)
        if isinstance(error, BrokenProcessPool):
            raise EvaluationError(
                f"one of {workers} evaluation processes was killed, most often for lack of memory; "
                "lower `evaluate.workers` (--set evaluate.workers=1) and run again"
            ) from error
        raise
    pool.shutdown()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl-C, for they inherit what is blocked: the parent
    hears it and ends them, and a traceback from each of them helps nobody."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(pool: ProcessPoolExecutor, folder: Path) -> None:
    """End the workers at once, and remove what they were writing."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    pool.shutdown(wait=False, cancel_futures=True)
    for part in folder.glob("*.part.npy"):
        part.unlink()


def run_job(job: Job, chips: Path, config: RunConfig, folder: Path) -> Job:
    """Fit one model without one fold, predict that fold, keep the predictions."""
    from spatioformer.models import NetworkModel, make

    store: ChipStore = open_chips(chips)
    folds = np.load(_folds_path(folder, job.split))
    training, test = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
    model = make(job.model, config, config.seed)
    model.fit(store, training)
    mapped = job.model == config.map.model and job.split == map_like(config.evaluate.splits)
    if mapped and isinstance(model, NetworkModel):  # of others there is a mean alone
        extras = {
            "spread": model.spread(store, test, DRAWS),
            "quantiles": model.quantiles(store, test),
        }
        for name, values in extras.items():
            if values is not None:
                with writing(_extra_path(folder, job, name)) as part:
                    save_array(part, values.astype(np.float64))
    with writing(_path(folder, job)) as part:  # last: this file says that the job is done
        save_array(part, np.asarray(model.predict(store, test), np.float64))
    return job


def map_like(splits: Sequence[SplitSection]) -> SplitSection:
    """The split that holds plots out most as the map is used; of several, the first."""
    return min(splits, key=lambda split: MAP_LIKE.index(split.kind))


def _load(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    return np.load(path) if path.exists() else np.full(shape, np.nan)


def _load_quantiles(folder: Path, job: Job, count: int) -> dict[str, np.ndarray]:
    found = _load(_extra_path(folder, job, "quantiles"), (count, 2))
    return dict(zip(QUANTILES, found.T, strict=True))


def _extra_path(folder: Path, job: Job, name: str) -> Path:
    path = _path(folder, job)
    return path.with_name(f"{path.stem}-{name}.npy")


def _folds_path(folder: Path, split: SplitSection) -> Path:
    return folder / f"folds-{split.name}.npy"


def _path(folder: Path, job: Job) -> Path:
    key = hash_value([job.model, job.split.model_dump(), job.fold])[:16]
    return folder / f"{job.model}-{job.split.name}-{job.fold}-{key}.npy"


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
    split, store = map_like(config.evaluate.splits), open_chips(chips)
    rows = predictions.query("model == @config.map.model and split == @split.name")
    if rows.empty:
        return None
    table = store.table[["plot_id"]].assign(row=np.arange(len(store)))
    at = rows[["plot_id"]].merge(table, "left", "plot_id")["row"].to_numpy()
    half = store.patch // 2
    pixels = np.asarray(store.chips[:, half, half], np.float64)[at]
    spread, quantiles = rows["spread"].to_numpy(), rows[QUANTILES].to_numpy()
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
    from spatioformer.baselines import random_forest

    predictors = np.column_stack([held_out.pixels, held_out.lon, held_out.lat])
    some = np.random.default_rng([seed, 4]).permutation(len(predictors))[:IMPORTANCE_PLOTS]
    forest = random_forest(seed).set_params(n_estimators=100)
    return forest.fit(predictors[some], held_out.observed[some]).feature_importances_
