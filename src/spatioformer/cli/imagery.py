"""The commands `spatioformer imagery ...`: what the archives hold for a configuration."""

import json
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.options import Changes, Offline, Quiet

app = typer.Typer(
    name="imagery",
    help="Imagery of public archives: list what a configuration would read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: spatioformer imagery search my_run.yaml",
)


@command(app, example="spatioformer imagery search my_run.yaml --json")
def search(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A configuration (YAML).")],
    changes: Changes = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON instead of tables, for other programs.")
    ] = False,
    offline: Offline = False,
    quiet: Quiet = False,
) -> None:
    """List the items, dates and sizes that `imagery.sources` would read; read no imagery."""
    from spatioformer.common.errors import ImageryError
    from spatioformer.common.progress import Console
    from spatioformer.config.file import load_config
    from spatioformer.run.imagery_search import list_sources

    listings = list_sources(
        load_config(config, changes or []), offline=offline, console=Console(quiet)
    )
    if as_json:
        print(json.dumps([listing.as_json for listing in listings], indent=2))
    else:
        from spatioformer.run.imagery_listing import print_listings

        print_listings(listings)
    empty = [year.empty for listing in listings for year in listing.years if year.empty]
    if empty:
        more = f" ({len(empty) - 1} more years are empty)" if len(empty) > 1 else ""
        raise ImageryError(f"{empty[0]}{more}")
