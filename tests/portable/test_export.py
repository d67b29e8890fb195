"""ONNX files: onnxruntime gives the models' own predictions from raw values, in any number."""

import importlib
import json
import re
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
if find_spec("onnxscript") is None:  # importing it takes half a second, in each worker
    pytest.skip("the extra `onnx` is not installed", allow_module_level=True)

import onnx
import onnxruntime

from spatioformer.common.errors import ModelError
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from spatioformer.models.store import load
from spatioformer.nn import DenseSpatioformer, ViT
from spatioformer.portable import graph as graph_
from spatioformer.portable.export import export_model
from spatioformer.portable.network import draw, network_graph
from spatioformer.vision.images import Images
from spatioformer.vision.model import VisionModel
from spatioformer.vision.preparation import Preparation
from tests.helpers.models import fitted
from tests.helpers.tiny_run import assert_refused, spatioformer

OLD = Path(__file__).parents[1] / "data" / "models-0.1"


def session(path):
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(path, **inputs):
    (output,) = session(path).run(None, inputs)
    return output


def test_a_network_with_covariates(tmp_path):
    """Raw bands, degrees and areas go in; what `predict` gives comes out."""
    model, plots, _ = fitted(
        "spatioformer", covariates=["area_m2"], location="sphere", location_dropout=0.1
    )
    model.save(tmp_path / "model")
    (tmp_path / "model" / "licence.txt").write_text("CC-BY-4.0\n")
    out = tmp_path / "m.onnx"
    written = export_model(tmp_path / "model", out)
    assert written.difference <= 1e-5
    assert written.rounding < 1e-4
    for rows in (slice(0, 1), slice(2, 9)):
        area = plots.table["area_m2"].to_numpy()[rows].copy()
        area[-1] = np.nan if len(area) > 1 else area[-1]
        chips, lon, lat = plots.chips[rows], plots.lon[rows], plots.lat[rows]
        expected = model.predict(chips, lon, lat, {"area_m2": area})
        species = run(out, chips=chips, lon=lon, lat=lat, covariates=area[:, None])
        np.testing.assert_allclose(species, np.maximum(expected, 0), rtol=1e-5)
        assert len(np.unique(species)) == len(species)
    meta = session(out).get_modelmeta().custom_metadata_map
    assert json.loads(meta["bands"]) == model.bands
    assert meta["licence"] == "CC-BY-4.0"
    assert meta["unit"] == "species"
    assert "area_m2" in json.loads(meta["inputs"])["covariates"]
    stored = onnx.load(out)
    onnx.checker.check_model(stored)
    assert [o.version for o in stored.opset_import if o.domain == ""] == [20]
    assert stored.graph.input[0].doc_string.startswith("raw values of the bands a, b")
    assert [i.name for i in session(out).get_inputs()] == ["chips", "lon", "lat", "covariates"]
    assert session(out).get_inputs()[0].shape == ["n", 3, 3, 2]


@pytest.mark.soak
def test_the_published_network(tmp_path):
    """Its location features are multiplied by thousands, so their precision shows."""
    model = load(OLD / "spatioformer-published")
    out = tmp_path / "m.onnx"
    export_model(OLD / "spatioformer-published", out)
    chips, lon, lat = (t.numpy() for t in draw(model, 5))
    expected = model.predict(chips, lon, lat)
    species = run(out, chips=chips, lon=lon, lat=lat)
    np.testing.assert_allclose(species, np.maximum(expected, 0), rtol=1e-5, atol=1e-5)
    assert np.ptp(species) > 0.1


def test_predictions_stay_in_range():
    model, _, _ = fitted("spatioformer")
    module = network_graph(model, None).module
    inputs = draw(model, 30)
    with torch.no_grad():
        plain = module(*inputs)
    output = plain.log() - model.scaling.target_mean  # the model has the link "log"
    low = replace(model.scaling, link="identity", target_mean=-float(output.median()))
    with torch.no_grad():
        shifted = network_graph(replace(model, scaling=low), None).module(*inputs)
    assert (shifted == 0).sum() >= 10
    share = replace(model, facts={"target_kind": "proportion"})
    with torch.no_grad():
        assert network_graph(share, None).module(*inputs).max() == 1
    assert plain.max() > 1


def test_what_cannot_be_exported(tmp_path):
    refusals = {
        "extra-trees": "the class ExtraTreesRegressor, which is no network",
        "spatioformer-stacked": "a stack is a weighted mean of models",
    }
    for name, sentence in refusals.items():
        with pytest.raises(ModelError, match=sentence):
            network_graph(load(OLD / name), None)
    (tmp_path / "config.json").write_text('{"model_type": "t5"}')
    with pytest.raises(ModelError, match="of type 't5', which cannot be exported"):
        export_model(tmp_path, tmp_path / "m.onnx")


def test_without_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.delitem(sys.modules, "spatioformer.portable.graph")
    with pytest.raises(ModelError, match=r"needs the package onnxruntime.*spatioformer\[onnx\]"):
        importlib.import_module("spatioformer.portable.graph")


