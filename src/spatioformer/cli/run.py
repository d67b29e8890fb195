"""The commands `run` and its stages: each takes a run."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from spatioformer.cli.guard import Command
from spatioformer.cli.options import (
    Changes,
    Force,
    Offline,
    Quiet,
    Refresh,
    RunOut,
    Scheduler,
    note_renamed,
)
from spatioformer.cli.source import Source, open_run

Resume = Annotated[bool, typer.Option(help="Continue an interrupted training from its checkpoint.")]


def run(
    source: Source,
    out: RunOut = None,
    until: Annotated[str, typer.Option(metavar="STAGE", help="Stop after this stage.")] = "report",
    force: Annotated[
        bool, typer.Option("--force", help="Run all stages even when nothing changed.")
    ] = False,
    redo: Annotated[
        list[str] | None,
        typer.Option(
            metavar="STAGE",
            help="Run this stage even when nothing changed, and those that depend on it.",
        ),
    ] = None,
    set_: Changes = None,
    resume: Resume = True,
    offline: Offline = False,
    refresh: Refresh = False,
    scheduler: Scheduler = None,
    quiet: Quiet = False,
) -> None:
    """Run all stages in order: from plots and imagery to model, scores, map and report."""
    opened = open_run(
        source,
        set_,
        quiet,
        resume=resume,
        offline=offline,
        refresh=refresh,
        out=out,
        scheduler=scheduler,
    )
    with opened.log.recording():
        opened.until(until, list(opened.stages) if force else redo or [])
        if not quiet:
            from spatioformer.run.summary import print_summary

            print_summary(opened.folder, until, opened.log.write, opened.stages)


class ForceWithStage(TyperCommand):
    """Understands `--force STAGE`, as --redo was written until version 0.1."""

    def parse_args(self, context: Any, args: list[str]) -> list[str]:
        """Replace the old spelling: a stage's name, or a word that names no file, follows it."""
        from spatioformer.run.stages import STAGES

        words, old = list(args), False
        for position, word in enumerate(words):
            following = words[position + 1] if position + 1 < len(words) else ""
            bare = following.isidentifier() and not Path(following).exists()
            if word.startswith("--force="):
                words[position], old = f"--redo={word.removeprefix('--force=')}", True
            elif word == "--force" and (following in STAGES or bare):
                words[position], old = "--redo", True
        if old:
            note_renamed("--force STAGE", "--redo STAGE", bool({"-q", "--quiet"} & set(words)))
        return super().parse_args(context, words)


def plots(
    source: Source,
    out: RunOut = None,
    set_: Changes = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Read and check the plot table; write plots.parquet and rejected.csv."""
    open_run(source, set_, quiet, out=out).stage("plots", force)


def stage(name: str) -> Command:
    """The command `spatioformer NAME RUN` of a stage that takes no further options."""

    def run_stage(
        source: Source,
        out: RunOut = None,
        set_: Changes = None,
        force: Force = False,
        offline: Offline = False,
        refresh: Refresh = False,
        scheduler: Scheduler = None,
        quiet: Quiet = False,
    ) -> None:
        opened = open_run(
            source, set_, quiet, offline=offline, refresh=refresh, out=out, scheduler=scheduler
        )
        opened.stage(name, force)

    return run_stage


def train(
    source: Source,
    out: RunOut = None,
    set_: Changes = None,
    force: Force = False,
    resume: Resume = True,
    offline: Offline = False,
    refresh: Refresh = False,
    quiet: Quiet = False,
) -> None:
    """Train the model that makes the map on all plots; write it to model/."""
    opened = open_run(source, set_, quiet, resume=resume, offline=offline, refresh=refresh, out=out)
    opened.stage("train", force)
