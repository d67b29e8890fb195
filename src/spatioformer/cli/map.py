"""The command `map`: a run's map stage, or the map that any model folder makes of any raster."""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from spatioformer.cli.options import (
    WITH_MODEL,
    ModelOptions,
    Overwrite,
    Quiet,
    given,
    grouped,
    names_of,
    note_renamed,
)
from spatioformer.cli.source import METAVAR, RESOLVED, Kind, kind_of, model_folder, open_run
from spatioformer.common.errors import ConfigError

WITH_CONFIG = "With a configuration"


@dataclass(frozen=True)
class ConfigOptions:
    """How a run's configuration is used."""

    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="A.B=C",
            help="Change one value of the configuration.",
            rich_help_panel=WITH_CONFIG,
        ),
    ] = None
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Read nothing from the network: imagery of archives from the cache alone.",
            rich_help_panel=WITH_CONFIG,
        ),
    ] = False


@dataclass(frozen=True)
class OutputOptions:
    """What `map MODEL RASTER` writes, and where."""

    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="The map to write.", rich_help_panel=WITH_MODEL),
    ] = None
    fixed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Value of a covariate that the raster lacks, for a model of a plot table.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None
    dtype: Annotated[
        str,
        typer.Option(
            help="float32 (species), or uint16 (hundredths of a species).",
            rich_help_panel=WITH_MODEL,
        ),
    ] = "float32"
    compress: Annotated[
        str, typer.Option(help="deflate, or zstd (smaller).", rich_help_panel=WITH_MODEL)
    ] = "deflate"
    separate: Annotated[
        bool,
        typer.Option(
            "--separate", help="Write one file for each layer.", rich_help_panel=WITH_MODEL
        ),
    ] = False
    year: Annotated[
        int | None,
        typer.Option(help="Year of the imagery, for the map's tags.", rich_help_panel=WITH_MODEL),
    ] = None
    stac: Annotated[
        bool,
        typer.Option(
            "--stac", help="Also write a STAC item and a collection.", rich_help_panel=WITH_MODEL
        ),
    ] = False
    zarr: Annotated[
        bool,
        typer.Option("--zarr", help="Also write the layers as Zarr.", rich_help_panel=WITH_MODEL),
    ] = False
    shards: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Compute part I of N; the same command without --shards merges the parts.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = None


@grouped
def map_(
    context: typer.Context,
    source: Annotated[
        Path,
        typer.Argument(
            metavar=METAVAR,
            help="The run whose map stage to run, or whose model maps RASTER: its configuration, "
            "its folder, or a model folder.",
        ),
    ],
    raster: Annotated[
        Path | None,
        typer.Argument(
            metavar="RASTER|CONFIG|RUN",
            help="Imagery with the model's bands, or the run whose imagery stage makes it.",
        ),
    ] = None,
    config_options: ConfigOptions = ConfigOptions(),
    output: OutputOptions = OutputOptions(),
    options: ModelOptions = ModelOptions(),
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Run the stage even when nothing changed; replace an existing map."
        ),
    ] = False,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Predict wall to wall: `map RUN`, a run's stage, or `map MODEL RASTER -o OUT.tif`."""
    if overwrite:
        note_renamed("--overwrite", "--force", quiet)
    force = force or overwrite
    if kind_of(source) is not Kind.MODEL and raster is None:
        surplus = given(context, names_of(OutputOptions) | names_of(ModelOptions))
        if surplus:
            raise ConfigError(
                f"{source} is a run, whose configuration says what is mapped and how; leave out "
                f"{surplus[0]!r} (--set map.KEY=VALUE changes a value), or give a raster and -o too"
            )
        opened = open_run(source, config_options.set_, quiet, offline=config_options.offline)
        opened.stage("map", force)
        return
    if raster is None or output.out is None:
        raise ConfigError(f"with the model {source}, give a raster and -o OUT.tif")
    options.check_samples()
    model = model_folder(source)
    if _is_run(raster):
        run = open_run(raster, config_options.set_, quiet, offline=config_options.offline)
        raster = run.stage("imagery", force) / "imagery.tif"
    elif surplus := given(context, names_of(ConfigOptions)):
        raise ConfigError(
            f"--{surplus[0].strip('_')} belongs to a run's configuration, and {raster} is none; "
            "leave it out, or give a configuration for the raster"
        )
    map_with_model(model, raster, output.out, output, options, force, quiet)


def map_with_model(
    model: Path,
    raster: Path,
    out: Path,
    output: OutputOptions,
    options: ModelOptions,
    force: bool,
    quiet: bool,
) -> None:
    """Map a raster with a model's folder, and print what was computed."""
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Output, Resources, map_raster
    from spatioformer.mapping.covariates import (
        as_imagery,
        covariates_of_table,
        fixed_values,
        tags_of_map,
    )
    from spatioformer.mapping.options import parse_memory, parse_shard

    console = Console(quiet)
    shard = parse_shard(output.shards) if output.shards else None
    covariates, fixed = covariates_of_table(model), fixed_values(output.fixed or [])
    if fixed and covariates is None:
        raise ConfigError(
            f"--fixed is for models that learned from a plot table alone, and {model} takes the "
            "bands of imagery; leave it out"
        )
    tags: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        if covariates is not None:
            made = as_imagery(covariates, raster, fixed, out, console)
            raster = stack.enter_context(made)
            tags = tags_of_map(covariates, fixed)
        summary = map_raster(
            model,
            raster,
            out,
            samples=options.samples,
            sd_step=options.sd_step,
            outline=options.outline,
            grid=options.grid,
            output=Output(
                options.layer_names,
                output.dtype,
                output.compress,
                output.separate,
                output.year,
                output.stac,
                output.zarr,
            ),
            resources=Resources(
                parse_memory(options.memory),
                options.workers,
                options.scheduler,
                shard,
                options.worker_timeout,
            ),
            overwrite=force,
            tags=tags,
            console=console,
        )
    if shard is not None:
        console.say(f"{out}: {summary['tiles']:,} tiles of part {output.shards} computed")
    else:
        console.say(f"{out}: {summary['pixels']:,} pixels predicted")


def _is_run(raster: Path) -> bool:
    """Whether a run stands for its imagery; a raster may be a folder too, but not of a run."""
    return raster.suffix in (".yaml", ".yml") or os.path.isfile(raster / RESOLVED)
