"""The command `project`: the map of another time or climate, against today's map."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spatioformer.cli.options import Quiet
from spatioformer.cli.source import Kind, Source, kind_of, model_folder, run_folder
from spatioformer.common.errors import ConfigError

if TYPE_CHECKING:
    from spatioformer.run.project import Today


def project(
    source: Source,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder for the results.")
    ],
    scenario: Annotated[
        Path | None,
        typer.Argument(
            metavar="SCENARIO.yaml",
            help="The rasters of the scenario: a name and an imagery section as of a run.",
        ),
    ] = None,
    stack: Annotated[
        Path | None,
        typer.Option(
            metavar="RASTER", help="Instead of SCENARIO.yaml: a raster with the model's bands."
        ),
    ] = None,
    map_: Annotated[
        Path | None,
        typer.Option("--map", metavar="MAP.tif", help="Today's map; default: that of the run."),
    ] = None,
    zones: Annotated[
        Path | None,
        typer.Option(metavar="POLYGONS", help="Regions of the table; default: the whole map."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Field with the names of the regions.")
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Value of a covariate that the raster lacks, for a model of a plot table.",
        ),
    ] = None,
    memory: Annotated[str, typer.Option(help="Limit of resident memory.")] = "2GB",
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Tiles computed at the same time; default: one for each core."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the results of another scenario.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Map another climate or time; the difference to today's map, its interval, and where not."""
    if (scenario is None) == (stack is None):
        raise ConfigError(
            "give either a scenario file (SCENARIO.yaml) or --stack RASTER, whose bands are those "
            "of the model"
        )
    if scenario is not None and scenario.suffix.lower() not in (".yaml", ".yml"):
        raise ConfigError(
            f"{scenario} is no scenario file, which ends with .yaml; give a raster with --stack"
        )
    if name is not None and zones is None:
        raise ConfigError(f"--name {name} belongs to --zones POLYGONS; give both, or neither")
    today = _today(source, map_)
    from spatioformer.common.progress import Console
    from spatioformer.mapping import Resources
    from spatioformer.mapping.covariates import fixed_values
    from spatioformer.mapping.options import parse_memory
    from spatioformer.models.target import amount
    from spatioformer.run.project import Rasters, Regions
    from spatioformer.run.project import project as project_scenario

    rasters = scenario or stack
    assert rasters is not None  # one of the two is given
    console = Console(quiet)
    summary = project_scenario(
        today,
        Rasters(rasters, fixed_values(fixed or [])),
        out,
        regions=Regions(zones, name),
        resources=Resources(parse_memory(memory), workers),
        overwrite=force,
        console=console,
    )
    totals, kind = summary["totals"], summary["unit"]
    console.say(
        f"{out / 'change.tif'}: mean difference {amount(totals['change'], 2, kind)} over "
        f"{totals['pixels']:,} pixels; larger than its {summary['level']:.0%} interval: "
        f"{totals['rise']:.1%} rise, {totals['fall']:.1%} fall; {totals['outside']:.0%} outside "
        "the area of applicability"
    )


def _today(source: Path, map_: Path | None) -> "Today":
    """Today's map and its model.

    Raises:
        ConfigError: `source` names no model, or one outside a run without a map.
        OutputError: the run has no map.
    """
    from spatioformer.run.project import Today

    model, run = model_folder(source), None
    try:
        run = run_folder(source)
    except ConfigError:
        if kind_of(source) is not Kind.MODEL:
            raise  # a model folder may lie outside a run, others name one

    return Today.of(model, run, map_)
