"""The commands `run` and its stages: each takes a run's configuration."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatioformer.cli.guard import Command
from spatioformer.cli.options import Changes, ConfigFile, Force, Quiet

if TYPE_CHECKING:
    from spatioformer.run.runner import Run

Resume = Annotated[bool, typer.Option(help="Continue an interrupted training from its checkpoint.")]


def run(
    config: ConfigFile,
    until: Annotated[str, typer.Option(metavar="STAGE", help="Stop after this stage.")] = "report",
    force: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE", help="Run this stage even when nothing changed."),
    ] = None,
    set_: Changes = None,
    resume: Resume = True,
    quiet: Quiet = False,
) -> None:
    """Run all stages in order: from plots and imagery to model, scores, map and report."""
    opened = open_run(config, set_, quiet, resume)
    opened.until(until, force or [])
    if not quiet:
        from spatioformer.run.summary import print_summary

        print_summary(opened.folder, until)


def open_run(config: Path, changes: list[str] | None, quiet: bool, resume: bool = True) -> "Run":
    """The run of a configuration file, with `A.B=C` changes laid over it."""
    from spatioformer.common.progress import Console
    from spatioformer.run.runner import Run

    return Run(config, changes or [], console=Console(quiet), resume=resume)


def stage(name: str) -> Command:
    """The command `spatioformer NAME CONFIG.yaml` of a stage that takes no further options."""

    def run_stage(
        config: ConfigFile, set_: Changes = None, force: Force = False, quiet: Quiet = False
    ) -> None:
        open_run(config, set_, quiet).stage(name, force)

    return run_stage


def train(
    config: ConfigFile,
    set_: Changes = None,
    force: Force = False,
    resume: Resume = True,
    quiet: Quiet = False,
) -> None:
    """Train the model that makes the map on all plots; write it to model/."""
    open_run(config, set_, quiet, resume).stage("train", force)
