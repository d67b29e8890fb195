"""Vegetation tables: species x plots or plots x species, on one sheet or with a sheet of plots.

The first cells of rows and columns decide. A table whose rows are named like coordinates has a plot
a column (the form of phytosociological tables). A row or column counts as a species if its name has
the form of a Latin name of a species; what does not is left out, and the import names it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.abundances import (
    ABSENT,
    PRESENT,
    PRESENT_WORD,
    UNREADABLE,
    Abundances,
)
from spatioformer.geo.plots.archives import names as kinds
from spatioformer.geo.plots.archives.names import parse_name
from spatioformer.geo.plots.archives.origins import Origin
from spatioformer.geo.plots.archives.survey import Name, Records, Survey, visit_frame
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.recognise import recognise, require_clear
from spatioformer.geo.plots.sheets import SUFFIXES, sheet_names
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, MISSING, Source, quoted

_LATIN = (kinds.SPECIES, kinds.INFRASPECIFIC, kinds.HYBRID, kinds.MORPHOSPECIES)
_NO_GENUS = vocabulary.word_set(
    "cover soil height slope aspect altitude elevation tree trees shrub shrubs herb herbs moss "
    "mosses lichen litter bare mean max min annual plot site total number species organic canopy "
    "stand sample date depth land distance basal rock rocks stone stones water layer year month "
    "survey vegetation habitat grazing mowing relative bulk clay sand silt nitrogen phosphorus "
    "carbon ph latitude longitude observer author country region state area size biomass dead "
    "deckung hohe hoehe neigung exposition cobertura altura pendiente pente recouvrement"
)
"""First words of names that look like Latin names but are none, such as Cover herb."""

_SHOWN = 8


@dataclass
class _Grid:
    """A table as text: names of its columns, of its rows, and its cells."""

    source: Source
    columns: list[str]
    rows: list[str]
    lines: list[int]
    cells: list[list[str]]  # without the first column


def is_species(name: str) -> bool:
    """Whether a name has the form of a Latin name of a species."""
    words = vocabulary.words(name)
    if len(words) < 2 or words[0] in _NO_GENUS or vocabulary.coordinate(name) is not None:
        return False
    return name[:1].isupper() and parse_name(name).kind in _LATIN


def read_matrix(path: Path, settings: Mapping[str, Any]) -> Survey:
    """The plots of a vegetation table.

    Args:
        settings: of the section `plots` of a configuration: columns, crs, separator, layer.

    Raises:
        PlotError: no plots with coordinates, or no species, are found.
    """
    names = sheet_names(path) if path.suffix.lower() in SUFFIXES else []
    if len(names) > 1 and settings.get("layer") is None:
        return _of_two(path, names, settings)
    source = open_source(path, separator=settings.get("separator"), layer=settings.get("layer"))
    grid = _grid(source)
    if _coordinate_rows(grid):
        return _species_in_rows(grid, settings)
    return _species_in_columns(source, settings)


def _of_two(path: Path, names: Sequence[str], settings: Mapping[str, Any]) -> Survey:
    """A workbook with a sheet of plots and a sheet of species."""
    sources = [open_source(path, layer=name) for name in names]
    plots = [s for s in sources if _has_places(s, settings)]
    if len(plots) != 1:
        raise PlotError(
            f"{path.name} has {len(plots)} sheets with coordinates of plots; set layer to the one "
            f"with the plots, or keep one sheet of plots and one of species"
        )
    others = [s for s in sources if s is not plots[0]]
    columns, lines, crs, notes = _plots(plots[0], settings)
    ids = {plot: code for code, plot in enumerate(columns["plot_id"])}
    for other in others:
        grid = _grid(other)
        across = sum(name in ids for name in grid.columns)
        down = sum(name in ids for name in grid.rows)
        if not across and not down:
            continue
        if across > down:
            keep = [(i, name) for i, name in enumerate(grid.rows) if name]
            filled = [(grid.lines[i], name, grid.columns, grid.cells[i]) for i, name in keep]
        else:
            filled = [
                (grid.lines[0], name, grid.rows, [row[i] for row in grid.cells])
                for i, name in enumerate(grid.columns)
                if name
            ]
        taken = [item for item in filled if is_species(item[1])]
        left = [name for _, name, *_ in filled if not is_species(name)]
        survey = _survey(path, columns, lines, taken, ids, left)
        survey.crs = crs
        survey.notes[:0] = notes
        return survey
    raise PlotError(
        f"no sheet of {path.name} has the names of the plots, such as "
        f"{quoted(columns['plot_id'][0])}, in its first row or column; name the plots alike"
    )


def _has_places(source: Source, settings: Mapping[str, Any]) -> bool:
    found = recognise(source, crs=settings.get("crs"), columns=_given(settings), counted=True)
    return {"lon", "lat"} <= set(found.columns)


def _given(settings: Mapping[str, Any]) -> dict[str, str]:
    return {str(k): str(v) for k, v in (settings.get("columns") or {}).items()}


def _plots(
    source: Source, settings: Mapping[str, Any]
) -> tuple[dict[str, list[str]], list[int], object, list[str]]:
    """Columns of the plots of a table with a row a plot, their lines, CRS and notes."""
    found = recognise(source, crs=settings.get("crs"), columns=_given(settings), counted=True)
    require_clear(found, source, settings.get("date_order"))
    chosen = dict(found.columns)
    if source.crs is not None:
        chosen |= {"lon": GEOMETRY_X, "lat": GEOMETRY_Y}
    positions = [source.position(column, f"columns.{name}") for name, column in chosen.items()]
    columns: dict[str, list[str]] = {name: [] for name in chosen}
    lines = []
    for line, cells, fault in source.rows(positions):
        if fault:
            raise PlotError(f"line {line} of {source.path.name} is broken: {fault}; correct it")
        lines.append(line)
        for name, cell in zip(chosen, cells, strict=True):
            columns[name].append(cell)
    columns.setdefault("plot_id", [f"line-{line}" for line in lines])
    pairs = [f"{name} = {quoted(column)}" for name, column in found.columns.items()]
    crs = source.crs if source.crs is not None else found.crs
    return columns, lines, crs, [*source.notes, f"found: {', '.join(pairs)}"]


def _species_in_columns(source: Source, settings: Mapping[str, Any]) -> Survey:
    columns, lines, crs, notes = _plots(source, settings)
    given = set((settings.get("species") or {}).get("ignore") or ())
    used = {source.header.index(n) for n in source.header if n in _used(source, settings) | given}
    free = [i for i, name in enumerate(source.header) if name and i not in used]
    chosen = [i for i in free if is_species(source.header[i])]
    keys = columns["plot_id"]
    if len(set(keys)) < len(keys):
        keys = [f"{key}/{line}" for key, line in zip(keys, lines, strict=True)]
        columns["plot_id"] = keys
    rows = [row.cells for row in source.rows(chosen)]
    filled = [
        (lines[0] if lines else 1, source.header[i], keys, [row[n] for row in rows])
        for n, i in enumerate(chosen)
    ]
    left = [source.header[i] for i in free if i not in chosen]
    ids = {plot: code for code, plot in enumerate(keys)}
    survey = _survey(source.path, columns, lines, filled, ids, left)
    survey.crs = crs
    survey.notes[:0] = notes
    return survey


def _used(source: Source, settings: Mapping[str, Any]) -> set[str]:
    found = recognise(source, crs=settings.get("crs"), columns=_given(settings), counted=True)
    return set(found.columns.values())


def _species_in_rows(grid: _Grid, settings: Mapping[str, Any]) -> Survey:
    """A table with a plot a column: rows with coordinates, dates and areas, then species."""
    columns: dict[str, list[str]] = {"plot_id": list(grid.columns)}
    labels: dict[str, str] = {}
    species = []
    left = []
    for label, line, cells in zip(grid.rows, grid.lines, grid.cells, strict=True):
        if is_species(label):
            species.append((line, label, grid.columns, cells))
        elif (name := _field(label)) and name not in columns:
            columns[name], labels[name] = list(cells), label
        elif label:
            left.append(label)
    kept = [i for i, name in enumerate(grid.columns) if name]
    columns = {name: [cells[i] for i in kept] for name, cells in columns.items()}
    ids: dict[str, int] = {}
    for code, plot in enumerate(columns["plot_id"]):
        if ids.setdefault(plot, code) != code:
            raise PlotError(
                f"plot {quoted(plot)} has two columns in {grid.source.path.name}; name each plot "
                f"once"
            )
    survey = _survey(grid.source.path, columns, [1] * len(kept), species, ids, left)
    survey.crs = settings.get("crs") or "EPSG:4326"
    found = ", ".join(f"{name} = row {quoted(label)}" for name, label in labels.items())
    survey.notes[:0] = [*grid.source.notes, f"found: a plot a column; {found}"]
    return survey


def _survey(
    path: Path,
    columns: dict[str, list[str]],
    lines: Sequence[int],
    species: Sequence[tuple[int, str, Sequence[str], Sequence[str]]],
    ids: Mapping[str, int],
    left: Sequence[str],
) -> Survey:
    """The survey of rows of species: line, name, plots and abundances of each.

    Raises:
        PlotError: there is no species.
    """
    if not species:
        shown = ", ".join(map(quoted, left[:_SHOWN]))
        raise PlotError(
            f"{path.name} has no row or column named like a species, such as Poa annua; it has "
            f"{shown or 'no names'}"
        )
    records, states = Records(), Abundances(blank=ABSENT)
    rejected: dict[int, tuple[str, str]] = {}
    of_visit, of_name = [], []
    lost = 0
    for line, name, plots, cells in species:
        code = records.code(Name(name))
        for plot, cell in zip(plots, cells, strict=True):
            state = states[cell]
            visit = ids.get(plot, -1)
            if state in (PRESENT, PRESENT_WORD) and visit >= 0:
                of_visit.append(visit)
                of_name.append(code)
            elif state == UNREADABLE and visit >= 0:
                rejected.setdefault(
                    visit,
                    (
                        "unreadable abundances",
                        f"abundance of {quoted(name)} is {quoted(cell)} near line {line}, which is "
                        f"not an abundance",
                    ),
                )
            lost += visit < 0 and state in (PRESENT, PRESENT_WORD)
    records.add(of_visit, of_name)
    survey = Survey(
        "vegetation table", visit_frame(columns, lines), records, Origin(title=path.name)
    )
    survey.rejected = rejected
    survey.counts["read"] = len(of_visit)
    first, last = quoted(species[0][1]), quoted(species[-1][1])
    survey.notes = [f"{len(species):,} names of species, from {first} to {last}"]
    if left:
        more = f" and {len(left) - _SHOWN} more" if len(left) > _SHOWN else ""
        shown = ", ".join(map(quoted, left[:_SHOWN]))
        survey.notes.append(f"not taken for species: {shown}{more}")
    if lost:
        survey.notes.append(f"{lost:,} records belong to no plot with coordinates")
    return survey


def _grid(source: Source) -> _Grid:
    """The whole table; its first column names the rows."""
    rows, lines, cells = [], [], []
    for line, row, fault in source.rows(range(len(source.header))):
        if fault:
            raise PlotError(f"line {line} of {source.path.name} is broken: {fault}; correct it")
        rows.append(row[0])
        lines.append(line)
        cells.append(row[1:])
    return _Grid(source, source.header[1:], rows, lines, cells)


def _coordinate_rows(grid: _Grid) -> bool:
    """Whether two rows are named like a longitude and a latitude."""
    fields = {_field(label) for label in grid.rows}
    return {"lon", "lat"} <= fields


def _field(label: str) -> str:
    """The field that a row is named like; '' for none."""
    if not label or label.lower() in MISSING:
        return ""
    if (found := vocabulary.coordinate(label)) is not None:
        word = found[0]
        if word in vocabulary.DEGREES:
            return "lon"
        return "lat" if word in vocabulary.DEGREES.values() else ""
    joined = vocabulary.joined(label)
    known, _, factor = vocabulary.area_unit(label)
    if known and factor == 1:
        return "area_m2"
    if joined in vocabulary.DATES | vocabulary.YEARS:
        return "date"
    return "programme" if joined in vocabulary.PROGRAMME else ""
