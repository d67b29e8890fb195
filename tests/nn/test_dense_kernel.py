"""The kernel of the dense network: against torch's modules in float64; and its use."""

import numpy as np
import pytest
import torch
from torch import nn

from spatioformer.nn import DenseSpatioformer
from spatioformer.nn.kernels import tiles as kernel

pytestmark = pytest.mark.slow

pytest.importorskip("numba")

ROWS, COLS = 21, 75  # more than two pairs of vectors, and not a multiple
EDGES = np.sort(np.random.default_rng(5).normal(size=(4, 6)), axis=1).tolist()
SPHERE = {"name": "sphere", "wavelengths": [30.0, 5.0, 1.0]}


def network(seed: int = 0, **arguments) -> DenseSpatioformer:
    """Random weights everywhere, float32."""
    small = {"patch": 9, "bands": 4, "width": 16, "heads": 4, "mlp_hidden": 20, "head_hidden": 13}
    torch.manual_seed(seed)
    model = DenseSpatioformer(**small | {"edges": EDGES, "location": SPHERE} | arguments)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def scene(gaps: bool = True) -> list[torch.Tensor]:
    """Bands (1, 4, 21, 75), lon, lat and valid (1, 21, 75); a tenth without data."""
    rng = np.random.default_rng(0)
    bands = torch.from_numpy(rng.normal(size=(1, 4, ROWS, COLS)).astype(np.float32))
    lat, lon = np.meshgrid(np.linspace(-20, -22, ROWS), np.linspace(178, 183, COLS), indexing="ij")
    valid = torch.from_numpy(rng.random((1, ROWS, COLS)) > (0.1 if gaps else -1))
    return [bands, torch.from_numpy(lon)[None], torch.from_numpy(lat)[None], valid]


def run(model: DenseSpatioformer, bands, lon, lat, valid, covariates=None) -> torch.Tensor:
    with torch.inference_mode():
        return model.forward_tile(bands, lon, lat, covariates, valid)


def uses_kernel(model: DenseSpatioformer, bands: torch.Tensor | None = None) -> bool:
    with torch.inference_mode():
        return kernel.can_replace(model, scene()[0] if bands is None else bands)


def error(model: DenseSpatioformer, covariates=None, gaps: bool = True) -> float:
    """Largest difference to the modules in float64, as a share of the largest value."""
    bands, lon, lat, valid = scene(gaps)
    assert uses_kernel(model)
    ours = run(model, bands, lon, lat, valid, covariates)
    exact = model.double()
    assert not uses_kernel(exact, bands.double())
    other = None if covariates is None else covariates.double()
    theirs = run(exact, bands.double(), lon, lat, valid, other)
    assert ours.shape == theirs.shape
    h = model.halo
    inner = valid[:, h : ROWS - h, h : COLS - h]
    return float((ours - theirs)[inner].abs().max() / theirs[inner].abs().max())


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"patch": 1},
        {"patch": 5, "layers": 3, "outputs": 3},
        {"edges": None, "location": None},
        {"location": {"name": "sinusoids", "wavelengths": [30.0, 5.0]}},
        {"location": {"name": "fourier", "wavelengths": [30.0, 5.0]}},
        {"location": {"name": "paper"}},
        {"width": 24, "heads": 6},
    ],
)
def test_it_agrees_with_the_modules(arguments):
    assert error(network(**arguments)) < 3e-6


def test_covariates_and_complete_imagery():
    covariates = torch.tensor([[0.3, torch.nan]])
    assert error(network(covariates=2), covariates, gaps=False) < 3e-6


@pytest.mark.parametrize("name", ["blocks.1.attention.bias", "blocks.0.mlp_norm.bias", "norm.bias"])
def test_the_comparison_can_fail(name):
    model = network()
    bands, lon, lat, valid = scene()
    before = run(model, bands, lon, lat, valid)
    with torch.no_grad():
        model.get_parameter(name)[1] += 0.01
    after = run(model, bands, lon, lat, valid)
    assert (after - before).abs().max() > 1e-5 * before.abs().max()


