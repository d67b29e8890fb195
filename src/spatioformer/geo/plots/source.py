"""A table of plots or species as rows of text cells: what all file formats have in common."""

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from pyproj import CRS

from spatioformer.common.errors import PlotError

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""Texts, in lower case, that mean a missing value in every column."""

GEOMETRY_X, GEOMETRY_Y = "(geometry x)", "(geometry y)"
"""Names of the columns added for the point geometries of a source."""


def stated(text: str) -> str:
    """The text of a cell; '' if it means a missing value."""
    return "" if text.lower() in MISSING else text


class Row(NamedTuple):
    """One row of a source: `line` counts from 1; `fault` says why the row is broken, else ''."""

    line: int
    cells: list[str]
    fault: str


class Source(ABC):
    """Table of text cells; each call of `rows` starts at the first row.

    Attributes:
        path: the file.
        header: column names, stripped; may be blank or repeated.
        crs: CRS of the point geometries; None if the file has no geometry.
        encoding: encoding of a text file; '' otherwise.
        separator: character between the columns of a text file; '' otherwise.
        sheet: name of the sheet of a spreadsheet; '' otherwise.
        notes: sentences for the report on how the file was read.
        faults: kind and reason of rows, by their number from 0, that the reader rejects.
        imported: facts of the archive that the table was imported from, see `archives.facts`; None
            for other tables.
    """

    path: Path
    header: list[str]
    crs: CRS | None = None
    encoding: str = ""
    separator: str = ""
    sheet: str = ""
    notes: Sequence[str] = ()
    faults: Mapping[int, tuple[str, str]] = MappingProxyType({})
    imported: Mapping[str, Any] | None = None

    @abstractmethod
    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        """Yield rows with the cells at `positions` of the header, stripped."""

    def has_numbers(self, position: int) -> bool:
        """Whether the column holds typed numbers, whose text always has a decimal point."""
        return False

    def position(self, name: str, key: str) -> int:
        """Position of column `name` in the header; `key` is the setting that names the column.

        Raises:
            PlotError: the column is absent, or several have that name.
        """
        count = self.header.count(name)
        if count > 1:
            raise PlotError(
                f"column {name!r} ({key}) occurs {count} times in {self.path.name}; "
                f"rename all but one of them"
            )
        if count == 0:
            raise PlotError(
                f"column {name!r} ({key}) is not in {self.path.name}; {self._advice(name)}"
            )
        return self.header.index(name)

    def _advice(self, name: str) -> str:
        """Remedy for the absent column `name`: similar column names, or a list of the columns."""
        folded = {column.casefold(): column for column in self.header if column}
        wanted = name.casefold()
        close = [column for column in folded if wanted in column or column in wanted]
        close = close or difflib.get_close_matches(wanted, folded)
        if close:
            return f"did you mean {' or '.join(quoted(folded[match]) for match in close[:3])}?"
        shown = ", ".join(quoted(column) for column in self.header[:12])
        shown = shown if len(shown) <= 400 else shown[:400] + "..."
        more = f" and {len(self.header) - 12} more" if len(self.header) > 12 else ""
        return f"its columns are {shown}{more}"


def quoted(text: str) -> str:
    """A cell or name in quotes for a message, cut if it is long."""
    return repr(text) if len(text) <= 60 else repr(text[:40]) + f"... ({len(text)} characters)"
