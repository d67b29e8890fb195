"""The command `example`."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Quiet


def example(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write.")],
    plots: Annotated[int, typer.Option(min=1, max=5000, help="Number of plots.")] = 300,
    quiet: Quiet = False,
) -> None:
    """Write plots and rasters of an invented landscape, to try the commands on."""
    from spatioformer.geo.virtual.example import write_example

    for path in write_example(folder, plots):
        if not quiet:
            print(path)
