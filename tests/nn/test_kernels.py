"""The compiled kernels: against torch's modules, in float64 where rounding hides; and their use."""

import copy
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
import torch

from spatioformer.common.errors import ModelError
from spatioformer.nn import PaperSpatioformer, attention_rollout
from spatioformer.nn.dropout import LEVELS
from spatioformer.nn.kernels import dispatch
from spatioformer.training.richness import fit
from spatioformer.training.samples import Samples
from tests.helpers.training import plain_recipe

pytestmark = pytest.mark.slow

pytest.importorskip("numba")

SMALL = {"patch": 3, "bands": 4, "layers": 2, "mlp_hidden": 20, "head_hidden": 12}
TENTH = round(0.1 * LEVELS)


def network(seed: int = 0, **changes) -> PaperSpatioformer:
    torch.manual_seed(seed)
    net = PaperSpatioformer(**{**SMALL, "location_weight": 2.0, "dropout": 0.0, **changes})
    for parameter in net.parameters():  # none may stay at 0 or 1
        parameter.data += 0.1 * torch.randn_like(parameter)
    return net


def inputs(n: int = 21, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    chips = torch.randn(n, 3, 3, 4, generator=rng)
    lon, lat = 120 + 20 * torch.rand(2, n, 3, 3, generator=rng, dtype=torch.float64)
    return chips, lon, lat - 150


def exact(net: PaperSpatioformer, chips, lon, lat) -> tuple[torch.Tensor, dict]:
    """Output and the gradients of its square, by torch in float64."""
    double = copy.deepcopy(net).double()
    out = double(chips.double(), lon, lat)
    out.square().sum().backward()
    return out.detach(), {name: p.grad for name, p in double.named_parameters()}


def agree(net: PaperSpatioformer, reference: PaperSpatioformer) -> None:
    """Within a few units in float32's last place of the largest value of each tensor."""
    out, gradients = exact(reference, *inputs())
    net.zero_grad()
    ours = net(*inputs())
    ours.square().sum().backward()
    close(ours.detach(), out)
    for name, parameter in net.named_parameters():
        close(parameter.grad, gradients[name], name)


def close(a: torch.Tensor, b: torch.Tensor, name: str = "output", tolerance: float = 1e-5) -> None:
    error = float((a.double() - b).abs().max() / b.abs().max())
    assert error < tolerance, f"{name}: {error:.1e}"


def test_output_and_gradients_of_a_batch_that_fills_no_pack():
    net = network()
    assert uses_kernels(net)
    agree(net, net)


def test_without_geolocation():
    net = network(geolocation=False)
    agree(net, net)


@pytest.mark.parametrize("name", ["attention.qkv.bias", "attention_norm.weight", "mlp.down.bias"])
def test_the_comparison_can_fail(name):
    net = network()
    wrong = copy.deepcopy(net)
    with torch.no_grad():
        wrong.get_parameter(f"transformer.blocks.1.{name}")[5] += 1e-3
    with pytest.raises(AssertionError):
        agree(wrong, net)


def test_wider_heads_and_raw_bands():
    net = network(width=32, heads=4, location_weight=10000.0).eval()
    chips, lon, lat = inputs()
    with torch.inference_mode():
        ours = net(3000 * chips.abs(), lon, lat)
    close(ours, exact(net, 3000 * chips.abs(), lon, lat)[0])


def test_the_same_loss_curve_as_the_network_itself():
    """Square root of the MSE and Adam, as published; issue: to 1e-5."""
    curves = []
    for call in (PaperSpatioformer.__call__, PaperSpatioformer.reference):
        net = network()
        optimiser = torch.optim.Adam(net.parameters(), 1e-3, weight_decay=1e-4)
        curve = []
        for step in range(12):
            chips, lon, lat = inputs(32, seed=step)
            loss = (call(net, chips, lon, lat) - chips.mean((1, 2, 3))).square().mean().sqrt()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            curve.append(loss.item())
        curves.append(curve)
    assert curves[0][-1] < 0.9 * curves[0][0]
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-5)


