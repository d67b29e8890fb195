"""A linear model of two bands with measured uncertainty, and rasters to map with it.

Expected richness is 30 + 3 (warmth - 15) + 0.01 (rain - 800), so every difference is known.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import rasterio
from sklearn.linear_model import LinearRegression

from spatioformer.mapping import map_raster
from spatioformer.models.scaling import Scaling
from spatioformer.models.tabular import TabularModel
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.models.uncertainty.plots import HeldOut
from tests.helpers.landscape import NORTH, STEP, WEST, write_raster

BANDS = ["warmth", "rain"]
SHAPE = (24, 30)
HALF = 4.0
"""Half-width of the intervals: held-out errors are -4 or 4 species."""


def richness(warmth: np.ndarray, rain: np.ndarray) -> np.ndarray:
    return 30 + 3 * (warmth - 15) + 0.01 * (rain - 800)


def climate(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    """Warmth, 13 to 17 degrees C, and rain, 600 to 1000 mm; float32 (2, y, x)."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    warmth = 13 + 4 * x / (shape[1] - 1)
    rain = 600 + 400 * y / (shape[0] - 1)
    return np.stack([warmth, rain]).astype(np.float32)


def raster(path: Path, data: np.ndarray, **options) -> Path:
    return write_raster(path, data, nodata=np.nan, names=tuple(BANDS), **options)


def model(folder: Path) -> Path:
    """The model's folder, trained on plots that lie anywhere in the climate."""
    rng = np.random.default_rng(0)
    n = 200
    warmth, rain = rng.uniform(13, 17, n), rng.uniform(600, 1000, n)
    lon = WEST + rng.uniform(0, SHAPE[1] * STEP, n)
    lat = NORTH - rng.uniform(0, SHAPE[0] * STEP, n)
    counts = richness(warmth, rain)
    regressor = LinearRegression().fit(np.column_stack([warmth, rain, lon, lat]), counts)
    scaling = Scaling(
        (warmth.mean(), rain.mean()), (warmth.std(), rain.std()), counts.mean(), counts.std()
    )
    TabularModel(regressor, BANDS, 1, scaling, {"name": "linear"}).save(folder)
    pixels = np.column_stack([warmth, rain])
    held = HeldOut(
        pixels, lon, lat, counts + rng.choice([-HALF, HALF], n), counts, rng.integers(0, 5, n)
    )
    weights = np.array([1.0, 1.0, 0, 0])  # of places everywhere
    known = Uncertainty.calibrate(held, BANDS, weights, kind="constant")[0]
    replace(known, widening={}).save(folder)  # all intervals have one width, also outside
    return folder


def world(folder: Path) -> tuple[Path, Path, Path]:
    """Model, today's rasters and today's map."""
    made, today = model(folder / "model"), raster(folder / "today.tif", climate())
    map_raster(made, today, folder / "map.tif")
    return made, today, folder / "map.tif"


def bands(path: Path) -> dict[str, np.ndarray]:
    """The bands of a change.tif by name, float64."""
    from spatioformer.analysis.scenarios import BANDS as names

    with rasterio.open(path) as source:
        return dict(zip(names, source.read().astype(np.float64), strict=True))
