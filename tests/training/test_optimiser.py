"""The optimiser on one vector against torch's own."""

import copy

import pytest
import torch
from torch import nn

from spatioformer.training.optimiser import FlatAdam, flattened, separated


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 7), nn.GELU(), nn.Linear(7, 1)).double()


def gradients(net: nn.Module, number: int) -> None:
    x = torch.randn(20, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
    (net(x).squeeze(-1) - x.sum(1)).square().mean().backward()


@pytest.mark.parametrize("decoupled", [True, False], ids=["adamw", "adam"])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_the_steps_are_those_of_torch(decoupled, weight_decay):
    ours, theirs = network(), network()
    optimiser = FlatAdam([*ours.parameters()], decoupled, weight_decay, rate=0.01)
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    reference = kind(theirs.parameters(), lr=0.01, weight_decay=weight_decay)
    for number in range(20):
        optimiser.rate = reference.param_groups[0]["lr"] = 0.01 / (1 + number)
        for net, steps in ((ours, optimiser), (theirs, reference)):
            steps.zero_grad()
            gradients(net, number)
            steps.step()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert (a - b).abs().max() <= 1e-12 * b.abs().max()


def test_a_checkpoint_continues_with_the_same_bits():
    net = network()
    optimiser = FlatAdam([*net.parameters()], True, 0.1, rate=0.01)
    states = []
    for number in range(4):
        if number == 2:
            states = copy.deepcopy([net.state_dict(), optimiser.state_dict()])
        optimiser.zero_grad()
        gradients(net, number)
        optimiser.step()
    again = network()
    resumed = FlatAdam([*again.parameters()], True, 0.1, rate=0.01)
    again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    for number in (2, 3):
        resumed.zero_grad()
        gradients(again, number)
        resumed.step()
    assert torch.equal(resumed.values, optimiser.values)
    assert torch.equal(flattened(again.parameters()), flattened(net.parameters()))


def test_parameters_share_a_vector_until_they_are_separated():
    net = network()
    before = copy.deepcopy(net.state_dict())
    optimiser = FlatAdam([*net.parameters()], True, 0.0, rate=0.01)
    optimiser.values.add_(1.0)
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name] + 1)
    separated(net.parameters())
    optimiser.values.zero_()
    for name, tensor in net.state_dict().items():
        assert torch.equal(tensor, before[name] + 1)
        assert tensor.untyped_storage().nbytes() == tensor.numel() * 8
    assert all(parameter.grad is None for parameter in net.parameters())
