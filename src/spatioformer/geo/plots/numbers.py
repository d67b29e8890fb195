"""Numbers in text columns: decimal and thousands signs are found from the whole column.

The rule, one for every column of numbers:

1. `decimal` of the configuration decides, if it is set.
2. Otherwise, a cell with a point and a comma has the later one as its decimal sign. A sign that
   occurs several times in a cell parts thousands. A single sign is the decimal sign, unless one to
   three digits (not beginning with 0) stand before it and exactly three behind: that is ambiguous.
3. If all cells with a sign are ambiguous, the CRS's area of use decides for coordinates, then the
   other columns of the file. If neither does, the column is refused.
4. If cells contradict each other, the decimal sign is the point.

A column of coordinates of which most cells are degrees, minutes and seconds is read as these, see
`sexagesimal`. Blanks and apostrophes between groups of three digits part thousands everywhere.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.crs import area_bounds
from spatioformer.geo.plots.sexagesimal import all_degrees, is_sexagesimal
from spatioformer.geo.plots.source import quoted

_LONGEST = 400  # characters of a number; a double-precision number needs at most about 330

_NUMBER = re.compile(
    r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?inf(?:inity)?",
    re.IGNORECASE | re.ASCII,
)
_GROUPED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]*)?", re.ASCII)
_SIGNED = re.compile(r"[+-]?([0-9.,]+)(e[+-]?[0-9]+)?", re.IGNORECASE | re.ASCII)
_AMBIGUOUS = re.compile(r"[1-9][0-9]{0,2}[.,][0-9]{3}", re.ASCII)
_SPACED = re.compile(r"[+-]?[1-9][0-9]{0,2}(?:[ \u00a0\u202f\u2009'’][0-9]{3})+(?:[.,][0-9]*)?")
_GAPS = frozenset(" \u00a0\u202f\u2009'’")
_SPACES = str.maketrans("", "", "".join(_GAPS))
_TWO_COMMAS = re.compile(r",[^\n,]*,")
_EXCHANGE = str.maketrans(".,", ",.")
_WORDS = {".": "points", ",": "commas"}


class Style(NamedTuple):
    """How a column writes numbers.

    Attributes:
        decimal: the decimal sign.
        grouped: whether the other sign parts thousands.
        axis: 'lon' or 'lat' if the column holds degrees, minutes and seconds; '' otherwise.
    """

    decimal: str = "."
    grouped: bool = False
    axis: str = ""


class _Signs(NamedTuple):
    """Decimal signs that cells of a column show, and an example of each sign that is ambiguous."""

    certain: set[str]
    ambiguous: dict[str, str]


def number(text: str, style: Style = Style()) -> float:
    """Value of a number; NaN if the text is none. Takes time in proportion to the length."""
    if len(text) > _LONGEST:
        return np.nan
    if _SPACED.fullmatch(text):
        text = text.translate(_SPACES)
    if style.decimal == ",":
        text = text.translate(_EXCHANGE)
    # float() also accepts '1_000' and 'nan', which are not numbers in a table.
    if _NUMBER.fullmatch(text):
        return float(text)
    if style.grouped and _GROUPED.fullmatch(text):
        return float(text.replace(",", ""))
    return np.nan


def numbers(texts: Sequence[str], style: Style = Style()) -> np.ndarray:
    """Values of many texts, float64; as `number`, but faster for the usual decimal point."""
    if style.axis:
        return all_degrees(texts, style.axis)
    match = _NUMBER.fullmatch
    if style.decimal == ",":
        exchanged = [text.translate(_EXCHANGE) for text in texts]
        read = [
            float(plain) if len(plain) <= _LONGEST and match(plain) else number(text, style)
            for text, plain in zip(texts, exchanged, strict=True)
        ]
    else:
        read = [
            float(text) if len(text) <= _LONGEST and match(text) else number(text, style)
            for text in texts
        ]
    return np.array(read, dtype=np.float64)


def usual_style(texts: Sequence[str]) -> Style:
    """How cells write numbers as far as they alone show it: a decimal point if they do not."""
    certain, ambiguous = _signs(texts)
    if len(certain) == 1:
        return Style(min(certain), grouped=True)
    return Style("," if not certain and set(ambiguous) == {","} else ".")


def find_styles(
    columns: Mapping[str, Sequence[str]],
    typed: Iterable[str],
    crs: CRS,
    decimal: str | None,
    labels: Mapping[str, str],
    lettered: Collection[str] = (),
) -> tuple[dict[str, Style], list[str]]:
    """Find how each column writes its numbers; see the module's docstring.

    Args:
        columns: our column names -> cells.
        typed: names of columns that hold typed numbers, not text.
        crs: CRS of the columns lon and lat.
        decimal: "." or "," for all text columns; None: found from the cells.
        labels: our column names -> those of the file.
        lettered: coordinates that have letters of hemispheres from another column.

    Returns:
        The style of each column; notes on decimal commas and thousands signs.

    Raises:
        PlotError: a column's numbers have two meanings, and nothing decides.
    """
    styles = dict.fromkeys(columns, Style())
    texts = {name: column for name, column in columns.items() if name not in set(typed)}
    written = [n for n in ("lon", "lat") if n in lettered or is_sexagesimal(texts.get(n, ()))]
    remarks = []
    for name in written:
        styles[name] = Style(axis=name)
        remarks += _degrees_notes(name, texts.pop(name))
    if decimal is not None:
        styles |= dict.fromkeys(texts, Style(decimal, grouped=True))
        return styles, [*remarks, *_notes(texts, styles)]
    signs = {name: _signs(column) for name, column in texts.items()}
    for name, (certain, _) in signs.items():
        if len(certain) == 1:
            styles[name] = Style(min(certain), grouped=True)
    decided = {name for name, (certain, _) in signs.items() if certain}
    pending = [name for name in texts if signs[name].ambiguous and name not in decided]
    for name in [name for name in pending if name in ("lon", "lat")]:
        sign = _by_place(texts[name], crs, 0 if name == "lon" else 1)
        if sign:
            styles[name] = Style(sign, grouped=True)
            decided.add(name)
    notes = []
    of_others = {styles[name].decimal for name in decided}
    for name in [name for name in pending if name not in decided]:
        ambiguous = signs[name].ambiguous
        if len(of_others) != 1 or len(ambiguous) != 1:
            _refuse(name, labels[name], next(iter(ambiguous.values())))
        (shared,), ((sign, example),) = of_others, ambiguous.items()
        # A comma in a file with decimal points stays unread, and its row is rejected.
        styles[name] = Style(shared, grouped=shared == ",")
        if sign == ".":
            read = number(example, styles[name])
            notes.append(
                f"{name} {example!r} was read as {read:g}, because the decimal sign of other "
                f"columns is {shared!r}; if that is wrong, set decimal"
            )
    return styles, [*remarks, *_notes(texts, styles), *notes]


def _degrees_notes(axis: str, texts: Sequence[str]) -> list[str]:
    values = all_degrees(texts, axis)
    row = int(np.isfinite(values).argmax())
    if not np.isfinite(values[row]):
        return []
    return [
        f"{axis} is written in degrees, minutes and seconds or with letters: {quoted(texts[row])} "
        f"was read as {values[row]:.6g}"
    ]


def _refuse(name: str, label: str, example: str) -> None:
    values = [number(example, Style(sign, grouped=True)) for sign in ".,"]
    raise PlotError(
        f"column {label!r} ({name}) holds {example!r}, which may be {min(values):g} or "
        f"{max(values):g}; set decimal to '.' or ','"
    )


def _signs(texts: Sequence[str]) -> _Signs:
    """Decimal signs that the cells show; stops early if no other cell can contradict one."""
    everything = "\n".join(texts)
    has_comma, has_point = "," in everything, "." in everything
    if not has_comma and not has_point:
        return _Signs(set(), {})
    # A comma in 1,234,567 parts thousands, which contradicts a decimal comma.
    is_sure = {".": not has_comma, ",": not has_point and not _TWO_COMMAS.search(everything)}
    signs = _Signs(set(), {})
    for text in texts:
        if "." not in text and "," not in text:
            continue
        sign, certain = _sign(text)
        if not sign:
            continue
        if certain:
            signs.certain.add(sign)
            if is_sure[sign]:
                break
        else:
            signs.ambiguous.setdefault(sign, text)
    return signs


def _sign(text: str) -> tuple[str, bool]:
    """Decimal sign of a cell and whether it is certain; '' if the cell is not a number."""
    if len(text) <= _LONGEST and _SPACED.fullmatch(text):
        text = text.translate(_SPACES)
        sign = next((mark for mark in ".," if mark in text), "")
        return sign, bool(sign)  # the blanks part thousands, so the sign does not
    match = _SIGNED.fullmatch(text) if len(text) <= _LONGEST else None
    if not match:
        return "", False
    body, exponent = match.groups()
    marks = {mark for mark in ".," if mark in body}
    if len(marks) == 1 and body.count(min(marks)) == 1:
        return min(marks), exponent is not None or not _AMBIGUOUS.fullmatch(body)
    for sign in ".,":
        if _GROUPED.fullmatch(text if sign == "." else text.translate(_EXCHANGE)):
            return sign, True
    return "", False


def _by_place(texts: Sequence[str], crs: CRS, axis: int) -> str:
    """Decimal sign with which coordinates lie in the CRS's area of use; '' if both or none do."""
    bounds = area_bounds(crs)
    if bounds is None:
        return ""
    low, high = bounds[axis], bounds[axis + 2]
    inside = []
    for sign in ".,":
        values = numbers(texts, Style(sign, grouped=True))
        finite = values[np.isfinite(values)]
        inside.append(((finite >= low) & (finite <= high)).mean() if len(finite) else 0.0)
    if min(inside) >= 0.5 or max(inside) < 0.5:
        return ""
    return ".,"[int(np.argmax(inside))]


