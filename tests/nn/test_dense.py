"""The dense network: a pixel's value is its own, whatever tile it is computed in."""

import numpy as np
import pandas as pd
import pytest
import rasterio
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.geo.chips import open_chips
from spatioformer.models import tiles
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Covariates, Scaling
from spatioformer.models.store import load
from spatioformer.nn import DenseSpatioformer, Ensemble
from spatioformer.nn.dense import shares
from spatioformer.nn.neighbourhood import KeyDropout, NeighbourhoodAttention, NeighbourhoodBlock
from spatioformer.nn.transformer import Block, BlockConfig
from spatioformer.training.richness import fit
from spatioformer.training.samples import Samples
from tests.helpers import landscape
from tests.helpers.tiny_run import spatioformer, write_config
from tests.helpers.training import plain_recipe

BANDS = 3
ROWS, COLS = 23, 29
LOCATION = {"name": "sphere", "wavelengths": [30.0, 5.0, 1.0]}
EDGES = [[-2.0, -1.0, 0.0, 1.5], [-1.0, 0.0, 1.0, 2.0], [-1.0, -0.5, 0.5, 1.0]]


def network(seed: int = 0, **arguments) -> DenseSpatioformer:
    """Random weights everywhere, float64: nothing may hide behind a zero."""
    small = {"patch": 7, "bands": BANDS, "width": 10, "heads": 5, "layers": 2, "mlp_hidden": 11}
    torch.manual_seed(seed)
    model = DenseSpatioformer(
        **small | {"head_hidden": 7, "edges": EDGES, "location": LOCATION} | arguments
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    return model.double().eval()


def scene(seed: int = 0) -> tuple[torch.Tensor, ...]:
    """Bands (1, 3, 23, 29), lon, lat and valid (1, 23, 29); a tenth without data."""
    rng = np.random.default_rng(seed)
    bands = torch.from_numpy(rng.normal(size=(1, BANDS, ROWS, COLS)))
    lat, lon = np.meshgrid(np.linspace(-20, -22, ROWS), np.linspace(140, 143, COLS), indexing="ij")
    valid = torch.from_numpy(rng.random((1, ROWS, COLS)) > 0.1)
    return bands, torch.from_numpy(lon)[None], torch.from_numpy(lat)[None], valid


def run(model: DenseSpatioformer, bands, lon, lat, valid=None) -> torch.Tensor:
    with torch.inference_mode():
        return model.forward_tile(bands, lon, lat, valid=valid)


def furthest(model: DenseSpatioformer, top: int, left: int, height: int, width: int) -> float:
    """Largest difference between a crop's own values and those in the whole scene."""
    inputs, h = scene(), model.halo
    whole = run(model, *inputs)
    rows, cols = slice(top, top + height), slice(left, left + width)
    crop = run(model, *(t[..., rows, cols] for t in inputs))
    same = whole[:, top : top + height - 2 * h, left : left + width - 2 * h]
    inner = inputs[3][:, top + h : top + height - h, left + h : left + width - h]
    assert crop.shape == same.shape
    return float((crop - same).where(inner, 0).abs().max() / whole.abs().max())


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_a_value_does_not_depend_on_the_tile(data):
    model = network()
    height, width = data.draw(st.integers(7, ROWS)), data.draw(st.integers(7, COLS))
    top, left = data.draw(st.integers(0, ROWS - height)), data.draw(st.integers(0, COLS - width))
    assert furthest(model, top, left, height, width) < 1e-12


def test_in_float32_to_1e_5():
    model = network().float()
    bands, lon, lat, valid = scene()
    whole = run(model, bands.float(), lon, lat, valid)
    crop = run(model, *(t[..., 4:18, 9:27] for t in (bands.float(), lon, lat, valid)))
    inner = valid[:, 7:15, 12:24]
    assert (crop - whole[:, 4:12, 9:21]).where(inner, 0).abs().max() < 1e-5 * whole.abs().max()


class OverTheTile(nn.Module):
    """A norm that a dense network must not have: statistics of the tile's pixels."""

    def forward(self, x):
        return (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)


def padded(attention, x, valid=None):
    """Attention that takes what lies in the outermost ring for zeros, as if it were padding."""
    core = x[:, 1:-1, 1:-1]
    return NeighbourhoodAttention.forward(attention, nn.functional.pad(core, (0, 0, 1, 1, 1, 1)))


def anchored_to_the_tile(attention, x, valid=None):
    """Windows of 4 x 4 pixels counted from the tile's own corner: all see the window's first."""
    r, corner = attention.radius, torch.arange(max(x.shape[1:3])) // 4 * 4
    x = x[:, corner[: x.shape[1]]][:, :, corner[: x.shape[2]]]
    return NeighbourhoodAttention.forward(attention, x)[:, : x.shape[1] - 2 * r]


@pytest.mark.parametrize("fault", ["norm", padded, anchored_to_the_tile])
def test_a_network_that_looks_at_its_tile_is_found_out(fault):
    model = network()
    for block in model.blocks:
        if fault == "norm":
            block.mlp_norm = OverTheTile()
        else:
            block.attention.forward = fault.__get__(block.attention)
    # The first crop shares a corner with the scene: only the others tell.
    assert max(furthest(model, *crop) for crop in ((0, 0, 9, 9), (3, 5, 9, 9))) > 1e-3


@pytest.mark.parametrize(("patch", "layers"), [(7, 2), (5, 3), (3, 1), (1, 2)])
def test_the_halo_is_exact(patch, layers):
    """The furthest pixel of the chip counts, the next one does not."""
    model = network(patch=patch, layers=layers, location=None)
    bands, lon, lat, _ = scene()
    before, h = run(model, bands, lon, lat), model.halo
    assert h == patch // 2
    for reach, tells in ((h, True), (h + 1, False)):
        for row, col in ((10 - reach, 10), (10, 10 + reach), (10 + reach, 10 - reach)):
            changed = bands.clone()
            changed[..., row, col] += 5
            after = run(model, changed, lon, lat)
            assert (after != before)[0, 10 - h, 10 - h] == tells


def test_nodata_is_not_looked_at_whatever_it_holds():
    model = network()
    bands, lon, lat, valid = scene()
    expected = run(model, bands, lon, lat, valid)
    bands, lon, lat = bands.clone(), lon.clone(), lat.clone()
    bands[:, :, ~valid[0]] = torch.nan
    lon[~valid], lat[~valid] = torch.inf, torch.nan
    found = run(model, bands, lon, lat, valid)
    inner = valid[:, 3:-3, 3:-3]
    assert torch.equal(found[inner], expected[inner])
    assert torch.isfinite(found[inner]).all()
    seen = run(model, scene()[0], *scene()[1:3])
    assert (seen - expected)[inner].abs().max() > 1e-3, "nodata was looked at all the time"


def test_a_chip_is_a_tile_of_one_pixel():
    model = network()
    bands, lon, lat, _ = scene()
    whole = run(model, bands, lon, lat)
    with torch.inference_mode():
        chips = bands.unfold(2, 7, 1).unfold(3, 7, 1)[0, :, ::5, ::5].flatten(1, 2)  # (band, n, ..)
        places = [t.unfold(1, 7, 1).unfold(2, 7, 1)[0, ::5, ::5].flatten(0, 1) for t in (lon, lat)]
        found = model(chips.permute(1, 2, 3, 0), *places)
    torch.testing.assert_close(found, whole[0, ::5, ::5].flatten(), rtol=1e-12, atol=1e-12)


def test_the_same_surroundings_give_the_same_value_anywhere():
    model = network(location=None)
    bands, lon, lat, _ = scene()
    bands[..., 12:19, 3:10] = bands[..., 2:9, 20:27]
    found = run(model, bands, lon, lat)
    torch.testing.assert_close(found[0, 12, 3], found[0, 2, 20], rtol=1e-12, atol=0)
    with_place = run(network(), bands, lon, lat)
    assert (with_place[0, 12, 3] - with_place[0, 2, 20]).abs() > 1e-3


def same_weights(radius: int) -> tuple[NeighbourhoodBlock, Block]:
    """A block of neighbours and one of the transformer core, with the same random weights."""
    torch.manual_seed(radius)
    ours = NeighbourhoodBlock(10, 5, 11, radius, 0.0).double()
    theirs = Block(BlockConfig(10, 5, 11)).double()
    for parameter in ours.parameters():
        nn.init.normal_(parameter, std=0.5)
    nn.init.zeros_(ours.attention.bias)
    attention = ours.attention
    for kind in ("weight", "bias"):
        parts = [getattr(attention.query, kind), getattr(attention.key_value, kind)]
        getattr(theirs.attention.qkv, kind).data = torch.cat(parts).data
        for name, module in (
            ("attention.out", attention.out), ("mlp.up", ours.up), ("mlp.down", ours.down),
            ("attention_norm", ours.attention_norm), ("mlp_norm", ours.mlp_norm),
        ):  # fmt: skip
            getattr(theirs.get_submodule(name), kind).data = getattr(module, kind).data
    return ours, theirs


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("radius", [1, 2])
def test_a_neighbourhood_is_a_window_of_the_transformer(radius, gaps):
    """The middle token of a block over the n x n tokens, by the core that all models share."""
    ours, theirs = same_weights(radius)
    side = 2 * radius + 1
    x = torch.randn(10, side, side, 13, dtype=torch.float64)
    valid = torch.rand(side, side, 13) > 0.3
    valid[radius, radius] = True
    tokens = x.flatten(1, 2).permute(2, 1, 0)  # (D, n, n, B) -> (B, n * n, D)
    mask = valid.flatten(0, 1).T if gaps else None
    expected = theirs(tokens, mask)[:, side * side // 2].T
    found = ours(x, valid if gaps else None)[:, 0, 0]
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    ours.attention.bias.data[0] += 1
    assert (ours(x)[:, 0, 0] - expected).abs().max() > 1e-3, "the bias of a position must tell"


def test_dropped_keys_leave_the_pixel_itself():
    dropout = KeyDropout(0.4)
    scores = torch.zeros(9, 2, 30, 30, 5)
    left = dropout(scores).isfinite().float()
    assert left[4].all()
    others = left[[0, 1, 2, 3, 5, 6, 7, 8]].mean()
    assert abs(others - 0.6) < 0.01
    assert torch.equal(dropout.eval()(scores), scores)
    attention = NeighbourhoodAttention(10, 5, 1, dropout=0.999999)
    alone = NeighbourhoodAttention.forward(attention, torch.randn(10, 5, 5, 1))
    assert alone.isfinite().all()


@pytest.mark.parametrize(
    ("halo", "layers", "expected"),
    [(4, 3, [2, 1, 1]), (1, 2, [1, 0]), (0, 2, [0, 0]), (4, 2, [2, 2])],
)
def test_the_halo_is_shared_out(halo, layers, expected):
    assert shares(halo, layers) == expected


def test_covariates_count_and_may_be_missing():
    model = network(covariates=2)
    bands, lon, lat, _ = scene()
    with torch.inference_mode():
        known = model.forward_tile(bands, lon, lat, torch.tensor([[0.5, -1.0]]).double())
        half = model.forward_tile(bands, lon, lat, torch.tensor([[0.5, torch.nan]]).double())
        none = model.forward_tile(bands, lon, lat)
    assert (known - half).abs().min() > 0
    assert (half - none).abs().min() > 0
    with pytest.raises(ModelError, match=r"covariates of shape \(1, 3\) do not fit 1 tiles and a"):
        model.forward_tile(bands, lon, lat, torch.zeros(1, 3))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"patch": 4}, "patch 4 cannot be used"), ({"heads": 3}, "width 10 cannot be shared by 3")],
)
def test_impossible_sizes_are_refused(arguments, sentence):
    with pytest.raises(ModelError, match=sentence):
        network(**arguments)


