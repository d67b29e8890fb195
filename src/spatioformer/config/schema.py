"""Sections and keys of a run's configuration; `config.file` reads them from YAML."""

import re
from operator import attrgetter
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from spatioformer.config.archives import span
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.evaluation import EvaluateSection
from spatioformer.config.fields import (
    LONGEST_NAME,
    Section,
    Share,
    name_of,
)
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.learning import (
    AUTO,
    QUANTILE_MODELS,
    ModelSection,
    TrainSection,
)
from spatioformer.config.mapping import MapSection, TruthSection

PlotColumn = Literal[
    "plot_id",
    "lon",
    "lat",
    "lon_hemisphere",
    "lat_hemisphere",
    "richness",
    "area_m2",
    "date",
    "programme",
    "zone",
]
"""Our names of the columns of a plot table."""


def name_after(path: str) -> str:
    """Name of a run after the file of its plots, of letters, digits, blanks, ., _ and -."""
    stem = PurePath(path.replace("\\", "/")).name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9 ._-]+", "-", stem).strip(" ._-")
    return name[:LONGEST_NAME] or "run"


class SpeciesSection(Section):
    """Species records from which richness is counted.

    Attributes:
        layout: "matrix" has a row a plot and a column a species, "long" a row a plot and species.
        path: file of the species data; None: the plot table itself.
        plot_id: column with the name of the plot.
        species: column with the name of the species, of a long list.
        abundance: column with the abundance, of a long list; None: every row means presence.
        ignore: columns of a matrix that are not species.
        separator: column separator of the file; None: recognised.
        layer: layer of a GeoPackage, or sheet of a workbook; None: the only one.
    """

    layout: Literal["matrix", "long"]
    path: str | None = None
    plot_id: str | None = None
    species: str | None = None
    abundance: str | None = None
    ignore: tuple[str, ...] | None = None
    separator: str | None = None
    layer: str | None = None


class PlotsSection(Section):
    """The table of vegetation plots; see docs/plots.md.

    Attributes:
        path: file of the table.
        columns: our name of a column: its name in the file; None: recognised by names and values.
        crs: coordinate reference system of the coordinates, such as "EPSG:4326"; None: EPSG:4326,
            or recognised where `columns` are.
        separator: column separator; None: recognised.
        layer: layer of a GeoPackage, or sheet of a workbook; None: the only one.
        decimal: decimal mark of the numbers; None: recognised.
        date_order: order of day, month and year in dates such as 5/1/2014; None: recognised, or
            asked for where several orders are possible.
        group: column of a survey or observer; plots with one value in it stay in one fold.
        species: species records, from which richness is counted.
        max_rejected: largest share of rows that may be rejected before the run ends.
    """

    path: str
    columns: dict[PlotColumn, str] | None = None
    crs: str | None = None
    separator: str | None = None
    layer: str | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["year-first", "day-first", "month-first"] | None = None
    group: str | None = None
    species: SpeciesSection | None = None
    max_rejected: Share = 0.1


class TargetSection(Section):
    """What the plots count or measure.

    Attributes:
        name: in words, for the map and the report.
        kind: decides which losses and intervals fit; "auto" decides by the values.
    """

    name: str
    kind: Literal["auto", "count", "continuous", "proportion"] = "auto"


WITHOUT_IMAGERY = (
    "spatioformer",
    "spatioformer-no-location",
    "random-forest",
    "extra-trees",
    "gaussian-process",
    "stack",
    "location-knn",
)
"""Models that a run on the plot table alone scores."""


