"""Maps of models that learned from a plot table alone: rasters and fixed values as their bands."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import rasterio

from spatioformer.common.errors import ConfigError, ImageryError, ModelError
from spatioformer.common.files import hash_value, read_json
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.chips import CONSTANT
from spatioformer.geo.covariates import AREA, Covariates
from spatioformer.geo.raster.covariates import Fixed, write_covariates
from spatioformer.models.base import Model

TASK = "SPATIOFORMER_TASK"
"""Tag of a raster of covariates: what it was made of."""


def covariates_of(model: Model) -> Covariates:
    """The covariates of the plot table that the model learned from.

    Raises:
        ModelError: the model's facts do not describe them.
    """
    try:
        return Covariates.from_json(model.facts.get("covariates", []))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            "the facts of the model do not describe its covariates; train the model again"
        ) from error


def takes_imagery(model: Model) -> bool:
    """Whether the model's bands are those of imagery, not covariates of a plot table."""
    return list(model.bands) != bands_of_table(covariates_of(model))


def bands_of_table(covariates: Covariates) -> list[str]:
    """The bands of a model that learned from a plot table alone, with these covariates."""
    return covariates.columns or [CONSTANT]


def stated_covariates(folder: str | Path) -> tuple[Covariates, list[str]] | None:
    """The covariates and bands that a model's `config.json` states, without loading the model.

    None if it cannot be read: whoever loads the model says what is wrong with the folder.
    """
    try:
        config = read_json(Path(folder) / "config.json")
        covariates = Covariates.from_json(config["facts"].get("covariates", []))
        return covariates, list(config["bands"])
    except (OSError, AttributeError, KeyError, TypeError, ValueError):
        return None


def covariates_of_table(folder: str | Path) -> Covariates | None:
    """The covariates of a model that learned from a plot table alone; None of another model."""
    stated = stated_covariates(folder)
    if stated is None:
        return None
    covariates, bands = stated
    return covariates if bands == bands_of_table(covariates) else None


def fixed_values(texts: Sequence[str]) -> dict[str, str]:
    """Values of covariates from "NAME=VALUE".

    Raises:
        ConfigError: a text has another form, or a name repeats.
    """
    values: dict[str, str] = {}
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if not (name and equals and value):
            raise ConfigError(f"--fixed {text!r} is no value; write it as --fixed NAME=VALUE")
        if name in values:
            raise ConfigError(f"--fixed {name} is given twice; give one value")
        values[name] = value
    return values


def tags_of_map(covariates: Covariates, fixed: Fixed) -> dict[str, str]:
    """Tags of a map whose covariates come from a raster and fixed values.

    FIXED names the fixed values. GRAIN is the plot area that is predicted, where the model knows
    areas: not that of the training plots. `write_covariates` checks the values.
    """
    tags = {"FIXED": "; ".join(f"{name}={value}" for name, value in fixed.items())} if fixed else {}
    if AREA in fixed:
        tags["GRAIN"] = f"plots of {float(fixed[AREA]):g} m2"
    elif AREA in covariates.names:
        tags["GRAIN"] = f"plots of the raster's {AREA}"
    return tags


@contextlib.contextmanager
def as_imagery(
    covariates: Covariates, raster: Path, fixed: Fixed, out: Path, console: Console = SILENT
) -> Iterator[Path]:
    """A raster with the bands of a model of a plot table, while a map is made of it.

    It lies beside the map as OUT.covariates.tif. A map that is interrupted keeps it, so that the
    same call resumes from it.

    Raises:
        ImageryError: the raster lacks a covariate, see `write_covariates`.
        OutputError: the raster of covariates cannot be written.
    """
    path = out.with_name(f"{out.name}.covariates.tif")
    task = _task(covariates, raster, fixed)
    if not _is_of(path, task):
        write_covariates(covariates, raster, fixed, path, console, tags={TASK: task})
    yield path
    path.unlink(missing_ok=True)


def _task(covariates: Covariates, raster: Path, fixed: Fixed) -> str:
    try:
        state = raster.stat()
    except OSError:
        raise ImageryError(f"{raster} does not exist; give the path of a raster") from None
    place = [str(raster.absolute()), state.st_size, state.st_mtime_ns]
    return hash_value([covariates.to_json(), place, dict(fixed)])


def _is_of(path: Path, task: str) -> bool:
    """Whether the file is a whole raster of covariates of that task."""
    if not path.is_file():
        return False
    try:
        with rasterio.open(path) as opened:
            return opened.tags().get(TASK) == task
    except rasterio.RasterioIOError:
        return False
