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

from spatioformer.common.errors import PlotError
from spatioformer.common.files import writing
from spatioformer.common.tables import write_csv
from spatioformer.geo.plots.checks import (
    REMEDIES,
    Verdicts,
    check_region,
    check_rows,
    is_missing,
    parse_crs,
)
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.numbers import find_styles
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, Source, quoted
from spatioformer.geo.plots.species import add_species

FIELDS = ("plot_id", "lon", "lat", "richness", "area_m2", "date", "programme")
"""Our column names, which the setting `columns` maps to those of a file."""

TABLE_DTYPES = {
    "plot_id": "str",
    "lon": "float64",
    "lat": "float64",
    "richness": "float64",
    "area_m2": "float64",
    "date": "datetime64[us]",
    "programme": "str",
    "location": "int64",
    "source_line": "int64",
}
"""Columns of a plot table in order, without the geometry."""

_NUMBERS = ("lon", "lat", "richness", "area_m2")

_SAME_PLACE = 6  # decimals of a degree, about 0.1 m, within which plots share a location


@dataclass(frozen=True)
class PlotIntake:
    """Result of reading a plot file.

    Attributes:
        table: GeoDataFrame of points, EPSG:4326, with the columns of TABLE_DTYPES: plot_id
            (unique), lon, lat (degrees), richness (whole numbers), area_m2 (NaN unknown), date
            (day; NaT unknown), programme ('' unknown), location (0, 1, ...: plots with the same
            coordinates share it), source_line (1 is the header of a text file; the row number
            from 1 in Parquet and GeoPackage).
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
    path: str | Path | pd.DataFrame,
    *,
    columns: Mapping[str, str | None],
    crs: object = "EPSG:4326",
    separator: str | None = None,
    layer: str | None = None,
    species: Mapping[str, Any] | None = None,
    decimal: str | None = None,
    region: Sequence[float] | None = None,
    max_rejected: float = 0.1,
) -> PlotIntake:
    """Read and check a plot table.

    Args:
        path: .csv, .tsv, .txt (also .gz), .parquet or .gpkg; or a table in memory.
        columns: names in FIELDS -> column names of the file. lon and lat are required unless the
            file has point geometries, which then take precedence; richness is required unless
            `species` is given.
        crs: CRS of lon and lat, anything pyproj reads; geometries have their own.
        separator: character between the columns of a text file; None: by the file's suffix.
        layer: layer of a GeoPackage; None: the only one.
        species: settings to count richness from species data, see `species.add_species`.
        decimal: "." or ",", the decimal sign of all numbers in text columns; None: found from
            each column, see `numbers`.
        region: W, E, S, N in degrees; plots outside it are rejected.
        max_rejected: largest share of rows, 0 to 1, that may be rejected.

    Raises:
        PlotError: a file, setting or column that cannot be used.
        TooManyRejected: a larger share of rows was rejected, or all of them.
    """
    check_region(region)
    if decimal not in (None, ".", ","):
        raise PlotError(f"decimal {decimal!r} is no decimal sign; use '.' or ','")
    source = open_source(path, separator=separator, layer=layer)
    names = _check_columns(columns, source, species)
    cells = _read_cells(source, names)
    if cells.empty:
        raise PlotError(f"{source.path.name} has a header but no rows; add plots")
    counted: dict[str, Any] | None = None
    notes: list[str] = []
    if species is not None:
        cells, counted, notes = add_species(source, cells, names, species)
    verdicts = Verdicts(cells["kind"].tolist(), cells["reason"].tolist())
    crs = source.crs or parse_crs(crs)
    styles, remarks = find_styles(
        {name: cells[name].tolist() for name in _NUMBERS},
        [name for name in _NUMBERS if not _is_text(source, names, name)],
        crs,
        decimal,
        names,
    )
    values = check_rows(cells, names, crs, region, styles, verdicts)
    if species is not None and species.get("path") is not None:
        _reject_ambiguous(cells, verdicts)
    rejected = _rejected_rows(cells, verdicts, source)
    if len(rejected) + int(verdicts.good.sum()) != len(cells):
        raise RuntimeError(f"rows of {source.path.name} were lost: a defect of Spatioformer")
    _stop_at_too_many(rejected, verdicts, len(cells), max_rejected)
    table, renamed = _assemble(cells[verdicts.good], values[verdicts.good])
    summary = _summarise(table, verdicts, source)
    if counted:
        summary["species"] = counted
    summary["notes"] = [*notes, *remarks, *_notes(source, cells[verdicts.good], renamed)]
    return PlotIntake(table, rejected, summary)


def write_plots(intake: PlotIntake, folder: str | Path) -> None:
    """Write plots.parquet (GeoParquet) and rejected.csv into `folder`.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_rejected(intake.rejected, folder)
    with writing(Path(folder) / "plots.parquet") as part:
        intake.table.to_parquet(part, index=False)


