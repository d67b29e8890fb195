"""The part of a process near its plots: what it is, that nothing gets lost, who carries it on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spatioformer.analysis.trace import trace_place
from spatioformer.common.earth import MEAN_RADIUS_KM, unit_vectors
from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json, write_json
from spatioformer.geo.chips import ChipStore
from spatioformer.models import distilled, near_plots
from spatioformer.models.baselines import GaussianProcess
from spatioformer.models.baselines.gaussian.kernel import (
    Hyperparameters,
    Inputs,
    covariance,
    distances,
    effort_shape,
    fields,
)
from spatioformer.models.capabilities import FitContext
from spatioformer.models.near_plots import NearPlots
from spatioformer.models.registry import make
from spatioformer.models.store import load
from tests.helpers.models import fitted, scene, seen
from tests.models.baselines.gaussian.plots import counts, towns
from tests.models.test_distilled import TRAIN, chips, model_section

TRANSFORMS = ("none", "square-root", "logarithm")


def made(transform: str = "none", n: int = 30) -> NearPlots:
    """Peaks and hollows around n plots of `scene`, which is 3 degrees wide."""
    rng = np.random.default_rng(5)
    u = unit_vectors(rng.uniform(140, 143, n), rng.uniform(-23, -20, n))
    turn = np.eye(3) * MEAN_RADIUS_KM / 130
    size = {"none": 4.0, "square-root": 0.6, "logarithm": 0.25}[transform]
    middle = u.mean(axis=0) @ turn
    weights = size * rng.choice([-1.0, 1.0], n)
    return NearPlots(turn, middle, u @ turn - middle, weights, 0.3, 0.1, transform, (1.0, 60.0))


def raster() -> tuple[np.ndarray, np.ndarray]:
    """lon, lat (900,) of the pixels of `scene`."""
    _, _, lon, lat = scene()
    return lon.ravel(), lat.ravel()


@pytest.fixture
def short_range(monkeypatch):
    """Processes have a field of location with a range of .03."""
    held = Hyperparameters.held
    at = {4: float(np.log(0.03))}
    monkeypatch.setattr(Hyperparameters, "held", lambda self, *a: held(self, *a) | at)


# --- what it is -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_range")
@pytest.mark.parametrize("effort", [False, True])
def test_the_parts_of_all_fields_are_the_processs_mean(effort):
    X, y = counts(150) if effort else towns(300, 1)
    process = GaussianProcess(effort=0 if effort else None, counts=effort).fit(X[:-20], y[:-20])
    found = Hyperparameters(process.found_, process.features_.shape[1])
    inputs = process._standardised(X)
    known = Inputs(process.features_, process.places_, process.effort_)
    mean = covariance(inputs, known, found) @ process.weights_
    parts = {
        field: part @ process.weights_
        for field, part in fields(*distances(inputs, known, found), found).items()
    }
    assert list(parts) == [0, 1, 2]
    if effort:
        shape = effort_shape(inputs.effort[:, None], known.effort)
        parts[3] = found.effort * shape @ process.weights_
    np.testing.assert_allclose(sum(parts.values()), mean, rtol=0, atol=1e-10)

    near = NearPlots.of(process)
    whole = replace(near, reach=1e9).at(*X[:, -2:].T)
    np.testing.assert_allclose(whole, process.sd_ * parts[0], rtol=0, atol=1e-10 * process.sd_)
    tapered = near.at(*X[:, -2:].T)
    assert 0.3 * whole.std() < tapered.std()
    assert np.abs(tapered - whole).std() < 0.2 * whole.std()
    assert len(near) == len(process.weights_)
    assert process.transform_ == near.transform == ("logarithm" if effort else "none")


@pytest.mark.usefixtures("short_range")
def test_no_part_without_a_field_of_a_short_range(monkeypatch):
    X, y = towns(200, 1)
    assert NearPlots.of(GaussianProcess(counts=False).fit(X, y)).reach == pytest.approx(0.15)
    no_place = GaussianProcess(counts=False, without=("place",)).fit(X, y)
    assert NearPlots.of(no_place) is None
    monkeypatch.setattr(near_plots, "REACH", 0.02)
    assert NearPlots.of(GaussianProcess(counts=False).fit(X, y)) is None


def test_it_ends_without_an_edge_and_does_not_depend_on_other_places():
    near, (lon, lat) = made(), raster()
    part = near.at(lon, lat)
    apart = np.linalg.norm(
        (unit_vectors(lon, lat) @ near.turn - near.shift)[:, None] - near.points, axis=2
    )
    u = np.minimum(apart / near.reach, 1)
    np.testing.assert_allclose(
        part, (np.exp(-apart / 0.1) * (1 - u**2) ** 3) @ near.weights, rtol=0, atol=1e-12
    )
    some = np.random.default_rng(0).permutation(len(lon))[:300]
    np.testing.assert_array_equal(near.at(lon[some], lat[some]), part[some])
    for one in (0, 450):
        np.testing.assert_array_equal(near.at(lon[[one]], lat[[one]]), part[[one]])
    np.testing.assert_array_equal(near.at(lon + 20, lat), np.zeros(len(lon)))
    np.testing.assert_array_equal(near.at(np.empty(0), np.empty(0)), np.empty(0))
    alone = replace(near, points=near.points[:1], weights=np.array([4.0]))
    east = 140 + np.linspace(0, 3, 3001)
    steps = np.abs(np.diff(alone.at(east, np.full(3001, -21.5))))
    assert steps.max() < 0.05
    assert alone.at(lon, lat).max() > 1


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_what_is_removed_is_added_again_and_torch_computes_the_same(transform):
    near, (lon, lat) = made(transform), raster()
    richness = np.random.default_rng(1).uniform(15, 40, len(lon))
    lesson = near.removed(richness, lon, lat)
    assert np.abs(lesson - richness).max() > 2
    np.testing.assert_allclose(near.added(lesson, lon, lat), richness, rtol=1e-12)
    by_torch = near.added_in_torch(*map(torch.from_numpy, (richness, lon, lat)))
    np.testing.assert_allclose(by_torch.numpy(), near.added(richness, lon, lat), rtol=1e-12)
    flat = near.added(np.full(len(lon), 1.5), lon, lat)
    assert 1.0 <= flat.min() < 1.01 < flat.max()
    assert near.added(np.full(len(lon), 59.0), lon, lat).max() == 60
    lowest = near.removed(np.full(len(lon), 0.5), lon, lat).min()
    assert (lowest > 0) if transform == "logarithm" else (lowest == 0)


# --- who carries it on ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense():
    """A dense network and plots for it."""
    model, store, _ = fitted("spatioformer-dense", dropout=0.1)
    return model, store


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_rows_chips_tiles_and_gradients_have_the_same_part(dense, transform):
    plain, store = dense
    near = made(transform)
    model = replace(plain, near=near)
    everything = np.arange(len(store))
    rows, without = (m.predict_rows(store, everything) for m in (model, plain))
    lon, lat = store.coordinates.T
    np.testing.assert_allclose(rows, near.added(without, lon, lat), rtol=1e-6)
    assert np.abs(rows - without).max() > 1
    np.testing.assert_array_equal(model.predict(*seen(store)), rows)
    tensors = (torch.from_numpy(a) for a in seen(store))
    np.testing.assert_allclose(model.forward(*tensors).detach().numpy(), rows, rtol=2e-5)

    data, valid, lon, lat = scene()
    tile = model.predict_tile(data, valid, lon, lat)
    at = store.table["row"].to_numpy(), store.table["col"].to_numpy()
    np.testing.assert_allclose(tile[at], rows, rtol=2e-5)
    left = model.predict_tile(*(a[..., :20] for a in (data, valid, lon, lat)))
    parts = tile[:, :18] - plain.predict_tile(data, valid, lon, lat)[:, :18]
    cut = left - plain.predict_tile(*(a[..., :20] for a in (data, valid, lon, lat)))
    np.testing.assert_allclose(cut, parts, rtol=0, atol=1e-5)
    assert np.isnan(tile[11, 19])
    assert np.nanmax(np.abs(parts)) > 1


def test_the_spread_of_draws_is_that_of_the_sum(dense):
    plain, store = dense
    data, valid, lon, lat = scene()
    tiles = {
        transform: model.spread_tile(data, valid, lon, lat, samples=4)
        for transform, model in {
            "without": plain,
            **{t: replace(plain, near=made(t)) for t in ("none", "logarithm")},
        }.items()
    }
    np.testing.assert_array_equal(tiles["none"], tiles["without"])
    factor = np.exp(made("logarithm").at(lon[1:-1, 1:-1].ravel(), lat[1:-1, 1:-1].ravel()))
    np.testing.assert_allclose(
        tiles["logarithm"], tiles["without"] * factor.reshape(28, 28), rtol=0.02, atol=1e-3
    )
    spread = replace(plain, near=made("none")).spread(*seen(store), samples=4)
    np.testing.assert_array_equal(spread, plain.spread(*seen(store), samples=4))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_saved_model_keeps_it(dense, tmp_path, transform):
    plain, store = dense
    model = replace(plain, near=made(transform))
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(
        again.predict_rows(store, np.arange(20)), model.predict_rows(store, np.arange(20))
    )
    assert again.identity() == model.identity() != plain.identity()
    moved = replace(model, near=replace(model.near, weights=2 * model.near.weights))
    assert moved.identity() != model.identity()
    card = (tmp_path / "model" / "README.md").read_text(encoding="utf-8")
    assert (
        "- Near plots: the teacher's field of location (range 13 km) is added to the network's "
        "prediction up to 39 km from 30 plots, whose coordinates this model therefore holds"
    ) in card
    assert "near_plots" not in read_json(plain.save(tmp_path / "plain") / "config.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reach": 0.0}, "near_plots: reach 0.0"),
        ({"reach": 1e-9}, "more than 100000 times the reach"),
        ({"scale": "wide"}, "could not convert"),
        ({"limits": [5.0, 1.0]}, "limits 5.0 and 1.0"),
        ({"transform": "cube"}, "near_plots.transform is 'cube'"),
        (None, "near_plots.points is not part of it"),
    ],
)
def test_a_changed_file_is_refused(dense, tmp_path, change, reason):
    folder = replace(dense[0], near=made()).save(tmp_path / "model")
    config = read_json(folder / "config.json")
    if change is None:
        del config["near_plots"]
    else:
        config["near_plots"] |= change
    write_json(folder / "config.json", config)
    with pytest.raises(ModelError, match=reason):
        load(folder)


@pytest.mark.slow
def test_an_exported_model_has_it(dense, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `onnx` is not installed")
    from spatioformer.portable.export import export_model

    plain, store = dense
    model = replace(plain, near=made("square-root"))
    export_model(model.save(tmp_path / "model"), tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    stated = session.get_modelmeta().custom_metadata_map["near_plots"]
    assert "30 plots, whose coordinates this model therefore holds" in stated
    inputs = dict(zip(("chips", "lon", "lat"), seen(store), strict=True))
    (species,) = session.run(None, inputs)
    np.testing.assert_allclose(species, model.predict(*seen(store)), rtol=1e-5)
    assert np.abs(species - plain.predict(*seen(store))).max() > 1


def test_a_trace_says_what_is_the_networks_and_what_is_added(dense):
    plain, store = dense
    row = int(np.argmax(np.abs(made().at(*store.coordinates.T))))
    pixels = store.chips[row], store.lon[row], store.lat[row]
    trace, without = (trace_place(m, pixels) for m in (replace(plain, near=made()), plain))
    assert trace.species == without.species == pytest.approx(without.prediction, rel=1e-5)
    assert abs(trace.prediction - trace.species) > 1
    assert trace.sentence.endswith(
        f"; the network, shown here, predicts {trace.species:.1f} species, and the field near "
        "plots is added"
    )
    (last,) = [p for row in trace.panels(1, 1) for p in row if p.title == "Prediction"]
    assert last.rows == ["network 1 of 1", "with the field near plots"]
    np.testing.assert_allclose(last.values[:, 0], [trace.species, trace.prediction])


# --- what it is for -------------------------------------------------------------------------------


def smooth(store: ChipStore) -> ChipStore:
    """The store with imagery that is its place, alike in all pixels of a chip."""
    bands = store.coordinates[:, None, None].astype(np.float32)
    return replace(store, chips=np.broadcast_to(bands, store.chips.shape))


@pytest.mark.slow
@pytest.mark.usefixtures("short_range")
def test_with_it_a_network_says_more_nearly_what_its_teacher_says(monkeypatch, tmp_path):
    monkeypatch.setattr(distilled, "SUFFICIENT_R2", -np.inf)
    rng, sites = np.random.default_rng(7), smooth(chips(200, 1))
    known = 80 + 2 * sites.coordinates[:, 1] + rng.normal(0, 8, 200)  # no imagery tells the rest
    rows = np.arange(400)
    twice = np.tile(np.arange(200), 2)  # two visits of each site, which agree
    counted = np.maximum(known[twice] + rng.normal(0, 1, 400), 0).round()
    store = replace(
        sites,
        chips=sites.chips[twice],
        lon=sites.lon[twice],
        lat=sites.lat[twice],
        table=sites.table.iloc[twice].reset_index(drop=True).assign(richness=counted),
        unlabelled=smooth(chips(3000, 3)),
    )
    fresh = smooth(chips(500, 9))
    estimator = make("spatioformer-distilled", model_section(), TRAIN)
    # The other field is smooth, so the network can learn it.
    smooth_rest = {"rigid": 1.0, "without": ("local response",)}
    teacher = replace(estimator.teacher, parameters=smooth_rest).fit(store, rows)
    context = FitContext(fitted={"gaussian-process": teacher})
    model = estimator.fit(store, rows, context=context)
    monkeypatch.setattr(distilled, "near_plots_of", lambda teacher: None)
    without = estimator.fit(store, rows, context=context)
    assert without.near is None

    answers = teacher.predict_rows(fresh, np.arange(500))
    r2 = [
        1 - np.mean((m.predict_rows(fresh, np.arange(500)) - answers) ** 2) / np.var(answers)
        for m in (model, without)
    ]
    assert model.facts["teacher_r2"] == pytest.approx(r2[0], abs=0.02)
    assert without.facts["teacher_r2"] == pytest.approx(r2[1], abs=0.03)
    assert 1 - r2[0] < 0.5 * (1 - r2[1])
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(again.predict_rows(store, rows), model.predict_rows(store, rows))
