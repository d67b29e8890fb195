"""The run's configuration: what a YAML file may say, checked where it is read.

A wrong configuration ends in one sentence that names the key, the value and the fix.
"""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spatioformer.errors import ConfigError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Region = tuple[float, float, float, float]
MODELS = (
    "spatioformer",
    "spatioformer-no-location",
    "spatioformer-published",
    "spatioformer-published-no-location",
    "cnn-published",
    "random-forest",
    "location-knn",
)
ModelName = Literal[MODELS]


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
        Literal["plot_id", "lon", "lat", "richness", "area_m2", "date", "programme"], str
    ] = {}
    crs: str = "EPSG:4326"
    separator: str | None = None
    layer: str | None = None
    species: SpeciesSection | None = None
    max_rejected: Share = 0.1

    @model_validator(mode="before")
    @classmethod
    def _usual_columns(cls, raw: Any) -> Any:
        """Without `columns`, the columns are called what we call them."""
        if isinstance(raw, dict) and "columns" not in raw:
            counted = raw.get("species") is not None
            usual = ("lon", "lat") if counted else ("lon", "lat", "richness")
            return raw | {"columns": {name: name for name in usual}}
        return raw


class RasterSection(Section):
    """A raster file and how its numbers are to be understood; see `geo.layers.Layer`."""

    path: str
    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]
    bands: tuple[Annotated[int, Field(ge=1)], ...] | None = None
    band_names: tuple[str, ...] | None = None
    resampling: Literal["nearest", "bilinear", "cubic", "average", "mode"] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    crs: str | None = None
    bounds: Region | None = None
    variable: str | None = None
    reduce: Literal["mean", "sum", "min", "max"] | None = None
    categorical: bool = False
    classes: tuple[int, ...] | None = None


class MaskSection(RasterSection):
    """A class raster; pixels of the excluded classes get no prediction."""

    exclude: tuple[int, ...]


class GridSection(Section):
    """A grid of one's own; without it the first layer's pixel lattice is used."""

    crs: str
    resolution: Positive


class ImagerySection(Section):
    """Rasters that cover the land, and where to predict."""

    layers: Annotated[tuple[RasterSection, ...], Field(min_length=1)]
    region: Region | None = None
    grid: GridSection | None = None
    masks: tuple[MaskSection, ...] = ()

    @field_validator("region")
    @classmethod
    def _ordered(cls, region: Region | None) -> Region | None:
        if region is not None:
            west, east, south, north = region
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "must be [W, E, S, N] in degrees with W < E and S < N, for example "
                    "[112, 154, -44, -10]"
                )
        return region

    @model_validator(mode="after")
    def _grid_has_region(self) -> "ImagerySection":
        if self.grid is not None and self.region is None:
            raise ValueError("with `grid`, give `region: [W, E, S, N]` too: it sets the extent")
        return self


class ModelSection(Section):
    """The configured network `spatioformer`: the published design, its sizes free, its bands
    normalised and its target standardised by the training plots."""

    patch: Annotated[int, Field(ge=1)] = 3
    width: Annotated[int, Field(ge=2)] = 32
    heads: Annotated[int, Field(ge=1)] = 4
    layers: Annotated[int, Field(ge=1)] = 3
    mlp_hidden: Annotated[int, Field(ge=1)] = 64
    head_hidden: Annotated[int, Field(ge=1)] = 64
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.1

    @field_validator("patch")
    @classmethod
    def _odd(cls, patch: int) -> int:
        if patch % 2 == 0:
            raise ValueError(f"must be odd, for a chip needs a centre pixel; try {patch + 1}")
        return patch

    @model_validator(mode="after")
    def _heads_divide(self) -> "ModelSection":
        if self.width % self.heads:
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads; choose a multiple"
            )
        return self


class TrainSection(Section):
    """How networks are trained; the published recipe differs where docs/models.md says so."""

    epochs: Annotated[int, Field(ge=1)] = 40
    batch: Annotated[int, Field(ge=1)] = 64
    learning_rate: Positive = 1e-3
    weight_decay: Annotated[float, Field(ge=0)] = 1e-2
    patience: Annotated[int, Field(ge=1)] = 10
    validation_share: Annotated[float, Field(gt=0, lt=1)] = 0.15
    validation_tile: Positive = 1.0
    device: Literal["auto", "cpu", "cuda"] = "auto"


class SplitSection(Section):
    """A way to hold plots out: at random, or by whole tiles."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    kind: Literal["random", "tiles"]
    folds: Annotated[int, Field(ge=2)] = 5
    size: Positive = 1.0
    unit: Literal["degrees", "km"] = "degrees"


class EvaluateSection(Section):
    """Models side by side on held-out plots."""

    models: Annotated[tuple[ModelName, ...], Field(min_length=1)] = (
        "spatioformer",
        "spatioformer-published",
        "spatioformer-no-location",
        "random-forest",
        "location-knn",
    )
    splits: Annotated[tuple[SplitSection, ...], Field(min_length=1)] = (
        SplitSection(name="random", kind="random"),
        SplitSection(name="tiles", kind="tiles"),
    )
    curve_sizes: tuple[Positive, ...] = (0.5, 1, 2, 4, 8)
    curve_models: tuple[ModelName, ...] = ("random-forest", "location-knn")
    workers: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _names_once(self) -> "EvaluateSection":
        names = [s.name for s in self.splits]
        if len(set(names)) < len(names):
            raise ValueError(f"the split names {names} repeat; give each split its own name")
        return self


class MapSection(Section):
    """The wall-to-wall map."""

    samples: Annotated[int, Field(ge=0, le=1000)] = 20
    sd_step: Annotated[int, Field(ge=1)] = 1


class TruthSection(Section):
    """A raster with the true expected richness; only a virtual flora has one."""

    path: str
    noise_path: str


class RunConfig(Section):
    """Everything a run needs to know."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]*$")]
    out: str
    title: str | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    target: str = "plant species richness"
    plots: PlotsSection
    imagery: ImagerySection
    model: ModelSection = ModelSection()
    train: TrainSection = TrainSection()
    evaluate: EvaluateSection = EvaluateSection()
    map: MapSection = MapSection()
    truth: TruthSection | None = None


