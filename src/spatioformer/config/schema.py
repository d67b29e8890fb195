"""Sections and keys of a run's configuration; `config.file` reads them from YAML."""

import re
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    TypeAdapter,
    field_validator,
    model_validator,
)

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.messages import shown

Values = tuple[Any, ...]


def _not_empty(values: Values) -> Values:
    if not values:
        raise ValueError("it needs at least one entry")
    return values


def _all_different(values: Values) -> Values:
    if len(set(values)) < len(values):
        raise ValueError("an entry repeats; name each once")
    return values


def _name(pattern: str, words: str) -> AfterValidator:
    """Check that text matches a pattern, because it becomes part of file or band names."""

    def check(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"it may hold {words} only")
        if len(value) > LONGEST_NAME:
            raise ValueError(f"it may have {LONGEST_NAME} characters at most")
        return value

    return AfterValidator(check)


LONGEST_NAME = 100  # with an ending it is a file's name, and that takes 255 bytes
NotEmpty = AfterValidator(_not_empty)
AllDifferent = AfterValidator(_all_different)
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
TileSize = Annotated[float, Field(gt=0, le=180)]
Whole = Annotated[int, Field(ge=1, le=10**9)]  # beyond it, libraries fail in words of their own
Size = Annotated[int, Field(ge=1, le=10**5)]  # of a layer of a network, and other counts
Code = Annotated[int, Field(ge=-(2**63), lt=2**63)]  # of a class raster
Region = tuple[float, float, float, float]
PATH_KEYS = ("path", "noise_path")
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


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, and values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


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
    columns: dict[
        Literal["plot_id", "lon", "lat", "richness", "area_m2", "date", "programme", "zone"], str
    ] = {}
    crs: str = "EPSG:4326"
    separator: str | None = None
    layer: str | None = None
    decimal: Literal[".", ","] | None = None
    date_order: Literal["year-first", "day-first", "month-first"] | None = None
    group: str | None = None
    species: SpeciesSection | None = None
    max_rejected: Share = 0.1

    @model_validator(mode="before")
    @classmethod
    def _usual_columns(cls, raw: Any) -> Any:
        """Without `columns`, the columns of the file have our names."""
        if isinstance(raw, dict) and "columns" not in raw:
            counted = raw.get("species") is not None
            names = ("lon", "lat") if counted else ("lon", "lat", "richness")
            return raw | {"columns": {name: name for name in names}}
        return raw


class RasterSection(Section):
    """A raster file and the interpretation of its values; see `geo.raster.layers.Layer`."""

    path: str
    name: Annotated[
        str, _name("[A-Za-z][A-Za-z0-9_-]*", "letters, digits, _ and -, a letter first,")
    ]
    bands: tuple[Size, ...] | None = None
    band_names: tuple[str, ...] | None = None
    resampling: Literal["nearest", "bilinear", "cubic", "average", "mode"] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: Annotated[float, Field(allow_inf_nan=True)] | None = None
    crs: str | None = None
    bounds: Region | None = None
    variable: str | None = None
    reduce: Literal["mean", "sum", "min", "max"] | None = None
    min_share: Share | None = None
    categorical: bool | None = None
    classes: tuple[Code, ...] | None = None

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, bounds: Region | None) -> Region | None:
        if bounds is not None:
            west, east, south, north = bounds
            if not (west < east and south < north):
                raise ValueError("it must be [W, E, S, N] with W < E and S < N")
        return bounds


class MaskSection(RasterSection):
    """A class raster; pixels of the excluded classes are not predicted."""

    exclude: tuple[Code, ...]


class GridSection(Section):
    """The grid of the imagery; without it, the grid of the first layer."""

    crs: str
    resolution: Positive