def test_a_wrong_graph_is_not_written(tmp_path, monkeypatch):
    model, _, _ = fitted("spatioformer")
    monkeypatch.setattr(graph_, "_exported", lambda graph: wrong)
    wrong = type("Program", (), {"model": None, "save": lambda *a, **k: None})()
    monkeypatch.setattr(graph_, "_describe", lambda *a: None)

    class Session:
        def __init__(self, *arguments, **options):
            pass

        def run(self, names, feeds):
            return [np.full(len(feeds["chips"]), 1e3, np.float32)]

    monkeypatch.setattr(graph_.onnxruntime, "InferenceSession", Session)
    with pytest.raises(ModelError, match=r"differs from torch's by .* nothing was written"):
        graph_.write(network_graph(model, None), tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_text(tmp_path):
    pytest.importorskip("tokenizers")
    from tests.helpers.text import random_model

    model = random_model()
    model.save(tmp_path / "gpt", [{"step": 1, "training_loss": 1.0, "validation_loss": 1.0}])
    out = tmp_path / "m.onnx"
    assert spatioformer("export", tmp_path / "gpt", "-o", out).code == 0
    for text in ("El rey", "E", "El perro come pan y el niño mira la luna"):
        ids = model.ids(text)
        with torch.no_grad():
            expected = model.gpt(ids).numpy()
        logits = run(out, ids=ids.numpy())
        np.testing.assert_allclose(logits, expected, atol=1e-5 * np.abs(expected).max())
    meta = session(out).get_modelmeta().custom_metadata_map
    assert json.loads(meta["tokenizer.json"])["model"]["type"] == "BPE"
    assert meta["context"] == "32"


def test_an_encoder(tmp_path):
    pytest.importorskip("tokenizers")
    from spatioformer.text.model import TextModel
    from tests.helpers.text import write_encoder

    folder = write_encoder(tmp_path / "bert")
    out = tmp_path / "m.onnx"
    assert spatioformer("export", folder, "-o", out).code == 0
    model = TextModel.open_encoder(folder)
    sentences = ("El rey", "E", "El perro come pan y el niño mira la luna")
    readings = [model.read(sentence) for sentence in sentences]
    ids = [model.tokenizer.encode_spans(sentence, special=True)[0] for sentence in sentences]
    filled, mask = np.zeros((2, len(sentences), max(map(len, ids))), np.int64)
    for row, tokens in enumerate(ids):
        filled[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
    vectors = run(out, ids=filled, mask=mask)
    for row, reading in enumerate(readings):
        expected = reading.vectors
        np.testing.assert_allclose(
            vectors[row, : len(expected)], expected, atol=1e-5 * np.abs(expected).max()
        )
    alone = run(out, ids=filled[:1, : len(ids[0])], mask=mask[:1, : len(ids[0])])
    np.testing.assert_allclose(alone[0], readings[0].vectors, atol=1e-5)
    meta = session(out).get_modelmeta().custom_metadata_map
    assert (meta["kind"], meta["context"]) == ("encoder", "20")
    assert "mask" in json.loads(meta["inputs"])
    assert json.loads(meta["tokenizer.json"])["model"]["type"] == "WordLevel"


def test_images(tmp_path):
    torch.manual_seed(0)
    network = ViT((4, 6), 2, channels=3, width=8, heads=2, layers=1, outputs=3, labels=list("abc"))
    model = VisionModel(network.eval(), Preparation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)))
    model.save(tmp_path / "vit")
    out = tmp_path / "m.onnx"
    ended = spatioformer("export", tmp_path / "vit", "-o", out)
    assert "ONNX opset 20; onnxruntime and torch differ by at most" in ended.err
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 6), dtype=np.uint8)
    expected = model.predict(Images(pixels, [""] * 5))
    probabilities = run(out, images=pixels.astype(np.float32))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert json.loads(session(out).get_modelmeta().custom_metadata_map["labels"]) == list("abc")
    assert_refused(
        spatioformer("export", tmp_path / "vit", "-o", out),
        f"{out} exists; give --force to replace it, or name another file",
    )
    assert_refused(
        spatioformer("export", tmp_path / "vit", "-o", tmp_path / "m.bin"),
        f"{tmp_path / 'm.bin'} is no .onnx file; give -o a name that ends in .onnx",
    )


@pytest.mark.slow  # torch takes 6 s to export the shifted views of a dense network
def test_a_dense_network_and_the_python_of_the_page(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs" / "portable.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    torch.manual_seed(0)
    bands = ["red", "green", "blue"]
    scaling = Scaling((1500.0,) * 3, (500.0,) * 3, 30.0, 10.0)
    network = DenseSpatioformer(3, 3, width=8, heads=2, layers=1).eval()
    model = NetworkModel(network, bands, scaling)
    model.save(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    assert spatioformer("export", "model", "-o", "richness.onnx", "--quiet").err == ""
    names = {}
    exec(compile(code, "portable.md", "exec"), names)
    expected = model.predict(names["chips"], names["lon"], names["lat"])
    np.testing.assert_allclose(names["richness"], expected, rtol=1e-5)
    assert capsys.readouterr().out == "['red', 'green', 'blue'] species not stated\n"
