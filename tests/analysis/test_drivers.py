"""What drives predictions: models whose drivers are known beforehand, and a run's."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from spatioformer.analysis import drivers as module
from spatioformer.analysis.curves import response_curve, some_plots
from spatioformer.analysis.drivers import (
    attention_map,
    drivers,
    location_sensitivity,
    permutation_importance,
)
from spatioformer.common.files import read_json, write_json
from spatioformer.config.file import load_config
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.network import NetworkModel
from spatioformer.models.store import load
from spatioformer.nn import PaperSpatioformer
from tests.helpers.tiny_run import Ended, assert_refused, finished, spatioformer

pytestmark = pytest.mark.integration


class Known(torch.nn.Module):
    """2 x the first band's centre, plus the latitude."""

    def __init__(self, patch: int = 3):
        super().__init__()
        self.config = {"patch": patch, "dropout": 0.0}
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, chips, lon, lat):
        half = self.config["patch"] // 2
        return 2 * chips[:, half, half, 0] + lat[:, half, half].float()


def store(n: int = 60, patch: int = 3, seed: int = 0) -> ChipStore:
    rng = np.random.default_rng(seed)
    chips = rng.normal(size=(n, patch, patch, 2)).astype(np.float32)
    lon = np.broadcast_to(rng.uniform(140, 150, (n, 1, 1)), (n, patch, patch)).copy()
    lat = np.broadcast_to(rng.uniform(-40, 40, (n, 1, 1)), (n, patch, patch)).copy()
    half = patch // 2
    richness = 2 * chips[:, half, half, 0] + lat[:, half, half]
    table = pd.DataFrame({"plot_id": np.arange(n), "richness": richness})
    return ChipStore(chips, lon, lat, table.assign(lon=lon[:, 0, 0], lat=lat[:, 0, 0]), ["a", "b"])


@pytest.fixture
def bundle() -> NetworkModel:
    return NetworkModel(Known(), ["a", "b"])


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    return finished(tmp_path_factory.mktemp("finished")).parent / "run"


def test_location_sensitivity_of_a_slope_along_the_meridian(bundle):
    """|cos(direction)| x km / 111.195, whose mean over directions is near 2 / pi."""
    found = location_sensitivity(bundle, store(4000), distances=(1.0, 100.0))
    slope = np.array(found["change"]) / np.array(found["km"]) * 111.195
    np.testing.assert_allclose(slope, 2 / np.pi, rtol=0.03)


def test_importance_of_known_models(monkeypatch):
    """Shuffling adds 2 Var of what is shuffled: the rise is known, and 0 for what is not used."""

    class Fitted:
        def fit(self, store, rows):
            return NetworkModel(Known(), ["a", "b"])

    class Config:
        seed, model, train = 0, None, None

    monkeypatch.setattr(module, "make", lambda *_: Fitted())
    plots = store(2000)
    rmse, rows = permutation_importance("known", Config(), plots, np.arange(2000) % 4)
    rises = {row["group"]: row["rise"] for row in rows}
    assert rmse == pytest.approx(0, abs=1e-5)
    assert rises["b"] == pytest.approx(0, abs=1e-6)
    assert rises["a"] == pytest.approx(2 * 2**0.5, rel=0.05)
    assert rises["imagery"] == pytest.approx(2 * 2**0.5, rel=0.05)
    assert rises["location"] == pytest.approx(2**0.5 * plots.lat[:, 0, 0].std(), rel=0.05)
    assert rows[0]["group"] == "location"


def test_attention_is_a_share_of_each_pixel():
    torch.manual_seed(0)
    network = PaperSpatioformer(patch=3, bands=2, width=8, heads=2, layers=2, mlp_hidden=8,
                                head_hidden=8, location_weight=1.0)  # fmt: skip
    plots = store(20)
    found = np.array(attention_map(NetworkModel(network, ["a", "b"]), plots))
    assert found.shape == (3, 3)
    assert found.sum() == pytest.approx(1)
    assert (found > 0).all()
    # One bright pixel that all tokens look at: its share stands out, at its place.
    plots.chips[:, 2, 0] = 30.0
    assert not np.allclose(attention_map(NetworkModel(network, ["a", "b"]), plots), found)
    assert attention_map(NetworkModel(Known(), ["a", "b"]), plots) is None