def test_a_chip_does_not_feel_the_others():
    net, (chips, lon, lat) = network().eval(), inputs(40)
    with torch.inference_mode():
        whole = net(chips, lon, lat)
        part = net(chips[17:22], lon[17:22], lat[17:22])
    torch.testing.assert_close(whole[17:22], part, rtol=1e-6, atol=1e-6)


def trained(net: PaperSpatioformer, n: int) -> list[torch.Tensor]:
    torch.manual_seed(3)
    net.zero_grad()
    out = net.train()(*inputs(n))
    out.square().sum().backward()
    return [out.detach(), *(p.grad.clone() for p in net.parameters())]


def test_one_seed_one_result_on_any_number_of_threads():
    """Of the kernels; torch's own products around them round as their threads share them."""
    block = network(dropout=0.1).transformer.blocks[0].train()
    x = dispatch.pack(torch.randn(300, 10, 16)).requires_grad_()  # three parts
    results, before = [], torch.get_num_threads()
    for threads in (1, 3):
        torch.manual_seed(3)
        for leaf in (x, *block.parameters()):
            leaf.grad = None
        try:
            torch.set_num_threads(threads)
            out = dispatch._mlp_half(block, dispatch._attention_half(block, x))
            out.square().sum().backward()
        finally:
            torch.set_num_threads(before)
        gradients = [leaf.grad for leaf in (x, *block.parameters())]
        results.append([out.detach(), *gradients])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_dropout_hides_the_same_in_the_backward_pass():
    """The slope along a direction, from two forward passes with the seed of the backward one."""
    net = network(dropout=0.3)
    direction = [torch.randn_like(p) for p in net.parameters()]
    out, *gradients = trained(net, 64)
    slope = sum(float((g * d).sum()) for g, d in zip(gradients, direction, strict=True))

    def moved(step: float, seed: int) -> float:
        other = copy.deepcopy(net)
        for p, d in zip(other.parameters(), direction, strict=True):
            p.data += step * d
        torch.manual_seed(seed)
        with torch.no_grad():
            return float(other(*inputs(64)).double().square().sum())

    step = 1e-3
    numeric = (moved(step, 3) - moved(-step, 3)) / (2 * step)
    assert numeric == pytest.approx(slope, rel=0.02)
    assert moved(step, 4) - moved(-step, 3) != pytest.approx(2 * step * slope, rel=0.5)
    assert float(out.double().square().sum()) == pytest.approx(moved(0, 3), rel=1e-5)


def test_how_much_is_dropped_of_the_mlp():
    """With a hidden layer of ones and down = 1 / F, sums are the mean of F scaled survivors."""
    from spatioformer.nn.kernels import mlp
    from spatioformer.nn.kernels.simd import LANES

    width, hidden, vectors = 16, 64, 512
    array = {
        "x": np.zeros(vectors * width * LANES, np.float32),
        "up": np.zeros(hidden * width, np.float32),
        "up_bias": np.ones(hidden, np.float32),
        "down": np.full(hidden * width, 1 / hidden, np.float32),
        "down_bias": np.zeros(width, np.float32),
        "gain": np.ones(width, np.float32),
        "shift": np.zeros(width, np.float32),
    }
    totals = []
    for key in np.random.default_rng(0).integers(0, 2**32, (3, 2), np.uint32):
        total = np.empty_like(array["x"])
        mlp.forward(*array.values(), 1e-5, TENTH, key, total, np.empty_like(total))
        totals.append(total.reshape(vectors, width, LANES).astype(float))
    share, n = TENTH / LEVELS, totals[0].size
    for total in totals:
        spared = total != 0
        assert abs(spared.mean() - (1 - share)) < 5 * np.sqrt(share * (1 - share) / n)
        assert total.mean() == pytest.approx(1, abs=5 * np.sqrt(share / n))
        # All of a token see the same hidden layer, so one mean of F survivors a chip and token.
        sums = (total * (1 - share)).max(axis=1)
        assert sums.mean() == pytest.approx(1, abs=2e-3)
        assert sums.var() == pytest.approx(share / (1 - share) / hidden, rel=0.1)
        hidden_from = spared - spared.mean()
        for axis in range(3):  # neighbours in token, feature and chip know nothing of each other
            paired = hidden_from * np.roll(hidden_from, 1, axis)
            assert abs(paired.mean()) < 5 * share / np.sqrt(n)
    kinds = [(total != 0).ravel() for total in totals]
    for other in kinds[1:]:
        assert abs(np.corrcoef(kinds[0], other)[0, 1]) < 5 / np.sqrt(n)


