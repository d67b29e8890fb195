"""The command `years`: maps of several years that a model folder makes, and their trend."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

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
from spatioformer.cli.source import model_folder
from spatioformer.common.errors import ConfigError


@dataclass(frozen=True)
class TrendOptions:
    """How the trend over the maps is computed."""

    fdr: Annotated[
        float,
        typer.Option(
            help="False discovery rate: expected share of false among significant pixels."
        ),
    ] = 0.05
    least: Annotated[
        int | None,
        typer.Option(
            metavar="YEARS",
            help="Years with a value that a pixel needs; default: half of them, at least 3.",
        ),
    ] = None
    rho: Annotated[
        float | None,
        typer.Option(
            help="Lag-1 autocorrelation of the noise; 0: independent years; default: estimated."
        ),
    ] = None
    force: Annotated[
        bool, typer.Option("--force", help="Replace results of another model or imagery.")
    ] = False
    overwrite: Overwrite = False

    @property
    def replaces(self) -> bool:
        """Whether results of another model or imagery are replaced."""
        return self.force or self.overwrite


@grouped
def years(
    context: typer.Context,
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="[CONFIG|RUN|MODEL] YEAR=RASTER...|YEARS.csv",
            help="A run, or a model's folder, and imagery of each year; with --maps, the maps of "
            "each year alone. A CSV has the columns year and path.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the maps and trend.tif."),
    ],
    maps: Annotated[
        bool, typer.Option("--maps", help="The rasters are maps already; give no MODEL.")
    ] = False,
    trend: TrendOptions = TrendOptions(),
    options: ModelOptions = ModelOptions(),
    stac: Annotated[
        bool,
        typer.Option(
            "--stac",
            help="Also write a STAC collection of the maps and their trend.",
            rich_help_panel=WITH_MODEL,
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Map 3 to 50 years; compute mean, variability and trend, false discovery rate controlled."""
    from spatioformer.common.progress import Console

    if trend.overwrite:
        note_renamed("--overwrite", "--force", quiet)
    if maps:
        surplus = given(context, {"stac"} | names_of(ModelOptions))
        if surplus:
            raise ConfigError(
                f"--{surplus[0].replace('_', '-')} says how a model maps, and with --maps no model "
                "does; leave it out, or give a model's folder and imagery instead of --maps"
            )
        summary = trend_of_maps(sources, out, trend, quiet)
    else:
        summary = map_with_model(sources, out, options, stac, trend, quiet)
    Console(quiet).say(
        f"{out / 'trend.tif'}: {summary['tested']:,} pixels tested over "
        f"{len(summary['years'])} years, {summary['rising']:,} rise and "
        f"{summary['falling']:,} fall significantly "
        f"(autocorrelation {summary['autocorrelation']:.2f} allowed for)"
    )


def trend_of_maps(
    sources: list[str], out: Path, trend: TrendOptions, quiet: bool
) -> dict[str, Any]:
    """Compute the trend of existing maps; returns its summary."""
    from spatioformer.analysis.years import map_trend, parse_years
    from spatioformer.common.progress import Console

    return map_trend(
        parse_years(sources),
        out,
        fdr=trend.fdr,
        least=trend.least,
        rho=trend.rho,
        overwrite=trend.replaces,
        console=Console(quiet),
    )


def map_with_model(
    sources: list[str],
    out: Path,
    options: ModelOptions,
    stac: bool,
    trend: TrendOptions,
    quiet: bool,
) -> dict[str, Any]:
    """Map each year with a model's folder, then compute the trend; returns its summary."""
    options.check_samples()
    from spatioformer.analysis.years import map_years, parse_years
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Output, Resources
    from spatioformer.mapping.options import parse_memory

    model, *rasters = sources
    if "=" in model or not rasters:
        raise ConfigError(
            f"{model!r} should be a model's folder, with rasters by year behind it; for maps "
            "that stand already, give --maps"
        )
    return map_years(
        model_folder(Path(model)),
        parse_years(rasters),
        out,
        samples=options.samples,
        sd_step=options.sd_step,
        outline=options.outline,
        grid=options.grid,
        output=Output(options.layer_names),
        stac=stac,
        resources=Resources(
            parse_memory(options.memory),
            options.workers,
            options.scheduler,
            worker_timeout=options.worker_timeout,
        ),
        fdr=trend.fdr,
        least=trend.least,
        rho=trend.rho,
        overwrite=trend.replaces,
        console=Console(quiet),
    )
