"""The command `demo`."""

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Changes, Quiet


def demo(
    plots: Annotated[
        Path | None,
        typer.Option(
            help="Your own plots in Australia: a CSV with lon, lat and richness. The map is of all "
            "Australia; --set imagery.region=[W,E,S,N] maps a part."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The run folder.")
    ] = Path("runs/demo"),
    full: Annotated[
        bool, typer.Option("--full", help="Chips of 9 x 9 pixels instead of 3 x 3: slow.")
    ] = False,
    set_: Changes = None,
    quiet: Quiet = False,
) -> None:
    """Run all stages over Australia, on real imagery, with a virtual flora or your own plots."""
    from spatioformer.common.progress import Console
    from spatioformer.run.demo import run_demo

    console = Console(quiet)
    folder = run_demo(out, plots=plots, full=full, changes=set_ or [], console=console)
    console.say(f"look at the map: {_program()} view {shlex.quote(str(folder))}")


def _program() -> str:
    """The program as the user has called it; `make demo` calls .venv/bin/spatioformer."""
    path = Path(sys.argv[0])
    return shlex.quote(str(path)) if path.name == "spatioformer" else "spatioformer"