def write_rejected(rejected: pd.DataFrame, folder: str | Path) -> None:
    """Write rejected.csv into `folder`, from an intake or from a `TooManyRejected`."""
    with writing(Path(folder) / "rejected.csv") as part:
        write_csv(rejected, part)


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
    if list(table.columns) != [*TABLE_DTYPES, "geometry"]:
        return f"its columns are {', '.join(table.columns)}"
    for name, dtype in TABLE_DTYPES.items():
        if table[name].dtype != dtype:
            return f"column {name} is {table[name].dtype}, not {dtype}"
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


def _check_columns(
    columns: Mapping[str, str | None], source: Source, species: Mapping[str, Any] | None
) -> dict[str, str]:
    """Our column names -> those of the file, checked to exist."""
    unknown = sorted(set(columns) - set(FIELDS))
    if unknown:
        raise PlotError(f"columns.{unknown[0]} is not a column name; use {', '.join(FIELDS)}")
    names = {name: column for name, column in columns.items() if column is not None}
    if source.crs is not None:
        names |= {"lon": GEOMETRY_X, "lat": GEOMETRY_Y}
    for name in ("lon", "lat"):
        if name not in names:
            raise PlotError(f"columns.{name} is not set; set it to a column of {source.path.name}")
    if species is not None and species.get("path") is None and species.get("plot_id"):
        names.setdefault("plot_id", species["plot_id"])
    if "richness" not in names and species is None:
        raise PlotError(
            "columns.richness is not set; set it to a column of counts, or set species to count "
            "them from species data"
        )
    return names


def header_problems(
    source: Source, columns: Mapping[str, str | None], species: Mapping[str, Any] | None
) -> list[tuple[str, PlotError]]:
    """Settings that do not fit and columns that a header lacks: each setting, and its error."""
    try:
        names = _check_columns(columns, source, species)
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


def _is_text(source: Source, names: Mapping[str, str], name: str) -> bool:
    """Whether a column is one of the file's and holds text; counted richness is not."""
    return name in names and not source.has_numbers(source.header.index(names[name]))


def _read_cells(source: Source, names: dict[str, str]) -> pd.DataFrame:
    """Read text columns FIELDS ('' if absent), line, and kind and reason of rejection."""
    positions = [source.position(column, f"columns.{name}") for name, column in names.items()]
    texts: list[list[str]] = [[] for _ in names]
    lines, faults = [], []
    for row in source.rows(positions):
        lines.append(row.line)
        faults.append(row.fault)
        for column, cell in zip(texts, row.cells, strict=True):
            column.append(cell)
    cells = pd.DataFrame(dict(zip(names, texts, strict=True)), dtype=object)
    cells = cells.reindex(columns=list(FIELDS), fill_value="")
    return cells.assign(
        line=np.array(lines, dtype=np.int64),
        kind=["broken rows" if fault else "" for fault in faults],
        reason=faults,
    )


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


