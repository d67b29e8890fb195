"""Bundles: what is saved is what is loaded, bit for bit, and nothing is unpickled."""

import json
import shutil

import numpy as np
import pytest
import torch

import spatioformer
from spatioformer.common.errors import ModelError
from spatioformer.models.base import OutsideExtent
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from spatioformer.models.store import load
from spatioformer.nn import PaperCNN, PaperSpatioformer

BANDS = ["red", "green", "blue"]


def bundle(scaling: bool = True, **arguments) -> NetworkModel:
    torch.manual_seed(3)
    small = {"width": 8, "heads": 2, "layers": 1, "mlp_hidden": 5, "head_hidden": 7}
    network = PaperSpatioformer(patch=3, bands=3, location_weight=1.0, **small | arguments).eval()
    scale = Scaling((10.0, 20.0, 30.0), (2.0, 3.0, 4.0), 50.0, 12.0) if scaling else None
    return NetworkModel(network, BANDS, scale, {"name": "test", "target": "plant species richness"})


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    chips = rng.normal(20, 5, (11, 3, 3, 3)).astype(np.float32)
    return chips, rng.uniform(112, 154, (11, 3, 3)), rng.uniform(-44, -10, (11, 3, 3))


@pytest.mark.parametrize("scaling", [True, False])
def test_saved_and_loaded_predicts_the_same_bits(tmp_path, inputs, scaling):
    original = bundle(scaling)
    again = spatioformer.load(original.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(*inputs), original.predict(*inputs))
    assert again.bands == BANDS
    assert again.scaling == original.scaling
    assert again.facts == original.facts
    assert sorted(p.name for p in (tmp_path / "model").iterdir()) == [
        "README.md", "config.json", "model.safetensors",
    ]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model"]


def test_the_cnn_keeps_its_batch_statistics(tmp_path):
    network = PaperCNN(patch=7, bands=2)
    rng = np.random.default_rng(0)
    chips = rng.normal(size=(9, 7, 7, 2)).astype(np.float32)
    lon = lat = np.zeros((9, 7, 7))
    network.train()
    network(*(torch.from_numpy(a) for a in (chips, lon, lat)))
    original = NetworkModel(network, ["a", "b"])
    again = load(original.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict(chips, lon, lat), original.predict(chips, lon, lat))


def test_scaling_is_the_stated_formula(inputs):
    one = bundle()
    chips, lon, lat = inputs
    scaled = ((chips - [10, 20, 30]) / [2, 3, 4]).astype(np.float32)
    bare = NetworkModel(one.network, BANDS).predict(scaled, lon, lat)
    np.testing.assert_allclose(one.predict(chips, lon, lat), bare * 12 + 50, rtol=1e-5)


def test_scaling_measures_the_training_plots():
    chips = np.stack([np.full((2, 3, 3), 5.0), np.arange(18).reshape(2, 3, 3)], axis=-1)
    scaling = Scaling.of(chips, np.array([10.0, 30.0]))
    assert scaling.band_mean == (5.0, 8.5)
    assert scaling.band_sd[0] == 1.0, "a constant band must not divide by zero"
    assert scaling.band_sd[1] == pytest.approx(np.arange(18).std())
    assert (scaling.target_mean, scaling.target_sd) == (20.0, 10.0)


def test_predictions_do_not_depend_on_the_batch(inputs):
    one = bundle()
    np.testing.assert_allclose(
        one.predict(*inputs, batch=3), one.predict(*inputs, batch=256), rtol=1e-5
    )


def test_spread_is_the_standard_deviation_of_the_samples(inputs):
    one = bundle(dropout=0.3)
    spread = one.spread(*inputs, samples=40, seed=5)
    one.network.train()
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(5)
        tensors = [torch.from_numpy(a) for a in inputs]
        draws = [one.forward(*tensors).numpy() for _ in range(40)]
    np.testing.assert_allclose(spread, np.std(draws, axis=0, ddof=1), rtol=1e-3)
    assert (spread > 0).all()
    np.testing.assert_array_equal(one.spread(*inputs, samples=40, seed=5), spread)
    assert not one.network.training


