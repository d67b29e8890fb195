"""Real spherical harmonics, and the sine network that mixes them.

Shapes: L highest degree, N = (L + 1)^2 harmonics, F features; `*place` one entry a location.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


def spherical_harmonics(
    lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"], degree: int
) -> Float[Tensor, "*place N"]:
    """All real orthonormal harmonics Y_lm, l = 0 .. L, ordered by l, then m = -l .. l; float64.

        Y_l0 = P_l0(sin lat),   Y_lm = sqrt 2 P_lm(sin lat) cos(m lon)   m > 0
                                Y_lm = sqrt 2 P_l|m|(sin lat) sin(|m| lon)   m < 0

    with fully normalised P_lm without the Condon-Shortley phase, by the recursion in l that stays
    stable at high degrees (Holmes & Featherstone 2002, J Geodesy 76, equations 11-13).
    """
    lon, lat = torch.deg2rad(lon.double()), torch.deg2rad(lat.double())
    t, u = lat.sin(), lat.cos()
    legendre: dict[tuple[int, int], Tensor] = {}
    diagonal = torch.full_like(t, math.sqrt(1 / (4 * math.pi)))
    for m in range(degree + 1):
        if m:
            diagonal = diagonal * u * math.sqrt((2 * m + 1) / (2 * m))
        legendre[m, m] = diagonal
        before, current = torch.zeros_like(t), diagonal
        for n in range(m + 1, degree + 1):
            a = math.sqrt((2 * n - 1) * (2 * n + 1) / ((n - m) * (n + m)))
            b = math.sqrt(
                (2 * n + 1) * (n + m - 1) * (n - m - 1) / ((n - m) * (n + m) * (2 * n - 3))
            )
            before, current = current, a * t * current - b * before
            legendre[n, m] = current
    columns = []
    for n in range(degree + 1):
        columns += [math.sqrt(2) * legendre[n, m] * (m * lon).sin() for m in range(n, 0, -1)]
        columns += [legendre[n, 0]]
        columns += [math.sqrt(2) * legendre[n, m] * (m * lon).cos() for m in range(1, n + 1)]
    return torch.stack(columns, dim=-1)


class Siren(nn.Module):
    """A hidden and an output layer of F sines: sin(omega (W x + b)).

    Source: Sitzmann et al. 2020 (NeurIPS), with its initial weights.

    Args:
        inputs: N.
        width: F.
        omega: factor of the frequencies of the first layer.
    """

    def __init__(self, inputs: int, width: int, omega: float = 30.0):
        super().__init__()
        self.omega = omega
        self.first = nn.Linear(inputs, width)
        self.second = nn.Linear(width, width)
        nn.init.uniform_(self.first.weight, -1 / inputs, 1 / inputs)
        bound = math.sqrt(6 / width)
        nn.init.uniform_(self.second.weight, -bound, bound)

    def forward(self, x: Float[Tensor, "*place N"]) -> Float[Tensor, "*place F"]:
        return torch.sin(self.second(torch.sin(self.omega * self.first(x))))
