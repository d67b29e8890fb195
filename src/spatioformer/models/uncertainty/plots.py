"""What intervals are learned from, and what they are laid around."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions that want an interval, and all that an interval may depend on.

    Attributes:
        mean: (n,), species.
        di: (n,), dissimilarity index.
        lon, lat: (n,), degrees.
        spread: (n,), standard deviation of the model's own draws, species, or None.
        quantiles: (n, 2), the model's own lower and upper quantile, species, or None.
    """

    mean: Floats
    di: Floats
    lon: Floats
    lat: Floats
    spread: Floats | None = None
    quantiles: Floats | None = None

    @property
    def lonlat(self) -> Floats:
        """(n, 2), longitudes in [-180, 180)."""
        return np.column_stack([(self.lon + 180) % 360 - 180, self.lat])

    def __len__(self) -> int:
        return len(self.mean)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.integer] | slice) -> Self:
        return type(self)(
            self.mean[rows],
            self.di[rows],
            self.lon[rows],
            self.lat[rows],
            None if self.spread is None else self.spread[rows],
            None if self.quantiles is None else self.quantiles[rows],
        )


@dataclass(frozen=True)
class HeldOut:
    """Plots with a prediction by a model that did not see them.

    Attributes:
        pixels: (n, band), the imagery at each plot's pixel, in the model's order of bands.
        lon, lat: (n,), degrees.
        observed, predicted: (n,), species.
        fold: (n,), whichever numbers; predictions of a fold come from plots of the others.
        spread, quantiles: as of `Predictions`.
    """

    pixels: Floats
    lon: Floats
    lat: Floats
    observed: Floats
    predicted: Floats
    fold: NDArray[np.int64]
    spread: Floats | None = None
    quantiles: Floats | None = None

    def predictions(self, di: Floats) -> Predictions:
        return Predictions(self.predicted, di, self.lon, self.lat, self.spread, self.quantiles)
