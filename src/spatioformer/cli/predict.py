"""The command `predict`: a model's predictions at the places of a table."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from spatioformer.cli.options import Quiet, grouped
from spatioformer.cli.source import Source, model_folder
from spatioformer.common.errors import ConfigError, OutputError, PlotError


@dataclass(frozen=True)
class TableOptions:
    """How the table of places is read; what is left out is found from the file."""

    lon: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Longitude or easting; needs --lat.")
    ] = None
    lat: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Latitude or northing; needs --lon.")
    ] = None
    plot_id: Annotated[
        str | None, typer.Option("--id", metavar="COLUMN", help="Names of the places.")
    ] = None
    area: Annotated[str | None, typer.Option(metavar="COLUMN", help="Area of each place, m2.")] = (
        None
    )
    date: Annotated[str | None, typer.Option(metavar="COLUMN", help="Date of each place.")] = None
    crs: Annotated[str | None, typer.Option(help="CRS of the coordinates, such as EPSG:32717.")] = (
        None
    )
    separator: Annotated[
        str | None, typer.Option(metavar="CHARACTER", help="Between the columns of a text file.")
    ] = None
    layer: Annotated[
        str | None, typer.Option(help="Layer of a GeoPackage, or sheet of a workbook.")
    ] = None
    decimal: Annotated[
        str | None, typer.Option(metavar="SIGN", help="Decimal sign of all numbers: . or ,")
    ] = None
    date_order: Annotated[
        Literal["year-first", "day-first", "month-first"] | None,
        typer.Option(help="Order of day, month and year in dates."),
    ] = None

    @property
    def columns(self) -> dict[str, str | None] | None:
        """Our names -> columns of the file; None where they are found.

        Raises:
            ConfigError: not both coordinates are given.
        """
        names = {
            "lon": self.lon,
            "lat": self.lat,
            "plot_id": self.plot_id,
            "area_m2": self.area,
            "date": self.date,
        }
        stated = {name: column for name, column in names.items() if column is not None}
        if not stated:
            return None
        if self.lon is None or self.lat is None:
            raise ConfigError(
                f"{', '.join(map(repr, stated.values()))} is given as a column, but not both "
                "coordinates; give --lon COLUMN and --lat COLUMN too"
            )
        return names


OPTIONS = {
    "columns.lon": "--lon",
    "columns.lat": "--lat",
    "columns.plot_id": "--id",
    "columns.area_m2": "--area",
    "columns.date": "--date",
    "date_order": "--date-order",
    "separator": "--separator",
    "decimal": "--decimal",
    "layer": "--layer",
    "crs": "--crs",
}
"""Setting of a plot table -> the option of this command."""


def in_options(message: str) -> str:
    """A message on a plot table whose remedies name the options of this command."""
    names = "|".join(map(re.escape, OPTIONS))
    renamed = re.sub(rf"\bset ({names})\b( to\b)?", lambda m: f"give {OPTIONS[m[1]]}", message)
    return renamed.replace("--crs one such as", "--crs, such as")


@grouped
def predict(
    source: Source,
    table: Annotated[
        Path,
        typer.Argument(
            metavar="TABLE", help="Places to predict, with the covariates of the model."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The table to write, .csv.")],
    imagery: Annotated[
        Path | None,
        typer.Option(
            metavar="RASTER", help="Imagery with the model's bands, for a model that needs it."
        ),
    ] = None,
    samples: Annotated[
        int,
        typer.Option(
            min=0, help="Predictions with dropout on, for the standard deviation; 0 leaves it out."
        ),
    ] = 20,
    reading: TableOptions = TableOptions(),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing table.")] = False,
    quiet: Quiet = False,
) -> None:
    """Predict richness at the places of a table, with intervals.

    Writes one row for each row of TABLE: source_line, plot_id, lon, lat, predicted, lower, upper,
    dissimilarity (to the training plots), inside (the area of applicability) and reason (why there
    is no prediction).
    """
    from spatioformer.analysis.places import predict_table
    from spatioformer.common.files import writing
    from spatioformer.common.progress import Console
    from spatioformer.common.tables import write_csv

    if out.suffix.lower() != ".csv":
        raise OutputError(f"{out} is no .csv file; give -o a name that ends in .csv")
    if out.exists():
        if table.exists() and out.samefile(table):
            raise OutputError(f"cannot write {out}: it is the table itself; name another file")
        if not force:
            raise OutputError(f"{out} exists; give --force to replace it, or name another file")
    if samples == 1:
        raise ConfigError("--samples 1 has no spread; give 0 for none, or at least 2")
    model = model_folder(source)
    options = {name: getattr(reading, name) for name in ("crs", "separator", "layer", "decimal")}
    try:
        predictions = predict_table(
            model,
            table,
            imagery=imagery,
            samples=samples,
            columns=reading.columns,
            date_order=reading.date_order,
            **options,
        )
    except PlotError as error:
        raise PlotError(in_options(str(error))) from error
    with writing(out) as part:
        write_csv(predictions, part)
    good = int(predictions["predicted"].notna().sum())
    text = f"{out}: {good:,} of {len(predictions):,} places predicted"
    if "inside" in predictions:
        outside = int((predictions["inside"] == False).sum())  # noqa: E712  (missing is neither)
        text += f", {outside:,} of them outside the area of applicability"
    Console(quiet).say(text)
