"""Runs whose evaluation chooses the model of the map (`map.model: auto`)."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.common.errors import OutputError
from spatioformer.config.learning import CHOICE
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.metrics import scores
from spatioformer.models.resolved import with_chosen_model
from spatioformer.run.choice import CANDIDATES, choose_model, sentence
from tests.helpers import landscape
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config
from tests.run.test_map_model import words
from tests.run.test_runner import contents as hashes

RNG = np.random.default_rng(0)
SITES = pd.DataFrame(
    {
        "plot_id": [f"p{i}" for i in range(100)],
        "lon": 140 + RNG.uniform(0, 8, 100),
        "lat": -25 + RNG.uniform(0, 8, 100),
        "observed": RNG.poisson(30, 100).astype(float),
    }
)
ERROR = RNG.normal(size=100)


def config_of(models: list[str], **changes) -> RunConfig:
    splits = [
        {"name": "random", "kind": "random", "folds": 2},
        {"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0},
    ]
    values = {
        "plots": {"path": "plots.csv"},
        "evaluate": {"models": models, "splits": splits},
    }
    return RunConfig.model_validate(values | changes)


def predictions(errors: dict[str, np.ndarray]) -> pd.DataFrame:
    """Held-out predictions of models; on random folds the last model is the best one."""
    parts = []
    for split in ("random", "tiles"):
        for i, (model, error) in enumerate(errors.items()):
            own = error if split == "tiles" else error / (1 + i)
            table = SITES.assign(model=model, split=split, fold=np.arange(100) % 2)
            parts.append(table.assign(predicted=SITES["observed"] + own).sample(frac=1))
    return pd.concat(parts, ignore_index=True)


def test_the_best_on_the_map_like_split_is_chosen():
    config = config_of(["random-forest", "gaussian-process", "location-knn"])
    errors = {"random-forest": 3 * ERROR, "gaussian-process": 2 * ERROR, "location-knn": 4 * ERROR}
    choice = choose_model(predictions(errors), config)
    assert choice.model == choice.reference == "gaussian-process"
    expected = [scores(SITES["observed"], SITES["observed"] + e)["r2"] for e in errors.values()]
    np.testing.assert_allclose(choice.candidates["r2"], expected)
    assert list(choice.candidates["share"]) == [0, 1, 0]
    assert list(choice.scores["split"]) == ["random", "tiles"]
    assert set(choice.scores["model"]) == {"auto"}
    # No sample chooses another model, so the choice is as good as the model.
    assert choice.scores["r2"][1] == pytest.approx(expected[1])
    assert sentence(choice, config) == (
        "map.model is auto: gaussian-process has the best score on the folds nearest to the map's "
        f"use (tiles r2 {expected[1]:.3f}); it maps; r2 of the choice itself {expected[1]:.3f}"
    )


def test_a_tie_goes_to_the_faster_model():
    config = config_of(["gaussian-process", "location-knn"])
    noise = np.random.default_rng(1).normal(scale=0.1, size=100)
    errors = {"gaussian-process": 2 * ERROR, "location-knn": 2 * ERROR + noise}
    choice = choose_model(predictions(errors), config)
    assert (choice.reference, choice.model) == ("gaussian-process", "location-knn")
    assert choice.candidates["tied"].all()
    assert "location-knn maps faster than gaussian-process, and on the folds" in sentence(
        choice, config
    )
    worse = {"gaussian-process": 2 * ERROR, "location-knn": 2.5 * ERROR + noise}
    assert choose_model(predictions(worse), config).model == "gaussian-process"


def test_the_stack_maps_unless_another_model_is_clearly_better():
    rng = np.random.default_rng(3)
    config = config_of(["extra-trees", "stack"])
    errors = {"extra-trees": 2 * ERROR, "stack": 2.1 * ERROR + 0.1 * rng.normal(size=100)}
    clear = choose_model(predictions(errors), config)
    assert clear.model == clear.reference == "extra-trees"

    # Errors of other plots are as large: the difference has a large standard error.
    errors = {"extra-trees": 4 * ERROR, "stack": 4.2 * rng.permutation(ERROR)}
    unclear = choose_model(predictions(errors), config)
    r2 = unclear.candidates["r2"]
    assert r2["extra-trees"] > r2["stack"] + 0.01
    assert unclear.model == unclear.reference == "stack"
    assert unclear.candidates["behind"]["extra-trees"] < 0
    assert "stack is the usual model, and on the folds" in sentence(unclear, config)


def test_the_score_of_the_choice_is_lower_than_that_of_the_best():
    """Equal models: the best of them is the best by chance."""
    names = ["random-forest", "extra-trees", "gradient-boosting", "lightgbm", "gaussian-process"]
    rng = np.random.default_rng(2)
    errors = {name: rng.normal(scale=4, size=100) for name in names}
    choice = choose_model(predictions(errors), config_of(names))
    r2 = choice.candidates["r2"]
    assert choice.scores["r2"][1] < r2.max() - 0.01
    assert choice.candidates["share"].max() < 1
    again = choose_model(predictions(errors), config_of(names))
    pd.testing.assert_frame_equal(choice.scores, again.scores)


def test_where_intervals_are_learned_quantiles_only_models_that_learn_them_are_candidates():
    changes = {"train": {"loss": "quantile"}}
    values = config_of(["random-forest", "spatioformer"], **changes).model_dump()
    values["evaluate"]["interval"] = "quantiles"
    assert RunConfig.model_validate(values).candidates == ("spatioformer",)
    values["evaluate"]["models"] = ["random-forest"]
    with pytest.raises(ValueError, match=r"no model of `evaluate\.models` learns any; add"):
        RunConfig.model_validate(values)


def test_a_named_model_is_itself(tmp_path):
    config = config_of(["random-forest"], map={"model": "location-knn"})
    assert with_chosen_model(config, tmp_path) is config
    assert config.candidates == ("location-knn",)


@pytest.mark.parametrize("text", [None, "{", "[]", '{"model": "auto"}', '{"model": "extra-trees"}'])
def test_a_folder_without_a_choice_is_refused(tmp_path, text):
    if text is not None:
        (tmp_path / "evaluation").mkdir()
        (tmp_path / CHOICE).write_text(text)
    with pytest.raises(OutputError, match="does not name one of the models random-forest; run"):
        with_chosen_model(config_of(["random-forest"]), tmp_path)


MODELS = ("evaluate.models", ["gaussian-process", "location-knn"])
TILES = [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]
AUTO = [
    *(("map.model", "auto"), MODELS),
    *(("evaluate.splits", TILES), ("evaluate.curve_sizes", [])),
]


def _interrupt(*_):
    raise KeyboardInterrupt


def contents(folder: Path) -> dict[str, str]:
    """Hashes of results that hold no time."""
    names = ("map.tif", "scores.csv", CHOICE, CANDIDATES, "model/model.skops", "model/config.json")
    return {name: value for name, value in hashes(folder).items() if name in names}


@pytest.mark.integration
def test_a_run_in_which_the_evaluation_chooses(tmp_path, monkeypatch):
    landscape.write(tmp_path)
    config, run = write_config(tmp_path, *AUTO), tmp_path / "run"
    with monkeypatch.context() as patched:  # Ctrl-C in the training, after the choice
        patched.setattr("spatioformer.run.map_model.make", _interrupt)
        assert spatioformer("run", config, "--quiet").code == 130
    assert json.loads((run / CHOICE).read_text()) == {"model": "gaussian-process"}
    assert not (run / "model").exists()
    ended = spatioformer("run", config)
    assert ended.code == 0, ended.err
    assert "evaluate  unchanged, kept\ntrain     ...\n" in ended.err
    table = pd.read_csv(run / "scores.csv").set_index(["model", "split"])["r2"]
    candidates = pd.read_csv(run / CANDIDATES, index_col="model")
    assert table["gaussian-process", "tiles"] == candidates["r2"].max() > table["auto", "tiles"]
    with rasterio.open(run / "map.tif") as source:
        assert source.tags()["MODEL"] == "gaussian-process (tiny)"
        assert "lower" in source.descriptions[1], "intervals of the chosen model"
    intervals = pd.read_parquet(run / "evaluation" / "intervals.parquet")
    held_out = pd.read_parquet(run / "evaluation" / "predictions.parquet")
    own = held_out.query("model == 'gaussian-process' and split == 'tiles'")
    np.testing.assert_array_equal(intervals["predicted"], own["predicted"])
    page = words(run / "report.html")
    assert "fields of imagery, of location, and of both together; it makes the map" in page
    assert "The scores chose the Gaussian process for the map, so its own scores may be too" in page
    assert "the choice of the mapped model, scored on tiles that had no part in it" in page
    _then_changes(tmp_path)


def _then_changes(folder: Path) -> None:
    """Only another choice trains another model."""
    run, before = folder / "run", contents(folder / "run")
    more = write_config(folder, *AUTO, ("evaluate.models", ["location-knn", "gaussian-process"]))
    ended = spatioformer("train", more)
    assert "evaluate  config: evaluate.models changed ...\n" in ended.err
    assert "train     unchanged, kept\n" in ended.err
    assert contents(run).keys() == before.keys()
    assert contents(run)["model/model.skops"] == before["model/model.skops"]

    other = write_config(folder, *AUTO, ("evaluate.models", ["location-knn"]))
    ended = spatioformer("train", other)
    assert "location-knn is the only model of evaluate.models that can make the map" in ended.err
    assert f"train     {CHOICE} changed ...\n" in ended.err
    assert "location-knn on 150 plots" in ended.err
    assert "auto" not in set(pd.read_csv(run / "scores.csv")["model"])

    ended = spatioformer("drivers", run, "--quiet")
    assert ended.code == 0, ended.err
    assert json.loads((run / "drivers.json").read_text())["model"] == "location-knn"

    (run / CHOICE).write_text('{"model": "gaussian-process"}')  # by hand: made again, not believed
    ended = spatioformer("train", other)
    assert f"evaluate  {CHOICE} is damaged or was changed ...\n" in ended.err
    assert "train     unchanged, kept\n" in ended.err

    named = write_config(folder, *AUTO, ("map.model", "gaussian-process"))
    ended = spatioformer("run", named, "--until", "evaluate", "--quiet")
    assert ended.code == 0, ended.err
    assert contents(run)["model/model.skops"] == before["model/model.skops"]
    assert contents(run).keys() == before.keys() - {CHOICE, CANDIDATES}


def test_a_tool_that_needs_the_choice_says_how_to_get_it(tmp_path):
    landscape.write(tmp_path)
    config = write_config(tmp_path, *AUTO)
    assert spatioformer("run", config, "--until", "chips", "--quiet").code == 0
    ended = spatioformer("drivers", tmp_path / "run", "--quiet")
    assert_refused(
        ended,
        f"{tmp_path / 'run'} is not a finished run: model is missing; give the folder of a "
        "finished run",
    )
