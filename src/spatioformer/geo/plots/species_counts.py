"""Species richness counted from a plot x species matrix or from a long list of species.

Richness is the number of distinct species present in a plot. A species is present if its abundance
is a number above 0, a sign of the Braun-Blanquet scale (r, +, 2m, 2a, 2b; Braun-Blanquet 1964,
Pflanzensoziologie; Barkman, Doing & Segal 1964 for the divisions of 2), or the x of a check list.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
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
from spatioformer.geo.plots.source import MISSING, Source, quoted
from spatioformer.geo.plots.taxa import Taxa

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
    rows = _MatrixRows.read(source, species, plot)
    taxa = Taxa()
    names = [taxa[source.header[i]] for i in species]
    species_codes, distinct = pd.factorize(np.array(names, dtype=object))
    plot_codes, plots = pd.factorize(np.array(rows.keys, dtype=object))
    present = _any_by_group(np.stack(rows.states), species_codes, axis=1)
    richness = _any_by_group(present, plot_codes, axis=0).sum(axis=1)
    everywhere: Iterable[str] = (
        distinct[present.all(axis=0)] if len(rows.keys) >= _ALWAYS_PRESENT_MIN else []
    )
    return SpeciesCounts(
        richness=dict(zip(plots, richness.tolist(), strict=True)),
        rows=dict(Counter(rows.keys)),
        faults=rows.faults,
        summary={
            "species": int(present.any(axis=0).sum()),
            "rows": len(rows.keys),
            "rows_without_plot": rows.without_plot,
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


@dataclass
class _MatrixRows:
    """The rows of a matrix that name a plot.

    Attributes:
        keys: plot_id of each row, or its line.
        states: bool (species,) of each row, whether its cells say that a species is there.
        faults: key -> what is wrong with the first unreadable cell of the plot.
        without_plot: number of rows that name no plot.
    """

    keys: list[int | str] = field(default_factory=list)
    states: list[NDArray[np.bool_]] = field(default_factory=list)
    faults: dict[int | str, str] = field(default_factory=dict)
    without_plot: int = 0

    @classmethod
    def read(cls, source: Source, species: Sequence[int], plot: int | None) -> "_MatrixRows":
        """Read the cells at the positions of species, and of plot_id; as in `count_matrix`."""
        out, abundance = cls(), Abundances(blank=ABSENT)
        names = [source.header[i] for i in species]
        has_words, has_signs = np.zeros((2, len(species)), dtype=bool)
        for line, cells, fault in source.rows([*species, *([] if plot is None else [plot])]):
            if fault and plot is None:
                continue
            _refuse_fault(source, line, fault)
            key: int | str = line
            if plot is not None:
                key = cells.pop()
                if key.lower() in MISSING:
                    out.without_plot += 1
                    continue
            state = np.array([abundance[cell] for cell in cells], dtype=np.int8)
            if state.min() == UNREADABLE:
                column = int(state.argmin())
                reason = _unreadable(f"column {names[column]!r}", line, cells[column])
                out.faults.setdefault(key, reason)
            has_words |= state > PRESENT
            has_signs |= state == PRESENT
            out.keys.append(key)
            out.states.append((state == PRESENT) | (state == PRESENT_WORD))
        if not out.keys:
            raise PlotError(f"{source.path.name} holds no row with species; check the file")
        if has_words.any() and has_signs.any():
            raise PlotError(
                f"column {quoted(names[int(has_words.argmax())])} of {source.path.name} holds "
                "words such as yes or absent, but other columns hold numbers or signs; list it "
                "under species.ignore if it is not a species, otherwise write 1 and 0"
            )
        return out


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