class ImagerySection(Section):
    """Rasters of the imagery, and where to predict."""

    layers: Annotated[tuple[RasterSection, ...], NotEmpty]
    region: Region | None = None
    grid: GridSection | None = None
    masks: tuple[MaskSection, ...] = ()
    trust: bool = False
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Folder of the configuration, in which sources of a VRT may lie; None: not known."""
        return self._folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImagerySection) and dict(self) == dict(other)

    @field_validator("region")
    @classmethod
    def _ordered(cls, region: Region | None) -> Region | None:
        if region is not None:
            west, east, south, north = region
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "it must be [W, E, S, N] in degrees with W < E and S < N, for example "
                    "[112, 154, -44, -10]"
                )
        return region

    @model_validator(mode="after")
    def _grid_has_region(self) -> "ImagerySection":
        if self.grid is not None and self.region is None:
            raise ValueError("with `grid`, give `region: [W, E, S, N]` too: it sets the extent")
        return self


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
    covariates: dict[str, float | None] = {}
    members: Size = 1

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
    loss: Literal["mse", "log1p", "poisson", "negative-binomial", "quantile"] = "poisson"
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    warmup: Annotated[float, Field(ge=0)] = 1.0
    averaging: Annotated[float, Field(ge=0, lt=1)] = 0.99
    augment: bool = True
    patience: Whole = 10
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    validation_tile: Positive = 1.0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False
    teacher: TeacherName = "gaussian-process"  # of spatioformer-distilled


class SplitSection(Section):
    """A way to hold plots out: at random, by whole tiles, by kNNDM (as far from training as the map
    is from the plots), or by whole regions of neighbouring plots."""

    name: Annotated[str, _name("[a-z][a-z0-9-]*", "small letters, digits and -, a letter first,")]
    kind: Literal["random", "tiles", "knndm", "regions"]
    folds: Annotated[int, Field(ge=2, le=10**9)] = 5
    size: Positive = 1.0
    unit: Literal["degrees", "km"] = "degrees"


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
    curve_sizes: Annotated[tuple[TileSize, ...], AllDifferent] = (0.5, 1, 2, 4, 8)
    curve_models: Annotated[tuple[ModelName, ...], AllDifferent] = ("random-forest", "location-knn")
    level: Annotated[float, Field(gt=0, lt=1)] = 0.9  # nominal coverage of the map's intervals
    interval: IntervalKind = "auto"
    workers: Size | None = None

    @property
    def map_like(self) -> SplitSection:
        """The split most like the use of the map, by `MAP_LIKE`; the first of several."""
        return min(self.splits, key=lambda split: MAP_LIKE.index(split.kind))

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


MAP_LIKE = ("knndm", "tiles", "regions", "random")
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


class RunConfig(Section):
    """Everything a run needs to know."""

    name: Annotated[
        str, _name("[A-Za-z0-9][A-Za-z0-9 ._-]*", "letters, digits, blanks, ., _ and -")
    ]
    out: str
    title: str | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    target: str = "plant species richness"
    plots: PlotsSection
    imagery: ImagerySection
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    map: MapSection = MapSection()
    truth: TruthSection | None = None

    @model_validator(mode="after")
    def _quantiles_are_learned(self) -> "RunConfig":
        if self.evaluate.interval == "quantiles" and self.train.loss != "quantile":
            raise ValueError(
                f"`evaluate.interval` is quantiles, and `train.loss` is {self.train.loss}, which "
                "learns none; set `train.loss: quantile`, or `evaluate.interval: auto`"
            )
        if self.evaluate.interval == "quantiles" and self.map.model not in QUANTILE_MODELS:
            raise ValueError(
                f"`evaluate.interval` is quantiles, and {self.map.model}, which makes the map, "
                "learns none; set `map.model: spatioformer`, or `evaluate.interval: auto`"
            )
        return self

    def plain(self, dotted: str) -> Any:
        """Value of a key or property, such as "map.model", ready for JSON."""
        return TypeAdapter(Any).dump_python(attrgetter(dotted)(self), mode="json")

    @property
    def models(self) -> set[str]:
        """Names of all models that the run trains."""
        return {*self.evaluate.models, *self.evaluate.curve_models, self.map.model}

    @property
    def distils(self) -> bool:
        """Whether a model of the run learns from land without plots."""
        return any(CATALOGUE[name].kind == "distilled" for name in self.models)

    @model_validator(mode="after")
    def _chips_are_large_enough(self) -> "RunConfig":
        for name in sorted(self.models):
            smallest = CATALOGUE[name].smallest_patch
            if self.model.patch < smallest:
                raise ValueError(
                    f"`model.patch` is {self.model.patch}, and {name} needs {smallest} or more; "
                    "raise it, or leave that model out of `evaluate.models` and `map.model`"
                )
        return self