def _assemble(cells: pd.DataFrame, values: pd.DataFrame) -> tuple[geopandas.GeoDataFrame, int]:
    """The table, and the number of repeated plot_id that were given a suffix."""
    plot_ids, renamed = _unique_ids(cells["plot_id"], cells["line"])
    programme = cells["programme"].mask(is_missing(cells["programme"]), "")
    place = values[["lon", "lat"]].round(_SAME_PLACE)
    table = pd.DataFrame(
        {
            "plot_id": plot_ids,
            **values[["lon", "lat", "richness", "area_m2", "date"]],
            "programme": programme,
            "location": place.groupby(["lon", "lat"], sort=False).ngroup(),
            "source_line": cells["line"],
        }
    )
    table = table.astype(TABLE_DTYPES).reset_index(drop=True)
    points = geopandas.points_from_xy(table["lon"], table["lat"])
    return geopandas.GeoDataFrame(table, geometry=points, crs="EPSG:4326"), renamed


def _unique_ids(plot_ids: pd.Series, lines: pd.Series) -> tuple[list[str], int]:
    """Unique plot_id of each row: line-N if missing, with -2, -3, ... if repeated."""
    missing = is_missing(plot_ids)
    ids = [
        f"line-{line}" if is_missing_id else text
        for text, line, is_missing_id in zip(
            plot_ids.tolist(), lines.tolist(), missing, strict=True
        )
    ]
    taken, used, renamed = set(ids), set(), 0
    next_numbers: dict[str, int] = {}
    for row, name in enumerate(ids):
        if name in used:
            renamed += 1
            number = next_numbers.get(name, 2)
            while f"{name}-{number}" in taken:
                number += 1
            next_numbers[name] = number + 1
            ids[row] = f"{name}-{number}"
            taken.add(ids[row])
        used.add(ids[row])
    return ids, renamed


def _summarise(table: geopandas.GeoDataFrame, verdicts: Verdicts, source: Source) -> dict[str, Any]:
    sharing = table["location"].duplicated(keep=False)
    dates = table["date"].dropna()
    kinds = pd.Series(verdicts.kind[~verdicts.good]).value_counts()
    programmes = table["programme"][table["programme"] != ""].value_counts()
    return {
        "source_file": source.path.name,
        "read": len(verdicts.kind),
        "kept": len(table),
        "rejected": int((~verdicts.good).sum()),
        "rejected_by_kind": {kind: int(count) for kind, count in kinds.items()},
        "locations": int(table["location"].nunique()),
        "repeated_locations": int(table["location"].duplicated().sum()),
        "plots_sharing_a_location": int(sharing.sum()),
        "bounds": [float(bound) for bound in table.total_bounds[[0, 2, 1, 3]]],
        "richness": _spread(table["richness"]),
        "area_m2": _spread(table["area_m2"].dropna()),
        "dates": {
            "known": len(dates),
            "first": str(dates.min().date()) if len(dates) else None,
            "last": str(dates.max().date()) if len(dates) else None,
        },
        "programmes": {name: int(count) for name, count in programmes.items()},
    }


def _spread(values: pd.Series) -> dict[str, float | int | None]:
    known = len(values) > 0
    return {
        "known": len(values),
        **{
            name: float(getattr(values, name)()) if known else None
            for name in ("min", "median", "max")
        },
    }


def _notes(source: Source, kept: pd.DataFrame, renamed: int) -> list[str]:
    """Sentences for the report on decisions made without the user."""
    notes = list(source.notes)
    if source.encoding == "cp1252":
        notes.append(f"{source.path.name} is not UTF-8 and was read as Windows-1252 (latin-1)")
    unnamed = int(is_missing(kept["plot_id"]).sum())
    if unnamed:
        notes.append(f"{unnamed} plots without plot_id are named by their source line")
    if renamed:
        notes.append(f"{renamed} repeats of a plot_id were given a suffix (-2, -3, ...)")
    return notes
