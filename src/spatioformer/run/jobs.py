"""Fit a model on all folds but one, predict that fold, and cache the predictions: a job.

Jobs run in processes of one thread each, so results do not depend on the number of cores. A job's
results are cached under what they depend on, so finished jobs are kept when an evaluation is
interrupted, and when another model, split or level of intervals is configured.
"""

import os
import signal
import threading
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatioformer.common.cache import KEY_LENGTH, Arrays
from spatioformer.common.errors import EvaluationError
from spatioformer.common.files import hash_value
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
        folds: name of the array in `cache` with the fold of each plot, a hash of that array.
        drawn: whether DRAWN is wanted too.
        cache: keeps folds and predictions.
    """

    model: str
    split: str
    fold: int
    folds: str
    drawn: bool
    cache: Arrays

    @property
    def predictions(self) -> str:
        """Name of the predictions of the fold, species (n,); equal folds of two splits share it."""
        return f"{self.model}-{self.folds}-{self.fold}"

    @property
    def draws(self) -> str:
        """Name of DRAWN, (n, 3), NaN where a model has none."""
        return f"{self.predictions}-drawn"

    @property
    def done(self) -> bool:
        """Whether the results lie in the cache and can be read."""
        names = [self.predictions, *[self.draws] * self.drawn]
        return all(self.cache.load(name) is not None for name in names)


def keep_folds(cache: Arrays, folds: np.ndarray) -> str:
    """Save the fold of each plot, (n,); returns the name of the array."""
    name = hash_value(folds.tolist())[:KEY_LENGTH]
    cache.save(name, folds)
    return name


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """Of jobs with the same predictions one, and that the drawn one."""
    return list({job.predictions: job for job in sorted(jobs, key=lambda j: j.drawn)}.values())


def run_jobs(
    jobs: Sequence[Job], chips: Path, config: RunConfig, workers: int
) -> Generator[Job, None, None]:
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
        _end(pool, jobs[0].cache)
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

    parent = parent_process()
    assert parent is not None  # this process is a worker

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _end(pool: ProcessPoolExecutor, cache: Arrays) -> None:
    """End the workers at once, and remove what they were writing."""
    processes = list((pool._processes or {}).values())
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()
    # Until the pool's own thread is done: at exit Python would wake it while it closes its pipe.
    pool.shutdown(cancel_futures=True)
    cache.remove_parts()


def run_job(job: Job, chips: Path, config: RunConfig) -> Job:
    """Fit one model without one fold, predict that fold, keep the predictions."""
    from spatioformer.models.registry import make  # torch, which the parent process need not load

    store: ChipStore = open_chips(chips)
    folds = np.load(job.cache.path(job.folds))
    training, test = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
    model = make(job.model, config.model, config.train, config.seed).fit(store, training)
    if job.drawn:
        job.cache.save(job.draws, _drawn(model, store, test, config.seed))
    job.cache.save(job.predictions, np.asarray(model.predict_rows(store, test), np.float64))
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
