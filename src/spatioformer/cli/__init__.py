"""The command line: `main`, and the table of commands in the order of `--help`.

A command is a short function in the module of its group; its heavy imports are inside it.
"""

# ruff: noqa: E402  a signal during the imports below has its one line too
from spatioformer.cli import signals

signals.early()

from typing import Annotated

import typer
from typer.core import TyperCommand

from spatioformer.cli import analysis, imagery_build, plots_import, text, vision
from spatioformer.cli.demo import demo
from spatioformer.cli.example import example
from spatioformer.cli.export import export
from spatioformer.cli.groups import stage_or_group
from spatioformer.cli.guard import Command, command
from spatioformer.cli.init import check, init
from spatioformer.cli.learn import learn
from spatioformer.cli.map import map_
from spatioformer.cli.predict import predict
from spatioformer.cli.project import project
from spatioformer.cli.run import ForceWithStage, plots, run, stage, train
from spatioformer.cli.tracing import NegativeNumbers, explain_location
from spatioformer.cli.view import view
from spatioformer.cli.years import years
from spatioformer.common.version import __version__
from spatioformer.config.catalogue import CATALOGUE
from spatioformer.training import distributed

app = typer.Typer(
    name="spatioformer",
    help="Maps of plant species richness from field plots and imagery, with errors you can defend.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: spatioformer run my_run.yaml --set train.epochs=20",
)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


STAGE_HELP = {
    "plots": "Read and check the plot table; write plots.parquet and rejected.csv.\n\n"
    "`plots import SOURCE -o PLOTS.parquet` makes such a table from an archive of vegetation data.",
    "imagery": "Resample all rasters to one grid; write imagery.tif.\n\nTwo commands read a "
    "configuration alone: `imagery search CONFIG` lists what the archives hold for it, and "
    "`imagery build CONFIG -o FOLDER` writes the imagery of several years.",
    "chips": "Cut the chip of pixels around each plot.",
    "evaluate": "Score all models on held-out plots; write scores.csv.\n\nNames of models, for "
    f"evaluate.models and map.model: {', '.join(CATALOGUE)}. With map.model auto, the default, "
    "the scores choose the model of the map.",
    "report": "Write report.html from the results in the run folder.",
}
"""Help of the stages that take no options of their own."""

COMMANDS: tuple[tuple[str, Command, str], ...] = (
    ("init", init, "init plots.csv climate.tif landsat.tif -o run.yaml"),
    ("check", check, "check run.yaml"),
    ("run", run, "run demo.yaml --set seed=7"),
    ("plots", plots, "plots demo.yaml"),
    ("imagery", stage("imagery"), "imagery demo.yaml"),
    ("chips", stage("chips"), "chips demo.yaml"),
    ("train", train, "train demo.yaml --set train.epochs=20"),
    ("evaluate", stage("evaluate"), "evaluate demo.yaml --force"),
    ("map", map_, "map runs/demo/model scene.tif -o richness.tif --samples 0"),
    ("predict", predict, "predict runs/demo places.csv -o predicted.csv --imagery scene.tif"),
    ("report", stage("report"), "report demo.yaml"),
    ("view", view, "view runs/demo"),
    ("survey", analysis.survey, "survey runs/demo -o sites.gpkg --sites 30"),
    ("zonal", analysis.zonal, "zonal runs/demo/map.tif parks.gpkg -o zones.csv --name NAME"),
    ("drivers", analysis.drivers, "drivers runs/demo"),
    ("demo", demo, "demo --out runs/demo"),
    ("example", example, "example valdivia"),
    ("years", years, "years runs/demo/model 2019=a.tif 2020=b.tif 2021=c.tif -o trend"),
    ("project", project, "project runs/demo warmer.yaml -o warmer --zones states.gpkg --name NAME"),
    (
        "explain-location",
        explain_location,
        "explain-location 147.3 -33.1 --run runs/demo -o place.png",
    ),
    ("export", export, "export runs/demo -o richness.onnx"),
    ("learn", learn, "learn"),
)
"""Name, function and example of each command."""

CLASSES: dict[str, type[TyperCommand]] = {
    "run": ForceWithStage,
    "imagery": stage_or_group(imagery_build.app),
    "plots": stage_or_group(plots_import.app),
    "explain-location": NegativeNumbers,
}
"""How some commands read their arguments."""

for _name, _function, _example in COMMANDS:
    command(
        app,
        _name,
        help=STAGE_HELP.get(_name),
        example=f"spatioformer {_example}",
        cls=CLASSES.get(_name, TyperCommand),
    )(_function)
app.add_typer(text.app)
app.add_typer(vision.app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code; usage errors are typer's, exit code 2."""
    try:
        app(arguments)
    except SystemExit as ending:
        distributed.leave(ending.code)
        raise
