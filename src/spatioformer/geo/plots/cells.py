"""Text cells of a plot table: the columns that a reading needs, a row each."""

from collections.abc import Mapping
from itertools import islice

import numpy as np
import pandas as pd

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.covariates import KINDS, RESERVED
from spatioformer.geo.plots.far_values import FarValues, far_values
from spatioformer.geo.plots.hemispheres import (
    SIDES,
    are_sides,
    disagreement,
    is_named_side,
    with_sides,
)
from spatioformer.geo.plots.numbers import Style, numbers
from spatioformer.geo.plots.source import Source, quoted
from spatioformer.geo.plots.verdicts import is_missing

FIELDS = (
    *("plot_id", "lon", "lat", "richness", "area_m2", "date", "programme", "zone"),
    *SIDES.values(),
)
"""Our column names, which the setting `columns` maps to those of a file."""

COVARIATE = "covariates."
"""Prefix of covariates among the columns of cells, so that none has the name of a field."""


def read_cells(
    source: Source,
    names: Mapping[str, str],
    extras: Mapping[str, str],
    first: int | None = None,
) -> pd.DataFrame:
    """Read the text cells of a source.

    Args:
        names: names in FIELDS -> columns of the file.
        extras: keys of further columns, which are settings of their own -> columns of the file.
        first: number of rows to read; None: all.

    Returns:
        Text columns FIELDS ('' if absent) and the keys of `extras`; line, kind and reason of
        rejection.

    Raises:
        PlotError: the file lacks a column.
    """
    wanted = {f"columns.{name}": column for name, column in names.items()} | dict(extras)
    positions = [source.position(column, key) for key, column in wanted.items()]
    texts: list[list[str]] = [[] for _ in positions]
    lines, faults = [], []
    for row in islice(source.rows(positions), first):
        lines.append(row.line)
        faults.append(row.fault)
        for column, cell in zip(texts, row.cells, strict=True):
            column.append(cell)
    keys = [*names, *extras]
    cells = pd.DataFrame(dict(zip(keys, texts, strict=True)), dtype=object)
    cells = cells.reindex(columns=[*FIELDS, *extras], fill_value="")
    kinds = ["broken rows" if fault else "" for fault in faults]
    for number, (kind, reason) in source.faults.items():
        if number < len(kinds):
            kinds[number], faults[number] = kind, reason
    return cells.assign(line=np.array(lines, dtype=np.int64), kind=kinds, reason=faults)


def join_hemispheres(
    source: Source, cells: pd.DataFrame, names: Mapping[str, str]
) -> tuple[pd.DataFrame, tuple[str, ...], list[str]]:
    """Put the letters of columns of hemispheres behind the coordinates, see `hemispheres`.

    Columns of hemispheres that the settings do not name have to agree with the coordinates.

    Args:
        names: names in FIELDS -> columns of the file.

    Returns:
        The cells; which of lon and lat got letters; notes.

    Raises:
        PlotError: coordinates and hemispheres disagree, or a hemisphere is O.
    """
    joined, notes = [], []
    for axis, field in SIDES.items():
        texts = cells[axis].tolist()
        if field in names:
            columns = names[axis], names[field]
            lettered, note = with_sides(texts, cells[field].tolist(), axis, columns)
            notes.append(note)
            if lettered != texts:
                joined.append(axis)
                cells = cells.assign(**{axis: pd.Series(lettered, cells.index, dtype=object)})
        elif axis in names and source.crs is None:
            _require_agreement(source, texts, axis, names)
    return cells, tuple(joined), notes


def _require_agreement(
    source: Source, texts: list[str], axis: str, names: Mapping[str, str]
) -> None:
    """Raise if a column that nobody reads states another hemisphere than the coordinates."""
    for position, name in enumerate(source.header):
        if name in names.values() or not is_named_side(name, axis):
            continue
        sides = [row.cells[0] for row in islice(source.rows([position]), len(texts))]
        if are_sides(sides, axis) and (wrong := disagreement(texts, sides, axis)):
            raise PlotError(
                f"column {names[axis]!r} ({axis}) holds {quoted(wrong[0])} where column {name!r} "
                f"says {quoted(wrong[1])}; set columns.{SIDES[axis]} to {name!r}, or remove that "
                "column"
            )


