"""Options that several commands share, and groups of options held by a dataclass."""

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from spatioformer.cli.guard import Command
from spatioformer.common.errors import ConfigError

Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one value of the configuration."),
]
Force = Annotated[bool, typer.Option("--force", help="Run the stage even when nothing changed.")]
RunOut = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FOLDER", help="The run folder; default: that of the configuration."
    ),
]
Offline = Annotated[
    bool,
    typer.Option(
        "--offline", help="Read nothing from the network: imagery of archives from the cache alone."
    ),
]
Refresh = Annotated[
    bool,
    typer.Option(
        "--refresh", help="Search the archives again; what the answer changes is made again."
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Compute the imagery of archives on the Dask cluster at this address; threads or "
        "processes: on this machine.",
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", hidden=True, help="Now --force.")]

Layer = Annotated[
    int | None,
    typer.Option(
        min=1, help="Layer to show, from 1; default: the first. With --json: only this one."
    ),
]
Head = Annotated[int, typer.Option(min=1, help="Head to show, from 1.")]
Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead.")]
Picture = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Also draw a picture.")
]

WITH_MODEL = "With a model"
"""Panel of the help text: options of a map that a model folder makes, outside a run."""


@dataclass(frozen=True)
class ModelOptions:
    """How a model folder maps imagery: what `map MODEL RASTER` and `years MODEL ...` share."""

    samples: Annotated[
        int,
        typer.Option(
            min=0,
            help="Predictions with dropout on, for the standard deviation; 0 leaves it out.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = 20
    sd_step: Annotated[
        int,
        typer.Option(
            min=1,
            metavar="K",
            help="Compute the standard deviation at one pixel of each K x K block.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = 1
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,...",
            help="Layers to write, of mean, sd, lower, upper, di, inside, valid; default: all but "
            "valid.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    outline: Annotated[
        Path | None,
        typer.Option(
            metavar="POLYGONS",
            help="Predict only inside these polygons.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    grid: Annotated[
        Path | None,
        typer.Option(
            metavar="RASTER",
            help="Map on this raster's grid; default: the imagery's grid.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    memory: Annotated[
        str,
        typer.Option(help="Limit of resident memory.", rich_help_panel=WITH_MODEL),
    ] = "2GB"
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Tiles computed at the same time; default: one for each core.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    scheduler: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Compute on the Dask cluster at this address.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    worker_timeout: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="Give up when the Dask cluster has had no worker for so long.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = 120

    def check_samples(self) -> None:
        """Raises:
        ConfigError: one sample, which has no spread.
        """
        if self.samples == 1:
            raise ConfigError("--samples 1 has no spread; give 0 for none, or at least 2")

    @property
    def layer_names(self) -> tuple[str, ...] | None:
        """Names of "mean, sd"; None for all layers."""
        return tuple(name.strip() for name in self.layers.split(",")) if self.layers else None


def names_of(options: type) -> set[str]:
    """Names of the options that a dataclass of options holds."""
    return {field.name for field in fields(options)}


def given(context: typer.Context, names: set[str]) -> list[str]:
    """Those of the parameters `names` that stand on the command line."""
    return [
        name
        for name in context.params
        if name in names
        and getattr(context.get_parameter_source(name), "name", None) == "COMMANDLINE"
    ]


def note_renamed(old: str, new: str, quiet: bool = False) -> None:
    """Say on stderr that an option has another name now; unless quiet."""
    from spatioformer.common.progress import Console

    Console(quiet).say(f"spatioformer: {old} is now {new}; the old spelling still works")


def grouped(function: Callable[..., None]) -> Command:
    """A command whose dataclass parameters are groups of options.

    typer reads a command's options from the parameters of its function. The returned command has
    one parameter for each field of a dataclass, and hands the dataclass to `function`.
    """
    hints = get_type_hints(function, include_extras=True)
    parameters: list[inspect.Parameter] = []
    groups: dict[str, type] = {}
    for parameter in inspect.signature(function).parameters.values():
        hint = hints[parameter.name]
        if is_dataclass(hint) and isinstance(hint, type):
            groups[parameter.name] = hint
            parameters += _parameters(hint)
        else:
            parameters.append(_parameter(parameter.name, hint, parameter.default))

    @functools.wraps(function)
    def flat(**values: Any) -> None:
        options = {
            name: group(**{field: values.pop(field) for field in names_of(group)})
            for name, group in groups.items()
        }
        function(**values, **options)

    flat.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    flat.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return flat


def _parameters(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        _parameter(
            field.name,
            hints[field.name],
            inspect.Parameter.empty if field.default is MISSING else field.default,
        )
        for field in fields(group)
    ]


def _parameter(name: str, hint: Any, default: Any) -> inspect.Parameter:
    # Keyword-only: options without a default may follow those that have one.
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=hint)
