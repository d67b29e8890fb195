"""What a run writes to explain its model."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.run import explaining
from tests.helpers.tiny_run import finished

pytestmark = pytest.mark.integration


@dataclass
class Context:
    """The parts of a run that explaining reads; it is its own console."""

    folder: Path
    config: RunConfig
    lines: list[str] = field(default_factory=list)

    @property
    def console(self):
        return self

    def say(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def context(tmp_path) -> Context:
    folder = finished(tmp_path).parent / "run"
    return Context(folder, load_config(folder / "config.resolved.yaml"))


def test_a_run_explains_its_model(context):
    run = context.folder
    table = pd.read_csv(run / "evaluation" / "importance.csv").set_index(["model", "group"])
    inputs = {"red", "green", "blue", "imagery", "location"}
    assert set(table.index) == {(m, i) for m in ("spatioformer", "location-knn") for i in inputs}
    assert set(table["split"]) == {"tiles"}
    assert set(table["plots"]) == {150}
    assert (table["rise"]["location-knn"][["red", "green", "blue", "imagery"]] == 0).all()
    assert table["rise"]["location-knn", "location"] > 0.5
    # All plots are in the sample, so the RMSE is that of the held-out predictions.
    rows = pd.read_parquet(run / "evaluation" / "predictions.parquet").query(
        "model == 'location-knn' and split == 'tiles'"
    )
    rmse = np.sqrt(((rows["predicted"] - rows["observed"]) ** 2).mean())
    assert table["rmse"]["location-knn", "red"] == pytest.approx(rmse)
    content = read_json(run / "explained.json")
    assert content["model"] == "spatioformer"
    assert set(content["curves"]) == {"red", "green", "blue"}
    with rasterio.open(run / "location_effect.tif") as source:
        effect = source.read(1, masked=True)
    assert effect.count() == content["location"]["places"]
    assert effect.mean() == pytest.approx(0, abs=1e-5)
    assert effect.max() == pytest.approx(content["location"]["max"], abs=1e-5)
    assert '<section id="explained">' in (run / "report.html").read_text("utf-8")


def test_explaining_again_gives_the_same_bytes(context):
    paths = [context.folder / name for name in ("explained.json", "location_effect.tif")]
    before = [path.read_bytes() for path in paths]
    explaining.explain_map(context)
    assert [path.read_bytes() for path in paths] == before
    assert context.lines[0].startswith("  explained by 3 response curves (")


def test_a_model_that_cannot_be_opened_is_not_explained(context, monkeypatch):
    def refuse(*_):
        raise ModelError("it was written with another library")

    monkeypatch.setattr(explaining, "explain", refuse)
    explaining.explain_map(context)
    assert context.lines == [
        "  the report does not explain the model: it was written with another library"
    ]
    assert not (context.folder / "explained.json").exists()
    assert not (context.folder / "location_effect.tif").exists()
