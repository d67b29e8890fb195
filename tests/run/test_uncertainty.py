"""Intervals in a run: measured by the evaluation, kept with the model, laid over the map."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from rasterio.windows import Window

from spatioformer.common.files import read_json
from spatioformer.config.evaluation import EvaluateSection, SplitSection
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation import interval_scores
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.geo.raster.stack import Stack
from spatioformer.models.uncertainty import HeldOut, Uncertainty
from spatioformer.run.evaluate import importance
from spatioformer.run.stages import STAGES
from tests.helpers import landscape
from tests.helpers.tiny_run import Ended, finished, spatioformer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A finished run, which the tests read and do not change."""
    return finished(tmp_path_factory.mktemp("finished")).parent / "run"


@pytest.fixture(scope="module")
def config(folder) -> RunConfig:
    return load_config(folder.parent / "tiny.yaml")


@pytest.fixture(scope="module")
def predictions(folder) -> pd.DataFrame:
    return pd.read_parquet(folder / "evaluation" / "predictions.parquet")


def test_the_map_like_split():
    def map_like(*kinds):
        splits = [SplitSection(name=f"{kind}-{i}", kind=kind) for i, kind in enumerate(kinds)]
        return EvaluateSection(splits=splits).map_like

    assert map_like("random", "tiles", "knndm", "regions").name == "knndm-2"
    assert map_like("random", "regions", "tiles", "tiles").name == "tiles-2"
    assert map_like("random", "regions").name == "regions-1"
    assert map_like("random").name == "random-0"


def test_the_mapped_model_alone_has_a_spread_and_on_the_map_like_split_alone(predictions):
    drawn = predictions[predictions["spread"].notna()]
    assert set(zip(drawn["model"], drawn["split"], strict=True)) == {("spatioformer", "tiles")}
    assert len(drawn) == 150
    assert (drawn["spread"] > 0).all()


def test_a_row_a_plot_with_its_interval(folder, config, predictions):
    plots = pd.read_parquet(folder / "evaluation" / "intervals.parquet")
    rows = predictions.query("model == 'spatioformer' and split == 'tiles'").reset_index()
    for name in ("plot_id", "lon", "lat", "fold", "observed", "predicted"):
        assert (plots[name] == rows[name]).all(), name
    found = Uncertainty.load(folder / "evaluation")
    assert found.facts["split"] == "tiles"
    assert set(found.margins) == {"constant", "dissimilarity", "spread", "counts"}
    for kind, said in found.facts["kinds"].items():
        bounds = plots[[f"lower-{kind}", f"upper-{kind}"]]
        scores = interval_scores(plots["observed"], bounds, config.evaluate.level)
        assert said["scores"] == scores | {"crps": pytest.approx(plots[f"crps-{kind}"].mean())}
    assert (plots["inside"] == (plots["di"] <= found.area.threshold_)).all()


def test_the_uncertainty_goes_with_the_model(folder):
    for name in ("uncertainty.json", "uncertainty.npz"):
        assert (folder / "model" / name).read_bytes() == (folder / "evaluation" / name).read_bytes()
    assert not (folder / "model" / "intervals.parquet").exists()


def test_a_model_trained_again_keeps_its_uncertainty_without_a_map(tmp_path):
    config = finished(tmp_path)
    names = [tmp_path / "run" / "model" / f"uncertainty.{suffix}" for suffix in ("json", "npz")]
    before = [path.read_bytes() for path in names]
    assert spatioformer("train", config, "--force", "-q") == Ended(0, "", "")
    assert [path.read_bytes() for path in names] == before
    for path in names:
        path.unlink()
    assert spatioformer("plots", config, "-q") == Ended(0, "", "")
    assert [path.read_bytes() for path in names] == before
    # The evaluation is of another seed: what it measured is not this model's uncertainty.
    assert spatioformer("train", config, "--set", "seed=1", "-q") == Ended(0, "", "")
    assert not any(path.exists() for path in names)


def test_no_stage_writes_what_another_writes():
    outputs = [name for stage in STAGES.values() for name in stage.outputs]
    assert len(outputs) == len(set(outputs))
    assert "rejected.csv" not in outputs
    assert not [name for name in STAGES["map"].outputs if name.startswith("model")]


def test_the_map_holds_what_the_uncertainty_says(folder):
    found = Uncertainty.load(folder / "model")
    with rasterio.open(folder / "map.tif") as source:
        names = [name.split(", ")[-1] for name in source.descriptions]
        layers = dict(zip(names, source.read(), strict=True))
    mapped = np.isfinite(layers["mean"])
    with Stack(folder / "imagery.tif", found.bands) as stack:
        pixels = rasterio.open(folder / "imagery.tif").read()[:, mapped].T
        lon, lat = stack.grid.lonlat(*np.nonzero(mapped))
        areas = pixel_areas(stack.grid, Window(0, 0, stack.grid.width, stack.grid.height))[mapped]
    values = [layer[mapped] for layer in layers.values()]
    expected = found.layers(values[0], values[1], pixels, lon, lat)
    assert len(values) >= 6
    for name, value in zip(("lower", "upper", "di", "inside"), values[2:6], strict=True):
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, err_msg=name)
    share = read_json(folder / "map.json")["inside_share"]
    assert share == pytest.approx(np.average(expected["inside"], weights=areas))


def test_importance_is_what_a_forest_makes_of_the_predictors(monkeypatch):
    rng = np.random.default_rng(0)
    pixels, lon, lat = rng.normal(size=(300, 2)), rng.uniform(140, 150, 300), np.full(300, -25.0)
    observed = 10 * pixels[:, 0] + rng.normal(0, 1, 300)
    held = HeldOut(pixels, lon, lat, observed, observed, np.zeros(300, int))
    weights = importance(held, seed=0)
    assert weights.shape == (4,)
    assert weights.sum() == pytest.approx(1)
    assert weights[0] > 0.9
    assert weights[3] == 0, "latitude does not vary"
    monkeypatch.setattr("spatioformer.run.evaluate.IMPORTANCE_PLOTS", 50)
    assert not np.array_equal(importance(held, seed=0), weights)


def test_a_run_without_the_mapped_model_has_no_intervals(tmp_path):
    config = finished(tmp_path)
    change = ("--set", "evaluate.models=[location-knn]", "-q")
    assert spatioformer("run", config, "--until", "map", *change) == Ended(0, "", "")
    for name in ("evaluation/uncertainty.json", "model/uncertainty.npz", "model/uncertainty.json"):
        assert not (tmp_path / "run" / name).exists(), name
    with rasterio.open(tmp_path / "run" / "map.tif") as source:
        assert source.count == 2


def test_too_few_plots_for_the_level_say_so_and_the_run_goes_on(tmp_path):
    config = landscape.write(tmp_path)
    models = ("--set", "evaluate.curve_sizes=[]", "--set", "evaluate.models=[spatioformer]")
    ended = spatioformer("evaluate", config, *models, "--set", "evaluate.level=0.995")
    assert ended.code == 0, ended.err
    assert (
        "  the map gets no intervals: 75 calibration plot(s), too few for coverage 0.995; use at "
        "least 199, or a lower coverage\n"
    ) in ended.err
    assert not (tmp_path / "run" / "evaluation" / "uncertainty.json").exists()


@pytest.mark.parametrize("level", [0, 1, 1.5, "most"])
def test_the_level_is_a_share(tmp_path, level):
    ended = spatioformer("evaluate", landscape.write(tmp_path), "--set", f"evaluate.level={level}")
    assert ended.code == 2
    assert f"`evaluate.level` is {level!r}: it must be" in ended.err
    assert ended.err.count("\n") == 1
