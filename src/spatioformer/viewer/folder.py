"""What a run folder holds besides its rasters: configuration, model, plots, uncertainty."""

import contextlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.errors import OutputError, SpatioformerError
from spatioformer.common.files import read_json
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.file import load_config
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.base import Model
from spatioformer.models.resolved import with_chosen_model
from spatioformer.models.store import load
from spatioformer.models.target import unit
from spatioformer.models.uncertainty import Uncertainty

MAP = "map.tif"


class RunFolder:
    """A run folder, with a map or without; its parts are read when they are needed.

    Args:
        folder: the run folder.

    Attributes:
        memo: results that are computed once, by name.

    Raises:
        OutputError: the folder is no run.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not (self.folder / "config.resolved.yaml").is_file():
            raise OutputError(
                f"{self.folder} is no run folder: config.resolved.yaml is missing; give the folder "
                "that `spatioformer run` wrote"
            )
        self.config = load_config(self.folder / "config.resolved.yaml")
        self.unit = unit(self._json("plots.json").get("target_kind"))
        self.memo: dict[str, Any] = {}

    @property
    def has_map(self) -> bool:
        return (self.folder / MAP).is_file()

    def _json(self, name: str) -> dict[str, Any]:
        path = self.folder / name
        return read_json(path) if path.is_file() else {}

    @cached_property
    def uncertainty(self) -> Uncertainty | None:
        """Calibrated intervals and area of applicability of the mapped model, or None."""
        for folder in (self.folder / "model", self.folder / "evaluation"):
            if Uncertainty.is_in(folder):
                return Uncertainty.load(folder)
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
    def has_explorer_alone(self) -> bool:
        """Whether the run has no map, but what the model explorer shows."""
        return self.has_explorer and not self.has_map

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
