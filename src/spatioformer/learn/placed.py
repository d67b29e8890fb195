"""A small Spatioformer of the invented landscape, for the figure in which a reader moves a place.

Shapes: n plots, B bands, Y x X pixels of the landscape.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from jaxtyping import Float, UInt8

from spatioformer.api.estimators import SpatioformerRegressor
from spatioformer.api.plots import read_plots
from spatioformer.api.reading import read_imagery
from spatioformer.geo.virtual.example import write_example
from spatioformer.models.network import NetworkModel

PATCH = 3
STEP = 0.002  # reflectance of one unit in the page; the noise of the imagery is four times that
HELD_OUT = 5  # every fifth plot, in random order, is held out


@dataclass(frozen=True)
class PlacedLesson:
    """The network, and the landscape that it maps.

    Attributes:
        model: takes chips of reflectances and their place.
        levels: (B, Y, X) reflectances in units of `STEP`.
        lon, lat: (X,) and (Y,) pixel centres, degrees; north first.
        plots: (n, 3) longitude, latitude and species of each plot.
        r2: on the plots held out.
        r2_without: the same of a network that was not told where plots are.
    """

    model: NetworkModel
    bands: list[str]
    levels: UInt8[np.ndarray, "B Y X"]
    lon: Float[np.ndarray, "X"]
    lat: Float[np.ndarray, "Y"]
    plots: Float[np.ndarray, "n 3"]
    r2: float
    r2_without: float

    def chip(self, row: int, column: int) -> np.ndarray:
        """(P, P, B) reflectances around a pixel, as the page has them."""
        rows, columns = (slice(i - PATCH // 2, i + PATCH // 2 + 1) for i in (row, column))
        return np.moveaxis(self.levels[:, rows, columns], 0, -1).astype(np.float32) * STEP

    def species(self, row: int, column: int, pixels_of: tuple[int, int] | None = None) -> float:
        """Predicted species of a pixel; `pixels_of` takes the reflectances of another one."""
        lon, lat = (np.full((1, PATCH, PATCH), x) for x in (self.lon[column], self.lat[row]))
        return float(
            self.model.predict(self.chip(*(pixels_of or (row, column)))[None], lon, lat)[0]
        )


def train_placed(plots: int, **arguments: int) -> PlacedLesson:
    """Train two networks, with and without location, on four of five plots of the landscape.

    Args:
        arguments: of `SpatioformerRegressor`.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_example(folder, plots)
        table = read_plots(folder / "plots.csv")
        imagery = read_imagery([folder / "landsat.tif"])
        held = np.random.default_rng(0).permutation(len(table)) % HELD_OUT == 0
        counted = table["richness"].to_numpy(float)[held]

        def fitted(location: str) -> tuple[NetworkModel, float]:
            regressor = SpatioformerRegressor(patch=PATCH, location=location, **arguments)  # type: ignore[arg-type]
            regressor.fit(table[~held], imagery)
            errors = regressor.predict(table[held], imagery) - counted
            assert isinstance(regressor.model_, NetworkModel)
            r2 = 1 - float((errors**2).sum() / ((counted - counted.mean()) ** 2).sum())
            return regressor.model_, r2

        model, r2 = fitted("sphere")
        _, r2_without = fitted("none")
        raster = imagery.to_xarray()
        return PlacedLesson(
            model,
            list(imagery.bands),
            np.rint(raster.to_numpy() / STEP).astype(np.uint8),
            raster["x"].to_numpy(),
            raster["y"].to_numpy(),
            table[["lon", "lat", "richness"]].to_numpy(float),
            r2,
            r2_without,
        )
