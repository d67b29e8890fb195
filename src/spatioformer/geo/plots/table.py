"""Read plot tables: one checked table of places and counts, and all rejected rows with reasons.

A file becomes rows of text (`files`), species lists become counts (`species`), every row is checked
(`checks`), and the good rows become the table that the rest of the program uses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.common.files import writing
from spatioformer.common.tables import write_csv
from spatioformer.geo.plots.archives.facts import with_table
from spatioformer.geo.plots.assembly import TABLE_DTYPES, assemble
from spatioformer.geo.plots.cells import (
    COVARIATE,
    FIELDS,
    check_covariates,
    covariate_values,
    join_hemispheres,
    read_cells,
)
from spatioformer.geo.plots.checks import check_region, check_rows
from spatioformer.geo.plots.covariates import OF_IMPORT
from spatioformer.geo.plots.dates import find_order
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.numbers import Style, find_styles
from spatioformer.geo.plots.options import (
    check_columns,
    check_crs,
    check_degrees,
    check_options,
    target_kind,
)
from spatioformer.geo.plots.recognise import find_columns
from spatioformer.geo.plots.source import Source, quoted
from spatioformer.geo.plots.species import add_species
from spatioformer.geo.plots.summary import intake_notes, summarise
from spatioformer.geo.plots.verdicts import REMEDIES, Verdicts

__all__ = ["FIELDS", "TABLE_DTYPES", "PlotIntake", "TooManyRejected", "header_problems"]
__all__ += ["read_plots", "read_table", "write_plots", "write_rejected"]

_NUMBERS = ("lon", "lat", "richness", "area_m2")


@dataclass(frozen=True)
class PlotIntake:
    """Result of reading a plot file.

    Attributes:
        table: GeoDataFrame of points, EPSG:4326, with the columns of TABLE_DTYPES: plot_id
            (unique), lon, lat (degrees), richness (whole numbers if it is a count), area_m2 (NaN
            unknown), date
            (day; NaT unknown), programme ('' unknown), location (0, 1, ...: plots with the same
            coordinates share it), source_line (1 is the header of a text file; the row number
            from 1 in Parquet and GeoPackage). Then come covariates (float64 with NaN, or text
            with '' for missing), and group and fold (text) if they are asked for.
        rejected: source_file, source_line, plot_id, reason, stage ('plots'), lon, lat, richness;
            plot_id and the last three as text, as in the file.
        summary: counts, ranges and notes, ready for JSON.
    """

    table: geopandas.GeoDataFrame
    rejected: pd.DataFrame
    summary: dict[str, Any]


class TooManyRejected(PlotError):
    """More rows were rejected than the configuration allows; `rejected` holds all of them."""

    def __init__(self, message: str, rejected: pd.DataFrame):
        super().__init__(message)
        self.rejected = rejected


def read_plots(
    path: str | Path | pd.DataFrame | Source,
    *,
    columns: Mapping[str, str | None] | None,
    crs: object = None,
    separator: str | None = None,
    layer: str | None = None,
    species: Mapping[str, Any] | None = None,
    decimal: str | None = None,
    date_order: str | None = None,
    covariates: Mapping[str, str] = {},
    group: str | None = None,
    fold: str | None = None,
    kind: str | None = "count",
    region: Sequence[float] | None = None,
    max_rejected: float = 0.1,
    first: int | None = None,
) -> PlotIntake:
    """Read and check a plot table.

    Args:
        path: .csv, .tsv, .txt (also .gz), .xlsx, .parquet or .gpkg; or a table in
            memory, or one that is open.
        columns: names in FIELDS -> column names of the file. lon and lat are required unless the
            file has point geometries, which then take precedence; richness is required unless
            `species` is given. With `zone`, each row names its zone of WGS 84 / UTM; with
            `lon_hemisphere` (E, W) and `lat_hemisphere` (N, S) the side of its degrees. None: found
            by name and value, see `recognise`.
        crs: CRS of lon and lat, anything pyproj reads; geometries have their own. None: EPSG:4326,
            or, without `columns`, found.
        separator: character between the columns of a text file; None: found from the rows.
        layer: layer of a GeoPackage or sheet of a spreadsheet; None: the only one.
        species: settings to count richness from species data, see `species.add_species`.
        decimal: "." or ",", the decimal sign of all numbers in text columns; None: found from
            each column, see `numbers`.
        date_order: 'year-first', 'day-first' or 'month-first'; None: found from all dates.
        covariates: columns of the file -> 'number' or 'class'; they become columns of the table.
            Cells that are no numbers are missing, and a note counts them.
        group, fold: columns of the file that become the text columns group and fold; rows without
            a value are rejected.
        kind: of richness: 'count' (whole numbers), 'continuous' (0 and more), 'proportion' (0 to
            1), or 'auto', which finds it from the values, see `target`. None: places without a
            richness, which is NaN; repeated rows are kept.
        region: W, E, S, N in degrees; plots outside it are rejected.
        max_rejected: largest share of rows, 0 to 1, that may be rejected.
        first: number of rows to read, for a look at a large table; None: all.

    Raises:
        PlotError: a file, setting or column that cannot be used.
        TooManyRejected: a larger share of rows was rejected, or all of them.
    """
    check_region(region)
    check_options(decimal, date_order, kind or "auto", species is not None)
    source = (
        path if isinstance(path, Source) else open_source(path, separator=separator, layer=layer)
    )
    notes: list[str] = []
    if columns is None:
        counts = species is not None or kind is None
        columns, crs, notes = find_columns(source, crs, date_order, decimal, counts)
    names = check_columns(columns, source, species, kind is not None)
    place_crs = check_crs(crs, names, source)
    covariates = check_covariates(covariates, names)
    groups = {name: column for name, column in (("group", group), ("fold", fold)) if column}
    extras = groups | {COVARIATE + name: name for name in covariates}
    cells, lettered, counted, remarks = _cells(source, names, extras, species, first)
    notes += remarks
    verdicts = Verdicts(cells["kind"].tolist(), cells["reason"].tolist())
    measured = [COVARIATE + name for name, form in covariates.items() if form == "number"]
    labels = names | extras
    styles, remarks = _styles(source, cells, measured, labels, place_crs, decimal, lettered)
    notes += remarks
    if kind is not None:
        texts = cells["richness"]
        kind, remarks = target_kind(kind, texts, styles["richness"], species is not None)
        notes += remarks
    if named := find_order(dict.fromkeys(cells["date"])).named:
        notes.append(f"date: {named}")
    values = check_rows(
        cells, names, place_crs, region, styles, verdicts, date_order=date_order, kind=kind
    )
    if species is not None and species.get("path") is not None:
        _reject_ambiguous(cells, verdicts)
    rejected = _rejected_rows(cells, verdicts, source)
    _stop_at_too_many(rejected, verdicts, len(cells), max_rejected)
    kept = cells[verdicts.good]
    columns_of_covariates, remarks = covariate_values(kept, covariates, styles)
    further = columns_of_covariates.join(kept[list(groups)].astype("str"))
    table, renamed = assemble(kept, values[verdicts.good], further)
    summary = summarise(table, verdicts, source) | {"target_kind": kind}
    if covariates:
        summary["covariates"] = covariates
    if counted:
        summary["species"] = counted
    if source.imported is not None:
        summary["imported"], remarks = _imported(source, kept, table, remarks)
    summary["notes"] = [*notes, *remarks, *intake_notes(source, kept, renamed)]
    return PlotIntake(table, rejected, summary)


def _cells(
    source: Source,
    names: Mapping[str, str],
    extras: Mapping[str, str],
    species: Mapping[str, Any] | None,
    first: int | None,
) -> tuple[pd.DataFrame, Sequence[str], dict[str, Any] | None, list[str]]:
    """The table's cells as text, with the counts of a list of species.

    Returns:
        cells, a row each; coordinates whose hemisphere stands in another column; facts of the
        species, None if there are none; notes.
    """
    cells = read_cells(source, names, extras, first)
    if cells.empty:
        raise PlotError(f"{source.path.name} has a header but no rows; add plots")
    cells, lettered, notes = join_hemispheres(source, cells, names)
    if species is None:
        return cells, lettered, None, notes
    cells, counted, remarks = add_species(source, cells, names, species)
    return cells, lettered, counted, [*notes, *remarks]


def _imported(
    source: Source, kept: pd.DataFrame, table: pd.DataFrame, remarks: list[str]
) -> tuple[dict[str, Any], list[str]]:
    """Facts of the archive that a table was imported from, for the plots that are kept; notes."""
    assert source.imported is not None
    own = [name for name in OF_IMPORT if source.header.count(name) == 1]
    texts = pd.DataFrame(
        [row.cells for row in source.rows([source.header.index(name) for name in own])],
        columns=own,
        dtype="str",
    )
    texts = texts.iloc[kept.index].reset_index(drop=True)
    for name in own:
        if source.has_numbers(source.header.index(name)):
            texts[name] = pd.to_numeric(texts[name], errors="coerce")
    described = texts.join(table[["area_m2", "richness"]])
    facts = with_table(source.imported, described)
    return facts, [*facts.pop("notes", []), *remarks]


def _styles(
    source: Source,
    cells: pd.DataFrame,
    measured: Sequence[str],
    labels: Mapping[str, str],
    crs: CRS,
    decimal: str | None,
    lettered: Sequence[str],
) -> tuple[dict[str, Style], list[str]]:
    """How the columns of numbers write them, also those of covariates; notes.

    Args:
        lettered: coordinates that got the letter of their hemisphere from another column.
    """
    keys = [*_NUMBERS, *measured]
    styles, notes = find_styles(
        {key: cells[key].tolist() for key in keys},
        [k for k in keys if not _is_text(source, labels, k) and k not in lettered],
        crs,
        decimal,
        labels,
        lettered,
    )
    check_degrees(styles, crs)
    return styles, notes


def _is_text(source: Source, names: Mapping[str, str], name: str) -> bool:
    """Whether a column is one of the file's and holds text; counted richness is not."""
    return name in names and not source.has_numbers(source.header.index(names[name]))


