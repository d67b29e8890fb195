"""Options that several commands share, and how they are read."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.common.errors import ConfigError

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The run's configuration.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one value of the configuration."),
]
Force = Annotated[bool, typer.Option("--force", help="Run it even when nothing changed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Outline = Annotated[Path | None, typer.Option(help="Polygons; nothing is predicted outside.")]
Memory = Annotated[str, typer.Option(help="Resident memory to stay below.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Tiles computed at once; default: one a core.")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Compute on a Dask cluster.")
]


def check_samples(samples: int) -> None:
    """Raises:
    ConfigError: one sample, which has no spread.
    """
    if samples == 1:
        raise ConfigError("--samples 1 has no spread; give 0 for none, or at least 2")


def split_layers(layers: str | None) -> tuple[str, ...] | None:
    """Names of "mean, sd"; None stays."""
    return tuple(name.strip() for name in layers.split(",")) if layers else None
