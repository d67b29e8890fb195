"""The command `map`: a stage of a run, or any model on any raster."""

from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import (
    Changes,
    Force,
    Memory,
    Outline,
    Quiet,
    Scheduler,
    Workers,
    check_samples,
    split_layers,
)
from spatioformer.cli.run import open_run
from spatioformer.common.errors import ConfigError


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
        open_run(source, set_, quiet).stage("map", force)
        return
    if raster is None or out is None:
        raise ConfigError(f"with the model {source}, give a raster and -o OUT.tif")
    check_samples(samples)
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Output, Resources, map_raster
    from spatioformer.mapping.options import parse_memory, parse_shard

    console = Console(quiet)
    if raster.suffix in (".yaml", ".yml"):
        raster = open_run(raster, set_, quiet).stage("imagery", force) / "imagery.tif"
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