def test_the_spread_of_dropout_is_that_of_the_network_itself():
    net = network(dropout=0.2).train()
    many = [tensor[:1].expand(4800, *tensor.shape[1:]) for tensor in inputs(1)]
    torch.manual_seed(0)
    with torch.inference_mode():
        ours, theirs = net(*many), net.reference(*many)
    assert float(ours.mean()) == pytest.approx(float(theirs.mean()), abs=0.08 * float(theirs.std()))
    assert float(ours.std()) == pytest.approx(float(theirs.std()), rel=0.06)


def samples(n: int, seed: int) -> Samples:
    chips, lon, lat = inputs(n, seed)
    return Samples(chips, lon, lat, chips.mean((1, 2, 3)))


def test_interrupted_and_resumed_ends_with_the_same_bits(tmp_path):
    recipe = plain_recipe(epochs=3, batch=16, patience=3, seed=7)
    straight, broken, resumed = (network(dropout=0.1) for _ in range(3))
    fit(straight, samples(48, 1), samples(16, 2), recipe)

    def interrupt(epoch: int) -> None:
        raise KeyboardInterrupt

    files = {"checkpoint": tmp_path / "checkpoint"}
    with pytest.raises(KeyboardInterrupt):
        fit(broken, samples(48, 1), samples(16, 2), recipe, on_epoch=interrupt, **files)
    fit(resumed, samples(48, 1), samples(16, 2), recipe, **files)
    assert uses_kernels(straight)
    for a, b in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(a, b)


def test_without_numba_the_network_itself(monkeypatch):
    net = network().eval()
    monkeypatch.setattr(dispatch, "_kernels", lambda: None)
    assert not uses_kernels(net)
    assert torch.equal(net(*inputs()), net.reference(*inputs()))


def test_where_the_kernels_do_not_apply():
    chips, lon, lat = inputs()
    assert uses_kernels(network())
    assert not uses_kernels(network(width=8))
    assert not uses_kernels(network().double(), chips.double())
    half_dropping = network(dropout=0.1).eval()
    half_dropping.transformer.blocks[0].mlp.dropout.train()
    assert not uses_kernels(half_dropping)
    with torch.autocast("cpu", torch.bfloat16):
        assert not uses_kernels(network())
    empty = network()(chips[:0], lon[:0], lat[:0])
    assert empty.shape == (0,)


