"""The command `spatioformer imagery build`."""

import re
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.imagery import app
from spatioformer.cli.options import Changes, Offline, Quiet, Scheduler
from spatioformer.common.errors import ConfigError


@command(app, example="spatioformer imagery build my_run.yaml --years 2015-2023 -o imagery")
def build(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration (YAML).")],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The folder to write.")
    ],
    years: Annotated[
        str | None,
        typer.Option(
            metavar="YEARS", help="2015-2023, or 2015,2018,2023; default: all years of the sources."
        ),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Windows computed at the same time; default: one for each core."),
    ] = None,
    scheduler: Scheduler = None,
    memory: Annotated[str, typer.Option(help="Limit of resident memory.")] = "2GB",
    zarr: Annotated[bool, typer.Option("--zarr", help="Also write each year as Zarr.")] = False,
    changes: Changes = None,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """Write the imagery of each year (FOLDER/imagery_YEAR.tif) and years.csv, for `years`."""
    from spatioformer.archives.pools import scheduler_of
    from spatioformer.common.progress import Console
    from spatioformer.config.file import load_config
    from spatioformer.mapping.options import parse_memory
    from spatioformer.run.imagery_build import build_years

    chosen = parse_span(years) if years is not None else None
    console = Console(quiet)
    table = build_years(
        load_config(config, changes or []),
        out,
        chosen,
        offline=offline,
        workers=workers,
        scheduler=scheduler_of(scheduler),
        memory=parse_memory(memory) / 1e9,
        zarr=zarr,
        console=console,
    )
    console.say(f"{table}: map its years with spatioformer years MODEL {table} -o FOLDER")


def parse_span(text: str) -> tuple[int, ...]:
    """Years of "2015-2023" or "2015,2018,2023", ascending.

    Raises:
        ConfigError: the text is neither, or years repeat or descend.
    """
    words = text.replace(" ", "")
    if match := re.fullmatch(r"(\d{4})-(\d{4})", words):
        years = tuple(range(int(match[1]), int(match[2]) + 1))
    elif re.fullmatch(r"\d{4}(,\d{4})*", words):
        years = tuple(int(word) for word in words.split(","))
    else:
        years = ()
    if not years or list(years) != sorted(set(years)):
        raise ConfigError(f"--years {text!r} are no years; give 2015-2023, or 2015,2018,2023")
    return years
