"""Encoders of longitude and latitude.

Shapes: D width; `*place` any leading shape, one entry a location.

An encoder is a module with `forward(lon, lat) -> features` that takes degrees in float64 and
returns D features a location in the dtype of its own parameters. Coordinates are turned into
features before any rounding: one float32 step at 150 degrees is 1.5 m of longitude.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PaperGeolocation(nn.Module):
    """The published encoding, weight * g(lon, lat).

    For k = 0 .. D-1, with w_k = base^(k/D) and v_k = base^((D-k-1)/D):

        g_k = (sin(lon / w_k) + sin(lat / v_k)) / 2    k even
        g_k = (cos(lon / w_k) + cos(lat / v_k)) / 2    k odd

    Degrees go in as they are. Source: Guo et al. 2025 (IEEE TGRS 63, arXiv 2410.19256).

    Attributes:
        weight: the learned scalar lambda, shape ().
    """

    def __init__(self, width: int, base: float = 100.0, weight: float = 10000.0):
        super().__init__()
        self.width = width
        self.base = base
        self.weight = nn.Parameter(torch.tensor(float(weight)))

    def forward(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.width}"]:
        return self.weight * self.encode(lon, lat).to(self.weight.dtype)

    def encode(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.width}"]:
        """g(lon, lat) in float64, each feature in [-1, 1]."""
        lon, lat = lon.double()[..., None], lat.double()[..., None]
        # Not a buffer: `model.float()` would round it.
        k = torch.arange(self.width, dtype=torch.float64, device=lon.device)
        east = lon / self.base ** (k / self.width)
        north = lat / self.base ** ((self.width - 1 - k) / self.width)
        # Sines at even k, cosines at odd k, without computing both everywhere.
        features = torch.empty_like(east)
        features[..., 0::2] = east[..., 0::2].sin() + north[..., 0::2].sin()
        features[..., 1::2] = east[..., 1::2].cos() + north[..., 1::2].cos()
        return features / 2