def test_a_replaced_module_is_called():
    """An adapter in the place of a linear layer must count, so the kernels step aside."""

    class Doubled(torch.nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    for change in (
        lambda net: setattr(net.transformer.blocks[1].mlp, "up", Doubled(16, 20)),
        lambda net: net.head.insert(1, torch.nn.GELU()),
    ):
        net = network()
        change(net)
        assert not uses_kernels(net)
        assert torch.equal(net(*inputs()), net.reference(*inputs()))


@pytest.mark.slow
def test_torch_transforms_and_compilers_see_the_modules():
    net, (chips, lon, lat) = network().eval(), inputs(4)

    def total(chips: torch.Tensor) -> torch.Tensor:
        return net(chips, lon, lat).sum()

    leaf = chips.clone().requires_grad_()
    total(leaf).backward()  # by the kernels
    close(torch.func.grad(total)(chips).detach(), leaf.grad.double())
    assert not uses_kernels_in(lambda: torch.func.grad(total)(chips))
    compiled = torch.compile(net, backend="eager", fullgraph=True)
    assert torch.equal(compiled(chips, lon, lat), net.reference(chips, lon, lat))


@pytest.mark.filterwarnings("ignore")  # torch warns that tracing is deprecated
def test_a_traced_network_holds_torch_operations():
    net = network().eval()
    traced = torch.jit.trace(net, inputs(4), check_trace=False)
    assert "PythonOp" not in str(traced.inlined_graph)
    assert torch.equal(traced(*inputs(4, seed=2)), net.reference(*inputs(4, seed=2)))


SUBMODULES = ["embedding", "geolocation", "transformer", "transformer.blocks.1", "head.0",
              "transformer.blocks.0.attention", "transformer.blocks.1.mlp.up"]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # the input has no gradient
@pytest.mark.parametrize("name", SUBMODULES)
@pytest.mark.parametrize(
    "register",
    ["forward", "forward_pre", "full_backward", "full_backward_pre"],
)
def test_hooks_inside_fire(name, register):
    net, calls = network(), []
    module = net.get_submodule(name)
    handle = getattr(module, f"register_{register}_hook")(lambda *values: calls.append(len(values)))
    watched = net(*inputs())
    watched.sum().backward()
    assert len(calls) == 1
    assert torch.equal(watched, net.reference(*inputs()))
    assert not uses_kernels(net)
    handle.remove()
    assert uses_kernels(net)


def test_hooks_on_all_modules_fire():
    net, names = network(), []
    handle = torch.nn.modules.module.register_module_forward_hook(
        lambda module, *_: names.append(type(module).__name__)
    )
    try:
        assert not uses_kernels(net)
    finally:
        handle.remove()
    assert names.count("Block") == 2
    assert {"Attention", "MLP", "Transformer"} <= set(names)
    assert uses_kernels(net)


def test_hooks_of_the_network_itself_fire_beside_the_kernels():
    net, outputs = network(), []
    net.register_forward_hook(lambda module, inputs, output: outputs.append(output))
    assert uses_kernels(net)
    assert len(outputs) == 1


def test_attention_of_a_network_of_the_default_width():
    """What `drivers` does: a hook hands the transformer a list to record its patterns in."""
    net, patterns = PaperSpatioformer(patch=3, bands=4, dropout=0.1).eval(), []
    assert uses_kernels(net)
    handle = net.transformer.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"record": patterns}), with_kwargs=True
    )
    with torch.inference_mode():
        net(*inputs())
    handle.remove()
    assert [pattern.weights.shape for pattern in patterns] == [(21, 8, 10, 10)] * 3
    torch.testing.assert_close(attention_rollout(patterns).sum(-1), torch.ones(21, 10))


def uses_kernels(net: PaperSpatioformer, chips: torch.Tensor | None = None) -> bool:
    """Whether a forward pass of the network calls the kernels once a half-block."""
    chips, lon, lat = inputs()[0] if chips is None else chips, *inputs()[1:]
    return uses_kernels_in(lambda: net(chips, lon, lat), 2 * len(net.transformer.blocks))


def uses_kernels_in(compute: Callable[[], object], expected: int = 4) -> bool:
    with (
        patch.object(dispatch, "_attention_half", wraps=dispatch._attention_half) as attention,
        patch.object(dispatch, "_mlp_half", wraps=dispatch._mlp_half) as mlp,
    ):
        compute()
    calls = attention.call_count + mlp.call_count
    assert calls in (0, expected)
    return calls > 0


def test_chips_of_another_size():
    chips, lon, lat = inputs()
    with pytest.raises(ModelError, match="do not fit a model of patch 3 and 4 bands"):
        network()(chips[:, :1, :1], lon[:, :1, :1], lat[:, :1, :1])
