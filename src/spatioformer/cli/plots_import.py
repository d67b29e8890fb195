"""The command `spatioformer plots import`: plots from an archive of vegetation data."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.options import Quiet
from spatioformer.common.errors import ConfigError, OutputError

app = typer.Typer(
    name="plots",
    help="Plots: import them from an archive of vegetation data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: spatioformer plots import 0012345-240101.zip -o plots.parquet",
)


@app.callback()
def _group() -> None:
    """Keeps `import` a command of its own, for a group of one command has none."""


class Taxa(StrEnum):
    """Rules of names, see `archives.richness`."""

    species = "species"
    strict = "strict"
    written = "written"


class Nested(StrEnum):
    """Rules of nested plots, see `archives.nested`."""

    largest = "largest"
    all = "all"


@command(app, "import", example="spatioformer plots import 0012345-240101.zip -o plots.parquet")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="An archive (.zip), its folder, or a table: Darwin Core, GBIF, sPlotOpen, "
            "AusPlots, Turboveg, an inventory, a vegetation table. Or the link of one "
            "(https://...), or a GBIF download: gbif:KEY, or its DOI.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PLOTS.parquet", help="The table to write.")
    ],
    accept_incomplete: Annotated[
        bool,
        typer.Option(
            "--accept-incomplete",
            help="Keep single records that no survey made, as plots with incomplete lists.",
        ),
    ] = False,
    taxa: Annotated[
        Taxa,
        typer.Option(
            help="What counts as one: species (subspecies join their species; a genus counts if no "
            "species of it is listed); strict (no hybrids, morphospecies and genera); written "
            "(each accepted name)."
        ),
    ] = Taxa.species,
    nested: Annotated[
        Nested,
        typer.Option(help="Nested plots at one place: only the largest, with all species; or all."),
    ] = Nested.largest,
    crs: Annotated[
        str | None,
        typer.Option(metavar="EPSG:...", help="CRS of the coordinates of a table."),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="A.B=C",
            help="How a table is read, as in the section plots of a configuration: "
            "columns.richness=trees, species.species=taxon, layer=Sheet1.",
        ),
    ] = None,
    doi: Annotated[
        str | None, typer.Option(metavar="DOI", help="DOI of the archive, if it does not state it.")
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Licence of the archive, such as CC-BY-4.0."),
    ] = None,
    citation: Annotated[
        str | None, typer.Option(metavar="TEXT", help="How the archive is to be cited.")
    ] = None,
    checksum: Annotated[
        str | None,
        typer.Option(metavar="sha256:...", help="Checksum that the file must have; also md5:..."),
    ] = None,
    offline: Annotated[
        bool,
        typer.Option("--offline", help="Read nothing from the network: the link from the cache."),
    ] = False,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A host to which the link may redirect."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Import plots from an archive: count the species of each survey, and check the plots.

    A link is fetched into the user's cache folder; an interrupted download is resumed.
    Single records that no survey made are refused: they are no lists of species.
    """
    if out.suffix != ".parquet":
        raise ConfigError(f"-o {out} has to end with .parquet, the format of the table")
    if out.exists() and not force:
        raise OutputError(f"{out} exists; give another name with -o, or --force to replace it")
    from spatioformer.setup.importing import plot_settings

    settings = plot_settings(set_ or [], crs)  # wrong ones are refused before the imports below

    from spatioformer.archives.plot_archives import plot_archive
    from spatioformer.common.progress import Console
    from spatioformer.geo.plots.archives.importing import (
        ImportOptions,
        import_plots,
        write_import,
    )
    from spatioformer.geo.plots.archives.show import decisions
    from spatioformer.geo.plots.table import TooManyRejected, write_rejected
    from spatioformer.setup.show import print_table

    console = Console(quiet)
    archive = plot_archive(
        source, offline=offline, checksum=checksum, hosts=tuple(host or ()), console=console
    )
    options = ImportOptions(
        accept_incomplete=accept_incomplete,
        taxa=taxa.value,
        nested=nested.value,
        doi=doi or archive.doi,
        licence=licence or archive.licence,
        citation=citation or archive.citation,
        address=archive.address,
        settings=settings,
        max_rejected=settings.get("max_rejected", 0.1),
    )
    try:
        intake = import_plots(archive.path, options)
    except TooManyRejected as error:
        write_rejected(error.rejected, out.parent, f"{out.stem}.rejected.csv")
        raise
    rejected = write_import(intake, out)
    print_table(f"Imported from {archive.path.name}", decisions(intake.summary), console)
    for note in intake.summary["notes"]:
        console.say(f"  note: {note}")
    if rejected is not None:
        console.say(f"{len(intake.rejected):,} visits are rejected; the reasons are in {rejected}")
    console.say(f"{out} is written; make a configuration: spatioformer init {out} RASTERS")
