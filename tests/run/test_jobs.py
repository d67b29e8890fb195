"""What is fitted again when an evaluation is asked for something else, and what is kept."""

import pytest

from spatioformer.run import jobs
from tests.helpers.tiny_run import Ended, finished, spatioformer, write_config

pytestmark = pytest.mark.integration

KNN = {("location-knn", split, fold) for split in ("random", "tiles") for fold in (0, 1)}
NETWORK = {("spatioformer", split, fold) for _, split, fold in KNN}
CURVE = {("location-knn", "curve-0-5", fold) for fold in range(2)}
FOREST = {("random-forest", split, fold) for _, split, fold in KNN}

ASKED = {
    # what is laid over tiny.yaml: the jobs that it costs
    "evaluate.level=0.8": set(),
    "evaluate.interval=constant": set(),
    "evaluate.models=[spatioformer]": set(),
    "evaluate.models=[spatioformer,location-knn,random-forest]": FOREST,
    # Only the mapped model says how sure it is, and where it is mapped: on tiles.
    "map.model=location-knn": {job for job in KNN if job[1] == "tiles"},
    "evaluate.curve_sizes=[]": set(),
    # Tiles of 1 degree, dealt into as many folds as the split's: the same folds, fitted once.
    "evaluate.splits.1={name: blocks, kind: tiles, folds: 2, size: 1.0}": set(),
    "seed=1": KNN | NETWORK | CURVE,
    "train.epochs=3": KNN | NETWORK | CURVE,
}
REPEATED = (
    "evaluate.interval=constant",
    "evaluate.models=[spatioformer]",
    "evaluate.curve_sizes=[]",
    "train.epochs=3",
)
"""Those of a kind that another one shows too; only `make soak` asks for them."""


@pytest.fixture
def done(tmp_path, monkeypatch) -> list[tuple[str, str, int]]:
    """Jobs that were run since the run that all these begin with."""
    finished(tmp_path)
    run_job, done = jobs.run_job, []

    def counted(job, *rest):
        done.append((job.model, job.split, job.fold))
        return run_job(job, *rest)

    monkeypatch.setattr(jobs, "run_job", counted)
    return done


@pytest.mark.usefixtures("small_forests")
@pytest.mark.parametrize(
    "change", [pytest.param(key, marks=[pytest.mark.soak] * (key in REPEATED)) for key in ASKED]
)
def test_only_what_is_new_is_fitted(tmp_path, done, change):
    changed = ("--set", change, "-q")
    assert spatioformer("evaluate", write_config(tmp_path), *changed) == Ended(0, "", "")
    assert set(done) == ASKED[change]
    assert len(done) == len(ASKED[change])
    # ... and gives the bytes of an evaluation that found nothing to take up.
    whole = finished(tmp_path / "whole")
    assert spatioformer("evaluate", whole, "--force", *changed) == Ended(0, "", "")
    for name in ("scores.csv", "evaluation/predictions.parquet", "evaluation/uncertainty.json"):
        again, anew = tmp_path / "run" / name, tmp_path / "whole" / "run" / name
        assert again.exists() == anew.exists()
        assert not anew.exists() or again.read_bytes() == anew.read_bytes(), name


@pytest.mark.usefixtures("small_forests")
def test_back_to_what_was_asked_before_costs_nothing(tmp_path, done):
    config = write_config(tmp_path)
    for change in ("evaluate.models=[location-knn,random-forest]", "map.samples=2"):
        done.clear()
        assert spatioformer("evaluate", config, "--set", change, "-q") == Ended(0, "", "")
    assert done == []


def test_other_plots_are_other_jobs(tmp_path, done):
    config = write_config(tmp_path)
    lines = (tmp_path / "plots.csv").read_text().splitlines()
    (tmp_path / "plots.csv").write_text("\n".join(lines[:-1]) + "\n")
    assert spatioformer("evaluate", config, "-q") == Ended(0, "", "")
    assert set(done) == KNN | NETWORK | CURVE
    assert len(list((tmp_path / "run" / "evaluation").glob("jobs-*"))) == 1


def test_a_damaged_job_is_fitted_again(tmp_path, done):
    config = write_config(tmp_path)
    paths = (tmp_path / "run" / "evaluation").glob("jobs-*/location-knn-*-1.npy")
    path = min(paths, key=lambda path: path.name)
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    (tmp_path / "run" / "scores.csv").unlink()
    assert spatioformer("evaluate", config, "-q") == Ended(0, "", "")
    assert len(done) == 1
    assert path.read_bytes() == content


def test_force_fits_all_again(tmp_path, done):
    config = write_config(tmp_path)
    assert spatioformer("evaluate", config, "--force", "-q") == Ended(0, "", "")
    assert set(done) == KNN | NETWORK | CURVE


def test_a_curve_of_the_size_of_a_split_shares_its_jobs(tmp_path, done):
    splits = [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 0.5}]
    config = write_config(tmp_path, ("evaluate.splits", splits))
    assert spatioformer("evaluate", config, "-q") == Ended(0, "", "")
    # location-knn has been there, as a point of the curve, but without importance, which this split
    # needs because it is now the one most like the map; the network has not.
    models = ("spatioformer", "location-knn")
    assert set(done) == {(model, "tiles", fold) for model in models for fold in range(2)}
