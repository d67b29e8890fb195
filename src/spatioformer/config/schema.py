"""Sections and keys of a run's configuration; `config.file` reads them from YAML."""

import re
from operator import attrgetter
from pathlib import PurePath
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, field_validator, model_validator

from spatioformer.config.archives import span
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.fields import (
    LONGEST_NAME,
    AllDifferent,
    NotEmpty,
    Positive,
    Section,
    Share,
    Size,
    TileSize,
    name_of,
)
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.learning import (
    AUTO,
    QUANTILE_MODELS,
    ModelName,
    ModelSection,
    TrainSection,
)
from spatioformer.config.mapping import MapSection, TruthSection
from spatioformer.config.messages import shown

IntervalKind = Literal[
    "auto", "constant", "dissimilarity", "spread", "counts", "quantiles", "region"
]


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
    """Species records from which richness is counted."""

    layout: Literal["matrix", "long"]
    path: str | None = None
    plot_id: str | None = None
    species: str | None = None
    abundance: str | None = None
    ignore: tuple[str, ...] | None = None
    separator: str | None = None
    layer: str | None = None


class PlotsSection(Section):
    """The table of vegetation plots; see docs/plots.md."""

    path: str
    columns: dict[PlotColumn, str] | None = None  # None: recognised by name and value
    crs: str | None = None  # None: EPSG:4326, or recognised where `columns` are
    separator: str | None = None
    layer: str | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["year-first", "day-first", "month-first"] | None = None
    group: str | None = None  # plots with one value in this column stay in one fold
    species: SpeciesSection | None = None
    max_rejected: Share = 0.1


class SplitSection(Section):
    """A way to hold plots out: at random, by whole tiles, by kNNDM (as far from training as the map
    is from the plots), by whole regions of neighbouring plots, or by a column of the plot table."""

    name: Annotated[str, name_of("[a-z][a-z0-9-]*", "small letters, digits and -, a letter first,")]
    kind: Literal["random", "tiles", "knndm", "regions", "column"]
    folds: Annotated[int, Field(ge=2, le=10**9)] = 5
    size: Positive | None = None  # of tiles; None: from the extent of the plots
    unit: Literal["degrees", "km"] = "degrees"
    column: str | None = None

    @model_validator(mode="after")
    def _column_of_its_kind(self) -> "SplitSection":
        if (self.kind == "column") != (self.column is not None):
            raise ValueError(
                "`kind: column` and `column: NAME` belong together: the plots with one value in "
                "that column of the plot table make a fold"
            )
        return self


class EvaluateSection(Section):
    """Evaluation of several models on held-out plots."""

    models: Annotated[tuple[ModelName, ...], NotEmpty, AllDifferent] = (
        "spatioformer-distilled",
        "spatioformer",
        "spatioformer-no-location",
        "random-forest",
        "gaussian-process",
        "stack",
        "location-knn",
    )
    splits: Annotated[tuple[SplitSection, ...], NotEmpty] = (
        SplitSection(name="random", kind="random"),
        SplitSection(name="tiles", kind="tiles"),
    )
    # None: half, once, twice, 4 and 8 times the side of tiles that fits the plots
    curve_sizes: Annotated[tuple[TileSize, ...], AllDifferent] | None = None
    curve_unit: Literal["degrees", "km"] = "degrees"
    curve_models: Annotated[tuple[ModelName, ...], AllDifferent] = ("random-forest", "location-knn")
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9  # nominal coverage of the map's intervals
    interval: IntervalKind = "auto"
    workers: Size | None = None

    @property
    def map_like(self) -> SplitSection:
        """The split most like the use of the map, by `MAP_LIKE`; the first of several."""
        return min(self.splits, key=lambda split: MAP_LIKE.index(split.kind))

    @model_validator(mode="after")
    def _one_column(self) -> "EvaluateSection":
        columns = sorted({split.column for split in self.splits if split.column})
        if len(columns) > 1:
            raise ValueError(
                f"the splits take their folds from the columns {shown(columns)}; a run can use one"
            )
        return self

    @model_validator(mode="after")
    def _names_once(self) -> "EvaluateSection":
        names = [s.name for s in self.splits]
        if len(set(names)) < len(names):
            raise ValueError(f"the split names {shown(names)} repeat; give each split its own name")
        reserved = [n for n in names if n.startswith("curve-")]
        if reserved:
            raise ValueError(
                f"the split name {reserved[0]!r} is reserved for the curve; choose another"
            )
        return self


MAP_LIKE = ("knndm", "tiles", "column", "regions", "random")
"""Kinds of splits by preference for judging the map: the first is most like its use."""


class TargetSection(Section):
    """What the plots count or measure.

    `kind` says which losses and intervals fit; "auto" decides by the values.
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
    """Everything a run needs to know."""

    name: Annotated[
        str, name_of("[A-Za-z0-9][A-Za-z0-9 ._-]*", "letters, digits, blanks, ., _ and -")
    ]
    out: str
    title: str | None = None
    licence: Annotated[str, Field(min_length=1)] | None = None  # SPDX name, for the map's STAC
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
            raise ValueError(
                f"`map.years` holds {missing[0]}, and the sources have {span(self.imagery.years)} "
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
