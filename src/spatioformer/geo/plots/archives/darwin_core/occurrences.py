"""Archives with an occurrence core, and GBIF's simple CSV: visits by eventID, or by place and day.

Source: Darwin Core text guide; GBIF download formats, https://techdocs.gbif.org/en/data-use/
download-formats. Records of one data set with one eventID are a visit. Records without an eventID
are one if they have the same coordinates, date and sampling protocol.
"""

import re
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import repeat
from operator import itemgetter

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.darwin_core.listing import LISTING_TERMS, Listing
from spatioformer.geo.plots.archives.darwin_core.metafile import DataFile
from spatioformer.geo.plots.archives.darwin_core.visits import (
    VISIT_TERMS,
    area_of,
    day_of,
    visit_fields,
    visit_notes,
)
from spatioformer.geo.plots.archives.origins import Origin, one_licence
from spatioformer.geo.plots.archives.survey import VISIT, YES, Survey, visit_frame
from spatioformer.geo.plots.source import quoted, stated

_MOST_SINGLE = 0.9  # share of visits with one record, from which they are single records
_FEWEST = 10  # visits, from which that share says something

_KEY_TERMS = (
    *("decimalLongitude", "decimalLatitude", "samplingProtocol"),
    *("eventDate", "year", "month", "day"),
)
"""Terms that say of which visit a record is, where it has no event."""
_DOUBTS = frozenset(
    {
        "COORDINATE_INVALID",
        "COORDINATE_OUT_OF_RANGE",
        "COORDINATE_REPROJECTION_FAILED",
        "COORDINATE_REPROJECTION_SUSPICIOUS",
        "COUNTRY_COORDINATE_MISMATCH",
        "PRESUMED_NEGATED_LATITUDE",
        "PRESUMED_NEGATED_LONGITUDE",
        "PRESUMED_SWAPPED_COORDINATE",
        "ZERO_COORDINATE",
    }
)
"""Issues about coordinates in GBIF's interpretation, by their names (OccurrenceIssue)."""
_AREA = VISIT.index("area_m2")
_EFFORT = ("samplingProtocol", "sampleSizeValue", "samplingEffort", "totalAreaSampledValue")


