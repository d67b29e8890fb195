"""Neighbourhood attention: every pixel of a tile attends to the pixels around it.

Shapes: D width, H heads, K = D / H; Y, X rows and columns of a tile, y, x rows and columns without
its margin; N = n * n neighbours, row by row; B batch, last: (D, Y, X, B). With channels
first a neighbour is a shifted view and every operation runs along long rows, of pixels in a map and
of chips in training.

Nothing is padded: a layer of radius r returns a tile that is r pixels smaller on every side. No
value therefore depends on the tile in which it was computed.

Sources: Ramachandran et al. 2019 (NeurIPS), "Stand-Alone Self-Attention in Vision Models"; Hassani
et al. 2023 (CVPR), "Neighborhood Attention Transformer"; biases by relative position as in Liu et
al. 2021 (ICCV), "Swin Transformer"; keys dropped before the softmax: Li et al. 2023 (CVPR),
"DropKey".
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelLinear(nn.Linear):
    """A linear layer over the first dimension, in one matrix product."""

    def forward(self, x: Float[Tensor, "inputs *place"]) -> Float[Tensor, "outputs *place"]:
        # (inputs, *place) -> (inputs, N) -> (outputs, *place)
        flat = torch.addmm(self.bias[:, None], self.weight, x.reshape(len(x), -1))
        return flat.view(-1, *x.shape[1:])


class ChannelNorm(nn.Module):
    """LayerNorm over the first dimension."""

    def __init__(self, width: int, eps: float = 1e-5):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.eps = eps

    def forward(self, x: Float[Tensor, "D *place"]) -> Float[Tensor, "D *place"]:
        shape = (-1,) + (1,) * (x.ndim - 1)
        centred = x - x.mean(0)
        scale = (centred.square().mean(0) + self.eps).rsqrt()
        return (centred * scale).mul(self.weight.view(shape)).add(self.bias.view(shape))


class KeyDropout(nn.Dropout):
    """Hide random neighbours from attention, drawn for each head and pixel; never the pixel itself.

    Neighbours are hidden before the softmax, like nodata, so that the weights of the others still
    sum to 1. Training with it prepares a network for pixels with gaps around them.
    """

    def forward(self, scores: Float[Tensor, "N H y x B"]) -> Float[Tensor, "N H y x B"]:
        if not self.training or self.p == 0:
            return scores
        dropped = torch.rand_like(scores) < self.p
        dropped[len(scores) // 2] = False
        return scores.masked_fill(dropped, -torch.inf)


class NeighbourhoodAttention(nn.Module):
    """Each pixel attends to the n x n pixels around it, n = 2 radius + 1.

        score_o = q . k_o / sqrt(K) + bias_o      o: where the neighbour lies, north-west first

    Args:
        width: D, a multiple of `heads`.
        radius: how far a pixel attends, pixels, at least 1.
        dropout: share of hidden neighbours, see `KeyDropout`.
    """

    def __init__(self, width: int, heads: int, radius: int, dropout: float):
        super().__init__()
        self.heads, self.radius = heads, radius
        side = 2 * radius + 1
        self.query = ChannelLinear(width, width)
        self.key_value = ChannelLinear(width, 2 * width)
        self.out = ChannelLinear(width, width)
        self.bias = nn.Parameter(torch.zeros(side * side, heads))
        self.dropout = KeyDropout(dropout)

    def forward(
        self, x: Float[Tensor, "D Y X B"], valid: Bool[Tensor, "Y X B"] | None = None
    ) -> Float[Tensor, "D y x B"]:
        """Mix into each inner pixel its valid neighbours and itself."""
        q = self.query(inner(x, self.radius)) * (len(x) // self.heads) ** -0.5
        q, k, v = (
            t.unflatten(0, (self.heads, -1))  # (D, ., ., B) -> (H, K, ., ., B)
            for t in (q, *self.key_value(x).chunk(2))
        )
        scores = torch.stack([(q * key).sum(1) for key in self._neighbours(k)])
        scores = scores + self.bias[..., None, None, None]  # (N, H, y, x, B)
        if valid is not None:
            scores = scores.masked_fill(~self._visible(valid), -torch.inf)
        weights = self.dropout(scores).softmax(0)
        mixed = torch.zeros_like(q)
        for weight, value in zip(weights, self._neighbours(v), strict=True):
            # In place: the gradient does not need `mixed`.
            mixed.addcmul_(weight[:, None], value)
        return self.out(mixed.flatten(0, 1))

    def _neighbours(self, t: Float[Tensor, "*channel Y X B"]) -> Iterator[Tensor]:
        """Views (*channel, y, x, B): the neighbour of every inner pixel, north-west first."""
        side = 2 * self.radius + 1
        height, width = t.shape[-3] - side + 1, t.shape[-2] - side + 1
        if (height, width) == (1, 1):
            # A chip. The gradient of views of rows and columns would be a tile of zeros for each.
            for pixel in t.flatten(-3, -2).unbind(-2):
                yield pixel[..., None, None, :]
            return
        for row in range(side):
            for col in range(side):
                yield t[..., row : row + height, col : col + width, :]

    def _visible(self, valid: Tensor) -> Tensor:
        """(N, 1, y, x, B): valid neighbours, and always the pixel itself, so that none has none."""
        visible = torch.stack(list(self._neighbours(valid)))
        visible[len(visible) // 2] = True
        return visible[:, None]


class NeighbourhoodBlock(nn.Module):
    """Attention to the neighbours, then an MLP, each added to its input (pre-norm).

    Args:
        radius: how far a pixel attends, pixels; 0 leaves the attention out.
    """

    def __init__(self, width: int, heads: int, hidden: int, radius: int, dropout: float):
        super().__init__()
        self.radius = radius
        if radius:
            self.attention_norm = ChannelNorm(width)
            self.attention = NeighbourhoodAttention(width, heads, radius, dropout)
        self.mlp_norm = ChannelNorm(width)
        self.up = ChannelLinear(width, hidden)
        self.down = ChannelLinear(hidden, width)

    def forward(
        self, x: Float[Tensor, "D Y X B"], valid: Bool[Tensor, "Y X B"] | None = None
    ) -> Float[Tensor, "D y x B"]:
        """The tile's inner pixels, `radius` fewer on every side."""
        if self.radius:
            x = inner(x, self.radius) + self.attention(self.attention_norm(x), valid)
        return x + self.down(F.gelu(self.up(self.mlp_norm(x))))


def inner(t: Float[Tensor, "*channel Y X B"], margin: int) -> Float[Tensor, "*channel y x B"]:
    """View of a tile (*channel, Y, X, .) without `margin` pixels on every side."""
    height, width = t.shape[-3:-1]
    return t[..., margin : height - margin, margin : width - margin, :]