class RunConfig(Section):
    """Everything a run needs to know.

    Attributes:
        name: name of the run; None: after the file of the plots.
        out: folder of the results.
        title: title of the report and the map; None: the name.
        licence: SPDX name of the map's licence, for its STAC collection.
        seed: seed of all random numbers.
        target: what the plots count or measure; a text alone is its name.
        plots: the table of vegetation plots.
        imagery: rasters of the region; None: models learn from the plot table alone, and there is
            no map.
        model: the network, and the size of the chips of all models.
        train: training of networks.
        evaluate: scores on held-out plots.
        map: the map and its model.
        truth: the true richness, of a virtual flora only.
    """

    name: Annotated[
        str, name_of("[A-Za-z0-9][A-Za-z0-9 ._-]*", "letters, digits, blanks, ., _ and -")
    ]
    out: str
    title: str | None = None
    licence: Annotated[str, Field(min_length=1)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    target: TargetSection = TargetSection(name="plant species richness")
    plots: PlotsSection
    imagery: ImagerySection | None = None
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    map: MapSection = MapSection()
    truth: TruthSection | None = None

    @field_validator("target", mode="before")
    @classmethod
    def _target_by_name(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, raw: Any) -> Any:
        """The name and the folder after the plot table; models that need no imagery."""
        if not isinstance(raw, dict):
            return raw
        raw = dict(raw)
        plots = raw.get("plots")
        path = plots.get("path") if isinstance(plots, dict) else None
        if "name" not in raw and isinstance(path, str):
            raw["name"] = name_after(path)
        if "out" not in raw and isinstance(raw.get("name"), str):
            raw["out"] = f"runs/{raw['name']}"
        if "imagery" not in raw or raw["imagery"] is None:
            model = raw.get("model", {})
            if isinstance(model, dict):
                raw["model"] = {"covariates": "auto", "patch": 1} | model
            values = raw.get("evaluate", {})
            if isinstance(values, dict) and "models" not in values:
                raw["evaluate"] = values | {"models": WITHOUT_IMAGERY}
        return raw

    @model_validator(mode="after")
    def _published_networks_get_their_numbers(self) -> "RunConfig":
        """The networks as published do not normalise; they take reflectance x 10,000."""
        published = [name for name in sorted(self.models) if CATALOGUE[name].published]
        if published and self.imagery is not None and self.imagery.sources:
            raise ValueError(
                f"{published[0]} takes reflectance x 10,000 as it is, and `imagery.sources` give "
                "reflectance from 0 to 1; leave it out of `evaluate.models` and `map.model`, or "
                "give the imagery as `layers` with `scale: 10000`"
            )
        return self

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> "RunConfig":
        if self.imagery is not None:
            return self
        needy = [name for name in sorted(self.models) if CATALOGUE[name].needs_imagery]
        if needy:
            raise ValueError(
                f"{needy[0]} needs imagery, and the run has none; give `imagery`, or choose other "
                "models in `evaluate.models` and `map.model`"
            )
        if any(split.kind == "knndm" for split in self.evaluate.splits):
            raise ValueError(
                "the split kind knndm needs the mapped area, and a run without `imagery` has none; "
                "choose tiles or regions"
            )
        if self.truth is not None:
            raise ValueError("`truth` is compared with a map, and a run without `imagery` has none")
        return self

    @model_validator(mode="after")
    def _years_have_imagery(self) -> "RunConfig":
        years = self.map.every_year
        if not years:
            return self
        if self.imagery is None or not self.imagery.sources:
            raise ValueError(
                "`map.years` needs `imagery.sources`, from which each year's imagery is made; to "
                "map years of your own rasters run `spatioformer years`"
            )
        if missing := [year for year in years if year not in self.imagery.years]:
            held = span(self.imagery.years) or "no years"
            raise ValueError(
                f"`map.years` holds {missing[0]}, and the sources have {held} "
                "in common; choose years of these, or widen `years` of the sources"
            )
        return self

    @model_validator(mode="after")
    def _quantiles_are_learned(self) -> "RunConfig":
        if self.evaluate.interval == "quantiles" and self.train.loss != "quantile":
            raise ValueError(
                "`evaluate.interval` is quantiles, and `train.loss` is "
                f"{self.train.loss_name}, which learns none; set `train.loss: quantile`, or "
                "`evaluate.interval: auto`"
            )
        if self.evaluate.interval != "quantiles":
            return self
        if self.map.model == AUTO and not self.candidates:
            raise ValueError(
                "`evaluate.interval` is quantiles, and no model of `evaluate.models` learns any; "
                "add spatioformer to them, or set `evaluate.interval: auto`"
            )
        if self.map.model != AUTO and self.map.model not in QUANTILE_MODELS:
            raise ValueError(
                f"`evaluate.interval` is quantiles, and {self.map.model}, which makes the map, "
                "learns none; set `map.model: spatioformer`, or `evaluate.interval: auto`"
            )
        return self

    def plain(self, dotted: str) -> Any:
        """Value of a key or property, such as "map.model", ready for JSON.

        Of `imagery`, what the values of its pixels depend on.
        """
        if dotted.startswith("imagery.") and self.imagery is None:
            return None
        value = attrgetter(dotted)(self)
        if dotted == "imagery" and value is not None:
            value = value.of_pixels
        return TypeAdapter(Any).dump_python(value, mode="json")

    @property
    def models(self) -> set[str]:
        """Names of all models that the run trains."""
        return {*self.evaluate.models, *self.evaluate.curve_models, *self.candidates}

    @property
    def candidates(self) -> tuple[str, ...]:
        """Models that may make the map: the named one, or where it is auto those evaluated.

        Where intervals are to come from quantiles that a model learns, only such models.
        """
        if self.map.model != AUTO:
            return (self.map.model,)
        learn = self.evaluate.interval == "quantiles"
        return tuple(m for m in self.evaluate.models if m in QUANTILE_MODELS or not learn)

    @property
    def distils(self) -> bool:
        """Whether a model of the run learns from land without plots."""
        return any(CATALOGUE[name].kind == "distilled" for name in self.models)

    @property
    def fold_column(self) -> str | None:
        """The column of the plot table that makes folds, or None."""
        return next((split.column for split in self.evaluate.splits if split.column), None)

    @model_validator(mode="after")
    def _chips_are_large_enough(self) -> "RunConfig":
        for name in sorted(self.models):
            smallest = CATALOGUE[name].smallest_patch
            if self.imagery is not None and self.model.patch < smallest:
                raise ValueError(
                    f"`model.patch` is {self.model.patch}, and {name} needs {smallest} or more; "
                    "raise it, or leave that model out of `evaluate.models` and `map.model`"
                )
        return self
