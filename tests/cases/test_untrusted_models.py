"""Model folders of others: read whole and finite, or refused in a sentence (docs/security.md)."""

import json
import zipfile

import pytest
import torch
from safetensors.torch import load_file, save_file

from spatioformer.common.errors import ModelError
from spatioformer.models.network import NetworkModel
from spatioformer.models.store import load
from spatioformer.nn import PaperSpatioformer
from tests.helpers.models import fitted

pytestmark = pytest.mark.integration

SIZES = {"width": 8, "heads": 2, "layers": 1, "mlp_hidden": 5, "head_hidden": 7}


@pytest.fixture
def model(tmp_path):
    """Folder of a small network."""
    network = PaperSpatioformer(patch=3, bands=1, location_weight=1.0, **SIZES).eval()
    return NetworkModel(network, ["a"], None, {"name": "test"}).save(tmp_path / "model")


def refusal(folder) -> str:
    with pytest.raises(ModelError) as caught:
        load(folder)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 600
    return message


def change(folder, **keys) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | keys))


@pytest.mark.parametrize(
    "value", [10**9, 10**400, -(10**9), float("nan"), float("inf"), "a", None, [], {}]
)
@pytest.mark.parametrize("key", ["width", "layers", "mlp_hidden"])
def test_an_argument_of_the_wrong_size_or_type(model, key, value):
    arguments = json.loads((model / "config.json").read_text())["arguments"]
    change(model, arguments=arguments | {key: value})
    assert "does not describe a model that this version" in refusal(model)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_are_finite(model, value):
    state = load_file(model / "model.safetensors")
    name = sorted(k for k, v in state.items() if v.is_floating_point())[0]
    state[name] = torch.full_like(state[name], value)
    save_file(state, model / "model.safetensors")
    assert f"holds values of {name} that are not finite" in refusal(model)


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "3", "null", '"a"', "", "{", '{"kind": []}'])
def test_any_text_as_config(model, text):
    (model / "config.json").write_text(text)
    assert "does not describe a model" in refusal(model)


@pytest.mark.parametrize("name", ["../model", "/etc", "a/b", "..", "", 3, None, ["a"]])
def test_members_are_names_and_not_paths(model, name):
    change(model, kind="stack", members=[name])
    (model / "model.safetensors").touch()
    assert "is not the name of a member" in refusal(model)


def test_a_stack_of_itself_ends(model):
    change(model, kind="stack", members=["a"])
    (model / "members").mkdir()
    (model / "members" / "a").symlink_to(model)
    assert "members in turn too many times" in refusal(model)


def test_a_skops_file_unpacks_to_a_limited_size(tmp_path):
    folder = fitted("location-knn")[0].save(tmp_path / "knn")
    with zipfile.ZipFile(folder / "model.skops") as source:
        files = {name: source.read(name) for name in source.namelist()}
    files["schema.json"] += b" " * 65_000_000  # packs to a thousandth
    with zipfile.ZipFile(folder / "model.skops", "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in files.items():
            target.writestr(name, content)
    assert "above the limit" in refusal(folder)