def load_config(path: str | Path, changes: list[str] | tuple[str, ...] = ()) -> RunConfig:
    """Read a YAML configuration; paths in it are relative to the file's own folder.

    Args:
        changes: `a.b=c` assignments laid over the file, the value read as YAML.

    Raises:
        ConfigError: the file is missing or no YAML, a key is unknown, a value impossible.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; give the path of a YAML file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); give a YAML text file") from error
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" at line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{path} is no valid YAML{line}: {problem}; correct it there") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no settings; start from a file in examples/")
    return build_config(raw, str(path), path.parent, changes)


def build_config(
    raw: dict[str, Any], source: str, folder: Path, changes: list[str] | tuple[str, ...] = ()
) -> RunConfig:
    """A checked configuration from plain values; relative paths in it start at `folder`.

    Raises:
        ConfigError: one sentence with the key, the value and the fix.
    """
    for change in changes:
        _apply(raw, change)
    try:
        config = RunConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{source}: {_sentence(error)}") from None
    return resolve_paths(config, folder)


def _apply(raw: dict[str, Any], change: str) -> None:
    key, equals, value = change.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--set {change!r} is no assignment; write it as --set train.epochs=10")
    *parents, last = key.strip().split(".")
    node: Any = raw
    for parent in parents:
        node = _child(node, parent, change)
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {change!r}: the value is no YAML; quote it") from None
    if isinstance(node, list):
        node[_index(node, last, change)] = parsed
    else:
        node[last] = parsed


def _child(node: Any, key: str, change: str) -> Any:
    if isinstance(node, list):
        return node[_index(node, key, change)]
    if node.get(key) is None:
        node[key] = {}
    if not isinstance(node[key], dict | list):
        raise ConfigError(f"--set {change!r}: `{key}` is a value, not a section; shorten the key")
    return node[key]


def _index(node: list, key: str, change: str) -> int:
    if not key.isdigit() or int(key) >= len(node):
        raise ConfigError(
            f"--set {change!r}: {key!r} is no position in a list of {len(node)}; count from 0"
        )
    return int(key)


def _sentence(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    key = _dotted(first["loc"])
    value = first.get("input")
    message = re.sub(r"^Value error, ", "", first["msg"])
    message = message[0].lower() + message[1:]
    if first["type"] == "extra_forbidden":
        return _unknown_key(first["loc"])
    if first["type"] == "missing":
        return f"`{key}` is missing; add it"
    shown = f" is {value!r}" if not isinstance(value, dict) else ""
    more = error.error_count() - 1
    others = f" (and {more} more after it)" if more else ""
    message = message.replace("input should be", "it must be")
    return f"`{key}`{shown}: {message}{others}"


def _dotted(loc: tuple) -> str:
    return ".".join(str(part) for part in loc) or "the file"


def _unknown_key(loc: tuple) -> str:
    section: Any = RunConfig
    for part in loc[:-1]:
        if isinstance(part, str) and isinstance(section, type):
            section = _section_of(section.model_fields[part].annotation)
    known = list(section.model_fields) if isinstance(section, type) else []
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    hint = f"did you mean `{close[0]}`" if close else f"known keys are {', '.join(known)}"
    return f"unknown key `{_dotted(loc)}`; {hint}"


def _section_of(annotation: Any) -> Any:
    """The Section class inside an annotation such as `tuple[RasterSection, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _section_of(inner)
        if found is not None:
            return found
    return None


def resolve_paths(config: RunConfig, folder: Path) -> RunConfig:
    """The same configuration with every path absolute, variables and `pip:` names resolved.

    `${NAME}` is an environment variable; `pip:NAME` a raster inside an installed package (see
    docs/dependencies.md); other relative paths start at `folder`. `out` starts at the working
    folder, as a command's output does.
    """

    def resolved(value: Any) -> Any:
        if isinstance(value, Section):
            return value.model_copy(
                update={
                    k: _path(v, folder) if k in ("path", "noise_path") and v else resolved(v)
                    for k, v in value
                }
            )
        if isinstance(value, tuple):
            return tuple(resolved(v) for v in value)
        return value

    return resolved(config).model_copy(update={"out": str(Path(expand(config.out)).absolute())})


def _path(value: str, folder: Path) -> str:
    if value.startswith("pip:"):
        from spatioformer.geo.pip_rasters import locate

        return str(locate(value.removeprefix("pip:")))
    return str((folder / expand(value)).absolute())


def expand(value: str) -> str:
    """Replace `${NAME}` by the environment variable.

    Raises:
        ConfigError: the variable is not set.
    """

    def look_up(match: re.Match) -> str:
        name = match.group(1)
        if not os.environ.get(name):
            raise ConfigError(
                f"the path {value!r} needs the environment variable {name}, which is not set; "
                f"set it to the folder that holds the data"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$\{(\w+)\}", look_up, value))


def to_yaml(config: RunConfig) -> str:
    """The configuration as YAML text that `load_config` reads back to the same value."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
