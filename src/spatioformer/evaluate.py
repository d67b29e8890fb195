"""Models x folds -> predictions of held-out plots -> scores.

Every model sees the same folds. Scores are pooled over all held-out predictions, not averaged over
folds. Jobs run in processes of one thread each, so results do not depend on the number of cores; a
job that is finished stays finished when the evaluation is interrupted.
"""

import signal
import threading
import warnings
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
from spatioformer.evaluation.splits import DegenerateFolds, RandomKFold, SpatialBlockKFold
from spatioformer.files import hash_value, save_array, writing
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.progress import SILENT, Console

SCORE_COLUMNS = ["model", "split", "n", "r", "r2", "rmse", "mae", "bias"]


@dataclass(frozen=True)
class Job:
    """One model on one fold."""

    model: str
    split: SplitSection
    fold: int


def splitter(split: SplitSection, seed: int) -> RandomKFold | SpatialBlockKFold:
    """The fold maker a split names; repeated coordinates stay in one fold in either."""
    if split.kind == "random":
        return RandomKFold(split.folds, seed=seed)
    return SpatialBlockKFold(split.folds, size=split.size, unit=split.unit, seed=seed)


def held_out_predictions(
    chips: Path, config: RunConfig, folder: Path, *, console: Console = SILENT
) -> pd.DataFrame:
    """Predictions of every plot by every model that did not see it, for every split.

    Args:
        chips: folder of a chip store.
        folder: where finished jobs are kept until all are done.

    Returns:
        Columns model, split, fold, plot_id, lon, lat, observed, predicted; one row a model, split
        and plot.

    Raises:
        EvaluationError: too few plots or tiles for the folds.
    """
    store = open_chips(chips)
    section = config.evaluate
    jobs = [
        Job(model, split, fold)
        for split in section.splits
        for model in section.models
        for fold in range(split.folds)
    ]
    jobs += [
        Job(model, split, fold)
        for split in curve_splits(config)
        for model in section.curve_models
        for fold in range(split.folds)
    ]
    splits = [*section.splits, *curve_splits(config)]
    # Fails here, before any training, when folds cannot be made.
    folds = {split.name: _folds(split, config, store, console) for split in splits}
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
                }
            )
        )
    return pd.concat(frames, ignore_index=True)


def curve_splits(config: RunConfig) -> list[SplitSection]:
    """One split a block size of the R2 curve; sizes whose folds cannot be made are left out by
    the caller's configuration, not silently here."""
    return [
        SplitSection(name=f"curve-{size:g}".replace(".", "-"), kind="tiles", size=size)
        for size in config.evaluate.curve_sizes
    ]


def _folds(
    split: SplitSection, config: RunConfig, store: ChipStore, console: Console = SILENT
) -> np.ndarray:
    """Fold of each plot; what is dubious about the folds is said on the console."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DegenerateFolds)
        try:
            folds = splitter(split, config.seed).assign(store.coordinates)
        except EvaluationError as error:
            key = "splits" if split in config.evaluate.splits else "curve_sizes"
            raise EvaluationError(f"evaluate.{key}, {split.name}: {error}") from error
    for warning in caught:
        console.say(f"  {split.name}: {warning.message}")
    return folds


def _run(
    jobs: Sequence[Job], chips: Path, config: RunConfig, folder: Path, workers: int
) -> Iterator[Job]:
    if workers == 1:
        for job in jobs:
            yield run_job(job, chips, config, folder)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"))
    try:
        with _interrupts_ignored():
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
def _interrupts_ignored() -> Iterator[None]:
    """Processes started meanwhile never hear Ctrl-C: the parent does, and a traceback from each
    of its workers helps nobody."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set, or hears, signals
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


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
    from spatioformer.models import make

    store: ChipStore = open_chips(chips)
    folds = _folds(job.split, config, store)
    training, test = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
    model = make(job.model, config, config.seed)
    model.fit(store, training)
    with writing(_path(folder, job)) as part:
        save_array(part, np.asarray(model.predict(store, test), np.float64))
    return job


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
