"""Evaluation jobs: fit a model on all folds but one, predict that fold, cache the predictions.

Jobs run in one thread each, so results do not depend on the number of cores. Jobs of one fold share
fits: a process fits the Gaussian process once, for its own scores, as the teacher of the distilled
network and as a member of the stack; and the random forest once, for its own scores and for the
kriged forest. Each fit depends on its plots and its seed alone, so results depend neither on the
order of jobs nor on which of them share. Results are cached by model and folds. So finished jobs
are reused after an interruption, and after a change of the configured models, splits or level of
intervals.
"""

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatioformer.analysis.importance import groups_of, shuffled_errors, shuffles, taken
from spatioformer.common.cache import KEY_LENGTH, Arrays
from spatioformer.common.errors import EvaluationError
from spatioformer.common.files import hash_value
from spatioformer.common.threads import one_thread
from spatioformer.common.workers import Task, results
from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.parts import parts_of
from spatioformer.models.target import bounded
from spatioformer.run.preload import start_workers

if TYPE_CHECKING:
    from spatioformer.models.base import Model

DRAWS = 20
"""Number of Monte Carlo dropout predictions of each held-out plot."""

IMPORTANCE_PLOTS = 300
"""Largest number of held-out plots of a fold that permutation importance is measured on."""

IMPORTANCE_PREDICTIONS = 20_000
"""Largest number of predictions of a job for it; with many bands, fewer plots are used."""

IMPORTANCE_REPEATS = 2
"""Number of shuffles of each group of inputs in a fold."""

SPREAD_COLUMNS = ["spread", "lower", "upper"]
"""Standard deviation of the model's draws, and lower and upper quantile that the model predicts."""


@dataclass(frozen=True)
class Job:
    """Fit one model without one fold, and predict that fold.

    Attributes:
        model: name in the catalogue.
        split: name in the configuration.
        fold: number of the held-out fold.
        folds: name of the array in `cache` with the fold of each plot, a hash of its content.
        with_spread: whether the job computes SPREAD_COLUMNS too.
        cache: stores folds and predictions.
        quick: whether a cheaper form of the model will do: on the curve of r2.
        with_importance: whether the job measures permutation importance too.
    """

    model: str
    split: str
    fold: int
    folds: str
    with_spread: bool
    cache: Arrays
    quick: bool = False
    with_importance: bool = False

    @property
    def predictions(self) -> str:
        """Name of the array of predictions, species (n,); equal folds of two splits share it."""
        return f"{self.model}{'-quick' * self.quick}-{self.folds}-{self.fold}"

    @property
    def spread(self) -> str:
        """Name of the array of SPREAD_COLUMNS, (n, 3), NaN where the model has none."""
        return f"{self.predictions}-drawn"

    @property
    def importance(self) -> str:
        """Name of the array with the number of plots, then errors as of `shuffled_errors`."""
        return f"{self.predictions}-importance"

    @property
    def done(self) -> bool:
        """Whether the cache holds the results and they can be read."""
        names = [
            self.predictions,
            *[self.spread] * self.with_spread,
            *[self.importance] * self.with_importance,
        ]
        return all(self.cache.load(name) is not None for name in names)


def save_folds(cache: Arrays, folds: np.ndarray) -> str:
    """Save the fold of each plot, int (n,), and return the name of the array."""
    name = folds_name(folds)
    cache.save(name, folds)
    return name


def folds_name(folds: np.ndarray) -> str:
    """Name of the array with the fold of each plot, int (n,): a hash of its content."""
    return hash_value(folds.tolist())[:KEY_LENGTH]


def distinct(jobs: Sequence[Job]) -> list[Job]:
    """One of the jobs with the same predictions, preferably the one that computes most besides.

    A job that computes the spread measures the importance too.
    """
    by_results = sorted(jobs, key=lambda job: (job.with_importance, job.with_spread))
    return list({job.predictions: job for job in by_results}.values())


def run_jobs(
    jobs: Sequence[Job],
    chips: Path,
    config: RunConfig,
    workers: int,
    urgent: Callable[[], Task[Sequence[Job]] | None] = lambda: None,
) -> Generator[Job, None, None]:
    """Run jobs in `workers` processes, and yield each one when it is done.

    Args:
        urgent: other work for the worker processes, see `common.workers.results`; one process
            alone does not ask for it.

    Raises:
        EvaluationError: a worker process was killed.
    """
    groups = sharing(jobs, config)
    if workers == 1:
        for group in groups:
            yield from _run_group(group, chips, config)
        return
    start_workers()
    tasks = [partial(_run_whole_group, group, chips, config) for group in groups]
    try:
        with closing(results(tasks, workers, urgent)) as finished:
            for done in finished:
                yield from done
    except BaseException as error:
        jobs[0].cache.remove_parts()
        if isinstance(error, BrokenProcessPool):
            raise EvaluationError(
                f"one of {workers} evaluation processes was killed, most often for lack of memory; "
                "lower `evaluate.workers` (--set evaluate.workers=1) and run again"
            ) from error
        raise


