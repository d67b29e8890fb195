"""Dates in text: forms that are read, and the order of day and month found from a whole column."""

import datetime
import re
from collections.abc import Collection
from typing import NamedTuple

from spatioformer.geo.plots.month_names import parse_named
from spatioformer.geo.plots.source import MISSING, quoted

ORDERS = ("year-first", "day-first", "month-first")

_FEWEST = 5  # dates of each form, from which their days say something

FIRST_YEAR, LAST_YEAR = 1700, 2100

_YEAR = re.compile(r"(\d{1,4})(\.0*)?", re.ASCII)
_TIME = r"([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*(Z|[+-]\d{2}(:?\d{2})?)?)?"
_DAY = re.compile(rf"(\d{{4}})([-/])(\d{{1,2}})(?:\2(\d{{1,2}}){_TIME})?", re.ASCII)
_COMPACT_DAY = re.compile(r"(\d{4})(\d{2})(\d{2})", re.ASCII)
_CLOCK = r"([T ,]\s*\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?\s*([AaPp]\.?[Mm]\.?|Z|[+-]\d{2}(:?\d{2})?)?)?"
_YEAR_LAST = re.compile(rf"(\d{{1,2}})([-/.])(\d{{1,2}})\2(\d{{4}}){_CLOCK}", re.ASCII)
_SHORT_YEAR = re.compile(rf"\d{{1,2}}([-/.])\d{{1,2}}\1\d{{2}}{_CLOCK}", re.ASCII)


SHORT = "has a year of two digits; write all four"


class DateOrder(NamedTuple):
    """Order of the parts of the dates of a column.

    Attributes:
        order: one of ORDERS; None if the column has no date, or dates that fit several orders.
        why: the cell that decides, or that does not, for a message.
        is_ambiguous: whether the dates fit day-first and month-first.
        conflict: two cells that contradict each other; '' if none.
        exchanged: why day and month of some dates are probably exchanged; '' if nothing says so.
        named: how a date with the name of its month was read; '' if there is none.
    """

    order: str | None
    why: str
    is_ambiguous: bool = False
    conflict: str = ""
    exchanged: str = ""
    named: str = ""


def find_order(texts: Collection[str]) -> DateOrder:
    """Decide from all cells whether the day or the month comes first in dates such as 5/1/2014.

    A first number over 12 is a day, and so is a second one. Dates that begin with the year have no
    part in the decision, nor have those with the name of the month. Signs between the numbers
    decide nothing.
    """
    return _order_of_numbers([t for t in texts if not parse_named(t)])._replace(
        named=_first_named(texts)
    )


def _first_named(texts: Collection[str]) -> str:
    """How the first date with the name of its month is read; '' if there is none."""
    for text in texts:
        if parse_named(text) and isinstance(date := parse_date(text), datetime.date):
            return f"the name is the month: {quoted(text)} was read as {date.isoformat()}"
    return ""


def _order_of_numbers(texts: Collection[str]) -> DateOrder:
    """`find_order` of dates that are written in numbers."""
    day_first = month_first = undecided = year_first = ""
    for text in texts:
        match = _YEAR_LAST.fullmatch(text)
        if not match:
            if not year_first and isinstance(parse_date(text), datetime.date):
                year_first = text
            continue
        first, second = int(match[1]), int(match[3])
        if first > 12 >= second:
            day_first = day_first or text
        elif second > 12 >= first:
            month_first = month_first or text
        elif first != second:
            undecided = undecided or text
    if day_first and month_first:
        conflict = f"{quoted(day_first)} begins with the day, and {quoted(month_first)} does not"
        return DateOrder(None, conflict, conflict=conflict)
    if day_first or month_first:
        order = "day-first" if day_first else "month-first"
        example = day_first or month_first
        exchanged = _exchanged(texts, example) if not undecided else ""
        return DateOrder(order, f"as in {quoted(example)}", exchanged=exchanged)
    if undecided:
        return DateOrder(
            None, f"{quoted(undecided)} may begin with the day or the month", is_ambiguous=True
        )
    if year_first:
        return DateOrder("year-first", f"as in {quoted(year_first)}")
    return DateOrder(None, "no cell is a date")


def _exchanged(texts: Collection[str], example: str) -> str:
    """Why a spreadsheet has probably exchanged day and month of some dates; '' if it has not.

    A spreadsheet set to the other order turns 5/1/2014 into a date of the wrong month, and leaves
    25/12/2014 as text, because no month 25 exists.
    """
    written = [text for text in texts if _YEAR_LAST.fullmatch(text)]
    days = [int(m[4]) for text in texts if (m := _DAY.fullmatch(text)) and m[4]]
    if min(len(written), len(days)) < _FEWEST or max(days) > 12:
        return ""
    return (
        f"dates such as {quoted(example)} all have days after 12, and those written YYYY-MM-DD all "
        f"have days up to 12, so a spreadsheet has probably exchanged day and month of these"
    )


def parse_date(text: str, order: str | None = None) -> datetime.date | str | None:
    """Parse a date; None if it is missing; a reason (text) if it cannot be read.

    Accepted: YYYY (its first of January; also 1990.0 from a spreadsheet), YYYY-MM, YYYY-MM-DD with
    or without a time, the same with slashes, and YYYYMMDD. Year 0 means missing. If the
    order is day-first or month-first, also 5/1/2014, 05.01.2014 and 05-01-2014, with or without a
    time; 5/5/2014 is read in any order. Dates with the name of the month, such as 5 Jan 2014, are
    read in any order too, see `month_names`.
    """
    if text.lower() in MISSING:
        return None
    if match := _YEAR.fullmatch(text):
        year, month, day = int(match[1]), 1, 1
        if year == 0:
            return None
    elif match := _DAY.fullmatch(text):
        year, month, day = int(match[1]), int(match[3]), int(match[4] or 1)
    elif match := _COMPACT_DAY.fullmatch(text):
        year, month, day = (int(part) for part in match.groups())
    elif match := _YEAR_LAST.fullmatch(text):
        first, second, year = int(match[1]), int(match[3]), int(match[4])
        if order == "year-first" and first != second:
            return "does not begin with the year"
        if order is None and first != second:
            return "may begin with the day or the month, and its column does not decide"
        day, month = (first, second) if order == "day-first" else (second, first)
    elif named := parse_named(text):
        if len(named[0]) == 2:
            return SHORT
        year, month, day = int(named[0]), named[1], named[2]
    elif _SHORT_YEAR.fullmatch(text):
        return SHORT
    else:
        return "is neither a year nor written YYYY-MM-DD"
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return f"is outside the years {FIRST_YEAR} to {LAST_YEAR}"
    try:
        return datetime.date(year, month, day)
    except ValueError:
        return "is not a day of the calendar"


def looks_like_date(text: str) -> bool:
    """Whether a cell is a date or year in any order."""
    if any(isinstance(parse_date(text, order), datetime.date) for order in ORDERS):
        return True
    return bool(_SHORT_YEAR.fullmatch(text)) or parse_named(text) is not None