class Visits:
    """Visits in the order in which their records come.

    Attributes:
        rows: fields of `survey.VISIT`.
        lines: line of the first record of each visit.
        sizes: number of records of each visit.
        is_survey: whether a visit has an event, a protocol or an effort.
        differing: code of a visit whose records have different places or days -> both, in words.
        areas: code of a visit of which a later record states another area -> square metres of the
            largest one, as text.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[str, ...]] = []
        self.lines: list[int] = []
        self.sizes: list[int] = []
        self.is_survey: list[bool] = []
        self.differing: dict[int, str] = {}
        self.areas: dict[int, str] = {}
        self.remarks: Counter[str] = Counter()
        self._codes: dict[tuple[str, ...], int] = {}
        self._places: list[tuple[str, str, str]] = []
        self._several: set[int] = set()

    def codes(
        self,
        line: int,
        rows: Iterable[tuple[str, str, tuple[str, ...]]],
        terms: Sequence[str],
    ) -> list[int]:
        """Codes of the visits of some records; -1 if nothing says which it is.

        Args:
            line: of the first record.
            rows: eventID, data set, and the cells of `terms` of each record.
        """
        key_of = itemgetter(*(terms.index(term) if term in terms else -1 for term in _KEY_TERMS))
        same: dict[tuple[str, str, tuple[str, ...]], int] = {}  # most records repeat their visit's
        codes = []
        for number, row in enumerate(rows):
            code = same.get(row)
            if code is None:
                event, dataset = map(stated, row[:2])
                cells = tuple(map(stated, row[2]))
                lon, lat, protocol, *day = key_of((*cells, ""))
                place = lon, lat, day_of(*day)
                code = self._code(event, dataset, place, protocol)
                if code == len(self.lines):
                    self._add(
                        line + number, event, dataset, place, dict(zip(terms, cells, strict=True))
                    )
                elif code >= 0:
                    self._compare(code, dict(zip(terms, cells, strict=True)))
                same[row] = code
            if code >= 0:
                self.sizes[code] += 1
            codes.append(code)
        return codes

    def _code(self, event: str, dataset: str, place: tuple[str, str, str], protocol: str) -> int:
        """Code of a visit, which is the number of visits for a new one; -1 if nothing says it."""
        if event:
            key: tuple[str, ...] = (dataset, event)
        elif place[0] and place[1]:
            key = (dataset, *place, protocol)
        else:
            return -1
        code = self._codes.setdefault(key, len(self.lines))
        if code < len(self.lines) and place != self._places[code]:
            first = self._places[code]
            self.differing.setdefault(
                code, f"lon, lat and date {', '.join(first)} and {', '.join(place)}"
            )
        return code

    def _compare(self, code: int, cells: dict[str, str]) -> None:
        """Keep the largest area that records of a visit state; count visits with several."""
        area = area_of(cells)
        first = self.areas.get(code, self.rows[code][_AREA])
        if not area or area == first:
            return
        if first and code not in self._several:
            self._several.add(code)
            self.remarks["records of several areas"] += 1
        self.areas[code] = max(first or "0", area, key=float)

    def _add(
        self,
        line: int,
        event: str,
        dataset: str,
        place: tuple[str, str, str],
        cells: dict[str, str],
    ) -> None:
        own = visit_fields(cells, self.remarks)
        own["plot_id"] = event or "/".join(filter(None, place))
        own["origin"] = dataset
        self.rows.append(tuple(map(own.get, VISIT, repeat(""))))
        self.lines.append(line)
        self.sizes.append(0)
        self.is_survey.append(bool(event) or any(map(cells.get, _EFFORT)))
        self._places.append(place)


def read_occurrences(core: DataFile, title: str, reference: Origin) -> Survey:
    """The visits of an occurrence core.

    Raises:
        PlotError: no record can be grouped, or most have no coordinates.
    """
    where = f"{core.title} of {core.store.path.name}"
    if not core.has("eventID") and not (core.has("decimalLongitude", "decimalLatitude")):
        raise PlotError(
            f"{where} has neither eventID nor coordinates, so nothing says which records are of "
            f"one plot; fetch the data set of the surveys with its events"
        )
    listing, visits = Listing(), Visits()
    licences: Counter[tuple[str, str]] = Counter()
    keys = array("q")
    issues: Counter[str] = Counter()
    dataset_term = "datasetKey" if core.has("datasetKey") else "datasetID"
    terms = [
        *dict.fromkeys(("eventID", dataset_term, "license", "occurrenceID", "gbifID", "issue"))
    ]
    terms += [term for term in (*VISIT_TERMS, *LISTING_TERMS) if term not in terms]
    ungrouped = total = 0
    present = [term for term in VISIT_TERMS if core.has(term)]
    identifier = "occurrenceID" if core.has("occurrenceID") else "gbifID"
    for piece, cells in core.pieces(terms):
        rows = zip(*(cells[term] for term in present), strict=True) if present else repeat(())
        codes = visits.codes(
            piece.line, zip(cells["eventID"], cells[dataset_term], rows, strict=False), present
        )
        ungrouped += codes.count(-1)
        total += piece.size
        licences.update(zip(cells[dataset_term], cells["license"], strict=True))
        issues.update(cells["issue"])
        keys.extend(map(hash, filter(None, cells[identifier])))
        listing.add(codes, cells)
    _refuse_ungrouped(where, total, ungrouped)
    columns = list(zip(*visits.rows, strict=True)) or [()] * len(VISIT)
    frame = visit_frame(dict(zip(VISIT, columns, strict=True)), visits.lines)
    frame.loc[[*visits.areas], "area_m2"] = [*visits.areas.values()]
    repeated = frame["plot_id"].duplicated(keep=False) & (frame["origin"] != "")
    frame.loc[repeated, "plot_id"] += "@" + frame["origin"][repeated]  # of several data sets
    survey = Survey(title, frame, listing.records, reference)
    survey.counts.update(listing.counts)
    single = ~np.array(visits.is_survey, dtype=bool)
    survey.presence_only = single_records(frame, visits.sizes, single)
    survey.without_plants = listing.without_plants()
    for code, places in visits.differing.items():
        survey.rejected[code] = (
            "rows of one plot that differ",
            f"eventID {quoted(frame['plot_id'][code])} has records of several places or "
            f"days: {places}",
        )
    survey.origins = _origins(licences)
    if not survey.origins:
        stated = reference.licence or one_licence(licence for _, licence in licences)
        survey.reference = replace(reference, licence=stated)
    survey.notes += [*listing.finish(), *visit_notes(visits.remarks)]
    survey.notes += [*_notes(ungrouped, keys), *_issue_notes(issues)]
    return survey


def _origins(licences: Counter[tuple[str, str]]) -> dict[str, Origin]:
    """The data sets, with the licences of their records, the most frequent first."""
    found: dict[str, list[str]] = {}
    for (dataset, licence), _ in licences.most_common():
        if dataset:
            found.setdefault(dataset, []).append(licence)
    return {key: Origin(key, key, "", one_licence(own)) for key, own in found.items()}


def _refuse_ungrouped(where: str, total: int, ungrouped: int) -> None:
    if not total:
        raise PlotError(f"{where} holds no record; fetch the archive again")
    if ungrouped > total / 2:
        raise PlotError(
            f"{ungrouped:,} of {total:,} records of {where} have neither an eventID nor "
            f"coordinates, so their plots are unknown; fetch records with coordinates"
        )


def single_records(
    visits: pd.DataFrame, sizes: ArrayLike, single: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Visits that are single records, not lists of a survey.

    Some publishers give each record an eventID of its own. So the visits of a data set are single
    records too if more than nine tenths of them have one record and do not state to be complete.

    Args:
        visits: columns origin and list_complete.
        sizes: number of records of each visit.
        single: visits that are single records because nothing says otherwise.
    """
    counts = np.asarray(sizes)
    complete = (visits["list_complete"] == YES).to_numpy(bool)
    codes, names = pd.factorize(visits["origin"].to_numpy(object))
    known = np.bincount(codes[~single], minlength=len(names))
    ones = np.bincount(codes[~single & (counts == 1)], minlength=len(names))
    mostly = (known >= _FEWEST) & (ones > _MOST_SINGLE * known)
    return single | (mostly[codes] & ~complete)


def _issue_notes(issues: Counter[str]) -> list[str]:
    """A sentence for each doubt of GBIF about coordinates."""
    doubts: Counter[str] = Counter()
    for listed, count in issues.items():
        doubts.update(dict.fromkeys(_DOUBTS.intersection(re.split(r"[;,|\s]+", listed)), count))
    return [
        f"{count:,} records have coordinates that GBIF doubts ({doubt})"
        for doubt, count in doubts.most_common()
    ]


def _notes(ungrouped: int, keys: "array[int]") -> list[str]:
    notes = []
    if ungrouped:
        notes.append(
            f"{ungrouped:,} records have neither an eventID nor coordinates and do not count"
        )
    repeated = len(keys) - len(np.unique(np.frombuffer(keys, np.int64)))
    if repeated:
        notes.append(
            f"{repeated:,} records repeat the id of another one; a species counts once in a list "
            f"anyhow"
        )
    return notes
