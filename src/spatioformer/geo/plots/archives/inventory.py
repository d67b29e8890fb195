"""One table with repeated visits: a row a visit, or a row a visit and species (a list of trees).

Columns are found as those of a plot table (`geo.plots.recognise`). A visit is a plot in one year or
on one day, so an inventory in three rounds gives three plots at one site.
"""

from collections.abc import Mapping
from typing import Any

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.abundances import (
    ABSENT,
    ABSENT_WORD,
    PRESENT,
    PRESENT_WORD,
    UNREADABLE,
    Abundances,
)
from spatioformer.geo.plots.archives.origins import Origin
from spatioformer.geo.plots.archives.survey import Name, Records, Survey, visit_frame
from spatioformer.geo.plots.cells import FIELDS
from spatioformer.geo.plots.columns import Column, read_columns
from spatioformer.geo.plots.fields import is_richness
from spatioformer.geo.plots.recognise import recognise, require_clear
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, MISSING, Source, quoted

SPECIES = vocabulary.word_set(
    "species speciesname scientificname taxon taxonname latinname plantname speciesnames "
    "nameofspecies especie especies nombrecientifico nomcientifico taxa espece nomscientifique "
    "nomlatin art artname pflanzenart wissenschaftlichername nomecientifico acceptedname "
    "acceptedtaxon standardisedname standardizedname matchedconcept treespecies"
)
"""Names of columns of species in a long list."""
_AMOUNT = vocabulary.word_set(
    "abundance cover coverage covers coverpercent coverperc percentcover coverpct relativecover "
    "count counts individuals individualcount numberofindividuals presence presenceabsence "
    "occurrence occurrencestatus abundancia cobertura presencia abondance recouvrement "
    "deckung abundanz abbondanza copertura"
)
"""Names of columns of a long list that say how much of a species there is."""


def species_columns(source: Source) -> list[Column]:
    """Columns of a table that may hold the names of species."""
    return [
        column
        for column in read_columns(source)
        if column.joined in SPECIES and column.known and not column.has_numbers
    ]


def has_richness(source: Source, given: Mapping[str, str]) -> bool:
    """Whether a table holds counts of species."""
    return "richness" in given or any(is_richness(c) for c in read_columns(source))


def read_inventory(source: Source, settings: Mapping[str, Any]) -> Survey:
    """The visits of one table.

    Args:
        settings: of the section `plots` of a configuration: columns, crs, decimal, date_order,
            species.

    Raises:
        PlotError: a column is not found or not clear.
    """
    species = dict(settings.get("species") or {})
    name = species.get("species") or _found_species(source)
    given = {str(k): str(v) for k, v in (settings.get("columns") or {}).items()}
    if name is not None and species.get("plot_id"):
        given.setdefault("plot_id", species["plot_id"])
    if name is not None and "plot_id" not in given:
        given["plot_id"] = _found_plot(source)
    found = recognise(
        source,
        crs=settings.get("crs"),
        columns=given,
        decimal=settings.get("decimal"),
        counted=name is not None,
    )
    require_clear(found, source, settings.get("date_order"))
    columns = dict(found.columns)
    if source.crs is not None:
        columns |= {"lon": GEOMETRY_X, "lat": GEOMETRY_Y}
    fields = [field for field in FIELDS if field in columns]
    positions = [source.position(columns[field], f"columns.{field}") for field in fields]
    if name is None:
        survey = _rows(source, fields, positions)
    else:
        amount = species.get("abundance") or _found_amount(source)
        survey = _long_list(source, fields, positions, name, amount)
        if amount and not species.get("abundance"):
            survey.notes.append(
                f"rows of which {quoted(amount)} is 0 or absent do not count; species.abundance "
                f"names another column"
            )
    survey.crs = source.crs if source.crs is not None else found.crs
    if found.date_order in ("day-first", "month-first"):
        survey.settings["date_order"] = found.date_order
    numeric = [p for f, p in zip(fields, positions, strict=True) if f in ("lon", "lat", "area_m2")]
    if all(source.has_numbers(p) for p in numeric):
        survey.settings["decimal"] = "."
    pairs = [f"{field} = {quoted(column)}" for field, column in found.columns.items()]
    crs = [f"crs = {found.crs}"] if found.crs else []
    survey.notes.insert(0, f"found: {', '.join([*pairs, *crs])}")
    survey.notes[:0] = source.notes
    return survey


def _found_species(source: Source) -> str | None:
    """The column of species; None if the table has none.

    Raises:
        PlotError: several columns may hold them.
    """
    columns = species_columns(source)
    if len(columns) > 1:
        named = " or ".join(quoted(column.name) for column in columns)
        raise PlotError(
            f"{source.path.name} has several columns that may name the species; set "
            f"species.species to {named}"
        )
    return columns[0].name if columns else None


def _found_amount(source: Source) -> str | None:
    """The column that names absences in a long list; None if there is none.

    Raises:
        PlotError: several do, or one has other text too.
    """
    states, with_absences = Abundances(blank=PRESENT), []
    for column in read_columns(source):
        if column.joined not in _AMOUNT:
            continue
        kinds = {states[cell] for cell in column.distinct}
        if kinds & {ABSENT, ABSENT_WORD}:
            with_absences.append((column.name, UNREADABLE in kinds))
    if len(with_absences) > 1 or any(is_mixed for _, is_mixed in with_absences):
        named = " or ".join(quoted(name) for name, _ in with_absences)
        raise PlotError(
            f"{source.path.name} lists species that are absent, but by which column is not clear; "
            f"set species.abundance to {named}"
        )
    return with_absences[0][0] if with_absences else None


