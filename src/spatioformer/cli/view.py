"""The command `view`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatioformer.cli.options import Quiet
from spatioformer.cli.source import METAVAR, run_folder

if TYPE_CHECKING:
    from spatioformer.common.progress import Console


def view(
    source: Annotated[
        Path,
        typer.Argument(
            metavar=METAVAR,
            help="The run: its folder or its configuration. Or the folder of a text or vision "
            "model, of which the model explorer opens.",
        ),
    ],
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port; the next free one if it is in use."),
    ] = None,
    host: Annotated[
        str,
        typer.Option(help="Where to listen; beyond this machine, the address holds a token."),
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address and open no browser.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write the map as files for any web server, and serve nothing."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show the map of a run in a browser, with its uncertainty, plots and answers to clicks."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # one chip at a time: threads would only wait
    from spatioformer.common.progress import Console
    from spatioformer.viewer.needs import check_installed

    check_installed()
    from spatioformer.viewer.explorer.kinds import holds_model

    console = Console(quiet)
    if holds_model(source):
        _explore(source, port, host, console, browser=not no_browser, export=export)
        return
    from spatioformer.viewer.export import export as write_files
    from spatioformer.viewer.folder import RunFolder
    from spatioformer.viewer.routes import router
    from spatioformer.viewer.run import ViewedRun
    from spatioformer.viewer.serve import bind, serve

    folder = run_folder(source)
    if export is None and (without_map := RunFolder(folder)).has_explorer_alone:
        from spatioformer.viewer.explorer.routes import explorer_router

        console.say(
            f"note: {folder} has no map: map.tif is missing; its model explorer opens instead"
        )
        routers, place = [explorer_router(without_map)], bind(host, port, console)
        serve(routers, place, console, browser=not no_browser, page="model explorer")
        return
    run = ViewedRun(folder)
    for note in run.catalogue.notes:
        console.say(f"note: {note}")
    if export is not None:
        made = write_files(run, export, console=console)
        count, zoom = made["tiles"], made["maxzoom"]
        console.say(f"{export / 'index.html'}: {count:,} tiles up to zoom {zoom}")
        return
    place = bind(host, port, console)
    routers = [router(run, token_needed=place.is_open)]
    serve(routers, place, console, browser=not no_browser, warm=run.warm)


def _explore(
    folder: Path,
    port: int | None,
    host: str,
    console: "Console",
    *,
    browser: bool,
    export: Path | None,
) -> None:
    """Serve the model explorer of a text or vision model."""
    from spatioformer.viewer.explorer.model_routes import model_router
    from spatioformer.viewer.serve import bind, serve

    if export is not None:
        raise typer.BadParameter(
            f"{folder} is a text or vision model, whose explorer needs the server; leave out "
            "--export"
        )
    routers = [model_router(folder)]
    serve(routers, bind(host, port, console), console, browser=browser, page="model explorer")
