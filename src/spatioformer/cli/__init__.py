"""The command line: one short function a command, heavy imports inside."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer import __version__
from spatioformer.cli import text as cli_text
from spatioformer.cli import vision as cli_vision
from spatioformer.cli import years as cli_years
from spatioformer.cli.guard import command
from spatioformer.cli.options import (
    Memory,
    Outline,
    Quiet,
    Scheduler,
    Workers,
    check_samples,
    split_layers,
)
from spatioformer.common.errors import ConfigError
from spatioformer.training import distributed

app = typer.Typer(
    name="spatioformer",
    help="Maps of plant species richness from field plots and imagery, with errors you can defend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The run's configuration.")]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="A.B=C", help="Change one value of the configuration."),
]
Resume = Annotated[bool, typer.Option(help="Continue an interrupted training from its checkpoint.")]
Force = Annotated[bool, typer.Option("--force", help="Run it even when nothing changed.")]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


@command(app)
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
    """Plots and imagery to model, scores, map and report: all stages in order."""
    job = _open(config, set_, quiet, resume)
    job.until(until, force or [])
    if not quiet:
        from spatioformer.run.summary import print_summary

        print_summary(job.folder, until)


def _open(config: Path, changes: list[str] | None, quiet: bool, resume: bool = True):
    from spatioformer.common.progress import Console
    from spatioformer.run.runner import Run

    return Run(config, changes or [], console=Console(quiet), resume=resume)


def _stage(name: str, text: str) -> None:
    """Register `spatioformer NAME CONFIG.yaml` for a stage that takes nothing else."""

    @command(app, name, help=text)
    def stage(
        config: ConfigFile, set_: Changes = None, force: Force = False, quiet: Quiet = False
    ) -> None:
        _open(config, set_, quiet).stage(name, force)


_stage("plots", "Read and check the plot table: plots.parquet, rejected.csv.")
_stage("imagery", "Bring all rasters onto one grid: imagery.tif.")
_stage("chips", "Cut the chip of pixels around each plot.")


@command(app)
def train(
    config: ConfigFile,
    set_: Changes = None,
    force: Force = False,
    resume: Resume = True,
    quiet: Quiet = False,
) -> None:
    """Train the model that makes the map on all plots: model/."""
    _open(config, set_, quiet, resume).stage("train", force)


_stage("evaluate", "Score all models on held-out plots: scores.csv.")


@command(app, "map")
def map_(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="CONFIG.yaml|BUNDLE", help="A configuration, or a model.")
    ],
    raster: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RASTER|CONFIG.yaml]",
            help="With a model: imagery that has its bands, or a run whose imagery stage makes it.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="With a model: the map to write.")
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="With a model: Monte Carlo dropout passes; 0 for none.")
    ] = 20,
    sd_step: Annotated[
        int, typer.Option(min=1, help="With a model: one spread for each K x K block.")
    ] = 1,
    layers: Annotated[
        str | None,
        typer.Option(help="With a model: of mean,sd,lower,upper,di,inside,valid; default: all."),
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, or uint16: hundredths.")] = "float32",
    compress: Annotated[str, typer.Option(help="deflate or zstd.")] = "deflate",
    separate: Annotated[bool, typer.Option("--separate", help="A file a layer.")] = False,
    year: Annotated[int | None, typer.Option(help="The imagery's year, for the tags.")] = None,
    stac: Annotated[
        bool, typer.Option("--stac", help="Write a STAC item and collection too.")
    ] = False,
    zarr: Annotated[bool, typer.Option("--zarr", help="Write the layers as Zarr too.")] = False,
    outline: Outline = None,
    grid: Annotated[
        Path | None, typer.Option(help="A raster on whose grid to make the map.")
    ] = None,
    memory: Memory = "2GB",
    workers: Workers = None,
    scheduler: Scheduler = None,
    shards: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Compute part I of N; the map without it merges them."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a map that stands.")
    ] = False,
    set_: Changes = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Predict wall to wall: a stage of a run, or BUNDLE RASTER -o OUT.tif."""
    if source.suffix in (".yaml", ".yml"):
        told = [name for name in context.params if name not in ("source", "set_", "force", "quiet")]
        given = [n for n in told if context.get_parameter_source(n).name == "COMMANDLINE"]
        if given:
            raise ConfigError(
                f"{source} is a configuration, which says itself what is mapped and how; leave "
                f"out {given[0]!r} (--set map.KEY=VALUE changes a value), or give a model's "
                "folder with a raster and -o"
            )
        _open(source, set_, quiet).stage("map", force)
        return
    if raster is None or out is None:
        raise ConfigError(f"with the model {source}, give a raster and -o OUT.tif")
    check_samples(samples)
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Output, Resources, map_raster
    from spatioformer.mapping.options import parse_memory, parse_shard

    console = Console(quiet)
    if raster.suffix in (".yaml", ".yml"):
        raster = _open(raster, set_, quiet).stage("imagery", force) / "imagery.tif"
    chosen = split_layers(layers)
    part = parse_shard(shards) if shards else None
    summary = map_raster(
        source,
        raster,
        out,
        samples=samples,
        sd_step=sd_step,
        outline=outline,
        grid=grid,
        output=Output(chosen, dtype, compress, separate, year, stac, zarr),
        resources=Resources(parse_memory(memory), workers, scheduler, part),
        overwrite=overwrite,
        console=console,
    )
    if part is not None:
        console.say(f"{out}: {summary['tiles']:,} tiles of part {shards} computed")
    else:
        console.say(f"{out}: {summary['pixels']:,} pixels predicted")