def test_attention_of_the_default_width():
    """Compiled kernels, if installed, must not hide the transformer from its hooks."""
    torch.manual_seed(0)
    network = PaperSpatioformer(patch=3, bands=2)
    shares = np.array(attention_map(NetworkModel(network, ["a", "b"]), store(20)))
    assert shares.shape == (3, 3)
    assert shares.sum() == pytest.approx(1)


def test_drivers_of_a_run(run):
    found = drivers(run, model="location-knn")
    assert read_json(run / "drivers.json") == found
    rises = {row["group"]: row["rise"] for row in found["importance"]}
    assert set(rises) == {"red", "green", "blue", "imagery", "location"}
    assert rises["imagery"] == pytest.approx(0, abs=1e-9), "it sees no imagery"
    assert rises["location"] > 0
    assert found["split"] == "tiles"
    table = pd.read_parquet(run / "evaluation" / "predictions.parquet")
    rows = table.query("model == 'location-knn' and split == 'tiles'")
    rmse = np.sqrt(((rows["predicted"] - rows["observed"]) ** 2).mean())
    assert found["rmse"] == pytest.approx(rmse), "the evaluation's own folds and models"
    assert found["attention"] is None, "it is not a network, and no other model stands in"
    assert set(found["curves"]) == {"red", "green", "blue"}
    for curve in found["curves"].values():
        assert np.abs([curve["local"], curve["partial"]]).max() < 1e-9
    assert max(found["sensitivity"]["change"]) > 0


def test_drivers_of_the_mapped_model_are_those_of_the_model_on_disk(run, monkeypatch):
    monkeypatch.setattr(module, "permutation_importance", lambda *_, **__: (1.0, []))
    found = drivers(run)
    assert found["model"] == "spatioformer"
    assert np.shape(found["attention"]) == (3, 3)
    few = some_plots(open_chips(run / "chips"), 0)
    bundle = load(run / "model")
    assert found["sensitivity"] == location_sensitivity(bundle, few, seed=0)
    assert found["curves"]["red"] == response_curve(bundle, few, "red").to_json()


@pytest.mark.usefixtures("small_forests", "blank_pictures")
def test_the_command_and_the_report(tmp_path):
    folder = finished(tmp_path).parent / "run"
    ended = spatioformer("drivers", folder, "--model", "random-forest")
    assert ended.code == 0, ended.err
    assert "matters most; when it is shuffled, the held-out RMSE rises by" in ended.err
    html = (folder / "report.html").read_text("utf-8")
    assert '<section id="drivers">' in html
    words = re.sub("<[^>]+>", "", html)  # without the links of terms
    assert "The RMSE of the random forest on held-out plots is" in words
    again = spatioformer("drivers", folder, "--model", "random-forest", "-q")
    assert again == Ended(0, "", "")
    assert (folder / "report.html").read_text("utf-8") == html


@pytest.mark.parametrize(("kind", "rise"), [("count", "0.05 species"), ("proportion", "0.0512 (")])
def test_the_command_states_the_unit_of_the_target(tmp_path, monkeypatch, kind, rise):
    (tmp_path / "config.resolved.yaml").touch()
    write_json(tmp_path / "plots.json", {"target_kind": kind})
    most = {"importance": [{"group": "rain", "rise": 0.0512}]}
    monkeypatch.setattr("spatioformer.analysis.drivers.drivers", lambda *a, **k: most)
    ended = spatioformer("drivers", tmp_path)
    assert ended.code == 0, ended.err
    assert f"rain matters most; when it is shuffled, the held-out RMSE rises by {rise}" in ended.err


def test_what_it_refuses(tmp_path, run):
    (tmp_path / "config.resolved.yaml").touch()
    assert_refused(
        spatioformer("drivers", tmp_path),
        f"{tmp_path} is not a finished run: chips is missing; give the folder of a finished run",
    )
    ended = spatioformer("drivers", run, "--model", "oracle")
    assert ended.code == 2
    assert ended.err.startswith("spatioformer: --model oracle is not known; choose one of spatiof")


def test_the_same_run_gives_the_same_numbers(run):
    config, plots = load_config(run / "config.resolved.yaml"), open_chips(run / "chips")
    folds = np.arange(len(plots)) % 2
    one, other = (permutation_importance("location-knn", config, plots, folds) for _ in range(2))
    assert one == other
    assert location_sensitivity(load(run / "model"), plots) == location_sensitivity(
        load(run / "model"), plots
    )