def test_tiles_and_chips_of_another_shape_are_refused():
    bands, lon, lat, _ = scene()
    with pytest.raises(ModelError, match=r"a tile of shape \(1, 3, 6, 29\) does not fit a model"):
        network().forward_tile(bands[:, :, :6], lon[:, :6], lat[:, :6])
    with pytest.raises(ModelError, match=r"a tile of shape \(1, 2, 23, 29\) does not fit"):
        network().forward_tile(bands[:, :2], lon, lat)
    with pytest.raises(ModelError, match=r"chips of shape \(1, 9, 9, 3\) do not fit"):
        network()(bands[..., :9, :9].movedim(1, -1), lon[:, :9, :9], lat[:, :9, :9])


def bundle(members: int = 1, **arguments) -> NetworkModel:
    """A model of float32 with scaling and a covariate."""
    arguments = {"covariates": 1, "dropout": 0.2} | arguments
    nets = [network(k, **arguments).float() for k in range(members)]
    model = nets[0]
    if members > 1:
        model = Ensemble(members, "DenseSpatioformer", **model.config)
        for own, trained in zip(model.members, nets, strict=True):
            own.load_state_dict(trained.state_dict())
    scaling = Scaling((0.1, 0.2, 0.3), (1.5, 1.0, 2.0), 50.0, 12.0)
    covariates = Covariates(("area_m2",), (2.0,), (1.0,), (400.0,))
    return NetworkModel(model.eval(), ["a", "b", "c"], scaling, {"name": "t"}, covariates)


