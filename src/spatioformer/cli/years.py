"""The command `spatioformer years`."""

from pathlib import Path
from typing import Annotated

import typer

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


def years(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="[BUNDLE] YEAR=RASTER...|YEARS.csv",
            help="A model and its imagery of each year; with --maps, maps of each year alone. "
            "A CSV has the columns year and path.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="For the maps and trend.tif.")
    ],
    maps: Annotated[
        bool, typer.Option("--maps", help="The rasters are maps already; there is no BUNDLE.")
    ] = False,
    fdr: Annotated[
        float, typer.Option(help="Share of the significant pixels that may be false.")
    ] = 0.05,
    least: Annotated[
        int | None,
        typer.Option(help="Years a pixel needs for a trend; default: half, and at least 3."),
    ] = None,
    rho: Annotated[
        float | None,
        typer.Option(
            help="Autocorrelation of the years' noise; default: estimated; 0: independent years."
        ),
    ] = None,
    samples: Annotated[
        int, typer.Option(min=0, help="Monte Carlo dropout passes; 0 for none.")
    ] = 20,
    sd_step: Annotated[int, typer.Option(min=1, help="One spread for each K x K block.")] = 1,
    layers: Annotated[
        str | None,
        typer.Option(help="Of each map: of mean,sd,lower,upper,di,inside,valid; default: all."),
    ] = None,
    stac: Annotated[
        bool, typer.Option("--stac", help="A STAC collection of the maps and their trend too.")
    ] = False,
    outline: Outline = None,
    grid: Annotated[
        Path | None, typer.Option(help="A raster on whose grid to map all years.")
    ] = None,
    memory: Memory = "2GB",
    workers: Workers = None,
    scheduler: Scheduler = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace maps of another model or imagery.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """A map a year; their mean, variability and trend, with false discoveries controlled."""
    check_samples(samples)
    from spatioformer.analysis.years import map_trend, map_years, parse_years
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Output, Resources
    from spatioformer.mapping.options import parse_memory

    console = Console(quiet)
    if maps:
        found = map_trend(
            parse_years(given),
            out,
            fdr=fdr,
            least=least,
            rho=rho,
            overwrite=overwrite,
            console=console,
        )
    else:
        bundle, *rasters = given
        if "=" in bundle or not rasters:
            raise ConfigError(
                f"{bundle!r} should be a model's folder, with rasters by year behind it; for maps "
                "that stand already, give --maps"
            )
        chosen = split_layers(layers)
        found = map_years(
            bundle,
            parse_years(rasters),
            out,
            samples=samples,
            sd_step=sd_step,
            outline=outline,
            grid=grid,
            output=Output(chosen),
            stac=stac,
            resources=Resources(parse_memory(memory), workers, scheduler),
            fdr=fdr,
            least=least,
            rho=rho,
            overwrite=overwrite,
            console=console,
        )
    console.say(
        f"{out / 'trend.tif'}: {found['tested']:,} pixels tested over {len(found['years'])} years, "
        f"{found['rising']:,} rise and {found['falling']:,} fall significantly "
        f"(autocorrelation {found['autocorrelation']:.2f} allowed for)"
    )
