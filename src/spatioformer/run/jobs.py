"""One model without one fold: fitted, asked for that fold, its answer kept.

Jobs run in processes of one thread each, so results do not depend on the number of cores. The
answer lies in a file named after what it depends on: what is finished stays finished when an
evaluation is interrupted, and when another model, split or level of intervals is asked for.
"""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatioformer.common.errors import EvaluationError
from spatioformer.common.files import hash_value, save_array, writing
from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import ChipStore, open_chips

if TYPE_CHECKING:
    from spatioformer.models.base import Model

DRAWS = 20
"""Monte Carlo dropout passes at a held-out plot."""

DRAWN = ["spread", "lower", "upper"]
"""What a network says beside its prediction; the last two are its own quantiles."""


@dataclass(frozen=True)
class Job:
    """One model on one fold.

    Attributes:
        folds: file with the fold of each plot; its name tells these folds from all others.
        drawn: whether DRAWN is wanted too.
    """

    model: str
    split: str
    fold: int
    folds: Path
    drawn: bool

    @property
    def predictions(self) -> Path:
        """File of what the model said of the fold, species (n,); splits alike share it."""
        return self.folds.with_name(f"{self.model}-{self.folds.stem}-{self.fold}.npy")

    @property
    def draws(self) -> Path:
        """File of DRAWN, (n, 3), NaN where a model has none."""
        return self.predictions.with_name(f"{self.predictions.stem}-drawn.npy")

    @property
    def done(self) -> bool:
        return self.predictions.exists() and (self.draws.exists() or not self.drawn)


def keep_folds(folder: Path, folds: np.ndarray) -> Path:
    """A file in `folder` with the fold of each plot, (n,)."""
    path = folder / f"{hash_value(folds.tolist())[:16]}.npy"
    with writing(path) as part:
        save_array(part, folds)
    return path


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """Of jobs with the same predictions one, and that the drawn one."""
    return list({job.predictions: job for job in sorted(jobs, key=lambda j: j.drawn)}.values())


def run_jobs(jobs: Sequence[Job], chips: Path, config: RunConfig, workers: int) -> Iterator[Job]:
    """Run `jobs` in so many processes; each is yielded when it is done.

    Raises:
        EvaluationError: a process was killed.
    """
    if workers == 1:
        for job in jobs:
            yield run_job(job, chips, config)
        return
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_end_with_parent)
    try:
        with _interrupts_held_back():
            pending = {pool.submit(run_job, job, chips, config) for job in jobs}
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield future.result()
    except BaseException as error:
        _end(pool, jobs[0].folds.parent)
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


def _end_with_parent() -> None:
    """In a worker: one whose parent was killed would wait for work, and hold memory, for ever."""

    def watch() -> None:
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(pool: ProcessPoolExecutor, folder: Path) -> None:
    """End the workers at once, and remove what they were writing."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    # Until the pool's own thread is done: at exit Python would wake it while it closes its pipe.
    pool.shutdown(cancel_futures=True)
    for part in folder.glob("*.part.npy"):
        part.unlink()


def run_job(job: Job, chips: Path, config: RunConfig) -> Job:
    """Fit one model without one fold, predict that fold, keep the predictions."""
    from spatioformer.models.registry import make  # torch, which the parent process need not load

    store: ChipStore = open_chips(chips)
    folds = np.load(job.folds)
    training, test = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
    model = make(job.model, config.model, config.train, config.seed).fit(store, training)
    if job.drawn:
        with writing(job.draws) as part:
            save_array(part, _drawn(model, store, test, config.seed))
    with writing(job.predictions) as part:
        save_array(part, np.asarray(model.predict_rows(store, test), np.float64))
    return job


def _drawn(model: "Model", store: ChipStore, rows: np.ndarray, seed: int) -> np.ndarray:
    """DRAWN of some plots, (n, 3); NaN where the model has no draws, or no quantiles."""
    out = np.full((len(rows), len(DRAWN)), np.nan)
    if model.draws is None and model.quantile_pair is None:
        return out
    inputs = (*model.plot_chips(store, rows), model.named_covariates(store, rows))
    if model.draws is not None:
        out[:, 0] = model.draws.spread(*inputs, samples=DRAWS, seed=seed)
    if model.quantile_pair is not None:
        out[:, 1:] = model.quantile_pair.quantiles(*inputs)
    return out
