"""The event core: visits with their parents, and what Humboldt terms and measurements add to them.

Source: Darwin Core text guide; the Humboldt Extension's guide to hierarchical events,
https://eco.tdwg.org/. A child event inherits place, day, protocol, scope and completeness from its
parent, but not its area or duration. Children that state neither place, day nor size of their own
(vegetation layers, subplots) are parts of their parent's list.
"""

from collections import Counter
from collections.abc import Iterable

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.darwin_core.metafile import DataFile
from spatioformer.geo.plots.archives.darwin_core.visits import (
    HUMBOLDT_TERMS,
    VISIT_TERMS,
    visit_fields,
)
from spatioformer.geo.plots.archives.effort import area_m2, hours, is_area, is_duration
from spatioformer.geo.plots.source import quoted, stated

_INHERITED = (
    *("lon", "lat", "datum", "coordinate_uncertainty_m", "date", "protocol", "programme"),
    *("list_complete", "scope", "origin", "site", "country"),
)
_OWN = ("lon", "lat", "date", "area_m2", "duration_h")
"""Fields of which one that differs from the parent's makes a child a visit of its own."""

_DEEPEST = 50


class Events:
    """The events of an archive.

    Attributes:
        ids: eventID of each event.
        lines: line of each event in its file.
        fields: fields of `survey.VISIT` of each event, with what it inherits.
        parents: row of each event's parent; -1 for none.
        part_of: row of the event on whose list its occurrences are; its own unless it is a part.
        notes: sentences for the report.
    """

    def __init__(self, core: DataFile, extensions: Iterable[DataFile]):
        self.where = f"{core.title} of {core.store.path.name}"
        self.ids: list[str] = []
        self.lines: list[int] = []
        self.notes: list[str] = []
        self.remarks: Counter[str] = Counter()
        self._cells: list[dict[str, str]] = []
        self._parent_ids: list[str] = []
        self._rows: dict[str, int] = {}
        self._counts: Counter[str] = Counter()
        self._read(core)
        for extension in extensions:
            if extension.kind == "humboldt":
                self._add_humboldt(extension)
            elif extension.kind == "measurement":
                self._add_measurements(extension)
        self.fields = [visit_fields(cells, self.remarks) for cells in self._cells]
        for fields, cells, name in zip(self.fields, self._cells, self.ids, strict=True):
            fields |= {"plot_id": name, "origin": cells["datasetKey"], "site": cells["locationID"]}
        self.parents = self._find_parents()
        self.part_of = self._inherit()
        self._cells = []
        self._note_counts()

    def row(self, identifier: str) -> int:
        """Row of an event by its id; -1 if there is none."""
        return self._rows.get(identifier, -1)

    def _read(self, core: DataFile) -> None:
        extra = ("id", "eventID", "parentEventID", "datasetKey", "locationID")
        terms = (*extra, *VISIT_TERMS)
        known = [term for term in terms if term in ("id", "eventID") or core.has(term)]
        lacking = dict.fromkeys(set(terms) - set(known), "")
        for piece, cells in core.pieces(known):
            for number, row in enumerate(zip(*(cells[t] for t in known), strict=True)):
                event = dict(zip(known, map(stated, row), strict=True)) | lacking
                name = event["eventID"] or event["id"]
                key = event["id"] or name
                if not name:
                    self._counts["blank"] += 1
                elif key in self._rows:
                    self._repeated(key, event, piece.line + number)
                else:
                    self._rows[key] = len(self.ids)
                    self._rows.setdefault(name, len(self.ids))  # parents are named by eventID
                    self.ids.append(name)
                    self.lines.append(piece.line + number)
                    self._parent_ids.append(event["parentEventID"])
                    self._cells.append(event)
        if not self.ids:
            raise PlotError(
                f"{self.where} holds no event with an id, so there are no plots; fetch the archive "
                f"again"
            )

    def _repeated(self, key: str, event: dict[str, str], line: int) -> None:
        """Count a row that repeats an event; raise if it says something else."""
        first = self._rows[key]
        if self._cells[first] != event:
            raise PlotError(
                f"eventID {quoted(key)} is on lines {self.lines[first]} and {line} of "
                f"{self.where} with different content; give each event an id of its own"
            )
        self._counts["repeated"] += 1

    def _add_humboldt(self, extension: DataFile) -> None:
        known = [term for term in HUMBOLDT_TERMS if extension.has(term)]
        for _, cells in extension.pieces(["id", *known]):
            for key, *row in zip(cells["id"], *(cells[t] for t in known), strict=True):
                if (event := self.row(key)) < 0:
                    self._counts["humboldt"] += 1
                    continue
                _merge(self._cells[event], dict(zip(known, map(stated, row), strict=True)))

    def _add_measurements(self, extension: DataFile) -> None:
        terms = ["id", "occurrenceID", "measurementType", "measurementValue", "measurementUnit"]
        for _, cells in extension.pieces(terms):
            rows = zip(*(cells[term] for term in terms), strict=True)
            for key, occurrence, measurement, value, written in rows:
                event, unit = self.row(key), stated(written)
                if stated(occurrence) or event < 0 or not stated(value):
                    continue
                own = self._cells[event]
                if is_area(measurement) and area_m2(value, unit) is not None:
                    _set(own, "totalAreaSampled", value, unit, self._counts)
                elif is_duration(measurement) and hours(value, unit) is not None:
                    _set(own, "eventDuration", value, unit, self._counts)
                elif is_area(measurement):
                    self._counts["no area"] += 1

    def _find_parents(self) -> list[int]:
        parents = [self._rows.get(name, -1) if name else -1 for name in self._parent_ids]
        self._counts["orphans"] = sum(
            bool(name) and row < 0 for name, row in zip(self._parent_ids, parents, strict=True)
        )
        for start in range(len(parents)):
            row, depth = start, 0
            while (row := parents[row]) >= 0:
                depth += 1
                if row == start or depth > _DEEPEST:
                    raise PlotError(
                        f"the parents of event {quoted(self.ids[start])} of {self.where} lead back "
                        f"to it, or go up more than {_DEEPEST} steps; correct parentEventID"
                    )
        return parents

    def _inherit(self) -> list[int]:
        """Fill in what events inherit; return on whose list the occurrences of each event are."""
        part_of = [-1] * len(self.ids)

        def resolve(row: int) -> int:
            if part_of[row] >= 0:
                return part_of[row]
            parent = self.parents[row]
            if parent < 0:
                part_of[row] = row
                return row
            above = resolve(parent)
            own, inherited = self.fields[row], self.fields[parent]
            is_own = any(own[name] and own[name] != inherited[name] for name in _OWN)
            for name in _INHERITED:
                if not own.get(name):
                    own[name] = inherited.get(name, "")
                    self._counts["inherited"] += name == "lon" and bool(own[name])
            if is_own:
                own["parent"] = self.ids[parent]
                own["site"] = own["site"] or (self.ids[parent] if inherited["lon"] else "")
            part_of[row] = row if is_own else above
            return part_of[row]

        for row in range(len(self.ids)):
            resolve(row)
        return part_of

    def _note_counts(self) -> None:
        sentences = {
            "blank": "events have no id and are left out",
            "repeated": "rows repeat an event and are left out",
            "humboldt": "rows of Humboldt terms belong to no event and are left out",
            "differing": "measurements of areas or durations differ from what the event states",
            "no area": "measurements of areas are no area with a unit that is known",
            "orphans": "events name a parent that the archive does not hold",
            "inherited": "events have the coordinates of their parents",
        }
        counts = self._counts
        self.notes += [f"{counts[k]:,} {text}" for k, text in sentences.items() if counts[k]]
        parts = sum(row != whole for row, whole in enumerate(self.part_of))
        if parts:
            self.notes.append(
                f"{parts:,} events state neither place, day nor size of their own and are parts of "
                f"their parent's list"
            )


def _merge(cells: dict[str, str], row: dict[str, str]) -> None:
    """Add Humboldt terms to an event; several rows state several scopes, all of which must hold."""
    for term, text in row.items():
        before = cells.get(term, "")
        if not text or text == before:
            continue
        if not before:
            cells[term] = text
        elif term in ("targetTaxonomicScope", "targetGrowthFormScope"):
            cells[term] = f"{before} | {text}"
        elif term == "isTaxonomicScopeFullyReported":
            cells[term] = "false"
        elif term == "taxonCompletenessReported":
            cells[term] = "reportedIncomplete"


def _set(cells: dict[str, str], term: str, value: str, unit: str, counts: Counter[str]) -> None:
    """Set the value and unit of a term that an event does not state; count one that differs."""
    key, unit_key = f"{term}Value", f"{term}Unit"
    if not cells[key]:
        cells[key], cells[unit_key] = value, unit
    elif (cells[key], cells[unit_key]) != (value, unit):
        counts["differing"] += 1
