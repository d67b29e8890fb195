"""Compiled pre-norm blocks of the default network: against torch's modules, and their use."""

import copy
from unittest.mock import patch

import pytest
import torch

from spatioformer.nn import Spatioformer
from spatioformer.nn.kernels import blocks, dispatch
from spatioformer.training.richness import fit
from spatioformer.training.samples import Samples
from tests.helpers.training import plain_recipe

pytestmark = pytest.mark.slow

pytest.importorskip("numba")


def network(**changes) -> Spatioformer:
    torch.manual_seed(0)
    net = Spatioformer(**{"patch": 3, "bands": 4, "mlp_hidden": 20, "dropout": 0.0, **changes})
    for parameter in net.parameters():  # none may stay at 0 or 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return net.train()


def inputs(n: int = 21, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    chips = torch.randn(n, 3, 3, 4, generator=rng)
    lon, lat = 120 + 20 * torch.rand(2, n, 3, 3, generator=rng, dtype=torch.float64)
    return chips, lon, lat - 150


def uses_kernels(net: Spatioformer, *arguments: torch.Tensor) -> bool:
    with patch.object(blocks, "transformed", wraps=blocks.transformed) as transformed:
        net(*(arguments or inputs()))
    return transformed.called


def gradients(net: Spatioformer, *arguments: torch.Tensor) -> dict[str, torch.Tensor]:
    """Output, and the gradients of its square with the parameters."""
    net.zero_grad()
    out = net(*arguments)
    out.square().sum().backward()
    return {"output": out.detach()} | {name: p.grad for name, p in net.named_parameters()}


def difference(net: Spatioformer, reference: Spatioformer) -> float:
    """Largest difference to torch in float64, as a share of the largest value of each tensor."""
    chips, lon, lat = inputs()
    ours = gradients(net, chips, lon, lat)
    theirs = gradients(copy.deepcopy(reference).double(), chips.double(), lon, lat)
    return max(
        float((ours[name] - exact).abs().max() / exact.abs().max())
        for name, exact in theirs.items()
    )


@pytest.mark.parametrize("changes", [{}, {"layers": 1}, {"width": 16, "heads": 2}])
def test_output_and_gradients_of_a_batch_that_fills_no_pack(changes):
    net = network(**changes)
    assert uses_kernels(net)
    assert difference(net, net) < 1e-5


@pytest.mark.parametrize(
    "name",
    ["attention.qkv.bias", "attention_norm.weight", "attention.out.bias", "mlp.up.bias",
     "mlp_norm.bias", "mlp.down.weight"],
)  # fmt: skip
def test_the_comparison_can_fail(name):
    net = network()
    wrong = copy.deepcopy(net)
    with torch.no_grad():
        wrong.get_parameter(f"transformer.blocks.1.{name}")[5] += 1e-3
    assert difference(wrong, net) > 1e-5


def test_dropout_hides_the_same_in_the_backward_pass():
    """The slope along a direction, from two forward passes with the seed of the backward one."""
    net = network(dropout=0.3)
    direction = {name: torch.randn_like(p) for name, p in net.named_parameters()}

    def moved(step: float, seed: int) -> float:
        other = copy.deepcopy(net)
        for name, p in other.named_parameters():
            p.data += step * direction[name]
        torch.manual_seed(seed)
        return float(other(*inputs(64)).detach().double().square().sum())

    torch.manual_seed(3)
    found = gradients(net, *inputs(64))
    slope = sum(float((found[name] * d).sum()) for name, d in direction.items())
    step = 1e-3
    assert (moved(step, 3) - moved(-step, 3)) / (2 * step) == pytest.approx(slope, rel=0.02)
    assert moved(step, 4) - moved(-step, 3) != pytest.approx(2 * step * slope, rel=0.5)


def test_the_spread_of_dropout_is_that_of_the_modules(monkeypatch):
    net = network(dropout=0.2)
    many = [tensor[:1].expand(4800, *tensor.shape[1:]) for tensor in inputs(1)]
    torch.manual_seed(0)
    ours = net(*many).detach()
    monkeypatch.setattr(blocks, "can_replace", lambda *_: False)
    theirs = net(*many).detach()
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.08 * float(theirs.std()))
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.06)


def test_one_seed_one_result_on_any_number_of_threads():
    transformer = network(dropout=0.1).transformer
    tokens = torch.randn(300, 10, 32).requires_grad_()  # three parts
    results, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.manual_seed(3)
        leaves = (tokens, *transformer.blocks.parameters())
        for leaf in leaves:
            leaf.grad = None
        try:
            torch.set_num_threads(threads)
            out = blocks.transformed(transformer, tokens)
            out.square().sum().backward()
        finally:
            torch.set_num_threads(before)
        results.append([out.detach(), *(leaf.grad for leaf in leaves)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path):
    def samples(n: int, seed: int) -> Samples:
        chips, lon, lat = inputs(n, seed)
        return Samples(chips, lon, lat, chips.mean((1, 2, 3)))

    recipe = plain_recipe(epochs=3, batch=16, patience=3, seed=7)
    straight, broken, resumed = (network(dropout=0.1) for _ in range(3))
    with patch.object(blocks, "transformed", wraps=blocks.transformed) as transformed:
        fit(straight, samples(48, 1), samples(16, 2), recipe)
    assert transformed.call_count == 9, "three batches of three epochs, no validation"

    def interrupt(epoch: int) -> None:
        raise KeyboardInterrupt

    files = {"checkpoint": tmp_path / "checkpoint"}
    with pytest.raises(KeyboardInterrupt):
        fit(broken, samples(48, 1), samples(16, 2), recipe, on_epoch=interrupt, **files)
    fit(resumed, samples(48, 1), samples(16, 2), recipe, **files)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_where_the_kernels_do_not_apply(monkeypatch):
    chips, lon, lat = inputs()
    assert uses_kernels(network())
    assert not uses_kernels(network().eval())
    with torch.no_grad():
        assert not uses_kernels(network())
    assert not uses_kernels(network(width=24, heads=3)), "no multiple of the lanes, or of 16"
    assert not uses_kernels(network(heads=2)), "wider heads"
    assert not uses_kernels(network(covariates=1)), "an odd number of tokens"
    assert not uses_kernels(network().double(), chips.double(), lon, lat)
    assert not uses_kernels(network(), chips[:0], lon[:0], lat[:0])
    half_dropping = network(dropout=0.1)
    half_dropping.transformer.blocks[0].mlp.dropout.eval()
    assert not uses_kernels(half_dropping)
    replaced = network()
    replaced.transformer.blocks[1].mlp.up = type("Other", (torch.nn.Linear,), {})(32, 20)
    assert not uses_kernels(replaced)
    watched = network()
    watched.transformer.blocks[0].register_forward_hook(lambda *_: None)
    assert not uses_kernels(watched)
    monkeypatch.setattr(dispatch, "_kernels", lambda: None)
    assert not uses_kernels(network())
