"""The command `learn`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spatioformer.cli.options import Quiet


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
    notebooks: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the chapters as Jupyter notebooks into a new folder, and no site.",
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the path and open no browser.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Build the course on transformers, in Spanish and English, and open it in a browser.

    Its numbers and figures are computed by models on this machine. The pages need no network and no
    server.
    """
    from spatioformer.common.progress import Console

    if notebooks is not None:
        from spatioformer.learn.notebooks import write_notebooks

        for path in write_notebooks(notebooks):
            Console(quiet).say(str(path))
        return
    from spatioformer.common.files import user_cache
    from spatioformer.learn.build import build, check_replaceable
    from spatioformer.learn.tools import SpanishModel, Tools, spanish_model

    console = Console(quiet)
    cache = user_cache() / "learn"
    site = out or cache / "site"
    check_replaceable(site)
    spanish = SpanishModel.open(model) if model else spanish_model(cache, console)
    index = build(site, Tools(spanish, cache, console), language=language, console=console)
    console.say(str(index))
    if not no_browser:
        import webbrowser

        webbrowser.open(index.resolve().as_uri())
