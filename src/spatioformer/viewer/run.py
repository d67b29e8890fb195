"""What is served of a run: its layers, model and facts, opened once and read on demand."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from rasterio.windows import Window

from spatioformer.analysis.zonal import correlation_of
from spatioformer.common.errors import ImageryError, ModelError, OutputError
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.geo.raster.areas import pixel_areas
from spatioformer.viewer import verdict
from spatioformer.viewer.catalogue import ALL, Catalogue, catalogue_of
from spatioformer.viewer.folder import MAP, RunFolder
from spatioformer.viewer.rasters import Raster, Rasters
from spatioformer.viewer.report_page import REPORT
from spatioformer.viewer.texts import grain_text, text, unit_text
from spatioformer.viewer.unmapped import Unmapped

VIRTUAL = text(
    "A virtual flora: the plants are simulated over real imagery. This is no map of real plants.",
    "Una flora virtual: las plantas son simuladas sobre imágenes reales. No es un mapa de plantas "
    "reales.",
)
"""Said of a run whose flora is simulated."""


class ViewedRun(RunFolder):
    """A finished run that is served.

    Args:
        folder: the run folder.

    Attributes:
        catalogue: its layers, and notes on rasters that cannot be shown.
        rasters: the threads that read them.
        unmapped: why places have no prediction.

    Raises:
        OutputError: the folder is no run, or the run has no map.
        ImageryError: the map cannot be read.
    """

    def __init__(self, folder: str | Path):
        super().__init__(folder)
        if not self.has_map:
            raise OutputError(
                f"{self.folder} has no map: {MAP} is missing; run `spatioformer run` to its end, "
                "with imagery"
            )
        uncertainty = self.uncertainty
        self.level = self.config.evaluate.level if uncertainty is None else uncertainty.level
        self.catalogue: Catalogue = catalogue_of(self.folder, self.unit, self.level)
        self.rasters = Rasters()
        self.unmapped = Unmapped(self.folder, self.config.imagery, self.rasters)

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
    def correlation(self) -> ErrorCorrelation | None:
        """Correlation of the map's errors, or None where it was not estimated."""
        try:
            return correlation_of(self.folder / MAP, self.folder)
        except (ModelError, ImageryError):
            return None

    @property
    def grain_m(self) -> float:
        """Side of the pixel in the middle of the map on the ground, m."""
        grid = self.map.grid
        window = Window(grid.width // 2, grid.height // 2, 1, 1)
        return float(1000 * np.sqrt(pixel_areas(grid, window)[0, 0]))

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