def arrays() -> tuple[np.ndarray, ...]:
    """data with NaN where there is none, valid, lon, lat: as a map passes them."""
    bands, lon, lat, valid = (t[0].numpy().copy() for t in scene())
    bands[:, ~valid] = np.nan
    return bands.astype(np.float32), valid, lon, lat


@pytest.mark.parametrize("members", [1, 3])
@pytest.mark.slow
def test_a_bundle_maps_what_it_predicts(tmp_path, monkeypatch, members):
    model = bundle(members)
    data, valid, lon, lat = arrays()
    found = model.predict_tile(data, valid, lon, lat)
    assert model.halo == 3
    assert np.array_equal(np.isfinite(found), valid[3:-3, 3:-3])
    full = np.ones_like(valid)
    filled = np.nan_to_num(data, nan=0.7)
    whole = model.predict_tile(filled, full, lon, lat)
    chip = (slice(5, 12), slice(8, 15))
    one = model.predict(
        filled[:, *chip].transpose(1, 2, 0)[None], lon[None, *chip], lat[None, *chip]
    )
    np.testing.assert_allclose(whole[5, 8], one[0], rtol=1e-5)
    monkeypatch.setattr(tiles, "BLOCK", 5)
    monkeypatch.setattr(tiles, "WIDE_BLOCK", 5)
    np.testing.assert_allclose(model.predict_tile(data, valid, lon, lat), found, rtol=1e-5)
    again = load(model.save(tmp_path / "model"))
    np.testing.assert_array_equal(
        again.predict_tile(data, valid, lon, lat), model.predict_tile(data, valid, lon, lat)
    )


