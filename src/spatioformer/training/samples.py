"""Training samples: chips, their coordinates, and the richness of their plots."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    fields = {name: getattr(samples, name) for name in ("chips", "lon", "lat")}
    changed = {name: tensor.clone() for name, tensor in fields.items()}
    for k in range(1, 8):
        rows = torch.nonzero(turns == k).squeeze(1).to(samples.target.device)
        for name, tensor in fields.items():
            part = tensor[rows]
            part = part.flip(2) if k >= 4 else part
            changed[name][rows] = part.rot90(k % 4, (1, 2))
    return replace(samples, **changed)