def test_a_value_has_the_same_bits_in_every_tile_and_with_every_number_of_threads(monkeypatch):
    model, inputs, h = network(), scene(), 4
    whole = run(model, *inputs)
    crop = run(model, *(t[..., 3:17, 6:47] for t in inputs))
    inner = inputs[3][:, 3 + h : 17 - h, 6 + h : 47 - h]
    assert torch.equal(crop[inner], whole[:, 3 : 17 - 2 * h, 6 : 47 - 2 * h][inner])
    monkeypatch.setattr(kernel, "STRIP", 16)
    monkeypatch.setattr(kernel, "FEWEST_ROWS", 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    assert len(kernel._parts(ROWS - 2 * h, COLS - 2 * h, h, 4)) > 2
    assert torch.equal(run(model, *inputs), whole)


def test_nodata_changes_nothing_whatever_it_holds():
    model = network()
    bands, lon, lat, valid = scene()
    expected = run(model, bands, lon, lat, valid)
    bands[:, :, ~valid[0]], lon[~valid], lat[~valid] = torch.nan, torch.inf, torch.nan
    found = run(model, bands, lon, lat, valid)
    inner = valid[:, 4:-4, 4:-4]
    assert torch.equal(found[inner], expected[inner])
    assert torch.isfinite(found[inner]).all()


@pytest.mark.parametrize("edges", [None, EDGES])
def test_nan_in_valid_pixels_is_not_hidden(edges):
    model = network(edges=edges, location=None)
    bands, lon, lat, _ = scene()
    bands[0, 2, 10, 40] = torch.nan
    found = run(model, bands, lon, lat, None).isnan()
    assert found[0, 6 - 4 : 6 + 5, 36 - 4 : 36 + 5].all()
    assert found.sum() == 81


def test_where_the_kernel_does_not_apply():
    model, bands = network(), scene()[0]
    assert uses_kernel(model)
    assert not kernel.can_replace(model, bands), "gradients are on"
    assert not uses_kernel(model, torch.cat([bands, bands]))
    assert not uses_kernel(network(width=12))
    assert not uses_kernel(network().train())
    dropping = network(dropout=0.1)
    dropping.head[2].train()
    assert not uses_kernel(dropping)
    handle = model.blocks[0].up.register_forward_hook(lambda *_: None)
    assert not uses_kernel(model)
    handle.remove()
    model.blocks[0].up.forward = lambda x: x
    assert not uses_kernel(model)
    model = network()
    model.blocks[1].mlp_norm = nn.Identity()
    assert not uses_kernel(model)


def test_without_numba_the_modules(monkeypatch):
    model, inputs = network(), scene()
    expected = run(model, *inputs)
    monkeypatch.setattr(kernel, "has_numba", lambda: False)
    assert not uses_kernel(model)
    found = run(model, *inputs)
    inner = inputs[3][:, 4:-4, 4:-4]
    torch.testing.assert_close(found[inner], expected[inner], rtol=1e-5, atol=1e-5)


def test_waves_are_exact():
    from spatioformer.nn.kernels.waves import waves

    lon = np.r_[np.arange(-16, 17) * 45.0, np.random.default_rng(1).uniform(-720, 720, 999)][None]
    out = np.empty((2, *lon.shape), np.float32)
    waves(lon, np.zeros_like(lon), False, np.array([[1 / 360, 0.0, 0.0]]), out)
    angle = np.deg2rad(np.remainder(lon, 360))
    np.testing.assert_allclose(out[0], np.sin(angle), rtol=0, atol=6e-8)
    np.testing.assert_allclose(out[1], np.cos(angle), rtol=0, atol=6e-8)


def test_gelu_is_exact_to_float32():
    """A network of one layer passes GELU's values on: its hidden units, one after another."""
    x = torch.linspace(-12, 12, 4001)
    model = network(patch=1, bands=1, edges=None, location=None, layers=1, head_hidden=8)
    for parameter in model.parameters():
        nn.init.zeros_(parameter)
    width = model.config["width"]
    signs = torch.tensor([1.0, -1.0]).repeat(width // 2)
    with torch.no_grad():
        model.norm.weight.fill_(1)
        model.embedding.bias.copy_(signs)  # normalised, they are +1 and -1
        model.head[3].weight[0, 0] = 1
        ours = []
        for value in x[::40]:
            model.head[0].bias[0] = value
            zeros = torch.zeros(1, 1, 1, 1), *torch.zeros(2, 1, 1, 1, dtype=torch.float64)
            assert uses_kernel(model, zeros[0])
            ours.append(run(model, *zeros, None).item())
    exact = nn.functional.gelu(x[::40].double())
    difference = (torch.tensor(ours, dtype=torch.float64) - exact).abs()
    assert (difference / x[::40].abs().clamp_min(1)).max() < 5e-7
