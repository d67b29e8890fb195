"""The command `view`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Quiet
from spatioformer.cli.source import METAVAR, run_folder


def view(
    source: Annotated[
        Path, typer.Argument(metavar=METAVAR, help="The run: its folder or its configuration.")
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
    from spatioformer.viewer.export import export as write_files
    from spatioformer.viewer.routes import router
    from spatioformer.viewer.run import ViewedRun
    from spatioformer.viewer.serve import bind, serve

    console = Console(quiet)
    run = ViewedRun(run_folder(source))
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
