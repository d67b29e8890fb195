"""The commands `survey`, `zonal` and `drivers`: each reads a finished map or run."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import Quiet
from spatioformer.cli.source import METAVAR, Source, model_folder, run_folder
from spatioformer.common.errors import ConfigError
from spatioformer.config.catalogue import CATALOGUE


def survey(
    source: Source,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The table to write: sites.gpkg, .csv or .gpx.")
    ],
    sites: Annotated[int, typer.Option("--sites", "-n", min=1, help="Number of sites.")] = 20,
    near: Annotated[
        Path | None, typer.Option(help="Roads or places; sites must lie near them.")
    ] = None,
    within: Annotated[
        float | None, typer.Option(metavar="KM", help="Largest distance to --near, km.")
    ] = None,
    exclude: Annotated[Path | None, typer.Option(help="Areas without sites (polygons).")] = None,
    outline: Annotated[
        str | None,
        typer.Option(
            metavar="auto|FILE|none",
            help="Where sites may lie: the countries of the plots, polygons, or the whole map. "
            "Default: the configuration's outline, otherwise auto.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the sample of pixels.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Propose the sites whose survey would improve the map most."""
    from spatioformer.analysis.survey import check_format, propose, survey_outline, write_sites
    from spatioformer.common.progress import Console
    from spatioformer.geo.vector.access import read_access

    check_format(out)
    console, run, access = Console(quiet), run_folder(source), read_access(near, within, exclude)
    area = survey_outline(run, outline)
    proposed = propose(run, sites, access, outline=area, seed=seed)
    write_sites(proposed, out)
    share = proposed["total_gain"].iloc[-1]
    console.say(
        f"{out}: {sites} sites, which would remove {share:.0%} of the map's dissimilarity to its "
        "plots, weighted by the width of the intervals"
    )
    for note in area.notes if area else ():
        console.say(f"note: {note}")


def zonal(
    map_: Annotated[Path, typer.Argument(metavar="MAP.tif", help="A map with intervals.")],
    polygons: Annotated[Path, typer.Argument(help="Polygons, such as parks; in any CRS.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="The table to write: zones.csv, or .gpkg with outlines."),
    ],
    name: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field with the polygons' names.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(help="Layer to read, in a file with several layers.")
    ] = None,
    run: Annotated[
        Path | None,
        typer.Option(
            metavar=METAVAR, help="Run or model of the map; default: that in the map's folder."
        ),
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option(
            "--range", metavar="KM", help="Without a run: e-folding distance of the errors, km."
        ),
    ] = None,
    nugget: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="With --range: share of the error variance that neighbours do not share, 0 to 1.",
        ),
    ] = None,
    interval: Annotated[
        bool, typer.Option("--interval/--no-interval", help="Compute the interval of each mean.")
    ] = True,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed for the sample of pixels in large areas.")
    ] = 0,
    quiet: Quiet = False,
) -> None:
    """Compute mean, quantiles and interval of the richness in each polygon."""
    from spatioformer.analysis.zonal import check_place, correlation_of, summarise, write_zones
    from spatioformer.common.progress import Console
    from spatioformer.evaluation.correlation import ErrorCorrelation

    check_place(out, map_, polygons)
    if nugget is not None and range_ is None:
        raise ConfigError(f"--nugget {nugget:g} belongs to --range KM; give both, or neither")
    correlation = None
    if interval and range_ is not None:
        correlation = ErrorCorrelation(range_, nugget or 0.0)
    elif interval:
        correlation = correlation_of(map_, None if run is None else model_folder(run))
    console = Console(quiet)
    zones = summarise(
        map_, polygons, correlation, name=name, layer=layer, seed=seed, console=console
    )
    write_zones(zones, out)
    empty = int((zones["pixels"] == 0).sum())
    console.say(
        f"{out}: {len(zones):,} polygons" + (f", {empty:,} without a pixel" if empty else "")
    )


def drivers(
    source: Source,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The model that is measured; default: that of the map. Another model is fitted to "
            f"all plots first. One of {', '.join(CATALOGUE)}.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Measure how bands, location and pixels of the chip drive a model's predictions.

    All results are of one model. The report is updated.

    Writes drivers.json into the run folder.
    """
    from spatioformer.analysis.drivers import drivers as measure_drivers
    from spatioformer.common.files import read_json
    from spatioformer.common.progress import Console
    from spatioformer.config.file import load_config
    from spatioformer.models.target import amount
    from spatioformer.report import write_report

    if model is not None and model not in CATALOGUE:
        raise ConfigError(f"--model {model} is not known; choose one of {', '.join(CATALOGUE)}")
    console, folder = Console(quiet), run_folder(source)
    measured = measure_drivers(folder, model=model, console=console)
    if (folder / "report.html").exists():
        write_report(folder, load_config(folder / "config.resolved.yaml"))
    first = measured["importance"][0]
    kind = read_json(folder / "plots.json").get("target_kind")
    console.say(
        f"{folder / 'drivers.json'}: {first['group']} matters most; when it is shuffled, the "
        f"held-out RMSE rises by {amount(first['rise'], 2, kind)}"
    )