_stage("report", "Write report.html from everything in the run folder.")


@command(app)
def survey(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="sites.gpkg, .csv or .gpx.")],
    sites: Annotated[int, typer.Option("--sites", "-n", min=1, help="How many sites.")] = 20,
    near: Annotated[
        Path | None, typer.Option(help="Roads or places that sites must be near.")
    ] = None,
    within: Annotated[float | None, typer.Option(metavar="KM", help="How near to them.")] = None,
    exclude: Annotated[Path | None, typer.Option(help="Areas without sites (polygons).")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the pixels that stand for the map.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Where to survey next: the sites that would tell most about the map."""
    from spatioformer.analysis.survey import check_format, propose, write_sites
    from spatioformer.common.progress import Console
    from spatioformer.geo.vector.access import read_access

    check_format(out)
    found = propose(folder, sites, read_access(near, within, exclude), seed=seed)
    write_sites(found, out)
    share = found["total_gain"].iloc[-1]
    Console(quiet).say(
        f"{out}: {sites} sites, which would remove {share:.0%} of the map's dissimilarity to its "
        "plots, weighted by the width of the intervals"
    )


@command(app)
def zonal(
    map_: Annotated[Path, typer.Argument(metavar="MAP.tif", help="A map with intervals.")],
    polygons: Annotated[Path, typer.Argument(help="Parks, catchments; in any CRS.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="zones.csv, or .gpkg with outlines.")],
    name: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field that names the polygons.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a file with several.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="The map's run or model; default: that beside the map.")
    ] = None,
    range_: Annotated[
        float | None,
        typer.Option("--range", metavar="KM", help="Without a run: e-folding distance of errors."),
    ] = None,
    nugget: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="With --range: the plots' own share of the variance."),
    ] = None,
    interval: Annotated[
        bool, typer.Option("--interval/--no-interval", help="Interval of each mean.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Of the pixels that stand for large areas.")] = 0,
    quiet: Quiet = False,
) -> None:
    """Mean, quantiles and interval of the richness in each polygon."""
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
        correlation = correlation_of(map_, run)
    console = Console(quiet)
    found = summarise(
        map_, polygons, correlation, name=name, layer=layer, seed=seed, console=console
    )
    write_zones(found, out)
    outside = int((found["pixels"] == 0).sum())
    console.say(
        f"{out}: {len(found):,} polygons" + (f", {outside:,} without a pixel" if outside else "")
    )


@command(app, "drivers")
def drivers_(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    model: Annotated[
        str | None,
        typer.Option(help="Whose permutation importance; default: that of the map's model."),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """What drives the predictions: bands, place, pixels of the chip; also in the report."""
    from spatioformer.analysis.drivers import drivers
    from spatioformer.common.progress import Console
    from spatioformer.config.file import load_config
    from spatioformer.config.schema import MODELS
    from spatioformer.report import write_report

    if model is not None and model not in MODELS:
        raise ConfigError(f"--model {model} is not known; choose one of {', '.join(MODELS)}")
    console = Console(quiet)
    found = drivers(folder, model=model, console=console)
    if (folder / "report.html").exists():
        write_report(folder, load_config(folder / "config.resolved.yaml"))
    first = found["importance"][0]
    console.say(
        f"{folder / 'drivers.json'}: {first['group']} matters most; without it the held-out RMSE "
        f"rises by {first['rise']:.2f} species"
    )


@command(app)
def demo(
    plots: Annotated[
        Path | None,
        typer.Option(help="Your own plots in Australia (CSV with lon, lat, richness)."),
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run folder.")] = Path("runs/demo"),
    full: Annotated[bool, typer.Option("--full", help="Chips of 9 x 9 pixels: slow.")] = False,
    set_: Changes = None,
    quiet: Quiet = False,
) -> None:
    """The whole road over Australia, on real imagery, with a virtual flora or your own plots."""
    from spatioformer.common.progress import Console
    from spatioformer.run.demo import run_demo

    folder = run_demo(out, plots=plots, full=full, changes=set_ or [], console=Console(quiet))
    if not quiet:
        from spatioformer.run.summary import print_summary

        print_summary(folder)


cli_years.register(app)
app.add_typer(cli_text.app)
app.add_typer(cli_vision.app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; usage errors are typer's, exit code 2."""
    try:
        app(arguments)
    except SystemExit as left:
        distributed.leave(left.code)
        raise


if __name__ == "__main__":
    main()
