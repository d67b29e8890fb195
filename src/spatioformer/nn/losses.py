"""Losses for counts of species, and the links from a network's output to species.

Shapes: B batch. A network returns one number for each sample, the *output* (for "quantile"
three); a `Loss` says what it means.

| loss | output | species |
|---|---|---|
| mse, rmse | (y - mean) / sd | output * sd + mean |
| log1p | (log(1 + y) - mean) / sd | smear * (exp(output * sd + mean)) - 1 |
| poisson, negative-binomial | log(expected y) - mean | exp(output + mean) |
| quantile | as poisson, and the distances of two quantiles below and above it | as poisson |

mean and sd are those of the training plots on the scale of the link. A network then starts at their
mean, with errors of order one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LossName = Literal["mse", "rmse", "log1p", "poisson", "negative-binomial", "quantile"]
LinkName = Literal["identity", "log1p", "log"]
LINKS: dict[LossName, LinkName] = {
    "mse": "identity",
    "rmse": "identity",
    "log1p": "log1p",
    "poisson": "log",
    "negative-binomial": "log",
    "quantile": "log",
}
OUTPUTS: dict[LossName, int] = {"quantile": 3}
"""Numbers that a network returns for a sample, where it is not one."""

QUANTILES = (0.05, 0.95)
"""Shares of plots with fewer species than the two quantiles that "quantile" learns."""

LARGEST_LOG = 15.0  # 3 million species, so that an extreme output does not overflow


@dataclass(frozen=True)
class Link:
    """Link function: converts between a network's output and species.

    Attributes:
        kind: "identity", "log1p" or "log".
        mean, sd: of the training plots on that scale.
        smear: mean of exp(residual) on the log1p scale, without which exp(mean of logs) falls short
            of the mean (Duan 1983, JASA 78: the smearing estimate).
    """

    kind: LinkName = "identity"
    mean: float = 0.0
    sd: float = 1.0
    smear: float = 1.0

    @classmethod
    def of(cls, loss: LossName, species: Float[Tensor, "n"]) -> "Link":
        """Fit the link of a loss to the training plots; sd is 1 for a constant target."""
        kind, species = LINKS[loss], species.double()
        if kind == "log":
            return cls(kind, math.log(max(float(species.mean()), 0.5)), 1.0)
        values = species.log1p() if kind == "log1p" else species
        return cls(kind, float(values.mean()), float(values.std(correction=0)) or 1.0)

    def species(self, output: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """Expected species for a network's output."""
        scaled = output * self.sd + self.mean
        if self.kind == "identity":
            return scaled
        grown = scaled.clamp_max(LARGEST_LOG).exp()
        return grown if self.kind == "log" else self.smear * grown - 1

    def output(self, species: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """The output that stands for these species (above 0 with "log")."""
        scaled = {"identity": species, "log1p": species.log1p(), "log": species.log()}[self.kind]
        return (scaled - self.mean) / self.sd


def mean_output(output: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B"]:
    """The output for the expected species, of a network with quantiles."""
    return output[..., 0]


def quantile_outputs(output: Float[Tensor, "*B 3"]) -> Float[Tensor, "*B 2"]:
    """Outputs for the lower and the upper quantile.

    They lie below and above the mean's output by the softplus of two numbers, so that they never
    cross. No gradient flows from them to the mean, which the counts alone determine.
    """
    offsets = F.softplus(output[..., 1:]) * output.new_tensor([-1.0, 1.0])
    return output[..., :1].detach() + offsets


def pinball(
    species: Float[Tensor, "*B"], quantile: Float[Tensor, "*B"], share: float
) -> Float[Tensor, "*B"]:
    """Pinball loss; its mean is smallest where `share` of the species lie below the quantile.

    Source: Koenker & Bassett 1978, Econometrica 46:33, equation 3.1.
    """
    above = species - quantile
    return torch.maximum(share * above, (share - 1) * above)


class Loss(nn.Module):
    """The loss of each sample; training takes the mean, or its root for "rmse" (as the paper does).

    Args:
        name: as in the module's table.
        link: between outputs and species.

    Attributes:
        log_dispersion: learned, negative binomial only: variance = m + exp(log_dispersion) m^2.
    """

    def __init__(self, name: LossName, link: Link | None = None):
        super().__init__()
        self.name = name
        self.link = link or Link(LINKS[name])
        if name == "negative-binomial":
            self.log_dispersion = nn.Parameter(torch.tensor(-1.0))

    @property
    def rooted(self) -> bool:
        """Whether the loss of a batch is the square root of the samples' mean."""
        return self.name == "rmse"

    def species(self, output: Float[Tensor, "B *outputs"]) -> Float[Tensor, "B"]:
        """Expected species for a network's output."""
        return self.link.species(mean_output(output) if self.name == "quantile" else output)

    def forward(
        self, output: Float[Tensor, "B *outputs"], species: Float[Tensor, "B"]
    ) -> Float[Tensor, "B"]:
        """Squared error on the link's scale, or minus the log-likelihood of the count.

        "quantile" adds the pinball losses of both quantiles, species, to the Poisson likelihood.
        """
        if self.name == "quantile":
            quantiles = self.link.species(quantile_outputs(output))
            losses = [pinball(species, q, p) for q, p in zip(quantiles.T, QUANTILES, strict=True)]
            return self._poisson(mean_output(output), species) + sum(losses)
        if self.name == "poisson":
            return self._poisson(output, species)
        if self.link.kind != "log":
            return (output - self.link.output(species)).square()
        return _negative_binomial(self._log_mean(output), species, self.log_dispersion)

    def _poisson(self, output: Tensor, species: Tensor) -> Tensor:
        return F.poisson_nll_loss(self._log_mean(output), species, full=True, reduction="none")

    def _log_mean(self, output: Tensor) -> Tensor:
        return (output * self.link.sd + self.link.mean).clamp_max(LARGEST_LOG)

    @property
    def dispersion(self) -> float | None:
        """alpha of the negative binomial, variance = m + alpha m^2; None for other losses."""
        if self.name != "negative-binomial":
            return None
        return float(self.log_dispersion.detach().exp())


def _negative_binomial(log_mean: Tensor, count: Tensor, log_dispersion: Tensor) -> Tensor:
    """-log NB2(count; mean, alpha), with r = 1 / alpha (Cameron & Trivedi 1998, section 3.3)."""
    r = torch.exp(-log_dispersion)
    # log(r + m) by logaddexp: m may be tiny or huge.
    log_total = torch.logaddexp(-log_dispersion, log_mean)
    likelihood = (
        torch.lgamma(count + r)
        - torch.lgamma(r)
        - torch.lgamma(count + 1)
        + r * (-log_dispersion - log_total)
        + count * (log_mean - log_total)
    )
    return -likelihood
