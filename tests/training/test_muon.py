"""Muon: orthogonal steps of matrices, Adam's steps of the rest."""

import copy

import pytest
import torch
from torch import nn

from spatioformer.nn import PaperSpatioformer, Spatioformer
from spatioformer.training.muon import (
    RATIO,
    FlatMuon,
    matrices_of,
    orthogonalised,
    stacks_of,
)
from spatioformer.training.optimiser import FlatAdam


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(9, 40), nn.GELU(), nn.Linear(40, 12), nn.Linear(12, 1)).double()


def loss(module: nn.Module) -> torch.Tensor:
    x = torch.linspace(-1, 1, 45, dtype=torch.float64).view(5, 9)
    return module(x.sin()).square().sum() + module(x)[0, 0]


def muon(module: nn.Module, rate: float, decay: float = 0.0) -> FlatMuon:
    return FlatMuon([*module.parameters()], True, decay, rate, matrices_of(module))


def test_singular_values_come_near_one():
    torch.manual_seed(1)
    matrices = (
        torch.randn(4, 8, 20, dtype=torch.float64)
        * torch.tensor([1e-3, 1, 5, 900.0])[:, None, None].double()
    )
    padded = nn.functional.pad(matrices, (0, 7, 0, 3))
    done = orthogonalised(padded)
    values = torch.linalg.svdvals(done[:, :8, :20])
    assert values.min() > 0.6
    assert values.max() < 1.3
    assert not done[:, 8:].any()
    assert not done[:, :, 20:].any()
    torch.testing.assert_close(done[:, :8, :20], orthogonalised(matrices))
    # The singular vectors stay: U^T X V is diagonal.
    u, _, vt = torch.linalg.svd(matrices[1], full_matrices=False)
    inner = u.T @ done[1, :8, :20] @ vt.T
    torch.testing.assert_close(inner, torch.diag(inner.diagonal()), atol=1e-9, rtol=0)


def test_matrices_take_orthogonal_steps_and_the_rest_those_of_adam():
    module, twin = network(), network()
    first, second = muon(module, 0.01), FlatAdam([*twin.parameters()], True, 0.0, 0.01)
    before = copy.deepcopy(module)
    for net, optimiser in ((module, first), (twin, second)):
        optimiser.zero_grad()
        loss(net).backward()
        optimiser.step()
    for index, tall in ((0, (40 / 9) ** 0.5), (2, 1.0)):
        step = before[index].weight - module[index].weight
        values = torch.linalg.svdvals(step.detach()) / (0.01 * RATIO * tall)
        # The gradient of a few samples has a low rank: the other directions stand still.
        assert values.max() == pytest.approx(1, abs=0.35)
        torch.testing.assert_close(module[index].bias, twin[index].bias)
    torch.testing.assert_close(module[3].weight, twin[3].weight)
    assert [m.shape for m in first.matrices] == [(40, 9), (12, 40)], "not the one with one output"


def test_stacks_hold_matrices_of_similar_length():
    paper = PaperSpatioformer(patch=3, bands=3, width=8, heads=2, layers=2, mlp_hidden=200)
    matrices = matrices_of(paper)
    assert {id(m) for m in matrices} <= {id(p) for p in paper.transformer.parameters()}
    assert [[tuple(m.shape) for m in stack] for stack in stacks_of(matrices)] == [
        [(200, 8), (8, 200)] * 2,
        [(24, 8), (8, 8)] * 2,
    ]
    (whole,) = stacks_of(matrices_of(Spatioformer(patch=3, bands=3)))
    assert len(whole) > 8, "the default network has one stack, its head included"
    assert stacks_of([]) == []


def test_stacks_take_the_steps_of_each_matrix_alone():
    torch.manual_seed(0)
    shapes = (8, 200), (24, 8), (8, 8)

    def net() -> nn.ModuleList:
        torch.manual_seed(0)
        layers = [nn.Linear(*shape, bias=False) for shape in shapes]
        return nn.ModuleList(layers).double()

    def step(module: nn.ModuleList, given: list[torch.Tensor]) -> FlatMuon:
        optimiser = muon(module, 0.01)
        optimiser.zero_grad()
        for layer, gradient in zip(module, given, strict=True):
            layer.weight.grad.copy_(gradient)
        optimiser.step()
        return optimiser

    together, gradients = net(), [torch.randn(s[::-1], dtype=torch.float64) for s in shapes]
    assert len(step(together, gradients).stacks) == 2
    for layer, untouched, gradient in zip(together, net(), gradients, strict=True):
        step(nn.ModuleList([untouched]), [gradient])
        torch.testing.assert_close(layer.weight, untouched.weight)


def test_it_descends_and_continues_from_its_state():
    module = network()
    optimiser = muon(module, 0.003, 0.01)
    start = loss(module).item()

    def steps(net: nn.Module, opt: FlatMuon, count: int) -> None:
        for _ in range(count):
            opt.zero_grad()
            loss(net).backward()
            opt.step()

    steps(module, optimiser, 10)
    twin = copy.deepcopy(module)
    other = muon(twin, 0.003, 0.01)
    other.load_state_dict(copy.deepcopy(optimiser.state_dict()))
    steps(module, optimiser, 10)
    steps(twin, other, 10)
    for one, two in zip(module.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)
    assert loss(module).item() < start - 0.1
