"""Species richness counted from a plot x species matrix or from a long list of species.

Richness is the number of distinct species present in a plot. A species is present if its abundance
is a number above 0, a sign of the Braun-Blanquet scale (r, +, 2m, 2a, 2b; Braun-Blanquet 1964,
Pflanzensoziologie; Barkman, Doing & Segal 1964 for the divisions of 2), or the x of a check list.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.abundances import (
    ABSENT,
    PRESENT,
    PRESENT_WORD,
    UNREADABLE,
    Abundances,
)
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.source import MISSING, Source, quoted
from spatioformer.geo.plots.taxa import Taxa
from spatioformer.geo.plots.verdicts import is_missing

_SETTINGS: dict[str, Any] = {
    "path": None,
    "layout": "matrix",
    "plot_id": None,
    "species": None,
    "abundance": None,
    "ignore": (),
    "separator": None,
    "layer": None,
}

_ALWAYS_PRESENT_MIN = 10  # with as many plots, a column above 0 in all is probably no species


@dataclass(frozen=True)
class SpeciesCounts:
    """Richness of each plot by plot_id, or by line if the plot table itself is the matrix.

    Attributes:
        richness: number of distinct species present; 0 means a plot without species.
        rows: number of species rows of each plot.
        faults: reason why the species of a plot cannot be counted, for such plots.
        summary: number of distinct species, and of rows read and skipped.
        notes: sentences for the report.
    """

    richness: dict[Any, int]
    rows: dict[Any, int]
    faults: dict[Any, str]
    summary: dict[str, Any]
    notes: list[str]


def add_species(
    table: Source, cells: pd.DataFrame, columns: Mapping[str, str], species: Mapping[str, Any]
) -> tuple[pd.DataFrame, dict[str, Any], list[str]]:
    """Count the species of plots and fill in their richness.

    Args:
        table: the plot file.
        cells: its rows: text columns of `table.FIELDS`, and line, kind and reason.
        columns: our column names -> those of the plot file, including its geometry's.
        species: settings: path (None: the plot file), layout 'matrix' or 'long', the columns
            plot_id, species and abundance, ignore (columns of a matrix that are not species),
            separator and layer of the file at path.

    Returns:
        The rows, one a plot, with richness as text, and kind and reason of rejection if it cannot
        be counted; a summary; notes.

    Raises:
        PlotError: settings that do not fit together, or a file that cannot be read or matched.
    """
    settings = _check_settings(species, columns)
    inside = settings["path"] is None
    source = table
    if not inside:
        source = open_source(
            settings["path"],
            separator=settings["separator"],
            layer=settings["layer"],
            key="species.",
        )

    def plot_position() -> int:
        # `_check_settings` requires columns.plot_id where this is called.
        return source.position(settings["plot_id"] or columns["plot_id"], "species.plot_id")

    keys = "plot_id"
    if settings["layout"] == "long":
        cells = _one_row_per_plot(cells) if inside else cells
        counts = count_long(
            source,
            plot_position(),
            source.position(settings["species"], "species.species"),
            source.position(settings["abundance"], "species.abundance")
            if settings["abundance"]
            else None,
        )
    else:
        ignored = {source.position(name, "species.ignore") for name in settings["ignore"]}
        if inside:
            keys = "line"
            ignored |= {i for i, name in enumerate(source.header) if name in columns.values()}
        plot = None if inside else plot_position()
        counts = count_matrix(source, plot, ignored)
    cells = _with_richness(cells, keys, counts, source, table)
    unknown = set(counts.richness) - set(cells[keys])
    summary = {
        "file": source.path.name,
        "layout": settings["layout"],
        **counts.summary,
        "unknown_plots": len(unknown),
        "rows_of_unknown_plots": sum(counts.rows[key] for key in unknown),
    }
    notes = [*(() if inside else source.notes), *counts.notes]
    if unknown and not inside:
        notes.append(
            f"rows of {source.path.name} that name no plot of {table.path.name}: "
            f"{summary['rows_of_unknown_plots']}, with {len(unknown)} plot_id such as "
            f"{min(unknown)!r}"
        )
    return cells, summary, notes


def count_matrix(source: Source, plot: int | None, ignored: Collection[int]) -> SpeciesCounts:
    """Count the species of a table with a row per plot and a column per species.

    A species in several columns of the same name (vegetation layers) counts once, also if it is in
    several rows of a plot. Columns without a name (row names) are never species.

    Args:
        source: the matrix.
        plot: position of the plot_id column; None: plots are keyed by line, and broken rows
            skipped.
        ignored: positions of columns that are not species.

    Raises:
        PlotError: no species column, no row, or a broken row.
    """
    species = [i for i, name in enumerate(source.header) if name and i != plot and i not in ignored]
    if not species:
        raise PlotError(
            f"{source.path.name} has no species column; check species.ignore and columns"
        )
    names = [source.header[i] for i in species]
    taxa = Taxa()
    abundance = Abundances(blank=ABSENT)
    keys: list[int | str] = []
    states: list[NDArray[np.bool_]] = []
    faults: dict[int | str, str] = {}
    has_words, has_signs = np.zeros((2, len(species)), dtype=bool)
    without_plot = 0
    for line, cells, fault in source.rows(species if plot is None else [*species, plot]):
        if fault and plot is None:
            continue
        _refuse_fault(source, line, fault)
        key: int | str = line
        if plot is not None:
            key = cells.pop()
            if key.lower() in MISSING:
                without_plot += 1
                continue
        state = np.array([abundance[cell] for cell in cells], dtype=np.int8)
        if state.min() == UNREADABLE:
            column = int(state.argmin())
            faults.setdefault(key, _unreadable(f"column {names[column]!r}", line, cells[column]))
        keys.append(key)
        has_words |= state > PRESENT
        has_signs |= state == PRESENT
        states.append((state == PRESENT) | (state == PRESENT_WORD))
    if not keys:
        raise PlotError(f"{source.path.name} holds no row with species; check the file")
    if has_words.any() and has_signs.any():
        raise PlotError(
            f"column {quoted(names[int(has_words.argmax())])} of {source.path.name} holds words "
            f"such as yes or absent, but other columns hold numbers or signs; list it under "
            f"species.ignore if it is not a species, otherwise write 1 and 0"
        )
    species_codes, distinct = pd.factorize(np.array([taxa[name] for name in names], dtype=object))
    plot_codes, plots = pd.factorize(np.array(keys, dtype=object))
    present = _any_by_group(np.stack(states), species_codes, axis=1)
    richness = _any_by_group(present, plot_codes, axis=0).sum(axis=1)
    everywhere: Iterable[str] = (
        distinct[present.all(axis=0)] if len(keys) >= _ALWAYS_PRESENT_MIN else []
    )
    return SpeciesCounts(
        richness=dict(zip(plots, richness.tolist(), strict=True)),
        rows=dict(Counter(keys)),
        faults=faults,
        summary={
            "species": int(present.any(axis=0).sum()),
            "rows": len(keys),
            "rows_without_plot": without_plot,
            "joined_names": taxa.joined,
        },
        notes=[
            *taxa.notes(source.path.name),
            *(
                f"column {quoted(taxa.spelling(name))} of {source.path.name} is above 0 in every "
                f"plot; if it is not a species, list it under species.ignore"
                for name in everywhere
            ),
        ],
    )


def count_long(source: Source, plot: int, species: int, abundance: int | None) -> SpeciesCounts:
    """Count the species of a list with a row a plot and species.

    A row with abundance 0 does not count; one with a blank abundance does, because the species was
    listed. If all rows of a plot have abundance 0 or no species, its richness is 0.

    Args:
        plot, species, abundance: positions of the columns; without abundance every row counts.

    Raises:
        PlotError: no row, or a broken row.
    """
    states = Abundances(blank=PRESENT)
    species_by_plot: dict[str, set[str]] = {}
    rows: Counter[str] = Counter()
    faults: dict[str, str] = {}
    taxa = Taxa()
    blanks: Counter[str] = Counter()
    without_plot = without_species = 0
    wanted = [plot, species] if abundance is None else [plot, species, abundance]
    for line, cells, fault in source.rows(wanted):
        _refuse_fault(source, line, fault)
        key, name = cells[:2]
        if key.lower() in MISSING:
            without_plot += 1
            continue
        rows[key] += 1
        listed = species_by_plot.setdefault(key, set())
        if name.lower() in MISSING:
            without_species += 1
            continue
        taxon = taxa[name]
        state = PRESENT if abundance is None else states[cells[2]]
        if state in (PRESENT, PRESENT_WORD):
            listed.add(taxon)
            if abundance is not None and cells[2].lower() in MISSING:
                blanks[key] += 1
        elif state == UNREADABLE:
            faults.setdefault(key, _unreadable(f"abundance of {quoted(name)}", line, cells[2]))
    if not species_by_plot:
        raise PlotError(f"{source.path.name} holds no row with a plot; check species.plot_id")
    names = set().union(*species_by_plot.values())
    _refuse_unpivoted_blanks(source, rows, blanks, taxa)
    return SpeciesCounts(
        richness={key: len(names) for key, names in species_by_plot.items()},
        rows=dict(rows),
        faults=faults,
        summary={
            "species": len(names),
            "rows": rows.total(),
            "rows_without_plot": without_plot,
            "rows_without_species": without_species,
            "rows_without_abundance": blanks.total(),
            "joined_names": taxa.joined,
        },
        notes=[*taxa.notes(source.path.name), *_blank_notes(source, blanks)],
    )


def _refuse_unpivoted_blanks(
    source: Source, rows: Counter[str], blanks: Counter[str], taxa: Taxa
) -> None:
    """Raise if every plot lists every species, because blank abundances then mean absent."""
    if len(rows) > 1 and blanks and set(rows.values()) == {len(taxa.names)} and len(taxa.names) > 1:
        raise PlotError(
            f"{source.path.name} lists all {len(taxa.names)} species in every plot, so its "
            f"{blanks.total()} rows without an abundance may mean absent or present; remove the "
            f"rows of absent species or write 0"
        )


def _blank_notes(source: Source, blanks: Counter[str]) -> list[str]:
    if not blanks:
        return []
    return [
        f"rows of {source.path.name} without an abundance, counted as present because the species "
        f"is listed: {blanks.total()}"
    ]


def _check_settings(species: Mapping[str, Any], columns: Mapping[str, str]) -> dict[str, Any]:
    """All settings, with defaults for absent ones; raises for contradicting settings."""
    unknown = sorted(set(species) - set(_SETTINGS))
    if unknown:
        raise PlotError(f"species.{unknown[0]} is not a setting; use {', '.join(_SETTINGS)}")
    settings = {**_SETTINGS, **species}
    if settings["layout"] not in ("matrix", "long"):
        raise PlotError(f"species.layout {settings['layout']!r} is unknown; use matrix or long")
    if "richness" in columns:
        raise PlotError(
            f"richness comes both from column {columns['richness']!r} and from counting species; "
            f"remove columns.richness or species"
        )
    if settings["layout"] == "long" and not settings["species"]:
        raise PlotError("species.species names no column; set it to the one with species names")
    needs_plot = settings["path"] is not None or settings["layout"] == "long"
    if needs_plot and "plot_id" not in columns:
        raise PlotError("species are matched by plot_id; set columns.plot_id")
    if settings["path"] is None and settings["plot_id"] not in (None, columns.get("plot_id")):
        raise PlotError(
            f"species.plot_id {settings['plot_id']!r} and columns.plot_id {columns['plot_id']!r} "
            f"differ, yet name one column of one file; remove species.plot_id"
        )
    return settings


def _one_row_per_plot(cells: pd.DataFrame) -> pd.DataFrame:
    """Keep the first row of each plot; reject plots whose rows differ in place, area or date."""
    named = cells[~is_missing(cells["plot_id"])]
    groups = named.groupby("plot_id", sort=False)
    own = {"plot_id", "richness", "line", "kind", "reason"}
    shared = [name for name in cells.columns if name not in own]
    first = groups.head(1).set_index("plot_id", drop=False)
    differ = groups[shared].nunique() > 1
    for plot_id in differ.index[differ.any(axis=1)]:
        field = differ.columns[differ.loc[plot_id].to_numpy().argmax()]
        rows = groups.get_group(plot_id)
        differing = rows[rows[field] != rows[field].iloc[0]].iloc[0]
        first.loc[plot_id, ["kind", "reason"]] = (
            "rows of one plot that differ",
            f"plot_id {plot_id!r} has {field} {rows[field].iloc[0]!r} on line "
            f"{rows['line'].iloc[0]} but {differing[field]!r} on line {differing['line']}",
        )
    without_plot = cells[is_missing(cells["plot_id"])]
    return pd.concat([first, without_plot]).sort_values("line").reset_index(drop=True)


def _with_richness(
    cells: pd.DataFrame, keys: str, counts: SpeciesCounts, source: Source, table: Source
) -> pd.DataFrame:
    """Fill in the counted richness as text, and reject plots that have none."""
    cells = cells.copy()
    counted = cells[keys].isin(list(counts.richness))
    if not counted.any():
        raise PlotError(
            f"no plot_id of {table.path.name}, such as {cells['plot_id'].iloc[0]!r}, occurs in "
            f"{source.path.name}, such as {next(iter(counts.richness))!r}; check species.plot_id"
        )
    cells["richness"] = [str(counts.richness.get(key, "")) for key in cells[keys]]
    good = cells["kind"] == ""
    without_plot = good & ~counted & is_missing(cells["plot_id"])
    cells.loc[without_plot, ["kind", "reason"]] = (
        "missing plot_id",
        "plot_id is missing, so its species are unknown",
    )
    absent = good & ~counted & ~without_plot
    cells.loc[absent, "kind"] = "missing species lists"
    cells.loc[absent, "reason"] = [
        f"plot_id {plot!r} has no row in {source.path.name}" for plot in cells["plot_id"][absent]
    ]
    faulty = good & cells[keys].isin(list(counts.faults))
    cells.loc[faulty, "kind"] = "unreadable abundances"
    cells.loc[faulty, "reason"] = [counts.faults[key] for key in cells[keys][faulty]]
    return cells


def _any_by_group(present: np.ndarray, codes: np.ndarray, axis: int) -> np.ndarray:
    """Logical or over rows or columns with the same code; results in the order of codes."""
    order = np.argsort(codes, kind="stable")
    starts = np.unique(codes[order], return_index=True)[1]
    return np.logical_or.reduceat(present.take(order, axis=axis), starts, axis=axis)


def _unreadable(what: str, line: int, text: str) -> str:
    return f"{what} is {quoted(text)} on line {line}, which is not an abundance"


def _refuse_fault(source: Source, line: int, fault: str) -> None:
    """Raise for a broken row of a species file, because skipping it would lower a count."""
    if fault:
        raise PlotError(f"line {line} of {source.path.name} is broken: {fault}; correct it")