def check_covariates(covariates: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    """Covariates that have to be read -> their kinds; without area_m2, which is a field.

    Raises:
        PlotError: a kind is unknown, or a covariate has the name of a column of plot tables.
    """
    checked = {}
    for name, kind in covariates.items():
        if kind not in KINDS:
            raise PlotError(f"covariate {name!r} is a {kind!r}; use {' or '.join(KINDS)}")
        if name == "area_m2" and "area_m2" in names:
            continue
        if name in RESERVED:
            raise PlotError(
                f"covariate {name!r} has the name of a column of every plot table; rename the "
                f"column of the file" + (", or set columns.area_m2" if name == "area_m2" else "")
            )
        checked[name] = kind
    return checked


def covariate_values(
    cells: pd.DataFrame, covariates: Mapping[str, str], styles: Mapping[str, Style]
) -> tuple[pd.DataFrame, list[str]]:
    """Columns of covariates, and notes on cells that count as missing.

    Args:
        cells: rows that are kept.
        covariates: names -> 'number' or 'class'.
        styles: how each column of numbers writes them, with the keys of `cells`.

    Returns:
        float64 with NaN for numbers, text with '' for classes; a note for each covariate with
        cells that are no numbers, codes for missing data, or values far outside all others.

    Raises:
        PlotError: a covariate of numbers has none.
    """
    values: dict[str, object] = {}
    notes = []
    for name, kind in covariates.items():
        texts = cells[COVARIATE + name]
        missing = is_missing(texts)
        if kind == "class":
            values[name] = texts.mask(missing, "").astype("str")
            continue
        read = numbers(texts.tolist(), styles[COVARIATE + name])
        bad = ~np.isfinite(read) & ~missing
        if not np.isfinite(read).any():
            raise PlotError(_no_number(name, texts, bad))
        if bad.any():
            first = int(bad.argmax())
            notes.append(
                f"covariate {quoted(name)} counts {int(bad.sum())} cells as missing that are no "
                f"numbers, such as {quoted(texts.iloc[first])} on line {cells['line'].iloc[first]}"
            )
        read = np.where(np.isfinite(read), read, np.nan)
        far = far_values(read)
        read[far.coded] = np.nan
        values[name] = read
        notes += _far_notes(name, far, read, cells["line"])
    return pd.DataFrame(values, index=cells.index), notes


def _far_notes(name: str, far: FarValues, values: np.ndarray, lines: pd.Series) -> list[str]:
    """Notes on codes for missing data, NaN in values (n,), and on likely faults."""
    notes = []
    if far.codes:
        shown = " and ".join(f"{code:.8g}" for code in far.codes)
        notes.append(
            f"covariate {quoted(name)} counts {int(far.coded.sum())} cells of {shown} as missing, "
            "a usual code for it: the others lie between "
            f"{np.nanmin(values):.6g} and {np.nanmax(values):.6g}"
        )
    if far.faults.any():
        first, others = int(far.faults.argmax()), values[~far.faults]
        notes.append(
            f"covariate {quoted(name)} has a value in {int(far.faults.sum())} of {len(far.faults)} "
            f"rows far outside all others: {values[first]:.8g} on line {lines.iloc[first]}; "
            f"the others lie between {np.nanmin(others):.6g} and {np.nanmax(others):.6g}, "
            "so correct it if it is wrong"
        )
    return notes


def _no_number(name: str, texts: pd.Series, bad: np.ndarray) -> str:
    if not bad.any():
        return f"covariate {quoted(name)} is blank in every row; leave it out"
    return (
        f"covariate {quoted(name)} holds text such as {quoted(texts.iloc[int(bad.argmax())])} and "
        f"no number; read it as a class, or leave it out"
    )
