"""Training samples: chips, their coordinates, and the richness of their plots."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch


@dataclass(frozen=True)
class Samples:
    """Tensors of B plots, as a network takes them.

    Attributes:
        chips: (B, P, P, bands), normalised.
        lon, lat: of each pixel (B, P, P), degrees.
        target: (B,), species.
        covariates: (B, C), standardised; None for a network without covariates.
    """

    chips: torch.Tensor
    lon: torch.Tensor
    lat: torch.Tensor
    target: torch.Tensor
    covariates: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows: slice | torch.Tensor) -> "Samples":
        return self._each(lambda t: t[rows])

    def to(self, device: torch.device) -> "Samples":
        """Return the samples on a device."""
        return self._each(lambda t: t.to(device))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Samples":
        return Samples(
            change(self.chips),
            change(self.lon),
            change(self.lat),
            change(self.target),
            None if self.covariates is None else change(self.covariates),
        )

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The network's arguments: chips, lon, lat, and covariates if there are any."""
        covariates = () if self.covariates is None else (self.covariates,)
        return (self.chips, self.lon, self.lat, *covariates)


def turned(samples: Samples, turns: torch.Tensor) -> Samples:
    """Apply one of the eight symmetries of the square to each chip and its coordinates.

    Args:
        turns: (B,), in 0 .. 7. Symmetry k is k % 4 quarter turns, after a mirroring if k >= 4.
    """
    side = samples.lon.shape[1]
    rows = torch.arange(len(turns))[:, None]  # (B, 1)
    sources = _sources(side)[turns]  # (B, P*P)

    def turn(tensor: torch.Tensor) -> torch.Tensor:
        at = (rows.to(tensor.device), sources.to(tensor.device))
        return tensor.flatten(1, 2)[at].view_as(tensor)

    return replace(samples, chips=turn(samples.chips), lon=turn(samples.lon), lat=turn(samples.lat))


@cache
def _sources(side: int) -> torch.Tensor:
    """For each symmetry, the pixel that each pixel's values come from, (8, side * side)."""
    pixels = torch.arange(side * side).view(side, side)
    mirrored = pixels.flip(1)
    return torch.stack([(mirrored if k >= 4 else pixels).rot90(k % 4).flatten() for k in range(8)])