def test_blocks_without_a_wanted_pixel_are_not_computed(monkeypatch):
    monkeypatch.setattr(tiles, "BLOCK", 8)
    monkeypatch.setattr(tiles, "WIDE_BLOCK", 8)
    model = bundle()
    calls = []
    forward = model.network.forward_tile
    monkeypatch.setattr(
        model.network, "forward_tile", lambda *a: calls.append(a[0].shape) or forward(*a)
    )
    data, valid, lon, lat = arrays()
    wanted = np.zeros((ROWS - 6, COLS - 6), bool)
    wanted[9:12, 1:3] = True
    found = model.predict_tile(data, valid, lon, lat, wanted)
    assert calls == [(1, BANDS, 14, 14)]
    assert np.array_equal(np.isfinite(found), wanted & valid[3:-3, 3:-3])


def test_the_spread_of_a_tile():
    model = bundle()
    inputs = arrays()
    before = model.predict_tile(*inputs)
    spread = model.spread_tile(*inputs, samples=6, seed=3)
    assert np.array_equal(np.isfinite(spread), np.isfinite(before))
    assert np.nanmin(spread) > 0
    np.testing.assert_array_equal(model.spread_tile(*inputs, samples=6, seed=3), spread)
    assert np.nanmax(np.abs(model.spread_tile(*inputs, samples=6, seed=4) - spread)) > 0
    np.testing.assert_array_equal(model.predict_tile(*inputs), before)
    with pytest.raises(ModelError, match=r"needs a dropout rate above 0 \(here 0.0\)"):
        bundle(dropout=0.0).spread_tile(*inputs)


