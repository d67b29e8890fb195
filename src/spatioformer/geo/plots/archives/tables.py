"""Archives of a header and a long list of species, by their `layouts`."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.abundances import is_zero
from spatioformer.geo.plots.archives.effort import area_m2
from spatioformer.geo.plots.archives.layouts import AUSPLOTS, LAYOUTS, SPLOT, Layout
from spatioformer.geo.plots.archives.pieces import (
    TextFormat,
    find_format,
    read_header,
    read_pieces,
)
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.archives.survey import (
    NO,
    NOT_STATED,
    Name,
    Records,
    Survey,
    visit_frame,
)
from spatioformer.geo.plots.source import MISSING, quoted
from spatioformer.geo.plots.vocabulary import joined

TEXTS = (".csv", ".txt", ".tsv", ".tab")
_NO_VASCULAR = re.compile(r"moss|bryophyt|liverwort|lichen|alga|fung|hepatic|stonewort", re.I)
_BIB_ENTRY = re.compile(r"@\w+\s*\{\s*([^,\s]+)\s*,", re.ASCII)
_BIB_KEYS = ("dbbibtexkey", "bibtexkey")
_HECTARE = "10000"


@dataclass(frozen=True)
class Table:
    """A text file of an archive with its header."""

    name: str
    form: TextFormat
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def position(self, choices: Sequence[str]) -> int | None:
        """Position of the first of some columns that the table has; None without any."""
        names = [joined(column) for column in self.columns]
        return next((names.index(choice) for choice in choices if choice in names), None)


def text_tables(store: Store) -> list[Table]:
    """The text files of an archive that have a header of two columns or more."""
    tables = []
    for name in store.names:
        if name.lower().endswith(TEXTS) and store.size(name):
            form, notes = find_format(store, name)
            columns = read_header(store, name, form)
            if len(columns) > 1:
                tables.append(Table(name, form, tuple(columns), tuple(notes)))
    return tables


def find_layout(tables: Sequence[Table]) -> tuple[Layout, Table, list[Table]] | None:
    """The layout that fits the tables of an archive, its header and its lists; None if none does.

    Raises:
        PlotError: several tables may be the header.
    """
    for layout in LAYOUTS:
        headers = [t for t in tables if layout.is_header(t.columns)]
        lists = [t for t in tables if t not in headers and layout.is_list(t.columns)]
        columns = {c for table in (*headers, *lists) for c in table.columns}
        if not headers or not lists or not layout.is_marked(columns):
            continue
        if len(headers) > 1:
            named = " and ".join(quoted(PurePosixPath(t.name).name) for t in headers[:3])
            raise PlotError(
                f"{named} may both be the header of the plots; keep one of them in the folder"
            )
        return layout, headers[0], lists
    return None


def read_tables(store: Store, tables: Sequence[Table]) -> Survey | None:
    """The visits of an archive of a header and a long list; None if no layout fits.

    Raises:
        PlotError: a plot is twice in the header, or no row of the list belongs to a plot.
    """
    if (fit := find_layout(tables)) is None:
        return None
    layout, header, lists = fit
    chosen, stated = _choose_list(layout, lists)
    codes, columns, lines, notes = _read_header(store, layout, header, stated)
    records, counts, remarks, others = _read_list(store, layout, chosen, codes)
    notes = [*header.notes, *chosen.notes, *notes, *remarks]
    survey = Survey(layout.name, visit_frame(columns, lines), records, layout.reference)
    survey.settings, survey.without_plants = dict(layout.settings), others
    survey.counts.update(counts)
    for plot, code in codes.items():
        if not counts[f"of {code}"]:
            survey.rejected[code] = (
                "missing species lists",
                f"plot_id {quoted(plot)} has no row in {chosen.name}",
            )
    survey.counts = Counter({k: n for k, n in survey.counts.items() if not k.startswith("of ")})
    if layout is SPLOT:
        survey.bibtex, more = _references(store, tables, codes)
        notes += more
    if stated != NOT_STATED:
        word = "hold" if stated != NO else "do not hold"
        notes.append(f"the lists of {chosen.name} {word} all species of a plot, by its protocol")
    survey.notes = notes
    return survey


def _choose_list(layout: Layout, lists: Sequence[Table]) -> tuple[Table, str]:
    """The list that counts, and whether its protocol makes it complete.

    Raises:
        PlotError: several lists, of which nothing says which one counts.
    """
    for part, stated in layout.sure:
        for table in lists:
            name = PurePosixPath(table.name).stem.lower()
            if part in re.split(r"[^a-z]+", name) or (len(part) > 2 and part in name):
                return table, stated
    if len(lists) > 1:
        named = " and ".join(quoted(PurePosixPath(t.name).name) for t in lists[:3])
        raise PlotError(f"{named} may both be the list of species; keep one of them in the folder")
    return lists[0], NOT_STATED


def _read_header(
    store: Store, layout: Layout, table: Table, stated: str
) -> tuple[dict[str, int], dict[str, list[str]], list[int], list[str]]:
    """Code of each plot, columns of the visits, their lines, and notes."""
    positions = {k: table.position(choices) for k, choices in layout.header.items()}
    fields = [name for name, position in positions.items() if position is not None]
    columns: dict[str, list[str]] = {name: [] for name in (*fields, "list_complete")}
    codes: dict[str, int] = {}
    lines: list[int] = []
    blank = 0
    wanted = [p for p in positions.values() if p is not None]
    for piece in read_pieces(store, table.name, table.form, wanted):
        for number, row in enumerate(zip(*piece.columns, strict=True)):
            own = dict(zip(fields, row, strict=True))
            plot = own["plot_id"]
            if plot.lower() in MISSING:
                blank += 1
                continue
            if plot in codes:
                raise PlotError(
                    f"plot {quoted(plot)} is on lines {lines[codes[plot]]} and "
                    f"{piece.line + number} of {table.name}; a header has each plot once"
                )
            codes[plot] = len(lines)
            lines.append(piece.line + number)
            for name, text in own.items():
                columns[name].append("" if text.lower() in MISSING else text)
            scope = columns["scope"][-1] if "scope" in own else ""
            columns["list_complete"].append(
                stated if stated != NOT_STATED else layout.complete(scope)
            )
    if not lines:
        raise PlotError(f"{table.name} of {store.path.name} holds no plot; fetch it again")
    notes = [f"{blank:,} rows of {table.name} name no plot and are left out"] if blank else []
    if layout is AUSPLOTS:
        notes += _hectares(columns, len(lines))
    return codes, columns, lines, notes


def _hectares(columns: dict[str, list[str]], count: int) -> list[str]:
    """Areas of AusPlots from their dimensions; without them 1 ha, by the protocol."""
    stated = columns.get("area_m2", [""] * count)
    areas = [area_m2(text, "") for text in stated]
    columns["area_m2"] = [_HECTARE if area is None else f"{area:.12g}" for area in areas]
    unknown = sum(area is None for area in areas)
    if not unknown:
        return []
    return [f"{unknown:,} visits do not state their size and are taken as 1 ha, by the protocol"]


def _read_list(
    store: Store, layout: Layout, table: Table, codes: dict[str, int]
) -> tuple[Records, Counter[str], list[str], list[int]]:
    """Names by plot; counts of rows, also of each plot; notes; plots with mosses and such alone."""
    records, counts = Records(), Counter[str]()
    plot = table.position(layout.plot)
    choices = (*(table.position([c]) for c in layout.accepted),)
    accepted = next((p for p in choices if p is not None), None)
    recorded = [p for c in layout.recorded if (p := table.position([c])) is not None]
    group, amount = table.position(layout.group), table.position(layout.amount)
    wanted: list[int | str] = ["" if p is None else p for p in (plot, accepted, group, amount)]
    names: dict[tuple[str, ...], int] = {}
    groups: Counter[str] = Counter()
    of_plot, of_others = Counter[int](), Counter[int]()
    for piece in read_pieces(store, table.name, table.form, [*wanted, *recorded]):
        of_visit, of_name = [], []
        for key, stated, kind, cover, *written in zip(*piece.columns, strict=True):
            code = codes.get(key)
            if code is None:
                counts["of no plot"] += 1
                continue
            of_plot[code] += 1
            if kind and _NO_VASCULAR.search(kind):
                groups[kind] += 1
                of_others[code] += 1
                continue
            if cover and is_zero(cover):
                counts["absent"] += 1
                continue
            cells = (stated, *written)
            name = names.get(cells)
            if name is None:
                name = names[cells] = _code(records, stated, written)
            if name < 0:
                counts["without a name"] += 1
                continue
            of_visit.append(code)
            of_name.append(name)
        counts["read"] += piece.size
        if of_visit:
            records.add(of_visit, of_name)
    if not of_plot:
        raise PlotError(
            f"no row of {table.name} names a plot of the header; put the header and the list of "
            f"one export into the folder"
        )
    counts.update({f"of {code}": n for code, n in of_plot.items()})
    notes = [f"{n:,} records of {kind} do not count" for kind, n in sorted(groups.items())]
    if counts["of no plot"]:
        notes.append(f"{counts['of no plot']:,} rows of {table.name} name no plot of the header")
    if counts["absent"]:
        notes.append(
            f"{counts['absent']:,} rows of {table.name} have a cover of 0 and do not count"
        )
    if counts["without a name"]:
        notes.append(f"{counts['without a name']:,} rows of {table.name} have no name of a species")
    others = [code for code, count in of_others.items() if count == of_plot[code]]
    return records, counts, notes, others


def _code(records: Records, accepted: str, recorded: Sequence[str]) -> int:
    """Code of a name; -1 if all its cells are blank."""
    stated = "" if accepted.lower() in MISSING else accepted
    written = next((text for text in recorded if text.lower() not in MISSING), "")
    if not stated and not written:
        return -1
    return records.code(Name(written or stated, stated))


def _references(
    store: Store, tables: Sequence[Table], codes: dict[str, int]
) -> tuple[str, list[str]]:
    """Entries of sPlotOpen's BibTeX file for the data sets of these plots, and notes."""
    bib = next((n for n in store.names if n.lower().endswith(".bib")), None)
    if bib is None:
        return "", ["the references of its data sets (.bib) are not in the archive"]
    entries = _entries(store.read(bib).decode("utf-8", "replace"))
    keys: set[str] = set()
    for table in tables:
        plot, key = table.position(("plotobservationid",)), table.position(_BIB_KEYS)
        if plot is not None and key is not None:
            for piece in read_pieces(store, table.name, table.form, [plot, key]):
                keys.update(k for p, k in zip(*piece.columns, strict=True) if p in codes)
    used = [text for name, text in entries.items() if not keys or name in keys]
    return "\n\n".join(used), []


def _entries(text: str) -> dict[str, str]:
    """Entries of a BibTeX file by their keys, as they are written."""
    starts = [(match.start(), match[1]) for match in _BIB_ENTRY.finditer(text)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    return {key: text[a:b].strip() for (a, key), b in zip(starts, ends, strict=True)}