def test_no_dropout_no_spread(inputs):
    with pytest.raises(ModelError, match=r"needs a dropout rate above 0 .here 0.0."):
        bundle(dropout=0.0).spread(*inputs)


def test_wrong_chips_are_named(inputs):
    chips, lon, lat = inputs
    one = bundle()
    with pytest.raises(ModelError, match=r"chips of shape \(11, 3, 3, 2\) do not fit the model"):
        one.predict(chips[..., :2], lon, lat)
    with pytest.raises(
        ModelError, match=r"lon \(11, 3\) and lat \(11, 3, 3\) must both have the shape"
    ):
        one.predict(chips, lon[..., 0], lat)
    broken = chips.copy()
    broken[4, 1, 1, 0] = np.nan
    with pytest.raises(ModelError, match="1 values in chips are not finite"):
        one.predict(broken, lon, lat)


def break_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "is not a model folder: config.json is missing"),
        (lambda f: (f / "model.safetensors").unlink(), "model.safetensors is missing"),
        (lambda f: (f / "config.json").write_text("{"), "does not describe a model"),
        (lambda f: break_config(f, lambda c: c.update(network="Other")), "does not describe"),
        (lambda f: break_config(f, lambda c: c["arguments"].update(width=16)), "not fit its conf"),
        (lambda f: break_config(f, lambda c: c["arguments"].update(layers=2)), "is missing"),
        (
            lambda f: (f / "model.safetensors").write_bytes(
                (f / "model.safetensors").read_bytes()[:-50]
            ),
            "is damaged or cut short",
        ),
    ],
)
def test_damaged_bundles_are_one_sentence(tmp_path, damage, message):
    folder = bundle().save(tmp_path / "model")
    damage(folder)
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_a_pickle_is_not_opened(tmp_path):
    folder = bundle().save(tmp_path / "model")
    torch.save({"x": 1}, folder / "model.safetensors")
    with pytest.raises(ModelError, match="is damaged or cut short"):
        load(folder)


def test_saving_replaces_an_older_bundle(tmp_path):
    folder = bundle().save(tmp_path / "model")
    (folder / "left_over.txt").write_text("x")
    bundle(scaling=False).save(folder)
    assert not (folder / "left_over.txt").exists()
    assert load(folder).scaling is None
    shutil.rmtree(folder)


def test_the_model_card_says_what_matters(tmp_path):
    one = bundle()
    one.facts |= {"grain": "plots of 400 m2", "virtual": "trained on a virtual flora"}
    text = (one.save(tmp_path / "model") / "README.md").read_text()
    for words in ("red, green, blue", "plots of 400 m2", "virtual flora", "3 x 3 pixels"):
        assert words in text


def test_places_outside_the_training_extent_are_told_with_their_distance(inputs):
    one = bundle()
    one.predict(*inputs)  # an unknown extent: nothing to say
    one.facts["region"] = [112, 154, -44, -10]
    one.predict(*inputs)
    chips, lon, lat = inputs
    lat = lat.copy()
    lat[3] = -5.0
    with pytest.warns(OutsideExtent, match=r"up to 556 km outside the extent.*\[112, 154, -44, -1"):
        one.predict(chips, lon, lat)


@pytest.mark.parametrize(
    ("region", "place", "km"),
    [
        ([10, 20, -5, 5], (20, 5), 0),
        ([10, 20, -5, 5], (22, 0), 2 * 111.195),
        ([10, 20, -5, 5], (7, 0), 3 * 111.195),
        ([10, 20, -5, 60], (22, 60), 111.195),
        ([170, 180, -5, 5], (-179, 0), 111.195),
        ([-180, 180, -90, 90], (3, 3), 0),
        ([177, -177, -5, 5], (-178, 0), 0),
        ([177, -177, -5, 5], (176, 0), 111.195),
        ([177, -177, -5, 5], (-174, 0), 3 * 111.195),
        ([10, 20, -5, 5], (23, 9), 111.195 * np.hypot(3 * np.cos(np.radians(9)), 4)),
    ],
)
def test_distance_outside_is_to_the_nearer_edge(region, place, km):
    one = bundle()
    one.facts["region"] = region
    assert one.km_outside(*place) == pytest.approx(km)
