"""Occurrences as names on lists: what is present, which name counts, what is left out.

Source: Darwin Core quick reference guide, https://dwc.tdwg.org/terms/ (classes Occurrence and
Taxon); GBIF adds acceptedScientificName and species, its own accepted names.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from spatioformer.geo.plots.abundances import is_zero
from spatioformer.geo.plots.archives.survey import Name, Records
from spatioformer.geo.plots.source import MISSING, quoted, stated

ABSENT = frozenset(
    {"absent", "absence", "not detected", "not present", "excluded", "ausente", "0", "false", "no"}
)
"""occurrenceStatus that means absent, in lower case."""

_PRESENT = frozenset({"", "present", "presence", "detected", "1", "true", "yes"})
_ABSENT = "absent"  # verdict on a record
_KNOWN = ABSENT | _PRESENT | MISSING
_MOST_ODD = 3  # statuses that are named
_PLANTS = frozenset(
    {
        "",
        "plantae",
        "viridiplantae",
        "archaeplastida",
        "incertae sedis",
        "planta",
        "plants",
        "plant",
    }
)
_NO_SURVEY = frozenset({"fossilspecimen", "livingspecimen"})

NAME_TERMS = (
    *("scientificName", "verbatimScientificName", "acceptedNameUsage", "acceptedScientificName"),
    *("species", "taxonRank", "acceptedNameUsageID", "taxonID"),
    *("genus", "specificEpithet", "infraspecificEpithet"),
)
STATE_TERMS = (
    "occurrenceStatus",
    "individualCount",
    "organismQuantity",
    "kingdom",
    "basisOfRecord",
)
LISTING_TERMS = (*NAME_TERMS, *STATE_TERMS)
"""Terms of which a listing reads the cells."""


class Listing:
    """The names on lists, from the occurrences of an archive.

    Attributes:
        records: names by visit.
        counts: numbers of records read, absent and left out.
    """

    def __init__(self) -> None:
        self.records = Records()
        self.counts: Counter[str] = Counter()
        self._names: dict[tuple[str, ...], int] = {}
        self._states: dict[tuple[str, ...], str] = {}
        self._odd: Counter[str] = Counter()  # occurrenceStatus that is neither
        self._by_id: dict[str, str] = {}  # taxonID -> name
        self._accepted: dict[int, str] = {}  # code of a name -> acceptedNameUsageID
        self._absences: set[int] = set()  # visits that state that a plant is absent
        self._others: set[int] = set()  # visits with records of no plants

    def add(self, visits: Sequence[int], cells: dict[str, Sequence[str]]) -> None:
        """Add a piece of occurrences.

        Args:
            visits: code of the visit of each row; -1 for a row of no visit.
            cells: the columns of LISTING_TERMS.
        """
        of_visit: list[int] = []
        of_name: list[int] = []
        states, names = self._states, self._names
        rows = zip(
            visits,
            zip(*(cells[t] for t in STATE_TERMS), strict=True),
            zip(*(cells[t] for t in NAME_TERMS), strict=True),
            strict=True,
        )
        counted: Counter[str] = Counter()
        for visit, state, name in rows:
            verdict = states.get(state)
            if verdict is None:
                verdict = states[state] = _state(*map(stated, state))
            counted[verdict] += 1
            if verdict:
                (self._absences if verdict == _ABSENT else self._others).add(visit)
            if verdict or visit < 0:
                continue
            code = names.get(name)
            if code is None:
                code = names[name] = self._code(name)
            if code >= 0:
                of_visit.append(visit)
                of_name.append(code)
            else:
                counted["without a name"] += 1
        for status, count in Counter(cells["occurrenceStatus"]).items():
            if status.lower() not in _KNOWN:
                self._odd[status] += count
        counted["read"] += sum(counted[v] for v in set(states.values()))
        self.counts.update({key: n for key, n in counted.items() if key and n})
        if of_visit:
            self.records.add(of_visit, of_name)

    def finish(self) -> list[str]:
        """Resolve accepted names that are stated by their ids; return sentences for the report."""
        first: dict[str, str] = {}
        for code, identifier in self._accepted.items():
            name = self.records.names[code]
            accepted = self._by_id.get(identifier) or first.setdefault(identifier, name.recorded)
            self.records.names[code] = name._replace(accepted=accepted)
        notes = []
        for key, count in sorted(self.counts.items()):
            if key.startswith("kingdom "):
                notes.append(f"{count:,} records are not of plants ({key}) and do not count")
        for key, why in (
            ("absent", "state that the taxon is absent"),
            ("no survey", "are fossils or of gardens, and do not count"),
            ("without a name", "have no scientific name, and do not count"),
        ):
            if self.counts[key]:
                notes.append(f"{self.counts[key]:,} records {why}")
        for status, count in self._odd.most_common(_MOST_ODD):
            notes.append(
                f"occurrenceStatus {quoted(status)} of {count:,} records is neither present nor "
                f"absent, and counts as present"
            )
        return notes

    def without_plants(self) -> list[int]:
        """Codes of the visits whose records are all of animals, fungi, fossils or gardens."""
        listed = set(np.unique(self.records.pairs()[0]).tolist())
        return sorted(self._others - self._absences - listed - {-1})

    def _code(self, cells: tuple[str, ...]) -> int:
        """Code of a name; -1 if the record has none."""
        cells = tuple(map(stated, cells))
        (scientific, verbatim, usage, accepted, species, rank, accepted_id, taxon_id) = cells[:8]
        recorded = scientific or verbatim or " ".join(filter(None, cells[8:]))
        if taxon_id and recorded:
            self._by_id.setdefault(taxon_id, recorded)
        valid = usage or accepted or species
        if not recorded and not valid:
            return -1
        code = self.records.code(Name(recorded or valid, valid, rank))
        if not valid and accepted_id and accepted_id != taxon_id:
            # A name of its own, so that another accepted id does not change it.
            code = len(self.records.names)
            self.records.names.append(Name(recorded, "", rank))
            self._accepted[code] = accepted_id
        return code


def _state(status: str, count: str, quantity: str, kingdom: str, basis: str) -> str:
    """Why a record does not count; '' if it does."""
    if kingdom.lower() not in _PLANTS:
        return f"kingdom {kingdom}"
    if basis.replace("_", "").lower() in _NO_SURVEY:
        return "no survey"
    if status.lower() in ABSENT or is_zero(count) or (not count and is_zero(quantity)):
        return _ABSENT
    return ""
