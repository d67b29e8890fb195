"""What lies in a finished run folder, read when asked for: tables, summaries, decimated rasters."""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from rasterio.enums import Resampling

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.common.errors import OutputError
from spatioformer.common.files import read_json
from spatioformer.config.schema import RunConfig, SplitSection, TrainSection
from spatioformer.evaluation.distances import NeighbourDistances, neighbour_distances
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.geo.virtual.truth import noise_ceiling
from spatioformer.models import distilled
from spatioformer.models.uncertainty import Uncertainty

WIDTH = 1200  # pixels of a drawn raster's longer side at most: big maps are read decimated
SAMPLE = 4000  # mapped pixels whose distance to the nearest plot is measured
NEEDED = (
    "config.resolved.yaml",
    "plots.json",
    "rejected.csv",
    "imagery.json",
    "model/README.md",
    "scores.csv",
    "evaluation/predictions.parquet",
    "map.tif",
    "map.json",
    "provenance.json",
)
_FINE = 16  # parts of a pixel to which plots are placed


@dataclass(frozen=True)
class Band:
    """One band of a raster, perhaps decimated: values [y, x], NaN where there is none."""

    values: np.ndarray
    grid: Grid

    @property
    def mapped(self) -> np.ndarray:
        return np.isfinite(self.values)

    @cached_property
    def lonlat(self) -> tuple[np.ndarray, np.ndarray]:
        """Longitude and latitude [y, x] of the pixel centres, degrees."""
        rows, cols = np.arange(self.grid.height), np.arange(self.grid.width)
        return self.grid.lonlat(rows[:, None], cols[None, :])

    def places(self, lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns of points, to 1/16 pixel; (0, 0) is the centre of the first pixel."""
        grid = self.grid
        transform = grid.transform @ Affine.scale(1 / _FINE)
        finer = Grid(grid.crs, transform, grid.height * _FINE, grid.width * _FINE)
        rows, cols = finer.pixel(lon, lat)
        return (rows + 0.5) / _FINE - 0.5, (cols + 0.5) / _FINE - 0.5


def read_band(path: str | Path, band: int = 1, longest: int = WIDTH) -> Band:
    """Read a band with at most `longest` pixels a side: means of the values under each."""
    with rasterio.open(path) as source:
        step = max(1, math.ceil(max(source.shape) / longest))
        height, width = (math.ceil(n / step) for n in source.shape)
        values = source.read(
            band, out_shape=(height, width), resampling=Resampling.average, masked=True
        )
        scale = Affine.scale(source.width / width, source.height / height)
        grid = Grid(Grid.of(source).crs, source.transform @ scale, height, width)
    return Band(values.astype(np.float64).filled(np.nan), grid)


class Results:
    """A run folder with its resolved configuration.

    `mapped` is the model that made the map, `model` what its bundle says of it.

    Raises:
        OutputError: a stage's result is missing.
    """

    def __init__(self, folder: str | Path, config: RunConfig):
        self.folder, self.config = Path(folder), config
        self.mapped = config.map.model
        described = self.folder / "model" / "config.json"
        self.model: dict[str, Any] = read_json(described) if described.exists() else {}
        self.is_network = self.model.get("kind", "network") == "network"
        self.is_taught = "teacher" in self.model.get("facts", {})
        for name in (*NEEDED, *["training.csv"] * self.is_network):
            if not (self.folder / name).exists():
                raise OutputError(
                    f"no report can be made of {folder} without its {name}; make it with "
                    "`spatioformer run`"
                )
        self.virtual = config.truth is not None
        self.plots: dict[str, Any] = read_json(self.folder / "plots.json")
        self.imagery: dict[str, Any] = read_json(self.folder / "imagery.json")
        self.map: dict[str, Any] = read_json(self.folder / "map.json")
        self.provenance: dict[str, Any] = read_json(self.folder / "provenance.json")
        self.all_scores = pd.read_csv(self.folder / "scores.csv")
        self.predictions = pd.read_parquet(self.folder / "evaluation" / "predictions.parquet")
        with rasterio.open(self.folder / "map.tif") as source:
            self.grid = Grid.of(source)
            self.grain = source.tags().get("GRAIN", "plot size not stated").replace("m2", "m²")
            self._bands = bands_of(source)
        self.has_spread = "sd" in self._bands

    @property
    def recipe(self) -> TrainSection:
        """How the network that made the map was trained."""
        if not self.is_taught:
            return self.config.train
        return distilled.training_on(self.model["facts"]["pixels"], self.config.train)

    @cached_property
    def training(self) -> pd.DataFrame:
        """RMSE by epoch, of a network."""
        return pd.read_csv(self.folder / "training.csv")

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Rejected rows, all cells as text."""
        return pd.read_csv(self.folder / "rejected.csv", dtype=str, keep_default_na=False)

    @cached_property
    def mean(self) -> Band:
        return read_band(self.folder / "map.tif", 1)

    @cached_property
    def spread(self) -> Band:
        return read_band(self.folder / "map.tif", self._bands["sd"])

    @cached_property
    def dissimilarity(self) -> Band | None:
        """Dissimilarity index of the mapped pixels, where the map has it."""
        band = self._bands.get("di")
        return band and read_band(self.folder / "map.tif", band)

    @cached_property
    def uncertainty(self) -> Uncertainty | None:
        """What the evaluation calibrated, if it did."""
        folder = self.folder / "evaluation"
        return Uncertainty.load(folder) if Uncertainty.is_in(folder) else None

    @cached_property
    def drivers(self) -> dict[str, Any] | None:
        """What `spatioformer drivers` found, if it was asked."""
        path = self.folder / "drivers.json"
        return read_json(path) if path.exists() else None

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The plots behind `uncertainty`, a row each, with their cross-fitted intervals."""
        return pd.read_parquet(self.folder / "evaluation" / "intervals.parquet")

    @cached_property
    def truth(self) -> Band:
        return read_band(self.config.truth.path)

    @cached_property
    def observed(self) -> pd.DataFrame:
        """The plots that were scored, once each: lon, lat, richness."""
        once = self.predictions.drop_duplicates("plot_id")
        return once.rename(columns={"observed": "richness"})[["lon", "lat", "richness"]]

    @property
    def random(self) -> SplitSection | None:
        return next((s for s in self.config.evaluate.splits if s.kind == "random"), None)

    @property
    def spatial(self) -> SplitSection | None:
        return next((s for s in self.config.evaluate.splits if s.kind != "random"), None)

    @property
    def judged(self) -> SplitSection:
        """The split that speaks for the map: the first spatial one, or else the random one."""
        return self.spatial or self.config.evaluate.splits[0]

    def scores(self, split: SplitSection) -> pd.DataFrame:
        """Scores of a split, indexed by model."""
        return self.all_scores[self.all_scores["split"] == split.name].set_index("model")

    @property
    def models(self) -> list[str]:
        """Models, every one scored on every split: the highest r2 on the judged one first."""
        return list(
            self.scores(self.judged)["r2"].sort_values(ascending=False, kind="stable").index
        )

    def r2(self, model: str, split: SplitSection) -> float:
        """r2 of a model on a split; NaN where it was not scored."""
        return float(self.scores(split)["r2"].get(model, np.nan))

    def predicted(self, split: SplitSection) -> pd.DataFrame:
        return self.predictions[self.predictions["split"] == split.name]

    @property
    def curve_sizes(self) -> list[float]:
        """Sides of the tiles of the block-size curve, degrees, ascending."""
        return sorted(self.config.evaluate.curve_sizes)

    @cached_property
    def curves(self) -> dict[str, tuple[float, list[float]]]:
        """Model -> (r2 on random folds, r2 at each of `curve_sizes`); NaN where not scored."""
        table = self.all_scores[self.all_scores["split"].str.startswith("curve-")]
        if table.empty:
            return {}
        # The splits of the curve come in the order of the configured sizes.
        size_of = dict(zip(table["split"].unique(), self.config.evaluate.curve_sizes, strict=True))
        found = {}
        for model, part in table.groupby("model", sort=False):
            r2 = dict(zip(part["split"].map(size_of), part["r2"], strict=True))
            random = self.r2(model, self.random) if self.random else np.nan
            found[model] = random, [r2.get(size, np.nan) for size in self.curve_sizes]
        return found

    @cached_property
    def ceiling(self) -> float:
        """r2 of a perfect map on these noisy counts; virtual runs only."""
        return noise_ceiling(self.observed, self.config.truth.noise_path)

    @cached_property
    def distances(self) -> dict[str, NeighbourDistances]:
        """Split -> metres to the nearest plot learned from, of held-out plots and mapped pixels."""
        lon, lat = (values[self.mean.mapped] for values in self.mean.lonlat)
        some = np.unique(np.linspace(0, len(lon) - 1, SAMPLE).round().astype(int))
        pixels = np.column_stack([lon, lat])[some]
        found = {}
        for split in self.config.evaluate.splits:
            once = self.predicted(split).drop_duplicates("plot_id")
            fold = once["fold"].to_numpy()
            pairs = [
                (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)
            ]
            found[split.name] = neighbour_distances(once[["lon", "lat"]].to_numpy(), pixels, pairs)
        return found

    @property
    def map_distance(self) -> np.ndarray:
        """Metres from a sample of mapped pixels to the nearest plot."""
        return next(iter(self.distances.values())).prediction

    @cached_property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height in metres, on the ground, of the pixel in the middle of the map."""
        row, col = self.grid.height / 2 - 0.5, self.grid.width / 2 - 0.5
        rows, cols = row + np.array([0, 0, -0.5, 0.5]), col + np.array([-0.5, 0.5, 0, 0])
        lon, lat = self.grid.lonlat(rows, cols)
        east = ((np.diff(lon) + 180) % 360 - 180) * np.cos(np.radians(lat.mean()))
        sizes = 1000 * KM_PER_DEGREE * np.hypot(east, np.diff(lat))
        return float(sizes[0]), float(sizes[2])

    @cached_property
    def mapped_area(self) -> float:
        """Square kilometres that the map predicts for, about."""
        width, height = self.pixel_size
        area = self.map["pixels"] * width * height / 1e6
        if not (self.grid.crs.is_geographic and self.map["pixels"]):
            return area
        lat = np.radians(self.mean.lonlat[1])  # pixels of a degree's part shrink towards the poles
        return area * float(np.cos(lat[self.mean.mapped]).mean() / np.cos(np.median(lat)))
