"""The training of the map's model beside the evaluation: what it keeps, and who takes it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from spatioformer.config.learning import CHOICE
from spatioformer.run import ahead, map_model
from spatioformer.run.ahead import Training, take
from spatioformer.run.choice import choose_ahead
from spatioformer.run.runner import Run
from tests.helpers import landscape
from tests.helpers.tiny_run import half_written, spatioformer, write_config

pytestmark = pytest.mark.integration

TILES = {"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}
RANDOM = {"name": "random", "kind": "random", "folds": 2}
AUTO = [
    ("map.model", "auto"),
    ("evaluate.models", ["spatioformer"]),
    ("evaluate.splits", [RANDOM, TILES]),
    ("evaluate.curve_sizes", []),
]
MADE = ("training.csv", "model/model.safetensors", "model/config.json", "model/README.md")


def made(run: Path) -> dict[str, bytes]:
    return {name: (run / name).read_bytes() for name in MADE}


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory) -> Path:
    """Configuration of a run whose model is chosen and trained, in one process."""
    folder = tmp_path_factory.mktemp("evaluated")
    landscape.write(folder)
    config = write_config(folder, *AUTO)
    ended = spatioformer("train", config, "--quiet")
    assert ended.code == 0, ended.err
    return config


@pytest.fixture
def training(evaluated, tmp_path) -> Training:
    """The training of that run, whose result is not there yet."""
    run = Run(evaluated)
    return Training(run.config, run.folder, True, run.fingerprint("train"))


def kept(training: Training) -> Path:
    return training.folder / ".stages" / f"train-{training.fingerprint[:16]}.fitted"


def test_a_kept_result_has_the_bytes_of_the_stage_and_is_taken_once(evaluated, training):
    before = made(training.folder)
    assert training() == ()
    assert {name: (kept(training) / name).read_bytes() for name in MADE} == before
    for name in MADE:
        (training.folder / name).unlink()
    (training.folder / "training-2.csv").write_text("of an ensemble, which was there before")
    ended = spatioformer("train", evaluated)
    assert "2 epochs, best" in ended.err
    assert ", trained beside the evaluation (" in ended.err
    assert made(training.folder) == before
    assert not (training.folder / "training-2.csv").exists()
    assert not kept(training).exists()


def test_the_stage_takes_it_and_trains_nothing(evaluated, training, monkeypatch):
    assert training() == ()
    monkeypatch.setattr(map_model, "train_model", None)
    ended = spatioformer("train", evaluated, "--force", "--quiet")
    assert (ended.code, ended.err) == (0, "")


def test_what_the_training_said_is_said_by_the_stage(evaluated, training, monkeypatch):
    train = map_model.train_model

    def talking(run, *rest):
        run.console.say("  a line")
        with run.console.task("train", 1) as advance:
            advance(1)
        return train(run, *rest)

    monkeypatch.setattr(map_model, "train_model", talking)
    training()
    assert "train     forced ...\n  a line\ntrain     2 epochs" in (
        spatioformer("train", evaluated, "--force").err
    )


@pytest.mark.parametrize("name", ["model/model.safetensors", "training.csv", ahead.RECORD])
def test_a_damaged_result_is_not_taken(evaluated, training, name):
    before = made(training.folder)
    training()
    with open(kept(training) / name, "ab") as stream:
        stream.write(b"{")
    assert take(Run(evaluated)._context, training.fingerprint) is None
    assert not kept(training).exists()
    assert made(training.folder) == before


def test_a_training_that_fails_keeps_nothing_and_the_stage_says_why(evaluated, training):
    place = training.folder / "chips"
    place.rename(place.with_name("away"))
    try:
        assert training() == ()
    finally:
        place.with_name("away").rename(place)
    assert not kept(training).exists()
    assert not half_written(training.folder)


def test_only_a_stage_that_follows_is_trained(evaluated, training):
    run = Run(evaluated)
    assert ahead.training(run._context) is None, "no stage follows"
    run._later = {"train": False}
    assert ahead.training(run._context) is None, "the model is there already"
    run._later = {"train": True}
    assert ahead.training(run._context) == training
    config = run.folder / "model" / "config.json"
    config.rename(run.folder / "away")
    run._later = {"train": False}
    assert ahead.training(run._context) == training
    training()
    assert ahead.training(run._context) is None, "its result is kept"
    (run.folder / "away").rename(config)


def test_the_choice_ahead_is_the_choice(evaluated):
    run = Run(evaluated)
    predictions = pd.read_parquet(run.folder / "evaluation" / "predictions.parquet")
    choice = run.folder / CHOICE
    before = choice.read_bytes()
    choice.unlink()
    rows = predictions[predictions["split"] == "tiles"]
    assert choose_ahead(run._context, run.config, rows).map.model == "spatioformer"
    assert choice.read_bytes() == before


def test_two_processes_give_the_bytes_of_one(evaluated, tmp_path, monkeypatch):
    landscape.write(tmp_path)
    config = write_config(tmp_path, *AUTO, ("evaluate.workers", 2))
    monkeypatch.setattr(map_model, "train_model", None)  # a worker has trained
    ended = spatioformer("train", config)
    assert ended.code == 0, ended.err
    first, second = evaluated.parent / "run", tmp_path / "run"
    assert made(second) == made(first)
    for name in ("intervals.parquet", "uncertainty.json"):
        assert (second / "evaluation" / name).read_bytes() == (
            first / "evaluation" / name
        ).read_bytes()
    scores = [json.loads(pd.read_csv(run / "scores.csv").to_json()) for run in (first, second)]
    assert scores[0] == scores[1]
    assert sorted(path.suffix for path in (second / ".stages").glob("train*")) == [".json"]


def test_a_named_model_that_is_not_evaluated_is_trained_before(evaluated, tmp_path):
    landscape.write(tmp_path)
    named = [("map.model", "spatioformer"), ("evaluate.models", ["location-knn"]), *AUTO[2:]]
    config = write_config(tmp_path, *named, ("evaluate.workers", 2))
    ended = spatioformer("run", config, "--until", "evaluate", "--quiet")
    assert (ended.code, ended.err) == (0, "")
    run = tmp_path / "run"
    assert (run / "model" / "model.safetensors").read_bytes() == (
        evaluated.parent / "run" / "model" / "model.safetensors"
    ).read_bytes()
    assert not (run / "evaluation" / "intervals.parquet").exists()
