"""Predictions that get intervals, and the held-out plots that calibrate the intervals."""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Predictions:
    """Predictions, and everything that their intervals may depend on.

    Attributes:
        mean: (n,), species.
        di: (n,), dissimilarity index.
        lon, lat: (n,), degrees.
        spread: (n,), standard deviation of the model's draws, species, or None.
        quantiles: (n, 2), lower and upper quantile that the model predicts, species, or None.
    """

    mean: Floats
    di: Floats
    lon: Floats
    lat: Floats
    spread: Floats | None = None
    quantiles: Floats | None = None

    @property
    def lonlat(self) -> Floats:
        """Longitudes, in [-180, 180), and latitudes, (n, 2), degrees."""
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
    """Held-out plots: each predicted by a model that was not trained on it.

    Attributes:
        pixels: (n, band), band values at each plot's pixel; bands in the model's order.
        lon, lat: (n,), degrees.
        observed, predicted: (n,), species.
        fold: (n,), any integers; a model trained on the other folds predicted each fold.
        spread, quantiles: as in `Predictions`.
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
        """The predictions, with the dissimilarity index `di` (n,) of each plot."""
        return Predictions(self.predicted, di, self.lon, self.lat, self.spread, self.quantiles)
