"""The command `learn`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spatioformer.cli.options import Quiet
from spatioformer.common.errors import ArgumentError


def learn(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FOLDER", help="The site; default: in the user's cache folder."
        ),
    ] = None,
    model: Annotated[
        Path | None,
        typer.Option(
            "--model",
            "-m",
            metavar="FOLDER",
            help="A Spanish model, such as of `text train spanish`; default: a small one, trained "
            "once.",
        ),
    ] = None,
    language: Annotated[
        Literal["es", "en"], typer.Option(help="In which the pages open; they have both.")
    ] = "es",
    slides: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write slides for a teacher instead, HTML and, where Chromium is installed, PDF.",
        ),
    ] = None,
    notebooks: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the chapters as Jupyter notebooks into a new folder, and no site.",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="Train models for a few seconds only, unless they were trained before; the pages "
            "say so.",
        ),
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the path and open no browser.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Build the course on transformers, in Spanish and English, and open it in a browser.

    Its numbers and figures are computed by models on this machine. The pages need no network and no
    server. --slides and --notebooks write the same chapters for a teacher and for students.
    """
    from spatioformer.common.progress import Console

    if sum(target is not None for target in (out, slides, notebooks)) > 1:
        raise ArgumentError(
            "-o, --slides and --notebooks each name what to write; give one of them alone"
        )
    if notebooks is not None:
        if model is not None or quick:
            raise ArgumentError(
                "notebooks open their models when they run; leave out --model and --quick"
            )
        from spatioformer.learn.notebooks import write_notebooks

        for path in write_notebooks(notebooks):
            Console(quiet).say(str(path))
        return
    from spatioformer.common.files import user_cache
    from spatioformer.learn.build import build, check_replaceable
    from spatioformer.learn.tools import SpanishModel, Tools, spanish_model

    console = Console(quiet)
    cache = user_cache() / "learn"
    site = slides or out or cache / "site"
    check_replaceable(site)
    spanish = SpanishModel.open(model) if model else spanish_model(cache, console, quick=quick)
    index = build(
        site,
        Tools(spanish, cache, console, quick=quick),
        language=language,
        slides=slides is not None,
        console=console,
    )
    console.say(str(index))
    if not no_browser:
        import webbrowser

        webbrowser.open(index.resolve().as_uri())