def _found_plot(source: Source) -> str:
    """The column of a long list that names the plots.

    Raises:
        PlotError: none or several are named like it.
    """
    columns = [c for c in read_columns(source) if c.joined in vocabulary.PLOT_ID and c.known]
    several = [c for c in columns if len(c.distinct) > 1] or columns
    if len(several) != 1:
        named = " or ".join(quoted(c.name) for c in several[:4]) or "the one that names the plots"
        raise PlotError(
            f"the plots of {source.path.name} are not clear; set columns.plot_id to {named}"
        )
    return several[0].name


def _rows(source: Source, fields: list[str], positions: list[int]) -> Survey:
    """Visits of a table with a row a visit and a richness."""
    columns: dict[str, list[str]] = {field: [] for field in fields}
    lines: list[int] = []
    rejected: dict[int, tuple[str, str]] = {}
    for line, cells, fault in source.rows(positions):
        if fault:
            rejected[len(lines)] = ("broken rows", fault)
        lines.append(line)
        for field, cell in zip(fields, cells, strict=True):
            columns[field].append(cell)
    columns["site"] = list(columns.get("plot_id", [""] * len(lines)))
    notes = _name_visits(columns)
    frame = visit_frame(columns, lines)
    survey = Survey("table of visits", frame, None, Origin(title=source.path.name), notes=notes)
    survey.rejected = rejected
    return survey


def _long_list(
    source: Source, fields: list[str], positions: list[int], species: str, abundance: str | None
) -> Survey:
    """Visits of a table with a row a visit and species: rows with one plot and date are a visit."""
    wanted = [*positions, source.position(species, "species.species")]
    if abundance:
        wanted.append(source.position(abundance, "species.abundance"))
    states = Abundances(blank=PRESENT)
    records = Records()
    columns: dict[str, list[str]] = {field: [] for field in fields}
    codes: dict[tuple[str, str], int] = {}
    lines: list[int] = []
    rejected: dict[int, tuple[str, str]] = {}
    of_visit, of_name = [], []
    without = 0
    for line, cells, fault in source.rows(wanted):
        if fault:
            raise PlotError(f"line {line} of {source.path.name} is broken: {fault}; correct it")
        row = dict(zip(fields, cells, strict=False))
        plot, name = row["plot_id"], cells[len(fields)]
        if plot.lower() in MISSING:
            without += 1
            continue
        key = (plot, row.get("date", ""))
        code = codes.setdefault(key, len(lines))
        if code == len(lines):
            lines.append(line)
            for field in fields:
                columns[field].append(row[field])
        else:
            _check_same(columns, code, row, line, lines, rejected)
        state = states[cells[-1]] if abundance else PRESENT
        if state == UNREADABLE:
            rejected.setdefault(
                code,
                (
                    "unreadable abundances",
                    f"abundance of {quoted(name)} is {quoted(cells[-1])} on line {line}, which is "
                    f"not an abundance",
                ),
            )
        elif state in (PRESENT, PRESENT_WORD) and name.lower() not in MISSING:
            of_visit.append(code)
            of_name.append(records.code(Name(name)))
    records.add(of_visit, of_name)
    columns["site"] = list(columns["plot_id"])
    notes = _name_visits(columns)
    if without:
        notes.append(f"{without:,} rows of {source.path.name} name no plot and do not count")
    frame = visit_frame(columns, lines)
    survey = Survey("long list of visits", frame, records, Origin(title=source.path.name))
    survey.notes, survey.rejected = notes, rejected
    survey.counts["read"] = len(of_visit)
    return survey


def _check_same(
    columns: dict[str, list[str]],
    code: int,
    row: Mapping[str, str],
    line: int,
    lines: list[int],
    rejected: dict[int, tuple[str, str]],
) -> None:
    """Reject a visit whose rows state different places or areas."""
    for field, text in row.items():
        first = columns[field][code]
        if text != first and code not in rejected:
            rejected[code] = (
                "rows of one plot that differ",
                f"plot_id {quoted(row['plot_id'])} has {field} {quoted(first)} on line "
                f"{lines[code]} but {quoted(text)} on line {line}",
            )


def _is_dated(date: str) -> bool:
    """Whether a date is stated; year 0 is none."""
    return date.lower() not in MISSING and date not in ("0", "0.0")


def _name_visits(columns: dict[str, list[str]]) -> list[str]:
    """Name visits by plot and date where a plot is visited more than once; a note with numbers."""
    plots, dates = columns.get("plot_id"), columns.get("date")
    if plots is None:
        return []
    repeated = len(plots) - len(set(plots))
    if not repeated:
        return []
    if dates is None:
        return [
            f"{repeated:,} rows repeat a plot, and no column states when; they are taken as visits"
        ]
    counts: dict[str, int] = {}
    for plot in plots:
        counts[plot] = counts.get(plot, 0) + 1
    columns["plot_id"] = [
        f"{plot}/{date.removesuffix('.0')}" if counts[plot] > 1 and _is_dated(date) else plot
        for plot, date in zip(plots, dates, strict=True)
    ]
    return [
        f"{len(plots):,} visits to {len(counts):,} plots; {sum(n > 1 for n in counts.values()):,} "
        f"plots were visited more than once and are named plot/date"
    ]
