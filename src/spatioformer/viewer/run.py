"""What is served of a run: its layers, plots, model and facts, opened once and read on demand."""

import contextlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rasterio.windows import Window

from spatioformer.analysis.zonal import correlation_of
from spatioformer.common.errors import ImageryError, ModelError, OutputError, SpatioformerError
from spatioformer.common.files import read_json
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.file import load_config
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.geo.vector.zones import pixel_areas
from spatioformer.models.base import Model
from spatioformer.models.resolved import with_chosen_model
from spatioformer.models.store import load
from spatioformer.models.target import unit
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.viewer import verdict
from spatioformer.viewer.catalogue import ALL, MAP, Catalogue, catalogue_of
from spatioformer.viewer.rasters import Raster, Rasters
from spatioformer.viewer.texts import grain_text, text, unit_text
from spatioformer.viewer.unmapped import Unmapped

REPORT = "report.html"

VIRTUAL = text(
    "A virtual flora: the plants are simulated over real imagery. This is no map of real plants.",
    "Una flora virtual: las plantas son simuladas sobre imágenes reales. No es un mapa de plantas "
    "reales.",
)
"""Said of a run whose flora is simulated."""


class ViewedRun:
    """A finished run that is served.

    Args:
        folder: the run folder.

    Attributes:
        catalogue: its layers, and notes on rasters that cannot be shown.
        rasters: the threads that read them.
        unmapped: why places have no prediction.
        memo: results that are computed once, by name.

    Raises:
        OutputError: the folder is no run, or the run has no map.
        ImageryError: the map cannot be read.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        self._check()
        self.config = load_config(self.folder / "config.resolved.yaml")
        self.unit = unit(self._json("plots.json").get("target_kind"))
        uncertainty = self.uncertainty
        self.level = self.config.evaluate.level if uncertainty is None else uncertainty.level
        self.catalogue: Catalogue = catalogue_of(self.folder, self.unit, self.level)
        self.rasters = Rasters()
        self.unmapped = Unmapped(self)
        self.memo: dict[str, Any] = {}

    def _check(self) -> None:
        if not (self.folder / "config.resolved.yaml").is_file():
            raise OutputError(
                f"{self.folder} is no run folder: config.resolved.yaml is missing; give the folder "
                "that `spatioformer run` wrote"
            )
        if not (self.folder / MAP).is_file():
            raise OutputError(
                f"{self.folder} has no map: {MAP} is missing; run `spatioformer run` to its end, "
                "with imagery"
            )

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return read_json(path) if path.is_file() else {}

    @property
    def map(self) -> Raster:
        """The run's own map."""
        return self.catalogue.layers["mean"].rasters[ALL]

    def map_of(self, year: int | None) -> Raster | None:
        """The map of a year, None: the run's own; None where the run has no such year."""
        return self.catalogue.layers["mean"].rasters.get(ALL if year is None else year)

    @property
    def years(self) -> list[int]:
        return self.catalogue.layers["mean"].years

    @property
    def imagery_year(self) -> int | None:
        """Year of the run's own imagery, of runs with sources; None of others."""
        return self._json("imagery.json").get("year")

    @property
    def maxzoom(self) -> int:
        """Largest zoom of any layer."""
        return max(layer.maxzoom for layer in self.catalogue.layers.values())

    @cached_property
    def uncertainty(self) -> Uncertainty | None:
        """Calibrated intervals and area of applicability of the mapped model, or None."""
        for folder in (self.folder / "model", self.folder / "evaluation"):
            if Uncertainty.is_in(folder):
                return Uncertainty.load(folder)
        return None

    @cached_property
    def correlation(self) -> ErrorCorrelation | None:
        """Correlation of the map's errors, or None where it was not estimated."""
        try:
            return correlation_of(self.folder / MAP, self.folder)
        except (ModelError, ImageryError):
            return None

    @cached_property
    def model(self) -> Model:
        """The model that made the map.

        Raises:
            ModelError: the folder holds none, or it is damaged.
        """
        model = load(self.folder / "model")
        model.ready()
        return model

    @cached_property
    def store(self) -> ChipStore:
        """Chips of the plots.

        Raises:
            ImageryError: the run has none.
        """
        return open_chips(self.folder / "chips")

    @cached_property
    def plots(self) -> pd.DataFrame:
        """Plots with a chip: plot_id, lon, lat, observed, predicted (held out; NaN where not),
        area_m2 and year (NaN where unknown), in the order of `store`."""
        table = self.store.table
        columns = {
            "plot_id": table["plot_id"].astype(str),
            "lon": table["lon"],
            "lat": table["lat"],
            "observed": table["richness"],
            "predicted": table["plot_id"].map(self._held_out()),
            "area_m2": table.get("area_m2", np.nan),
            "year": pd.to_datetime(table["date"]).dt.year if "date" in table else np.nan,
        }
        return pd.DataFrame(columns).reset_index(drop=True)

    def _held_out(self) -> dict[Any, float]:
        """Plot -> prediction by a model that did not know it, on the split most like the map."""
        path = self.folder / "evaluation" / "predictions.parquet"
        if not path.is_file():
            return {}
        table = pd.read_parquet(path)
        rows = table[
            (table["split"] == self.config.evaluate.map_like.name) & (table["model"] == self.mapped)
        ]
        return dict(zip(rows["plot_id"], rows["predicted"], strict=True))

    @cached_property
    def mapped(self) -> str | None:
        """Name in the catalogue of the model that made the map; None where it is not known."""
        try:
            return with_chosen_model(self.config, self.folder).map.model
        except OutputError:
            return None

    def _model_title(self) -> str | None:
        return None if self.mapped is None else CATALOGUE[self.mapped].title

    @property
    def grain_m(self) -> float:
        """Side of the pixel in the middle of the map on the ground, m."""
        grid = self.map.grid
        window = Window(grid.width // 2, grid.height // 2, 1, 1)
        return float(1000 * np.sqrt(pixel_areas(grid, window)[0, 0]))

    def warm(self) -> None:
        """Load what the first click needs: the model, the plots, and their libraries."""
        for load_part in (lambda: self.plots, lambda: self.model):
            with contextlib.suppress(SpatioformerError):  # the click itself says what is missing
                load_part()

    @property
    def has_explorer(self) -> bool:
        """Whether the run has what the model explorer shows: a model and chips of plots."""
        needed = ("model/config.json", "chips/store.json")
        return all((self.folder / name).is_file() for name in needed)

    def to_json(self, *, static: bool = False, token_needed: bool = False) -> dict[str, Any]:
        """Content of `run.json`."""
        layers = self.catalogue.layers.values()
        facts = self._json("model/config.json").get("facts", {})
        name = self.config.name or self.folder.resolve().name
        return {
            "name": name,
            "title": self.config.title or name,
            "crs": self.map.grid.crs.name,
            "grain_m": self.grain_m,
            "grain": grain_text(facts.get("grain")),
            "bounds": list(self.map.bounds),
            "years": self.years,
            "target": {
                "name": facts.get("target", self.config.target.name),
                "unit": dict(unit_text(self.unit)),
            },
            "level": self.level,
            "verdict": verdict.to_json(self._json("verdict.json"), self.unit),
            "virtual": dict(VIRTUAL) if facts.get("virtual") else None,
            "layers": [layer.to_json() for layer in layers],
            "masked": self.unmapped.title,
            "minzoom": min(r.minzoom for layer in layers for r in layer.rasters.values()),
            "maxzoom": self.maxzoom,
            "plots": (self.folder / "chips" / "store.json").is_file(),
            "sites": (self.folder / "imagery.tif").is_file() and self.uncertainty is not None,
            "explorer": self.has_explorer,
            "static": static,
            "token_needed": token_needed,
            "links": {
                "report": REPORT if (self.folder / REPORT).is_file() else None,
                "folder": str(self.folder),
            },
            "model": {"name": facts.get("name"), "title": self._model_title()},
            "notes": self.catalogue.notes,
        }