@pytest.mark.slow
def test_it_learns_what_only_neighbours_tell():
    """A target that is the contrast between a pixel and its neighbour to the east."""
    rng = np.random.default_rng(0)
    chips = torch.from_numpy(rng.normal(size=(400, 3, 3, 1))).float()
    lon, lat = torch.zeros(2, 400, 3, 3, dtype=torch.float64)
    target = chips[:, 1, 1, 0] - 2 * chips[:, 1, 2, 0]
    torch.manual_seed(0)
    model = DenseSpatioformer(3, 1, width=8, heads=2, mlp_hidden=16, head_hidden=8, dropout=0.0)
    samples = Samples(chips, lon, lat, target)
    recipe = plain_recipe(learning_rate=1e-2, epochs=25, batch=32, patience=25)
    history = fit(model, samples[:300], samples[300:], recipe)
    assert history.best_rmse < 0.35 * float(target[300:].std())


@pytest.mark.slow
def test_a_run_with_the_dense_network(tmp_path):
    """Trained, scored and mapped; the map has values where a chip would meet the raster's edge."""
    config = landscape.write(tmp_path)
    config = write_config(
        tmp_path,
        ("model.network", "dense"),
        ("evaluate.models", ["spatioformer", "spatioformer-dense"]),
        ("evaluate.splits", [{"name": "random", "kind": "random", "folds": 2}]),
        ("evaluate.curve_sizes", []),
    )
    assert spatioformer("run", config, "--until", "map", "--quiet").code == 0
    model = load(tmp_path / "run" / "model")
    assert isinstance(model.network, DenseSpatioformer)
    with rasterio.open(tmp_path / "run" / "map.tif") as source:
        found = source.read(1)
    store = open_chips(tmp_path / "run" / "chips")
    rows, cols = store.table["row"], store.table["col"]
    expected = np.maximum(model.predict(store.chips, store.lon, store.lat), 0)
    np.testing.assert_allclose(found[rows, cols], expected, rtol=1e-4)
    scores = pd.read_csv(tmp_path / "run" / "scores.csv").set_index(["model", "split"])["r2"]
    assert scores["spatioformer", "random"] == scores["spatioformer-dense", "random"]


def test_bands_as_tokens_belong_to_the_chip_network(tmp_path):
    landscape.write(tmp_path)
    config = write_config(
        tmp_path, ("model.network", "dense"), ("model.patch", 1), ("model.tokens", "bands")
    )
    ended = spatioformer("run", config, "--quiet")
    assert ended.code == 2
    assert "tokens: bands are of the chip network, and network is dense" in ended.err