def _notes(columns: Mapping[str, Sequence[str]], styles: Mapping[str, Style]) -> list[str]:
    """Sentences on decimal commas and thousands signs that occur in the columns."""
    commas = [
        name
        for name, texts in columns.items()
        if styles[name].decimal == "," and any("," in text for text in texts)
    ]
    notes = [f"decimal comma found in {', '.join(commas)}"] if commas else []
    for decimal, thousands in ((".", ","), (",", ".")):
        grouped = {
            name: next(filter(_is_number_with(thousands, styles[name]), texts), None)
            for name, texts in columns.items()
            if styles[name] == Style(decimal, grouped=True)
        }
        for name, example in grouped.items():
            if example is not None:
                notes.append(
                    f"{_WORDS[thousands]} in {name} part thousands: {quoted(example)} was read as "
                    f"{number(example, styles[name]):g}"
                )
    for name, texts in columns.items():
        text = "".join(texts)
        if any(gap in text for gap in _GAPS):
            example = next(filter(_SPACED.fullmatch, texts), None)
            if example is not None:
                notes.append(
                    f"blanks or apostrophes in {name} part thousands: {quoted(example)} was read "
                    f"as {number(example, styles[name]):g}"
                )
    return notes


def _is_number_with(mark: str, style: Style) -> Callable[[str], bool]:
    return lambda text: mark in text and not np.isnan(number(text, style))
