"""Richness of a plot table from the species of its plots: settings, and which counts are whose."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.source import Source
from spatioformer.geo.plots.species_counts import SpeciesCounts, count_long, count_matrix
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
    of_a_row = {"plot_id", "richness", "line", "kind", "reason"}
    shared = [name for name in cells.columns if name not in of_a_row]
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
