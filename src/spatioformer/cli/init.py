"""The commands `init` and `check`: a first configuration from files, and a look at one."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatioformer.cli.options import Changes, Quiet
from spatioformer.cli.source import RESOLVED, Kind, Source, kind_of, run_folder
from spatioformer.common.errors import ConfigError, OutputError, SpatioformerError

if TYPE_CHECKING:
    from spatioformer.geo.plots.recognise import Question
    from spatioformer.setup.draft import Draft
    from spatioformer.setup.plan import Request


def init(
    plots: Annotated[
        Path, typer.Argument(metavar="PLOTS", help="The plot table, such as plots.csv.")
    ],
    rasters: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="RASTERS", help="Rasters that cover the plots; the first sets the grid."
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="RUN.yaml", help="The configuration to write.")
    ] = Path("run.yaml"),
    crs: Annotated[
        str | None,
        typer.Option(
            metavar="EPSG:...",
            help="Coordinate reference system of the files that do not show theirs.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Ask nothing; open questions end with exit code 2.")
    ] = False,
    set_: Changes = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing RUN.yaml.")] = False,
    quiet: Quiet = False,
) -> None:
    """Write a first configuration from a plot table and rasters.

    What the files show is decided, with reasons; what they do not show is asked.

    Answers are options: --crs EPSG:2056, --set plots.date_order=day-first.
    """
    from spatioformer.common.files import write_text
    from spatioformer.common.progress import Console
    from spatioformer.setup.plan import Request, plan
    from spatioformer.setup.show import open_points, print_table

    if out.exists() and not force:
        raise OutputError(f"{out} exists; give another name with -o, or --force to replace it")
    request = Request(plots, tuple(rasters or ()), out, crs, tuple(set_ or ()))
    draft = plan(request)
    if not yes and _is_terminal():
        request, draft = _ask_all(request, draft)
    findings, console = draft.findings, Console(quiet)
    files = [str(plots), *request.rasters]
    names = ", ".join(Path(file).name or file for file in files)
    print_table(f"Found in {names}", findings.decisions, console)
    if findings.problems or findings.questions:
        raise ConfigError(
            open_points(names, findings.questions, findings.problems, f"{out} is not written")
        )
    write_text(out, draft.text(_head(request)))
    console.say(f"{out} is written; read it, then start: spatioformer run {_word(out)}")


def _is_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask_all(request: "Request", draft: "Draft") -> "tuple[Request, Draft]":
    """Ask the questions one by one, each after what the answers so far have settled.

    Returns:
        The request with the answers, and its draft.
    """
    from spatioformer.setup.plan import plan

    answered: set[str] = set()
    while questions := [q for q in draft.findings.questions if q.key not in answered]:
        key, answer = questions[0].key, _ask(questions[0])
        try:
            answering = _with_answer(request, key, answer)
            draft = plan(answering)
        except SpatioformerError as error:  # such as an unknown CRS
            typer.echo(str(error), err=True)
        else:
            request = answering
            answered.add(key)
    return request, draft


def _with_answer(request: "Request", key: str, answer: str) -> "Request":
    from spatioformer.setup.show import as_yaml

    if key == "plots.crs":
        return replace(request, crs=answer)
    return replace(request, changes=(*request.changes, f"{key}={as_yaml(key, answer)}"))


def _ask(question: "Question") -> str:
    """The user's answer; a number chooses among the candidates."""
    from spatioformer.config.messages import escaped

    typer.echo(f"{question.key}: {escaped(question.why)}", err=True)
    for number, candidate in enumerate(question.candidates, start=1):
        typer.echo(f"  {number}  {escaped(candidate)}", err=True)
    while True:
        answer = str(typer.prompt(question.key, err=True)).strip()
        if answer.isdigit() and 1 <= int(answer) <= len(question.candidates):
            return question.candidates[int(answer) - 1]
        if answer:
            return answer


def _head(request: "Request") -> list[str]:
    """First lines of the file: the call that wrote it, and where its keys are explained."""
    words = [str(request.plots), *request.rasters]
    words += ["--crs", request.crs] if request.crs else []
    words += [word for change in request.changes for word in ("--set", change)]
    return [
        f"Written by: spatioformer init {' '.join(map(_word, words))}",
        "Edit it as you like; docs/run.md explains the keys.",
        f"Look at it: spatioformer check {_word(request.out)}",
        f"Run it:     spatioformer run {_word(request.out)}",
    ]


def _word(name: Path | str) -> str:
    return shlex.quote(str(name))


def check(
    source: Source,
    set_: Changes = None,
    quiet: Quiet = False,
) -> None:
    """Show what a configuration sets, and list its problems; nothing is computed or written."""
    from spatioformer.common.progress import Console
    from spatioformer.config.file import load_config

    config = source if kind_of(source) is Kind.CONFIG else run_folder(source) / RESOLVED
    read = load_config(config, set_ or [])  # a wrong one is refused before the imports below

    from spatioformer.setup.checking import examine_config
    from spatioformer.setup.show import open_points, print_table

    findings = examine_config(read)
    console = Console(quiet)
    print_table(f"What {config.name} sets", findings.decisions, console)
    if findings.problems or findings.questions:
        raise ConfigError(
            open_points(str(config), findings.questions, findings.problems, "a run would stop")
        )
    console.say(f"no problem found; start: spatioformer run {_word(source)}")
