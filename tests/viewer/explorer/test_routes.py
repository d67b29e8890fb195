"""Addresses of the explorer: answers, refusals, and which folder opens what."""

import shutil

import pytest
from starlette.testclient import TestClient

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_json
from spatioformer.viewer.app import create_app
from spatioformer.viewer.explorer.kinds import holds_model, kind_of
from spatioformer.viewer.explorer.model_routes import model_router
from spatioformer.viewer.explorer.routes import explorer_router, run_router
from spatioformer.viewer.folder import RunFolder
from spatioformer.viewer.routes import router
from spatioformer.viewer.security import Gate
from tests.helpers import text as texts
from tests.viewer.explorer.test_vision import png, save

GATE = Gate(frozenset({"testserver"}))


@pytest.fixture(scope="module")
def run(explorer):
    return TestClient(create_app([run_router(explorer.run)], GATE))


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("text") / "gpt"
    texts.random_model().save(folder, [{"step": 1, "training_loss": 1.0, "validation_loss": 1.0}])
    return TestClient(create_app([model_router(folder)], GATE))


@pytest.fixture(scope="module")
def vision(tmp_path_factory):
    folder = save(tmp_path_factory.mktemp("vision") / "vit")
    return TestClient(create_app([model_router(folder)], GATE))


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("explorer.json", "places"),
        ("explorer/location/head-scale.json", "values"),
        ("explorer/embedding/pca.json", "xy"),
        ("explorer/plot/0.json", "attention"),
        ("explorer/plot/0.json?network=0", "attention"),
        ("explorer/location/encoder.json?network=0", "values"),
        ("explorer/at.json?lon=141.05&lat=-20.95", "occlusion"),
    ],
)
def test_run(run, address, key):
    answer = run.get(f"/api/{address}")
    assert answer.status_code == 200
    assert key in answer.json()


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("explorer/location/none.json", 404, "no such location features; there are encoder"),
        ("explorer/location/effect.json", 404, "no such location features"),
        ("explorer/plot/0.json?network=1", 422, "network 1 does not exist; the model has 1"),
        ("explorer/location/encoder.json?network=1", 422, "network 1 does not exist"),
        ("explorer/plot/0.json?network=-1", 400, "network cannot be used"),
        ("explorer/embedding/umap.json", 400, "method cannot be used"),
        ("explorer/plot/30.json", 422, "does not exist; the run has 30"),
        ("explorer/plot/-1.json", 400, "row cannot be used"),
        ("explorer/plot/99999999999.json", 400, "row cannot be used"),
        ("explorer/at.json?lon=nan&lat=0", 400, "lon cannot be used"),
        ("explorer/at.json?lon=0&lat=0", 422, "no complete chip"),
        ("explorer/at.json?lon=0", 400, "lat cannot be used"),
    ],
)
def test_refusals(run, address, status, words):
    answer = run.get(f"/api/{address}")
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_the_answers_of_a_run_are_kept(run):
    first = run.get("/api/explorer.json")
    again = run.get("/api/explorer.json", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_the_map_links_to_the_explorer(explorer):
    app = TestClient(create_app([router(explorer.run)], GATE))
    assert app.get("/api/run.json").json()["explorer"] is True
    assert app.get("/api/explorer.json").status_code == 200


def test_a_run_without_a_map(run_folder, tmp_path):
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / "map.tif").unlink()
    (folder / "report.html").write_text("<!doctype html><title>report</title>")
    app = TestClient(create_app([explorer_router(RunFolder(folder))], GATE))
    first = app.get("/", follow_redirects=False)
    assert (first.status_code, first.headers["location"]) == (307, "explorer.html")
    assert app.get("/api/explorer.json").json()["map"] is False
    assert app.get("/api/ground.json").json()["features"]
    assert app.get("/report.html").status_code == 200
    assert app.get("/api/run.json").status_code == 404


def test_text(text):
    assert text.get("/api/explorer.json").json()["kind"] == "text"
    answer = text.post("/api/explorer/text.json", json={"text": "El rey"}).json()
    assert len(answer["tokens"]) == answer["scores"]["shape"][-1]
    for body in ({}, {"text": 3}, {"text": "a" * 20_001}):
        assert text.post("/api/explorer/text.json", json=body).status_code == 400
    refused = text.post("/api/explorer/text.json", json={"text": ""})
    assert refused.status_code == 422
    assert "has no tokens" in refused.json()["error"]


def test_first_page_of_a_model(text):
    answer = text.get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (307, "explorer.html")


def test_vision(vision):
    assert vision.get("/api/explorer.json").json()["kind"] == "vision"
    answer = vision.post("/api/explorer/image.json", content=png())
    assert answer.json()["grid"] == [2, 3]
    assert vision.post("/api/explorer/image.json", content=b"no image").status_code == 422
    assert vision.get("/api/explorer/image/0.json").status_code == 422


def test_kinds(run_folder, tmp_path):
    assert kind_of(run_folder) == "run"
    assert not holds_model(run_folder)
    write_json(tmp_path / "config.json", {"architecture": "vit_tiny_patch16_224"})
    assert kind_of(tmp_path) == "vision"
    assert holds_model(tmp_path)
    write_json(tmp_path / "config.json", {"model_type": "llama"})
    with pytest.raises(ModelError, match="neither a run folder nor a text or vision model"):
        kind_of(tmp_path)
    assert not holds_model(tmp_path)
