"""A run of proportions: predictions and intervals from 0 to 1, and tiles that the run chooses."""

import numpy as np
import pandas as pd
import pytest
import yaml

from spatioformer.common.files import read_json
from spatioformer.models.store import load
from spatioformer.models.target import amount, bounded, highest, unit
from tests.helpers.tiny_run import spatioformer

COUNT = 160


def test_the_range_and_unit_of_a_target():
    assert [highest(kind) for kind in ("proportion", "count", None)] == [1, np.inf, np.inf]
    assert [unit(kind) for kind in ("proportion", "continuous", None)] == [
        "proportion",
        "species",
        "species",
    ]
    assert bounded(np.array([-0.2, 0.5, 1.3]), "proportion").tolist() == [0, 0.5, 1]
    assert bounded(np.array([-0.2, 30]), "count").tolist() == [-0.2, 30]
    assert amount(0.1234, 1, "proportion") == "0.123 (proportion)"
    assert amount(12.34, 1, "count") == "12.3 species"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The run of a table of proportions, many of which are 0 or 1; the model overshoots."""
    folder = tmp_path_factory.mktemp("proportions")
    rng = np.random.default_rng(0)
    lon, lat, rain = rng.uniform(141, 161, COUNT), rng.uniform(-36, -16, COUNT), rng.random(COUNT)
    cover = np.clip(2 * rain - 0.5 + 0.1 * rng.normal(size=COUNT), 0, 1)
    table = pd.DataFrame({"lon": lon, "lat": lat, "richness": cover, "rain": rain})
    table.to_csv(folder / "plots.csv", index=False)
    raw = {
        "target": {"name": "native cover", "kind": "proportion"},
        "plots": {"path": "plots.csv"},
        "model": {"covariates": "auto"},
        "out": str(folder / "run"),
        "evaluate": {
            "models": ["gaussian-process"],
            "splits": [{"name": "tiles", "kind": "tiles"}],
            "curve_sizes": [],
            "workers": 1,
        },
        "map": {"model": "gaussian-process"},
    }
    (folder / "run.yaml").write_text(yaml.safe_dump(raw))
    ended = spatioformer("run", folder / "run.yaml")
    assert ended.code == 0, ended.err
    return folder / "run", ended


def test_predictions_and_intervals_lie_from_0_to_1(finished):
    folder, _ = finished
    predicted = pd.read_parquet(folder / "evaluation" / "predictions.parquet")["predicted"]
    assert (predicted.min(), predicted.max()) == (0, 1)
    intervals = pd.read_parquet(folder / "evaluation" / "intervals.parquet")
    bounds = intervals[[name for name in intervals if name.startswith(("lower-", "upper-"))]]
    assert (bounds.min().min(), bounds.max().max()) == (0, 1)
    held = intervals["observed"].between(intervals["lower-constant"], intervals["upper-constant"])
    assert held.mean() > 0.85


def test_new_places_are_predicted_from_0_to_1(finished, tmp_path):
    folder, _ = finished
    table = pd.DataFrame({"lon": 150.0, "lat": -25.0, "rain": [0.0, 0.5, 1.0]})
    table.to_csv(tmp_path / "new.csv", index=False)
    ended = spatioformer(
        "predict", folder / "model", tmp_path / "new.csv", "-o", tmp_path / "out.csv"
    )
    assert ended.code == 0, ended.err
    out = pd.read_csv(tmp_path / "out.csv")
    for name in ("predicted", "lower", "upper"):
        assert out[name].between(0, 1).all()
    assert out["upper"].max() == 1
    assert out["lower"].min() == 0
    model = load(folder / "model")
    chips = np.array([0.0, 0.5, 9.0])[:, None, None, None]
    place = np.full((3, 1, 1), 150.0), np.full((3, 1, 1), -25.0)
    assert np.ptp(np.clip(model.predict(chips, *place), 0, 1) - model.predict(chips, *place)) == 0


def test_words_name_the_unit(finished):
    folder, ended = finished
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "are in proportion." in page
    assert " species" not in page.replace("plant species", "").partition("<h2>Provenance")[0]
    assert "(proportion) from chips" in (folder / "model" / "README.md").read_text()
    assert "RMSE in proportion" in ended.out
    assert "Large plots vary less than small ones" in page
    assert "misses the value of a plot by 0." in page


def test_the_run_says_and_keeps_its_tiles(finished):
    folder, ended = finished
    tiles = read_json(folder / "evaluation" / "tiles.json")["tiles"]
    assert f"tiles: tiles of {tiles['why']}" in " ".join(ended.err.split())
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert tiles["why"].partition(";")[0] in page.replace("&#39;", "'")
    assert f"tiles of {tiles['size']:g}°" in page
    folds = pd.read_parquet(folder / "evaluation" / "predictions.parquet")
    tile = np.floor((folds[["lon", "lat"]] + [180, 90]) / tiles["size"]).astype(int)
    assert (folds["fold"].groupby([tile["lon"], tile["lat"]]).nunique() == 1).all()
