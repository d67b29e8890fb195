"""Losses for counts of species, and how a network's output becomes species.

Shapes: B batch. A network gives one number a sample, the *output*; a `Loss` says what it means.

| loss | output | species |
|---|---|---|
| mse, rmse | (y - mean) / sd | output * sd + mean |
| log1p | (log(1 + y) - mean) / sd | smear * (exp(output * sd + mean)) - 1 |
| poisson, negative-binomial | log(expected y) - mean | exp(output + mean) |

mean and sd are those of the training plots on the scale of the link, so that a network starts at
their mean and with errors of order one.
"""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

LossName = Literal["mse", "rmse", "log1p", "poisson", "negative-binomial"]
LINKS = {
    "mse": "identity",
    "rmse": "identity",
    "log1p": "log1p",
    "poisson": "log",
    "negative-binomial": "log",
}
LARGEST_LOG = 15.0  # 3 million species: a wild output must not overflow


@dataclass(frozen=True)
class Link:
    """Between a network's output and species.

    Attributes:
        kind: "identity", "log1p" or "log".
        mean, sd: of the training plots on that scale.
        smear: mean of exp(residual) on the log1p scale, without which exp(mean of logs) falls short
            of the mean (Duan 1983, JASA 78: the smearing estimate).
    """

    kind: Literal["identity", "log1p", "log"] = "identity"
    mean: float = 0.0
    sd: float = 1.0
    smear: float = 1.0

    @classmethod
    def of(cls, loss: LossName, species: Float[Tensor, "n"]) -> "Link":
        """The link of a loss, measured on the training plots; a constant target gets sd 1."""
        kind, species = LINKS[loss], species.double()
        if kind == "log":
            return cls(kind, math.log(max(float(species.mean()), 0.5)), 1.0)
        values = species.log1p() if kind == "log1p" else species
        return cls(kind, float(values.mean()), float(values.std(correction=0)) or 1.0)

    def species(self, output: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        scaled = output * self.sd + self.mean
        if self.kind == "identity":
            return scaled
        grown = scaled.clamp_max(LARGEST_LOG).exp()
        return grown if self.kind == "log" else self.smear * grown - 1

    def output(self, species: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        """What a network would have to give for these species (not for zero under "log")."""
        scaled = {"identity": species, "log1p": species.log1p(), "log": species.log()}[self.kind]
        return (scaled - self.mean) / self.sd


class Loss(nn.Module):
    """The loss of each sample; training takes their mean, or its root for "rmse" (the paper's).

    Args:
        name: as in the module's table.
        link: how outputs mean species.

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

    def forward(
        self, output: Float[Tensor, "B"], species: Float[Tensor, "B"]
    ) -> Float[Tensor, "B"]:
        """Squared error on the link's scale, or minus the log-likelihood of the count."""
        if self.link.kind != "log":
            return (output - self.link.output(species)).square()
        log_mean = (output * self.link.sd + self.link.mean).clamp_max(LARGEST_LOG)
        if self.name == "poisson":
            return F.poisson_nll_loss(log_mean, species, full=True, reduction="none")
        return _negative_binomial(log_mean, species, self.log_dispersion)

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
