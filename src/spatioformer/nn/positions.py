"""Position embeddings: a vector for each place in a sequence, added to the token there.

Shapes: C context (longest sequence), T tokens, D width. Both kinds have a `weight` (C, D).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class Positions(nn.Module):
    """Rows of the table `weight`, which a subclass sets."""

    weight: Tensor

    def forward(self, tokens: int, start: int = 0) -> Float[Tensor, "T D"]:
        """Vectors of the positions start, ..., start + tokens - 1."""
        return self.weight[start : start + tokens]


class LearnedPositions(Positions):
    """A learned vector for each position, small at the start."""

    def __init__(self, context: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(context, width))
        nn.init.normal_(self.weight, std=0.02)


class SinusoidalPositions(Positions):
    """The fixed table of `sinusoids`."""

    def __init__(self, context: int, width: int):
        super().__init__()
        self.register_buffer("weight", sinusoids(context, width).to(torch.get_default_dtype()))


def sinusoids(context: int, width: int) -> Float[Tensor, "C D"]:
    """PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(pos / 10000^(2i/D)), in float64.

    Source: Vaswani et al. 2017, section 3.5.
    """
    position = torch.arange(context, dtype=torch.float64)[:, None]
    pair = torch.arange(0, width, 2, dtype=torch.float64)  # 2i
    angle = position / 10000 ** (pair / width)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[:, :width]
