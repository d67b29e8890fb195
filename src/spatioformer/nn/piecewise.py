"""Piecewise linear encoding of numbers: how far a number has passed through each interval.

Shapes: K numbers, E edges, F = K (E - 1) features.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PiecewiseLinear(nn.Module):
    """e_i(x) = min(max((x - b_i) / (b_{i+1} - b_i), 0), 1) for each interval of each number.

    A linear layer on this encoding can bend at every edge. Beyond the outer edges the encoding is
    constant, so there is no extrapolation. Source: Gorishniy et al. 2022 (NeurIPS), "On Embeddings
    for Numerical Features in Tabular Deep Learning", equation 1, there without the outer bounds.

    Args:
        edges: (K, E), rising; equal neighbours make a step.
    """

    low: Tensor
    width: Tensor

    def __init__(self, edges: Float[Tensor, "K E"] | list[list[float]]):
        super().__init__()
        edges = torch.as_tensor(edges, dtype=torch.float32)
        self.features = edges.shape[0] * (edges.shape[1] - 1)
        self.register_buffer("low", edges[:, :-1].clone())
        self.register_buffer("width", edges.diff(dim=1).clamp_min(1e-6))

    def forward(self, x: Float[Tensor, "*B K"]) -> Float[Tensor, "*B {self.features}"]:
        return ((x[..., None] - self.low) / self.width).clamp(0.0, 1.0).flatten(-2)


def band_encoding(bands: int, edges: list[list[float]] | None) -> tuple[nn.Module, int]:
    """The module that encodes the bands of a pixel, and the number of its features.

    Args:
        edges: of `PiecewiseLinear`, or None to use the bands unchanged.
    """
    if edges is None:
        return nn.Identity(), bands
    encoding = PiecewiseLinear(edges)
    return encoding, encoding.features


def quantile_edges(values: Float[Tensor, "n K"], intervals: int) -> Float[Tensor, "K E"]:
    """Edges with about the same number of the n values in each interval."""
    # A million values suffice for the quantiles; torch sorts at most 16 million.
    step = -(-len(values) // 1_000_000)
    levels = torch.linspace(0, 1, intervals + 1, dtype=values.dtype)
    return torch.quantile(values[::step], levels, dim=0).T.contiguous()
