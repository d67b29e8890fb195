"""Runs whose map another model than the network makes."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.common.files import read_json
from spatioformer.geo.chips import open_chips
from spatioformer.models.store import load
from tests.helpers import landscape
from tests.helpers.models import seen
from tests.helpers.tiny_run import assert_refused, spatioformer, write_config

pytestmark = [pytest.mark.usefixtures("small_forests"), pytest.mark.integration]


def words(report: Path) -> str:
    """What a page says, tags and configuration left out."""
    page = report.read_text(encoding="utf-8").split("<summary>Model card")[0]
    page = re.sub(r"<(style|script).*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", page)))


def _interrupt(*_):
    raise KeyboardInterrupt


def test_a_run_whose_map_a_stack_makes(tmp_path, monkeypatch):
    quick = {"gaussian-process": 0.6, "location-knn": 0.4}
    monkeypatch.setattr("spatioformer.models.registry.STACKED", quick)
    landscape.write(tmp_path)
    changes = [
        ("map.model", "spatioformer-stacked"),
        ("evaluate.models", ["spatioformer-stacked", "location-knn"]),
        ("evaluate.splits", [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]),
        ("evaluate.curve_sizes", []),
        ("train.epochs", 1),
    ]
    config = write_config(tmp_path, *changes)
    with monkeypatch.context() as patched:  # Ctrl-C when all members have answered
        patched.setattr("spatioformer.models.stack_estimator.convex_weights", _interrupt)
        assert spatioformer("train", config, "--quiet").code == 130
    ended = spatioformer("train", config)
    assert "  continuing after 6 of 8 trainings\n" in ended.err
    ended = spatioformer("run", config, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    run = tmp_path / "run"
    assert not list((run / ".stages").glob("*.checkpoint"))
    bundle, plots = load(run / "model"), open_chips(run / "chips")
    expected = np.maximum(bundle.predict(*seen(plots)), 0)
    with rasterio.open(run / "map.tif") as mapped:
        places = plots.table["lon"].to_numpy(), plots.table["lat"].to_numpy()
        at = rasterio.transform.rowcol(mapped.transform, *places)
        found = mapped.read(1)[tuple(np.asarray(i, int) for i in at)]
        assert [title.split(", ")[1].split()[0] for title in mapped.descriptions] == [
            "mean", "lower", "upper", "dissimilarity", "inside",
        ]  # fmt: skip
        assert mapped.tags()["MODEL"] == "spatioformer-stacked (tiny)"
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    intervals = pd.read_parquet(run / "evaluation" / "intervals.parquet")
    held_out = pd.read_parquet(run / "evaluation" / "predictions.parquet")
    own = held_out[held_out["model"] == "spatioformer-stacked"]
    np.testing.assert_array_equal(intervals["predicted"], own["predicted"])
    said = words(run / "report.html")
    assert "weights depend on the distance to plots; it makes the map" in said
    assert "Model the stacked Spatioformer" in said
    assert re.search(r"Members near plots [a-z-]+ [01]\.\d\d.* \(up to [\d.]+ km\)", said)
    assert "Model: settings Model: the stacked Spatioformer" in said
    for claim in ("dropout off", "network that makes", "by epoch"):
        assert claim not in said
    assert not re.search(r"(?<!stacked )Spatioformer, which made", said)
    assert not (run / "training.csv").exists()

    ended = spatioformer("survey", run, "-o", tmp_path / "sites.csv", "-n", 2, "--quiet")
    assert ended.code == 0, ended.err
    _then_a_forest(tmp_path, changes)


def _then_a_forest(folder: Path, changes: list) -> None:
    """The same run with another model: nothing of the stack is left in it."""
    changes = [*changes, ("map.model", "random-forest"), ("evaluate.models", ["random-forest"])]
    config_file, run = write_config(folder, *changes), folder / "run"
    ended = spatioformer("run", config_file, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert {path.name for path in (run / "model").iterdir()} == {
        "config.json", "model.skops", "README.md", "uncertainty.json", "uncertainty.npz",
    }  # fmt: skip
    assert "chip statistics and coordinates; it makes the map" in words(run / "report.html")
    ended = spatioformer("drivers", run, "--quiet")
    assert ended.code == 0, ended.err
    found = read_json(run / "drivers.json")
    assert found["model"] == "random-forest"
    assert found["attention"] is None
    assert "The RMSE of the random forest on held-out plots is" in words(run / "report.html")
    ended = spatioformer(
        "map", run / "model", run / "imagery.tif", "-o", folder / "o.tif", "--layers", "sd"
    )
    assert_refused(
        ended,
        "the layer 'sd' needs Monte Carlo dropout; give samples of 2 or more and a model with "
        "dropout, or leave the layer out",
    )


def test_a_map_model_that_is_not_scored_has_no_intervals(tmp_path):
    landscape.write(tmp_path)
    changes = [("map.model", "extra-trees"), ("evaluate.curve_sizes", [])]
    changes += [("evaluate.models", ["location-knn"])]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    with rasterio.open(tmp_path / "run" / "map.tif") as mapped:
        assert mapped.count == 1
    said = words(tmp_path / "run" / "report.html")
    assert "extremely randomised trees, which makes the predictions, was not scored" in said
    assert "predicts best" not in said, "one model alone was scored"


@pytest.mark.parametrize(
    "name",
    ["spatioformer-published", "factoformer"],
)
@pytest.mark.soak  # tests/training and tests/nn train both
def test_other_networks_make_maps_too(tmp_path, name):
    landscape.write(tmp_path)
    changes = [("map.model", name), ("evaluate.models", [name]), ("evaluate.curve_sizes", [])]
    splits = [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}]
    changes += [("train.epochs", 1), ("evaluate.splits", splits)]
    ended = spatioformer("run", write_config(tmp_path, *changes), "--quiet")
    assert (ended.code, ended.err) == (0, "")
    with rasterio.open(tmp_path / "run" / "map.tif") as mapped:
        assert "standard deviation" in mapped.descriptions[1]
    said = words(tmp_path / "run" / "report.html")
    kind = {"spatioformer-published": "PaperSpatioformer", "factoformer": "FactoFormer"}[name]
    assert f"Network {kind} (patch 3" in said
    assert "RMSE by epoch of the network that makes the map" in said
