"""Sections and keys of a run's configuration; `config.file` reads them from YAML."""

import re
from operator import attrgetter
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PlainValidator, TypeAdapter, field_validator, model_validator

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
    Whole,
    name_of,
)
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.messages import shown

MODELS = tuple(CATALOGUE)
QUANTILE_MODELS = tuple(name for name, entry in CATALOGUE.items() if entry.learns_quantiles)
TEACHERS = tuple(name for name, entry in CATALOGUE.items() if entry.can_teach)
if TYPE_CHECKING:  # type checkers accept a Literal only of values that the source lists
    ModelName = str
    TeacherName = str
else:
    ModelName, TeacherName = Literal[MODELS], Literal[TEACHERS]
IntervalKind = Literal[
    "auto", "constant", "dissimilarity", "spread", "counts", "quantiles", "region"
]


def _covariates(value: Any) -> Any:
    """Check `model.covariates`; a list of names becomes names without a value of their own.

    A union of types would be checked by pydantic too, but each of its members has a message.
    """
    if value == "auto":
        return value
    if isinstance(value, list | tuple):
        if len(set(map(str, value))) < len(value):
            raise ValueError("a covariate repeats; name each once")
        value = dict.fromkeys(value)
    if not isinstance(value, dict):
        raise ValueError("it must be auto, a list of columns, or columns with values for a map")
    for name, usual in value.items():
        if not isinstance(name, str):
            raise ValueError(f"the key {shown(name)} must be text; put it in quotes")
        number = isinstance(usual, int | float) and not isinstance(usual, bool)
        if not (usual is None or isinstance(usual, str) or (number and abs(usual) < 1e300)):
            raise ValueError(f"the value of {shown(name)} must be a number, a class or null")
    return {
        name: float(usual) if isinstance(usual, int) else usual for name, usual in value.items()
    }


CovariateNames = Annotated[
    dict[str, float | str | None] | Literal["auto"], PlainValidator(_covariates)
]
"""Covariates of the plot table: all usable columns, names, or names with the value for a map."""


def _number(value: float | str | None) -> float | None:
    assert not isinstance(value, str), "classes are resolved before models are made"
    return value


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
    columns: (
        dict[
            Literal["plot_id", "lon", "lat", "richness", "area_m2", "date", "programme", "zone"],
            str,
        ]
        | None
    ) = None  # None: recognised by name and value
    crs: str | None = None  # None: EPSG:4326, or recognised where `columns` are
    separator: str | None = None
    layer: str | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["year-first", "day-first", "month-first"] | None = None
    group: str | None = None  # plots with one value in this column stay in one fold
    species: SpeciesSection | None = None
    max_rejected: Share = 0.1


class ModelSection(Section):
    """The network `spatioformer`, and the chips of all models; see docs/models.md."""

    network: Literal["chip", "dense"] = "chip"
    patch: Size = 3
    width: Annotated[int, Field(ge=2, le=10**5)] = 32
    heads: Size = 4
    layers: Size = 2
    mlp_hidden: Size = 64
    head_hidden: Size = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1
    tokens: Literal["pixels", "bands"] = "pixels"
    intervals: Annotated[int, Field(ge=0, le=64)] = 8
    location: Literal["none", "paper", "sinusoids", "sphere", "harmonics", "fourier"] = "sphere"
    wavelengths: Annotated[tuple[Positive, ...], NotEmpty] | None = None
    location_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    location_jitter: Annotated[float, Field(ge=0)] | None = None
    covariates: CovariateNames = Field(default_factory=dict)
    members: Size = 1

    @property
    def usual(self) -> dict[str, float | None]:
        """The covariates that models take, with the value that a map is predicted at.

        None stands for the median of the training plots. Only of a resolved section, in which every
        covariate is a column of numbers (`models.resolved`).
        """
        assert self.covariates != "auto", "covariates are resolved before models are made"
        return {name: _number(value) for name, value in self.covariates.items()}

    @field_validator("patch")
    @classmethod
    def _odd(cls, patch: int) -> int:
        if patch % 2 == 0:
            raise ValueError(f"it must be odd, for a chip needs a centre pixel; try {patch + 1}")
        return patch

    @model_validator(mode="after")
    def _bands_of_a_pixel(self) -> "ModelSection":
        if self.tokens == "bands" and self.patch > 1:
            raise ValueError(
                f"tokens: bands needs patch 1, and patch is {self.patch}; choose tokens: pixels"
            )
        if self.tokens == "bands" and self.network == "dense":
            raise ValueError(
                "tokens: bands are of the chip network, and network is dense; choose tokens: pixels"
            )
        if self.location == "paper" and self.wavelengths is not None:
            raise ValueError(
                "location: paper has wavelengths of its own; leave `wavelengths` out, or choose "
                "location: sinusoids"
            )
        return self

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSection":
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads; choose a multiple"
            )
        return self