def sharing(jobs: Sequence[Job], config: RunConfig) -> list[list[Job]]:
    """Group the jobs of a fold whose models share fits; models that others need come first.

    The groups are in the order of their first jobs.
    """
    parts = {job.model: parts_of(job.model, config.train.teacher) for job in jobs}
    family = _families(parts)
    groups: dict[tuple[str, int, bool, str], list[Job]] = {}
    for job in jobs:
        label = job.model if job.quick else family[job.model]
        groups.setdefault((job.folds, job.fold, job.quick, label), []).append(job)
    # A stack has a teacher's parts and its own, so more parts mean later.
    return [sorted(group, key=lambda job: len(parts[job.model])) for group in groups.values()]


def _families(parts: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Label of each model and part; a model and its parts share it, and it chains."""
    label = {name: name for model, own in parts.items() for name in (model, *own)}
    for model, own in parts.items():
        for part in own:
            old, new = label[part], label[model]
            label = {name: new if value == old else value for name, value in label.items()}
    return label


def _run_group(group: Sequence[Job], chips: Path, config: RunConfig) -> Iterator[Job]:
    """Run jobs of one fold; each gives its model to those after it that need it."""
    fitted: dict[str, Model] = {}
    for number, job in enumerate(group):
        later = {job.model for job in group[number + 1 :]}
        needed = {part for name in later for part in parts_of(name, config.train.teacher)}
        yield run_job(job, chips, config, fitted)
        fitted = {name: model for name, model in fitted.items() if name in needed}


def _run_whole_group(group: Sequence[Job], chips: Path, config: RunConfig) -> list[Job]:
    return list(_run_group(group, chips, config))


def run_job(job: Job, chips: Path, config: RunConfig, fitted: dict[str, "Model"]) -> Job:
    """Fit a model without one fold, predict that fold, and save the predictions.

    Args:
        fitted: models of the same fold that are fitted already; this job's model is added.
    """
    # Loads torch, which the parent process does not need.
    from spatioformer.models.capabilities import FitContext
    from spatioformer.models.registry import make

    with one_thread():
        store: ChipStore = open_chips(chips)
        folds = job.cache.load(job.folds)
        assert folds is not None  # the parent process has just written them
        training, test = np.flatnonzero(folds != job.fold), np.flatnonzero(folds == job.fold)
        estimator = make(job.model, config.model, config.train, config.seed, job.quick)
        model = estimator.fit(store, training, context=FitContext(fitted=fitted))
        if not job.quick:
            fitted[job.model] = model
        if job.with_spread:
            job.cache.save(job.spread, _spread_columns(model, store, test, config.seed))
        if job.with_importance:
            job.cache.save(job.importance, _importance(model, store, test, config.seed))
        predictions = np.asarray(model.predict_rows(store, test), np.float64)
        job.cache.save(job.predictions, bounded(predictions, store.target_kind))
    return job


def _importance(model: "Model", store: ChipStore, rows: np.ndarray, seed: int) -> np.ndarray:
    """Number of plots in a sample of held-out plots, and their `shuffled_errors`, (2 + groups,)."""
    groups, rng = groups_of(store), shuffles(seed)
    most = IMPORTANCE_PREDICTIONS // (IMPORTANCE_REPEATS * len(groups))
    count = min(len(rows), IMPORTANCE_PLOTS, max(most, IMPORTANCE_PLOTS // 10))
    sample = taken(store, np.sort(rng.permutation(rows)[:count]))
    errors = shuffled_errors(model, sample, groups, rng, IMPORTANCE_REPEATS)
    return np.concatenate([[count], errors])


def _spread_columns(model: "Model", store: ChipStore, rows: np.ndarray, seed: int) -> np.ndarray:
    """SPREAD_COLUMNS of plots, (n, 3); NaN where the model has no draws or no quantiles."""
    out = np.full((len(rows), len(SPREAD_COLUMNS)), np.nan)
    if model.draws is None and model.quantile_pair is None:
        return out
    inputs = (*model.plot_chips(store, rows), model.named_covariates(store, rows))
    if model.draws is not None:
        out[:, 0] = model.draws.spread(*inputs, samples=DRAWS, seed=seed)
    if model.quantile_pair is not None:
        out[:, 1:] = model.quantile_pair.quantiles(*inputs)
    return out
