"""Losses for counts: known values, links that invert, a dispersion that is found."""

import math

import pytest
import torch
from scipy import stats

from spatioformer.nn.losses import LINKS, Link, Loss


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


COUNTS = doubles(0, 1, 7, 40)
OUTPUT = doubles(-0.3, 0.1, 0.4, 1.2)


@pytest.mark.parametrize("name", LINKS)
def test_links_invert(name):
    link = Link.of(name, doubles(3, 9, 20, 60))
    species = link.species(OUTPUT)
    torch.testing.assert_close(link.output(species), OUTPUT, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("name", "mean"), [("mse", 23.0), ("poisson", 23.0)])
def test_a_network_that_says_nothing_gives_the_mean(name, mean):
    link = Link.of(name, doubles(3, 9, 20, 60))
    assert float(link.species(doubles(0))) == pytest.approx(mean)


def test_log1p_starts_at_the_mean_of_the_logarithms_and_is_smeared():
    link = Link.of("log1p", doubles(3, 9, 20, 60))
    geometric = math.exp(sum(math.log(1 + v) for v in (3, 9, 20, 60)) / 4)
    assert float(link.species(doubles(0))) == pytest.approx(geometric - 1)
    smeared = Link(link.kind, link.mean, link.sd, smear=1.5)
    assert float(smeared.species(doubles(0))) == pytest.approx(1.5 * geometric - 1)


def test_squared_errors_are_standardised():
    link = Link("identity", 10.0, 4.0)
    found = Loss("mse", link)(doubles(0.5), doubles(20))
    assert float(found) == (0.5 - 2.5) ** 2


def test_poisson_is_scipys():
    link = Link("log", 2.0)
    mean = link.species(OUTPUT)
    expected = -torch.from_numpy(stats.poisson.logpmf(COUNTS.numpy(), mean.numpy()))
    found = Loss("poisson", link)(OUTPUT, COUNTS)
    # torch replaces log(y!) by Stirling's formula, which is constant in the output.
    torch.testing.assert_close(found, expected, rtol=0, atol=0.02)
    exact = torch.autograd.functional.jacobian(lambda o: Loss("poisson", link)(o, COUNTS), OUTPUT)
    torch.testing.assert_close(exact.diagonal(), mean - COUNTS, rtol=0, atol=1e-12)


def test_negative_binomial_is_scipys():
    link, loss = Link("log", 2.0), Loss("negative-binomial", Link("log", 2.0)).double()
    mean, r = link.species(OUTPUT).numpy(), 1 / loss.dispersion
    expected = -stats.nbinom.logpmf(COUNTS.numpy(), r, r / (r + mean))
    found = loss(OUTPUT, COUNTS).detach()
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-12, atol=1e-12)


def test_the_dispersion_is_learned():
    generator = torch.Generator().manual_seed(0)
    alpha, mean = 0.4, 20.0
    gamma = torch._standard_gamma(torch.full((20000,), 1 / alpha), generator=generator) * alpha
    counts = torch.poisson(gamma * mean, generator=generator)
    loss, output = Loss("negative-binomial", Link("log", math.log(mean))), torch.zeros(20000)
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.05)
    for _ in range(120):
        optimiser.zero_grad()
        loss(output, counts).mean().backward()
        optimiser.step()
    assert loss.dispersion == pytest.approx(alpha, rel=0.05)


@pytest.mark.parametrize("name", ["log1p", "poisson", "negative-binomial"])
def test_a_wild_output_stays_finite(name):
    loss = Loss(name, Link(LINKS[name], 3.0))
    output = torch.tensor([400.0, -400.0], requires_grad=True)
    species = loss.link.species(output)
    assert torch.isfinite(species).all()
    if name != "log1p":
        loss(output, torch.tensor([5.0, 0.0])).sum().backward()
        assert torch.isfinite(output.grad).all()
