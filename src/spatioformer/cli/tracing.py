"""What the commands that trace a network share, and the command `explain-location`."""

import json as json_
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer
from typer.core import TyperCommand

from spatioformer.cli.options import Head, Json, Layer, Picture
from spatioformer.cli.source import METAVAR, MODEL, RESOLVED, model_folder

if TYPE_CHECKING:
    from spatioformer.tracing.panels import Rows


class Traced(Protocol):
    """A recorded chain: `text.trace`, `vision.trace` and `analysis.trace` have one each."""

    def panels(self, layer: int, head: int) -> "Rows":
        """What is shown of one layer and head."""
        ...

    def as_json(self, layer: int | None = None) -> dict[str, Any]:
        """JSON values, of all layers or of one."""
        ...


def show(
    traced: Traced, layer: int | None, head: int, json: bool, out: Path | None, title: str
) -> None:
    """Print a chain as tables or as JSON, and draw it if a file is named."""
    panels = traced.panels(layer or 1, head)  # refuses a layer or head that does not exist
    if out is not None:
        from spatioformer.common.files import writing
        from spatioformer.common.style import png
        from spatioformer.tracing.picture import draw

        with writing(out) as part:
            part.write_bytes(png(draw(panels, title)))
    if json:
        print(json_.dumps(traced.as_json(layer), ensure_ascii=False))
        return
    from spatioformer.tracing.terminal import print_panels

    print_panels(panels)


class NegativeNumbers(TyperCommand):
    """A command whose arguments may be negative numbers, such as a longitude of -60.5."""

    # Otherwise click reads -60.5 as an option. An unknown option is still refused: as no number.
    ignore_unknown_options = True


def explain_location(
    lon: Annotated[float, typer.Argument(metavar="LON", help="Degrees east, -180 to 180.")],
    lat: Annotated[float, typer.Argument(metavar="LAT", help="Degrees north, -90 to 90.")],
    source: Annotated[
        Path,
        typer.Option("--run", "--model", "-m", metavar=METAVAR, help="The run or its model."),
    ] = Path("runs/demo"),
    imagery: Annotated[
        Path | None,
        typer.Option(
            metavar="RASTER", help="Imagery with the model's bands; default: that of the run."
        ),
    ] = None,
    layer: Layer = None,
    head: Head = 1,
    json: Json = False,
    out: Picture = None,
) -> None:
    """Print how a network comes to its prediction of a place: pixels, location, attention, MLP.

    Of the layers, one is shown, and one of its heads. --json has all numbers of all layers and
    heads, with all digits, or of --layer alone.
    """
    from spatioformer.analysis.trace import chip_at, located, trace_place
    from spatioformer.models.store import load

    place = located(lon, lat)
    folder = model_folder(source)
    model = load(folder)
    traced = trace_place(model, chip_at(model, imagery or imagery_of(folder), *place))
    show(traced, layer, head, json, out, traced.sentence)
    if not json:
        print(traced.sentence)


def imagery_of(model: Path) -> Path:
    """The imagery stack of the run that holds a model folder.

    Raises:
        ConfigError: the folder is in no run, or its run has no stack.
    """
    from spatioformer.common.errors import ConfigError

    run = model.resolve().parent
    stack = run / "imagery.tif"
    if model.resolve().name == MODEL and (run / RESOLVED).is_file() and stack.is_file():
        return stack
    raise ConfigError(
        f"{model} is not in a run with a stack imagery.tif; give a raster with the model's bands: "
        "--imagery RASTER"
    )