class TrainSection(Section):
    """Training of networks; docs/models.md lists differences from the published recipe."""

    epochs: Whole = 40
    batch: Whole = 64
    # None: poisson of a count, mse of another target
    loss: Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"] | None = None
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Annotated[float, Field(ge=0)] = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    augment: bool = True
    patience: Whole = 10
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    validation_tile: Positive | None = None  # degrees; None: from the extent of the plots
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    teacher: TeacherName = "gaussian-process"  # of spatioformer-distilled

    @property
    def loss_name(self) -> Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"]:
        """The loss, that of counts where none is chosen."""
        return self.loss or "poisson"


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
        "spatioformer-published",
        "spatioformer-no-location",
        "random-forest",
        "gaussian-process",
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


class MapSection(Section):
    """The wall-to-wall map and its model."""

    model: ModelName = "spatioformer-distilled"
    samples: Annotated[int, Field(ge=0, le=1000)] = 20
    sd_step: Whole = 1
    memory: Positive = 2.0  # limit of resident memory, GB
    workers: Size | None = None

    @field_validator("samples")
    @classmethod
    def _none_or_some(cls, samples: int) -> int:
        if samples == 1:
            raise ValueError("one sample has no spread; give 0 for none, or at least 2")
        return samples


class TruthSection(Section):
    """Rasters of the true expected richness and its noise; only a virtual flora has them."""

    path: str
    noise_path: str


class TargetSection(Section):
    """What the plots count or measure.

    `kind` says which losses and intervals fit; "auto" decides by the values.
    """

    name: str
    kind: Literal["auto", "count", "continuous", "proportion"] = "auto"


WITHOUT_IMAGERY = {
    "models": (
        "spatioformer",
        "spatioformer-no-location",
        "random-forest",
        "extra-trees",
        "gaussian-process",
        "location-knn",
    ),
    "model": "gaussian-process",
}
"""Models of a run on the plot table alone: those scored, and the one that predicts other places."""


class RunConfig(Section):
    """Everything a run needs to know."""

    name: Annotated[
        str, name_of("[A-Za-z0-9][A-Za-z0-9 ._-]*", "letters, digits, blanks, ., _ and -")
    ]
    out: str
    title: str | None = None
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
            for section, key in (("evaluate", "models"), ("map", "model")):
                values = raw.get(section, {})
                if isinstance(values, dict) and key not in values:
                    raw[section] = values | {key: WITHOUT_IMAGERY[key]}
        return raw

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
    def _quantiles_are_learned(self) -> "RunConfig":
        if self.evaluate.interval == "quantiles" and self.train.loss != "quantile":
            raise ValueError(
                "`evaluate.interval` is quantiles, and `train.loss` is "
                f"{self.train.loss_name}, which learns none; set `train.loss: quantile`, or "
                "`evaluate.interval: auto`"
            )
        if self.evaluate.interval == "quantiles" and self.map.model not in QUANTILE_MODELS:
            raise ValueError(
                f"`evaluate.interval` is quantiles, and {self.map.model}, which makes the map, "
                "learns none; set `map.model: spatioformer`, or `evaluate.interval: auto`"
            )
        return self

    def plain(self, dotted: str) -> Any:
        """Value of a key or property, such as "map.model", ready for JSON."""
        if dotted.startswith("imagery.") and self.imagery is None:
            return None
        return TypeAdapter(Any).dump_python(attrgetter(dotted)(self), mode="json")

    @property
    def models(self) -> set[str]:
        """Names of all models that the run trains."""
        return {*self.evaluate.models, *self.evaluate.curve_models, self.map.model}

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