def write_plots(intake: PlotIntake, folder: str | Path) -> None:
    """Write plots.parquet (GeoParquet) and rejected.csv into `folder`.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_rejected(intake.rejected, folder)
    with writing(Path(folder) / "plots.parquet") as part:
        intake.table.to_parquet(part, index=False)


def write_rejected(rejected: pd.DataFrame, folder: str | Path, name: str = "rejected.csv") -> Path:
    """Write rejected rows into `folder`, from an intake or a `TooManyRejected`; return the path."""
    path = Path(folder) / name
    with writing(path) as part:
        write_csv(rejected, part)
    return path


def read_table(path: str | Path) -> geopandas.GeoDataFrame:
    """Read plots.parquet, written by `write_plots`.

    Raises:
        PlotError: the file is absent, unreadable, or not such a table.
    """
    path = Path(path)
    if not path.is_file():
        raise PlotError(f"there is no plot table {path}; run the plots stage first")
    try:
        table = geopandas.read_parquet(path)
    except (OSError, ValueError) as error:
        raise PlotError(
            f"{path} is not a readable plot table; run the plots stage again"
        ) from error
    problem = _problem_with(table)
    if problem:
        raise PlotError(f"{path} is not a plot table: {problem}; run the plots stage again")
    return table


def _problem_with(table: geopandas.GeoDataFrame) -> str:
    """Reason why a table is not a plot table; '' if it is one."""
    names = list(table.columns)
    extras = names[len(TABLE_DTYPES) : -1]
    if names != [*TABLE_DTYPES, *extras, "geometry"] or len(set(names)) < len(names):
        return f"its columns are {', '.join(table.columns)}"
    for name, dtype in TABLE_DTYPES.items():
        if table[name].dtype != dtype:
            return f"column {name} is {table[name].dtype}, not {dtype}"
    for name in extras:
        if table[name].dtype not in ("float64", "str"):
            return f"column {name} is {table[name].dtype}, neither float64 nor str"
    if table.crs is None or table.crs.to_epsg() != 4326:
        return f"its CRS is {getattr(table.crs, 'name', None)}, not EPSG:4326"
    places = table[["lon", "lat"]].to_numpy()
    if not (np.abs(places) <= (180, 90)).all():
        return "a coordinate is out of range"
    if not (table["richness"] >= 0).all():
        return "a richness is negative or missing"
    if table["plot_id"].duplicated().any():
        return "a plot_id is repeated"
    return ""


def header_problems(
    source: Source, columns: Mapping[str, str | None], species: Mapping[str, Any] | None
) -> list[tuple[str, PlotError]]:
    """Settings that do not fit and columns that a header lacks: each setting, and its error."""
    try:
        names = check_columns(columns, source, species)
    except PlotError as error:
        return [("columns", error)]
    problems = []
    for name, column in names.items():
        try:
            source.position(column, f"columns.{name}")
        except PlotError as error:
            problems.append((f"columns.{name}", error))
            if "separator to" in str(error):  # then the other columns are missing for it too
                break
    return problems


def _reject_ambiguous(cells: pd.DataFrame, verdicts: Verdicts) -> None:
    """Reject plots with the same plot_id, because their species cannot be told apart."""
    ids = cells["plot_id"]
    repeated = ids[verdicts.good].duplicated(keep=False).reindex(cells.index, fill_value=False)
    verdicts.reject(
        repeated.to_numpy(),
        "repeated plot_id",
        lambda row: f"plot_id {quoted(ids[row])} is on several rows that share one list of species",
    )


def _rejected_rows(cells: pd.DataFrame, verdicts: Verdicts, source: Source) -> pd.DataFrame:
    bad = cells[~verdicts.good]
    return pd.DataFrame(
        {
            "source_file": source.path.name,
            "source_line": bad["line"],
            "plot_id": bad["plot_id"],
            "reason": verdicts.reason[~verdicts.good],
            "stage": "plots",
            "lon": bad["lon"],
            "lat": bad["lat"],
            "richness": bad["richness"],
        }
    ).reset_index(drop=True)


def _stop_at_too_many(
    rejected: pd.DataFrame, verdicts: Verdicts, read: int, max_rejected: float
) -> None:
    count = len(rejected)
    if count < read and count <= max_rejected * read:
        return
    kinds = pd.Series(verdicts.kind[~verdicts.good]).value_counts()
    kind = kinds.index[0]
    worst = (verdicts.kind[~verdicts.good] == kind).argmax()
    some_left = count < read
    raise TooManyRejected(
        f"{rejected['source_file'][0]} loses {count} of {read} rows ({count / read:.0%}), "
        f"{f'more than max_rejected = {max_rejected:g} allows' if some_left else 'all it has'}, "
        f"most often to {kind} ({kinds.iloc[0]}), first on line "
        f"{rejected['source_line'][worst]} ({rejected['reason'][worst]}); {REMEDIES[kind]}"
        f"{', or raise max_rejected' if some_left else ''}",
        rejected,
    )
