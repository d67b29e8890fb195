"""Whether a file is written as meta.xml says: its encoding, and the columns that its header names.

A wrong description gives wrong values without an error: names whose letters are garbled, latitudes
read as longitudes, a first record taken for a header.
"""

import codecs
import re
from collections.abc import Mapping
from dataclasses import replace

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.darwin_core.listing import LISTING_TERMS
from spatioformer.geo.plots.archives.darwin_core.visits import VISIT_TERMS
from spatioformer.geo.plots.archives.pieces import TextFormat, is_utf8, read_header
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.source import quoted

_SINGLE = frozenset({"iso8859-1", "iso8859-15", "cp1252"})
"""Encodings of one byte a letter, in which almost any text of UTF-8 can be read, wrongly."""
_READ = (*VISIT_TERMS, *LISTING_TERMS, "eventID", "parentEventID", "occurrenceID")
_NUMBERS = (
    *("decimalLongitude", "decimalLatitude", "coordinateUncertaintyInMeters", "year", "month"),
    *("sampleSizeValue", "individualCount", "totalAreaSampledValue", "measurementValue"),
)


def with_encoding(store: Store, name: str, form: TextFormat) -> tuple[TextFormat, list[str]]:
    """The form of a file, as UTF-8 where it is that although another encoding is stated; notes."""
    if codecs.lookup(form.encoding).name not in _SINGLE or not is_utf8(store, name):
        return form, []
    return replace(form, encoding="utf-8"), [
        f"{name} is UTF-8 and was read so, though {quoted(form.encoding)} is stated for it"
    ]


def check_header(
    store: Store, name: str, form: TextFormat, terms: Mapping[str, int], where: str
) -> None:
    """Raise if the header of a file contradicts the positions of its terms.

    Args:
        terms: term without its namespace -> position.
        where: the description, for messages.

    Raises:
        PlotError: the header names another column like a term, or is a row of numbers.
    """
    if form.header_lines != 1:
        return
    try:
        header = read_header(store, name, form)
    except PlotError:
        return  # said when its rows are read
    names = [_local(cell) for cell in header]
    for term, position in terms.items():
        if position >= len(names):
            continue
        if term in _NUMBERS and _is_number(header[position]):
            raise PlotError(
                f"{where} says that line 1 of {name} is a header, but it holds the {term} "
                f"{quoted(header[position])}; set ignoreHeaderLines to 0"
            )
        if term in _READ and names[position] != term.lower() and term.lower() in names:
            other = names.index(term.lower())
            if other in terms.values():
                raise PlotError(
                    f"{where} says that {term} is column {position + 1} of {name}, but the header "
                    f"names column {other + 1} so, and column {position + 1} "
                    f"{quoted(header[position])}; correct the index of the term"
                )


def _local(cell: str) -> str:
    """A name of a column without its vocabulary: dwc:eventID, http://rs.tdwg.org/.../eventID."""
    return re.split(r"[/:#]", cell.strip().strip("\"'"))[-1].lower()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "infinity")
