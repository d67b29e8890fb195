"""An invented landscape with plots, whose numbers the chapter on places uses.

Shapes: n plots, B bands.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float
from xarray import DataArray

from spatioformer.api.plots import read_plots
from spatioformer.api.reading import read_imagery
from spatioformer.api.tabular_estimators import GaussianProcessRegressor
from spatioformer.geo.virtual.example import write_example
from spatioformer.models.base import OutsideExtent

REFLECTANCES = ("blue", "green", "red", "nir")
FOLDS = 5
TILE = 0.75  # degrees: side of the squares that are held out together


@dataclass(frozen=True)
class Landscape:
    """Plots of a virtual flora.

    Attributes:
        lon, lat: (n,) degrees.
        bands: (n, B) values of the rasters at the plots.
        names: of the bands.
        richness: (n,) species.
    """

    lon: Float[np.ndarray, "n"]
    lat: Float[np.ndarray, "n"]
    bands: Float[np.ndarray, "n B"]
    names: list[str]
    richness: Float[np.ndarray, "n"]

    @property
    def reflectances(self) -> Float[np.ndarray, "n 4"]:
        """Standardised reflectances."""
        values = self.bands[:, [self.names.index(name) for name in REFLECTANCES]]
        return (values - values.mean(axis=0)) / values.std(axis=0)

    def random_folds(self) -> np.ndarray:
        """Fold of each plot, drawn at random."""
        return np.random.default_rng(0).permutation(len(self.richness)) % FOLDS

    def tile_folds(self) -> np.ndarray:
        """Fold of each plot; all plots of a square of land have the same."""
        east, north = (np.floor(degrees / TILE).astype(int) for degrees in (self.lon, self.lat))
        _, tiles = np.unique(np.stack([east, north]), axis=1, return_inverse=True)
        order = np.random.default_rng(0).permutation(tiles.max() + 1)
        return order[tiles.ravel()] % FOLDS

    def r2(self, folds: np.ndarray, *, location: bool) -> float:
        """r2 of a Gaussian process on held-out plots, pooled over the folds."""
        predicted = np.empty(len(self.richness))
        for fold in range(FOLDS):
            held = folds == fold
            places = np.stack([self.lon, self.lat], axis=1)
            known, wanted = (places[~held], places[held]) if location else (None, None)
            model = GaussianProcessRegressor()
            model.fit(self.bands[~held], self.richness[~held], coordinates=known)
            with warnings.catch_warnings():
                # A tile at the edge lies outside of the other plots, which is what is examined.
                warnings.simplefilter("ignore", OutsideExtent)
                predicted[held] = model.predict(self.bands[held], coordinates=wanted)
        errors = ((predicted - self.richness) ** 2).sum()
        return float(1 - errors / ((self.richness - self.richness.mean()) ** 2).sum())


def invent(plots: int) -> Landscape:
    """Make the example of `spatioformer example`, and read its bands at the plots."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_example(folder, plots)
        table = read_plots(folder / "plots.csv")
        stack = read_imagery([folder / "climate.tif", folder / "landsat.tif"])
        raster = stack.to_xarray()
        lon, lat = (table[column].to_numpy(float) for column in ("lon", "lat"))
        along = {"x": DataArray(lon, dims="plot"), "y": DataArray(lat, dims="plot")}
        bands = raster.sel(along, method="nearest").transpose("plot", ...).to_numpy()
        names = list(stack.bands)
    return Landscape(lon, lat, bands, names, table["richness"].to_numpy(float))
