"""Run folders that version 0.1 finished open in this version; `run` makes them anew, once."""

import shutil
from dataclasses import replace
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pytest
from shapely.geometry import box

import spatioformer as sf
from spatioformer.models.architectures import Configured
from tests.helpers.maps import read
from tests.helpers.tiny_run import spatioformer

pytestmark = pytest.mark.integration

FOLDER = Path(__file__).parents[1] / "data" / "run-0.1"
OLD_TRAINING = ["--set", "train.learning_rate=1e-3"]


@pytest.fixture
def old_run(tmp_path) -> Path:
    """A copy of the old run, its absolute paths pointing to where it lies now."""
    copy = shutil.copytree(FOLDER, tmp_path / "old")
    for path in copy.rglob("*"):
        if path.suffix in (".yaml", ".json") and path.is_file():
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("/RUN_FOLDER", str(copy)), encoding="utf-8")
    return copy


def test_commands_on_a_finished_run(old_run, tmp_path):
    run = old_run / "run"
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for arguments in (
        ["survey", run, "-o", tmp_path / "sites.csv", "-n", 2, "--quiet"],
        ["map", run / "model", run / "imagery.tif", "-o", tmp_path / "map.tif", "--quiet"],
    ):
        ended = spatioformer(*arguments)
        assert (ended.code, ended.err) == (0, ""), arguments
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    ended = spatioformer("drivers", run, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    park = geopandas.GeoDataFrame({"name": ["park"]}, geometry=[box(141, -24, 144, -22)])
    park.set_crs("EPSG:4326").to_file(tmp_path / "park.gpkg")
    zones = tmp_path / "zones.csv"
    ended = spatioformer("zonal", run / "map.tif", tmp_path / "park.gpkg", "-o", zones, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    mean = read(run / "map.tif")[0, 20:40, 10:40].mean()
    assert pd.read_csv(zones)["mean"][0] == pytest.approx(mean, rel=0.01)
    assert sf.write_report(run).read_text(encoding="utf-8").count("tiny") > 1


@pytest.fixture
def old_training(monkeypatch):
    """The optimiser of the default network in version 0.1."""
    recipe = Configured.recipe

    def with_adamw(self, *arguments):
        return replace(recipe(self, *arguments), optimiser="adamw")

    monkeypatch.setattr(Configured, "recipe", with_adamw)


@pytest.mark.usefixtures("old_training")
def test_run_computes_anew_and_gives_the_same_results(old_run):
    """With the training of version 0.1, scores and map are those of version 0.1.

    Tolerances allow for another processor; on the one that made the data the bytes are equal.
    """
    run = old_run / "run"
    scores, richness = pd.read_csv(run / "scores.csv"), read(run / "map.tif")
    ended = spatioformer("run", old_run / "tiny.yaml", *OLD_TRAINING)
    assert ended.code == 0, ended.err
    # The curve has the number of folds of the split by tiles now, not five.
    again, scores = (
        t[t["split"] != "curve-0-5"] for t in (pd.read_csv(run / "scores.csv"), scores)
    )
    pd.testing.assert_frame_equal(again, scores, rtol=1e-5)
    np.testing.assert_allclose(read(run / "map.tif"), richness, rtol=1e-4, atol=1e-5)
    again = spatioformer("run", old_run / "tiny.yaml", *OLD_TRAINING)
    assert again.err.count("unchanged, kept") == 7
