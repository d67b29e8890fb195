"""The command `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Changes, Quiet


def demo(
    plots: Annotated[
        Path | None,
        typer.Option(help="Your own plots in Australia: a CSV with lon, lat and richness."),
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

    run_demo(out, plots=plots, full=full, changes=set_ or [], console=Console(quiet))
