"""Jobs of one fold share fits, and the results do not show it."""

from dataclasses import replace

import numpy as np
import pytest

from spatioformer.common.cache import Arrays
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import open_chips
from spatioformer.models.baselines import QUICK, TABULAR, TunedForest
from spatioformer.models.capabilities import FitContext
from spatioformer.models.parts import QUICK_FORMS, STACKED, parts_of
from spatioformer.models.registry import make
from spatioformer.models.resolved import resolved_with
from spatioformer.run.evaluate import _Judged, in_queue
from spatioformer.run.jobs import Job, distinct, run_jobs, save_folds, sharing
from tests.helpers.models import fitted, sections
from tests.helpers.tiny_run import finished

FOREST, KRIGED = "random-forest", "forest-kriging"
PROCESS, STACK, TREES = "gaussian-process", "spatioformer-stacked", "extra-trees"
CONFIG = RunConfig(plots={"path": "x.csv"}, train={"teacher": PROCESS})


def job(model: str, fold: int = 0, folds: str = "f", split: str = "random", **more) -> Job:
    return Job(model, split, fold, folds, False, more.pop("cache", None), **more)


def names(groups: list[list[Job]]) -> list[list[str]]:
    return [[job.model for job in group] for group in groups]


def test_parts_are_what_a_model_fits_to_the_same_plots():
    assert parts_of("spatioformer-distilled", PROCESS) == (PROCESS,)
    assert parts_of("spatioformer-distilled", STACK) == (STACK, *STACKED)
    assert parts_of(STACK, PROCESS) == tuple(STACKED)
    assert parts_of("stack", PROCESS) == (PROCESS,)
    assert parts_of("spatioformer-distilled", "stack") == ("stack", PROCESS)
    assert parts_of(PROCESS, PROCESS) == ()
    assert parts_of(KRIGED, PROCESS) == (FOREST,)


def test_a_teacher_comes_before_its_network_in_one_group():
    models = ["spatioformer-distilled", "location-knn", PROCESS]
    assert names(sharing([job(model) for model in models], CONFIG)) == [
        [PROCESS, "spatioformer-distilled"],
        ["location-knn"],
    ]
    alone = CONFIG.model_copy(update={"train": CONFIG.train.model_copy(update={"teacher": STACK})})
    models = ["stack", "spatioformer-distilled", PROCESS]
    assert names(sharing([job(model) for model in models], CONFIG)) == [
        [PROCESS, "stack", "spatioformer-distilled"]
    ]
    taught = [job(model) for model in ("spatioformer-distilled", STACK, PROCESS)]
    assert names(sharing(taught, alone)) == [[PROCESS, STACK, "spatioformer-distilled"]]


def test_families_that_share_nothing_are_groups_of_their_own():
    models = [KRIGED, "stack", FOREST, PROCESS]
    groups = names(sharing([job(model) for model in models], CONFIG))
    assert groups == [[FOREST, KRIGED], [PROCESS, "stack"]]
    joined = names(sharing([job(model) for model in [*models, STACK]], CONFIG))
    assert joined == [[FOREST, PROCESS, KRIGED, "stack", STACK]]


def test_other_folds_and_the_curve_share_nothing():
    jobs = [job(PROCESS), job("spatioformer-distilled", fold=1), job(PROCESS, quick=True)]
    assert [len(group) for group in sharing(jobs, CONFIG)] == [1, 1, 1]


def test_the_queue_goes_fold_by_fold_and_ends_with_the_curve():
    jobs = [
        job("random-forest", split="curve-1"),
        job("random-forest", fold=1),
        job("spatioformer-published", fold=1),
        job("random-forest"),
        job("spatioformer"),
        job("spatioformer-published"),
        job("spatioformer-published", folds="g", split="tiles"),
        job("spatioformer", fold=1),
    ]
    # The first published network compiles its kernels, while other workers have other models.
    published, network, forest = "spatioformer-published", "spatioformer", "random-forest"
    assert [(j.model, j.split, j.fold) for j in in_queue(jobs)] == [
        (published, "random", 0),
        (forest, "random", 0),
        (network, "random", 0),
        (published, "tiles", 0),
        (network, "random", 1),
        (published, "random", 1),
        (forest, "random", 1),
        (forest, "curve-1", 0),
    ]
    assert in_queue([]) == []


