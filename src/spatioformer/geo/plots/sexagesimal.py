"""Coordinates written in degrees, minutes and seconds, or with a letter of the hemisphere.

Such as 42°30'15"N, 42° 30.25' N, N 42 30 15, 42 30 15 N, 42:30:15, S 33.5, 33,5°S and -33 30 00.
Letters are N, S, E and W; O is refused, because it means west (oeste, ouest) or east (Ost).
"""

import re
from collections.abc import Sequence

import numpy as np

from spatioformer.geo.plots.source import MISSING

_AMOUNT = r"[0-9]{1,3}(?:[.,][0-9]+)?"
_MINUTES = r"[0-9]{1,2}(?:[.,][0-9]+)?"
_DEGREE = r"\s*[°º˚]\s*"
_MINUTE = r"\s*['’′´`]\s*"
_SECOND = r"\s*(?:[\"”″]|''|’’|′′|´´)?"  # not s, which may be south
# Either marks or blanks and colons part degrees, minutes and seconds.
_BODY = (
    rf"(?P<degrees>{_AMOUNT})"
    rf"(?:(?:{_DEGREE}|\s*:\s*|\s+)(?P<minutes>{_MINUTES})"
    rf"(?:(?:{_MINUTE}|\s*:\s*|\s+)(?P<seconds>{_MINUTES}){_SECOND}|{_MINUTE})?"
    rf"|{_DEGREE})?"
)
_FORM = re.compile(
    rf"(?P<sign>[+\-−])?\s*(?P<before>[NSEWO])?\s*{_BODY}\s*(?P<after>[NSEWO])?",
    re.IGNORECASE | re.ASCII,
)

_LETTERS = {"lon": {"E": 1.0, "W": -1.0}, "lat": {"N": 1.0, "S": -1.0}}

_LONGEST = 60  # characters of a coordinate

_MARKS = frozenset("°º˚'’′´`\"”″:NSEWOnsewo ")
"""Characters that a plain number does not have, and such a coordinate has."""


def degrees(text: str, axis: str) -> float:
    """Value of a coordinate in degrees; NaN if it is none, or one of the other axis.

    Args:
        text: the cell.
        axis: 'lon' or 'lat', which decides the letters.
    """
    match = _FORM.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        return np.nan
    letters = [letter.upper() for letter in match.group("before", "after") if letter]
    sign = -1.0 if match["sign"] in ("-", "−") else 1.0
    if letters:
        # -33.5 S may be south or north.
        if len(letters) > 1 or match["sign"] or letters[0] not in _LETTERS[axis]:
            return np.nan
        sign = _LETTERS[axis][letters[0]]
    parts = [match["degrees"], match["minutes"], match["seconds"]]
    given = [part for part in parts if part is not None]
    whole = [part.replace(",", ".") for part in given]
    # Only the last part has decimals, and minutes and seconds end at 60.
    if any("." in part for part in whole[:-1]) or any(float(part) >= 60 for part in whole[1:]):
        return np.nan
    return sign * sum(float(part) / 60**i for i, part in enumerate(whole))


def is_open(text: str) -> bool:
    """Whether a coordinate has the letter O, which means west or east."""
    return len(text) <= _LONGEST and _is_form(text) and "O" in text.upper()


def has_letter(text: str) -> bool:
    """Whether a coordinate names its hemisphere."""
    return text[:1].upper() in "NSEW" or text[-1:].upper() in "NSEW"


def is_sexagesimal(texts: Sequence[str]) -> bool:
    """Whether most cells of a column are written in one of these forms, not as numbers.

    Their values may still be none, such as those with O.
    """
    everything = "".join(texts)
    if not any(mark in everything for mark in _MARKS):
        return False
    known = count = 0
    for text in texts:
        if text.lower() in MISSING:
            continue
        known += 1
        count += not _MARKS.isdisjoint(text) and len(text) <= _LONGEST and _is_form(text)
    return count > known / 2


def _is_form(text: str) -> bool:
    return _FORM.fullmatch(text) is not None


def all_degrees(texts: Sequence[str], axis: str) -> np.ndarray:
    """Values of a column, float64; NaN for what is no coordinate.

    If a cell has the letter of a hemisphere, all need one: the side of the others is unknown.
    """
    values = np.array([degrees(text, axis) for text in texts], dtype=np.float64)
    read = np.isfinite(values)
    lettered = read & np.array([has_letter(text) for text in texts], dtype=bool)
    if lettered.any():
        values[~lettered] = np.nan
    return values
