"""Contents of a finished run folder, read on demand: tables, summaries, decimated rasters."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.errors import OutputError
from spatioformer.common.files import read_json
from spatioformer.common.streams import Stream, generator
from spatioformer.common.tables import restored_table
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.learning import AUTO, TrainSection
from spatioformer.config.mapping import TruthSection
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.distances import NeighbourDistances, neighbour_distances
from spatioformer.evaluation.sizes import Tile
from spatioformer.evaluation.verdict import Verdict, decide, measure, reached
from spatioformer.geo.chips import open_chips
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.areas import pixel_sides
from spatioformer.geo.raster.map_layers import bands_of
from spatioformer.geo.raster.opening import open_raster
from spatioformer.geo.virtual.truth import noise_ceiling
from spatioformer.models.recipes import filled, training_on
from spatioformer.models.resolved import resolved, with_chosen_model
from spatioformer.models.target import unit
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.report.bands import Band, features, grid_around, read_band

PAIRS = 50_000  # pairs of mapped pixels whose predictions are compared
SAMPLE = 4000  # mapped pixels whose distance to the nearest plot is measured
NEEDED = (
    "config.resolved.yaml",
    "plots.json",
    "rejected.csv",
    "model/README.md",
    "scores.csv",
    "evaluation/predictions.parquet",
    "provenance.json",
)
OF_IMAGERY = ("imagery.json", "map.tif", "map.json")


class Results:
    """A run folder with its configuration, in which values that depend on the plots are filled in.

    `mapped` is the name of the model that made the map, `model` the content of its config.json.
    `choice` holds the scores of the choice of that model as a model of its own, a row for each
    split; it is empty where the configuration names the model.

    Raises:
        OutputError: a stage's result is missing.
    """

    def __init__(self, folder: str | Path, config: RunConfig):
        self.folder = Path(folder)
        self.has_imagery = config.imagery is not None
        model = self.folder / "model" / "config.json"
        self.model: dict[str, Any] = read_json(model) if model.exists() else {}
        self.is_network = self.model.get("kind", "network") == "network"
        self.is_taught = "teacher" in self.model.get("facts", {})
        needed = (*NEEDED, *OF_IMAGERY) if self.has_imagery else NEEDED
        for name in (*needed, *["training.csv"] * self.is_network):
            if not (self.folder / name).exists():
                raise OutputError(
                    f"the report of {folder} needs {name}, which is missing; run "
                    "`spatioformer run` to make it"
                )
        config = with_chosen_model(config, self.folder)
        self.mapped = config.map.model
        self.virtual = config.truth is not None
        self.plots: dict[str, Any] = read_json(self.folder / "plots.json")
        self.provenance: dict[str, Any] = read_json(self.folder / "provenance.json")
        scores = pd.read_csv(self.folder / "scores.csv")
        self.all_scores = scores[scores["model"] != AUTO]
        self.choice = scores[scores["model"] == AUTO].set_index("split")
        self.predictions = pd.read_parquet(self.folder / "evaluation" / "predictions.parquet")
        self.config = resolved(
            config,
            self.observed[["lon", "lat"]].to_numpy(),
            tiles={name: Tile(t["size"], t["unit"]) for name, t in self.tiles.items()},
        )
        grain = self.model.get("facts", {}).get("grain", "plot size not stated")
        self._bands: dict[str, int] = {}
        if self.has_imagery:
            self.imagery: dict[str, Any] = read_json(self.folder / "imagery.json")
            self.map: dict[str, Any] = read_json(self.folder / "map.json")
            with open_raster(self.folder / "map.tif") as source:
                self.grid = Grid.of(source)
                grain = source.tags().get("GRAIN", "plot size not stated")
                self._bands = bands_of(source)
        else:
            self.imagery = features(open_chips(self.folder / "chips"))
            self.map = {"pixels": 0, "negative_set_to_0": 0, "mean_sd": None}
            self.grid = grid_around(self.observed)
        self.grain = grain.replace("m2", "m²")
        self.has_spread = "sd" in self._bands

    @property
    def unit(self) -> str:
        """The unit of the target in words."""
        return unit(self.plots.get("target_kind"))

    @property
    def recipe(self) -> TrainSection:
        """How the network that made the map was trained."""
        facts = self.model.get("facts", {})
        if not self.is_taught:
            plots = facts.get("plots", 0) + facts.get("validation_plots", 0)
            return filled(self.mapped, self.config.train, plots)
        return training_on(facts["pixels"], self.config.train)

    @property
    def about(self) -> list[tuple[str, str]]:
        """Terms and texts with which the model folder describes its model."""
        return [(term, text) for term, text in self.model.get("about", ())]

    @property
    def uses_location(self) -> bool:
        """Whether longitude and latitude are inputs of the model that made the map."""
        entry = CATALOGUE[self.mapped]
        configured = entry.kind == "network" and not entry.published
        return entry.uses_location and not (configured and self.config.model.location == "none")

    @property
    def knows_area(self) -> bool:
        """Whether the plot area is a predictor of the model."""
        names = {"area_m2", "log10 area_m2"}
        return bool(names & {*self.imagery["bands"], *self.config.model.covariates})

    @cached_property
    def training(self) -> pd.DataFrame:
        """Learning rate and RMSE of a network, a row for each epoch."""
        return pd.read_csv(self.folder / "training.csv")

    @property
    def best_epoch(self) -> pd.Series:
        """The row of `training` with the lowest validation RMSE."""
        return self.training.iloc[int(self.training["validation_rmse"].argmin())]

    @cached_property
    def rejected(self) -> pd.DataFrame:
        """Rejected rows, all cells as text."""
        return restored_table(
            pd.read_csv(self.folder / "rejected.csv", dtype=str, keep_default_na=False)
        )

    @cached_property
    def mean(self) -> Band:
        if not self.has_imagery:
            return Band(np.full((self.grid.height, self.grid.width), np.nan), self.grid)
        return read_band(self.folder / "map.tif", 1)

    @cached_property
    def spread(self) -> Band:
        return read_band(self.folder / "map.tif", self._bands["sd"])

    @cached_property
    def dissimilarity(self) -> Band | None:
        """Dissimilarity index of the mapped pixels; None where the map lacks it."""
        band = self._bands.get("di")
        return None if band is None else read_band(self.folder / "map.tif", band)

    @cached_property
    def interval_ends(self) -> tuple[Band, Band] | None:
        """Lower and upper ends of the mapped pixels' intervals; None where the map lacks them."""
        if not {"lower", "upper"} <= self._bands.keys():
            return None
        lower, upper = (
            read_band(self.folder / "map.tif", self._bands[name]) for name in ("lower", "upper")
        )
        return lower, upper

    @cached_property
    def interval_width(self) -> Band | None:
        """Width of the mapped pixels' intervals; None where the map lacks them."""
        if self.interval_ends is None:
            return None
        lower, upper = self.interval_ends
        return Band(upper.values - lower.values, lower.grid)

    @cached_property
    def outside(self) -> NDArray[np.bool_] | None:
        """Mapped pixels [y, x] outside the area of applicability; None where it is not known."""
        if self.dissimilarity is None or self.uncertainty is None:
            return None
        outside: NDArray[np.bool_]
        outside = self.dissimilarity.values > self.uncertainty.area.threshold_
        return outside & self.mean.mapped

    @property
    def level(self) -> float:
        """Nominal coverage of the map's intervals, 0-1."""
        uncertainty = self.uncertainty
        return self.config.evaluate.level if uncertainty is None else uncertainty.level

    @cached_property
    def uncertainty(self) -> Uncertainty | None:
        """Calibrated intervals and area of applicability; None where nothing was calibrated."""
        folder = self.folder / "evaluation"
        return Uncertainty.load(folder) if Uncertainty.is_in(folder) else None

    @cached_property
    def drivers(self) -> dict[str, Any] | None:
        """Results of `spatioformer drivers`; None where it has not run."""
        path = self.folder / "drivers.json"
        return read_json(path) if path.exists() else None

    @cached_property
    def intervals(self) -> pd.DataFrame:
        """The plots behind `uncertainty`, a row each, with their cross-fitted intervals."""
        return pd.read_parquet(self.folder / "evaluation" / "intervals.parquet")

    @cached_property
    def truth(self) -> Band:
        return read_band(self._truth_section.path)

    @property
    def _truth_section(self) -> TruthSection:
        assert self.config.truth is not None, "virtual runs only"
        return self.config.truth

    @cached_property
    def observed(self) -> pd.DataFrame:
        """The scored plots, one row each: lon, lat (degrees), richness (species)."""
        plots = self.predictions.drop_duplicates("plot_id")
        return plots.rename(columns={"observed": "richness"})[["lon", "lat", "richness"]]

    @cached_property
    def tiles(self) -> dict[str, dict[str, Any]]:
        """Split -> side, unit and reason of the tiles that the evaluation chose itself."""
        path = self.folder / "evaluation" / "tiles.json"
        return read_json(path) if path.exists() else {}

    @cached_property
    def years_apart(self) -> pd.Series | None:
        """Year of each plot's imagery minus that of the plot; None where imagery has no years."""
        path = self.folder / "chips" / "index.parquet"
        if "year" not in self.imagery or not path.exists():
            return None
        return pd.read_parquet(path)["years_apart"]

    @cached_property
    def trend(self) -> dict[str, Any] | None:
        """Summary of the maps of years; None where the run has none."""
        path = self.folder / "years" / "summary.json"
        return read_json(path) if self.config.map.years is not None and path.exists() else None

    @property
    def random(self) -> SplitSection | None:
        return next((s for s in self.config.evaluate.splits if s.kind == "random"), None)

    @property
    def spatial(self) -> SplitSection | None:
        """The map-like split; None where plots were held out at random only."""
        return None if self.judged.kind == "random" else self.judged

    @property
    def judged(self) -> SplitSection:
        """The split whose scores describe the map: the one most like the use of the map."""
        return self.config.evaluate.map_like

    def scores(self, split: SplitSection) -> pd.DataFrame:
        """Scores of a split, indexed by model."""
        return self.all_scores[self.all_scores["split"] == split.name].set_index("model")

    @property
    def models(self) -> list[str]:
        """Names of the models, the highest r2 on the judged split first; each has all splits."""
        return list(
            self.scores(self.judged)["r2"].sort_values(ascending=False, kind="stable").index
        )

    @property
    def models_mapped_first(self) -> list[str]:
        """`models`, with the mapped model first where it was scored."""
        return sorted(self.models, key=lambda model: model != self.mapped)

    def r2(self, model: str, split: SplitSection) -> float:
        """r2 of a model on a split; NaN where it was not scored."""
        return float(self.scores(split)["r2"].get(model, np.nan))

    def mapped_r2(self, split: SplitSection) -> float:
        """r2 of the mapped model on a split, of its choice where it was chosen by the scores."""
        return float(self.choice["r2"].get(split.name, self.r2(self.mapped, split)))

    def predicted(self, split: SplitSection) -> pd.DataFrame:
        return self.predictions[self.predictions["split"] == split.name]

    @property
    def curve_sizes(self) -> list[float]:
        """Sides of the tiles of the block-size curve, in `evaluate.curve_unit`, ascending."""
        return sorted(self.config.evaluate.curve_sizes or ())

    @cached_property
    def curves(self) -> dict[str, tuple[float, list[float]]]:
        """Model -> (r2 on random folds, r2 at each of `curve_sizes`); NaN where not scored."""
        table = self.all_scores[self.all_scores["split"].str.startswith("curve-")]
        if table.empty:
            return {}
        # The splits of the curve come in the order of the configured sizes.
        size_of = dict(
            zip(table["split"].unique(), self.config.evaluate.curve_sizes or (), strict=True)
        )
        curves = {}
        for name, part in table.groupby("model", sort=False):
            model = str(name)
            r2 = dict(zip(part["split"].map(size_of), part["r2"], strict=True))
            random = self.r2(model, self.random) if self.random else float("nan")
            curves[model] = random, [r2.get(size, float("nan")) for size in self.curve_sizes]
        return curves

    @cached_property
    def ceiling(self) -> float:
        """r2 of a perfect map on these noisy counts; virtual runs only."""
        return noise_ceiling(self.observed, self._truth_section.noise_path)

    @cached_property
    def distances(self) -> dict[str, NeighbourDistances]:
        """Split -> metres to the nearest training plot, of held-out plots and mapped pixels."""
        lon, lat = (values[self.mean.mapped] for values in self.mean.lonlat)
        sample = np.unique(np.linspace(0, len(lon) - 1, SAMPLE).round().astype(int))
        pixels = np.column_stack([lon, lat])[sample]
        distances = {}
        for split in self.config.evaluate.splits:
            plots = self.predicted(split).drop_duplicates("plot_id")
            fold = plots["fold"].to_numpy()
            pairs = [
                (np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in np.unique(fold)
            ]
            places = plots[["lon", "lat"]].to_numpy()
            distances[split.name] = neighbour_distances(places, pixels, pairs)
        return distances

    @cached_property
    def verdict(self) -> Verdict:
        """Whether to use the map, from held-out plots, intervals and the area of applicability."""
        split, uncertainty, skill, coverage = self.judged, self.uncertainty, None, None
        rows = self.predicted(split).query("model == @self.mapped")
        rows = rows[np.isfinite(rows["predicted"])]
        if len(rows) and (self.map["pixels"] or not self.has_imagery):
            skill = measure(
                rows["observed"].to_numpy(),
                rows["predicted"].to_numpy(),
                rows[["lon", "lat"]].to_numpy(),
                level=self.level,
                seed=self.config.seed,
            )
            # The scores that chose the model are too good: the verdict rests on the choice's own.
            skill = skill.with_r2(self.mapped_r2(split))
        if uncertainty is not None:
            kind = uncertainty.kind(self.has_spread)
            coverage = uncertainty.facts["kinds"][kind]["scores"]["coverage"]
        return decide(
            skill,
            inside=self.map.get("inside_share"),
            coverage=coverage,
            level=self.level,
            reached=reached(self.distances[split.name]) if self.map["pixels"] else None,
            in_space=split.kind != "random",
        )

    def share_apart(self, least: float) -> float | None:
        """Share of random pairs of mapped pixels that differ by more than `least`; None: no map."""
        values = self.mean.values[self.mean.mapped]
        if not values.size:
            return None
        one, other = generator(self.config.seed, Stream.MAP_PAIRS).choice(values, (2, PAIRS))
        return float((np.abs(one - other) > least).mean())

    @property
    def map_distance(self) -> np.ndarray:
        """Metres from a sample of mapped pixels to the nearest plot."""
        return next(iter(self.distances.values())).prediction

    @cached_property
    def pixel_size(self) -> tuple[float, float]:
        """Width and height in metres, on the ground, of the pixel in the middle of the map."""
        return pixel_sides(self.grid, self.grid.height / 2 - 0.5, self.grid.width / 2 - 0.5)

    @cached_property
    def mapped_area(self) -> float:
        """Area of the mapped pixels, km2; from the decimated map in runs before 0.2."""
        stated: float | None = self.map.get("area_km2")
        if stated is not None:
            return stated
        area = self.mean.pixel_area
        if area is None:
            width, height = self.pixel_size
            return float(self.map["pixels"] * width * height / 1e6)
        shrunk = self.mean.values.size / (self.grid.height * self.grid.width)
        return float(self.map["pixels"] * area * shrunk)