def test_the_queue_begins_with_the_split_that_chooses_the_model_of_the_map():
    jobs = [
        job(model, fold=fold, folds=split, split=split)
        for split in ("curve-1", "random", "tiles")
        for model in ("random-forest", "spatioformer")
        for fold in (0, 1)
    ]
    assert [(j.split, j.fold) for j in in_queue(jobs, "tiles")][::2] == [
        *(("tiles", 0), ("tiles", 1), ("random", 0), ("random", 1), ("curve-1", 0), ("curve-1", 1))
    ]


def test_a_task_is_made_once_and_not_before_its_jobs_are_done():
    made = []
    judged = _Judged({"a", "b"}, lambda: made.append(1))
    judged()
    judged.missing.discard("a")
    judged()
    assert not made
    judged.missing.discard("b")
    judged()
    judged()
    assert made == [1]


def test_the_curve_has_cheaper_forests_under_names_of_their_own():
    assert set(QUICK) == set(QUICK_FORMS) < set(TABULAR)
    full, quick = job("random-forest"), job("random-forest", quick=True)
    assert full.predictions != quick.predictions
    assert distinct([full, quick]) == [full, quick]
    for name, made in QUICK.items():
        assert made(3).n_estimators < TABULAR[name](3).n_estimators
        assert made(3).random_state == 3


@pytest.mark.integration
def test_shared_fits_give_the_bits_of_separate_ones(tmp_path, monkeypatch):
    monkeypatch.setattr("spatioformer.models.baselines.tuned_forest.TREES_OF_PART", (2, 2))
    for name in [*STACKED]:
        monkeypatch.delitem(STACKED, name)
    for name in (TREES, "location-knn"):
        monkeypatch.setitem(STACKED, name, 0.5)
    config = resolved_with(load_config(finished(tmp_path)), open_chips(tmp_path / "run" / "chips"))
    folds = np.arange(len(open_chips(tmp_path / "run" / "chips"))) % 2
    fits = []
    regressor = TABULAR[TREES]

    def counted(seed: int):
        fits.append(seed)
        return regressor(seed).set_params(n_estimators=5)

    monkeypatch.setitem(TABULAR, TREES, counted)

    def predictions(folder: str, *calls: list[str]) -> list[np.ndarray]:
        cache = Arrays(tmp_path / folder)
        key = save_folds(cache, folds)
        for models in calls:
            jobs = [job(model, folds=key, cache=cache) for model in models]
            assert len(list(run_jobs(jobs, tmp_path / "run" / "chips", config, 1))) == len(models)
        return [cache.load(f"{model}-{key}-0") for model in (TREES, STACK)]

    separate = predictions("separate", [STACK], [TREES])
    assert len(fits) == 3 + 1 + 1  # in three inner folds, on all plots, and for its own scores
    fits.clear()
    shared = predictions("shared", [STACK, TREES])
    assert len(fits) == 3 + 1
    for a, b in zip(separate, shared, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("small_forests")
def test_the_kriged_forest_takes_the_forest_of_its_fold(monkeypatch):
    """Once in place of twice, with the same predictions; one with other parameters is no use."""
    for name, key in ((FOREST, "n_estimators"), (KRIGED, "forest__n_estimators")):
        monkeypatch.setitem(
            TABULAR,
            name,
            lambda seed, made=TABULAR[name], key=key: made(seed).set_params(**{key: 60}),
        )
    fits, fit = [], TunedForest.fit

    def counted(self, X, y):
        fits.append(len(y))
        return fit(self, X, y)

    monkeypatch.setattr(TunedForest, "fit", counted)
    alone, plots, train = fitted(KRIGED)
    given = fitted(FOREST)[0]
    estimator = make(KRIGED, *sections(), seed=1)
    context = FitContext(fitted={FOREST: given})
    model = estimator.fit(plots, train, context=context)
    assert len(fits) == 2
    replace(estimator, seed=2).fit(plots, train, context=context)
    assert len(fits) == 3
    rows = np.arange(len(plots))
    np.testing.assert_array_equal(model.predict_rows(plots, rows), alone.predict_rows(plots, rows))
