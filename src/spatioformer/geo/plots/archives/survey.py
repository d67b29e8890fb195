"""What a reader of an archive makes: visits to plots, names on their lists, and their origin."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.geo.plots.archives.origins import Origin

YES, NO, NOT_STATED = "yes", "no", "not stated"
"""Whether the list of a visit is stated to hold all species of its scope."""

VISIT = (
    *("plot_id", "lon", "lat", "area_m2", "date", "programme", "site", "parent", "protocol"),
    *("origin", "list_complete", "coordinate_uncertainty_m", "duration_h", "scope", "datum"),
    "country",
)
"""Columns of text of the visits; '' where nothing is stated.

`site` is the place of several visits, `parent` the plot that holds nested ones, `scope` the taxa or
sizes of plants that were recorded, `origin` the key of a data set,
`country` the English name of a country."""


class Name(NamedTuple):
    """A name on a list.

    Attributes:
        recorded: as the observer wrote it.
        accepted: the archive's accepted name for it; '' if it states none.
        rank: the taxonRank of the name that counts; '' if it is not stated.
    """

    recorded: str
    accepted: str = ""
    rank: str = ""


class Records:
    """Distinct pairs of a visit and a name, as two codes in one number.

    Memory grows with distinct pairs (8 bytes) and names, not with rows.

    Attributes:
        names: the names by their codes.
    """

    _LARGEST = 4_000_000  # pairs that wait to be made distinct

    def __init__(self) -> None:
        self.names: list[Name] = []
        self._codes: dict[Name, int] = {}
        self._parts: list[NDArray[np.int64]] = []
        self._waiting = 0

    def code(self, name: Name) -> int:
        """The code of a name."""
        code = self._codes.setdefault(name, len(self.names))
        if code == len(self.names):
            self.names.append(name)
        return code

    def add(self, visits: Sequence[int], names: Sequence[int]) -> None:
        """Add records: codes of visits, and of the names on their lists."""
        pairs = np.asarray(visits, np.int64) << 32 | np.asarray(names, np.int64)
        self._parts.append(np.unique(pairs))
        self._waiting += len(self._parts[-1])
        if self._waiting > self._LARGEST and len(self._parts) > 1:
            self._join()
            self._waiting = 0

    def _join(self) -> None:
        self._parts = [np.unique(np.concatenate(self._parts))]

    def renumber(self, codes: NDArray[np.int64]) -> None:
        """Give the visits new codes; -1 leaves a visit out."""
        visits, names = self.pairs()
        new = codes[visits]
        self._parts = [np.unique(new[new >= 0] << 32 | names[new >= 0])]

    def pairs(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Codes of visits and of names of the distinct pairs, ordered by visit and name."""
        if not self._parts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        if len(self._parts) > 1:
            self._join()
        return self._parts[0] >> 32, self._parts[0] & 0xFFFFFFFF


@dataclass
class Survey:
    """The plots of an archive, before names are counted and rows are checked.

    Attributes:
        format: name of the format, such as 'Darwin Core archive, event core'.
        visits: a row a visit: the columns VISIT as text, and `line` in the file of the visits. A
            column `richness` if the archive states it instead of names.
        records: the names on the lists; None if the archive states the richness.
        reference: the archive as a whole, to be cited.
        origins: its data sets, by key.
        bibtex: entries of a BibTeX file that the archive holds for its plots.
        crs: CRS of lon and lat.
        presence_only: visits, by row, that are single records grouped by place and day.
        without_plants: visits, by row, that have records, but none of plants that count.
        settings: how cells are written, where the format fixes it: `date_order`, `decimal`.
        rejected: kind and reason of visits, by row, that cannot be used.
        counts: numbers for the summary, such as records read.
        notes: sentences on how the archive was read.
    """

    format: str
    visits: pd.DataFrame
    records: Records | None
    reference: Origin
    origins: dict[str, Origin] = field(default_factory=dict)
    bibtex: str = ""
    crs: object = "EPSG:4326"
    presence_only: NDArray[np.bool_] | None = None
    without_plants: list[int] = field(default_factory=list)
    settings: dict[str, str] = field(default_factory=dict)
    rejected: dict[int, tuple[str, str]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)


def visit_frame(columns: Mapping[str, Sequence[str]], lines: Sequence[int]) -> pd.DataFrame:
    """Visits with all columns of VISIT, from those that a reader has, and its further ones."""
    frame = pd.DataFrame({k: list(v) for k, v in columns.items()}, dtype=object)
    names = [*VISIT, *(name for name in columns if name not in VISIT)]
    frame = frame.reindex(columns=names, fill_value="")
    frame["list_complete"] = frame["list_complete"].replace("", NOT_STATED)
    return frame.assign(line=np.asarray(lines, np.int64))
