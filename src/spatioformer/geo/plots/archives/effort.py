"""Effort of a survey: areas in square metres, durations in hours, days from ranges of dates."""

import datetime
import re
from typing import NamedTuple

_SQUARE_METRES = {
    **dict.fromkeys(
        ("m2", "m^2", "m²", "sqm", "sq m", "sq. m", "square metre", "square metres",
         "square meter", "square meters", "squaremetre", "squaremetres", "squaremeter",
         "squaremeters", "metre squared", "meters squared", "metres squared", "meter squared",
         "metros cuadrados", "quadratmeter", "square_metre", "square_meters"), 1.0),
    **dict.fromkeys(("a", "are", "ares"), 100.0),
    **dict.fromkeys(("ha", "hectare", "hectares", "hectáreas", "hektar"), 10_000.0),
    **dict.fromkeys(("km2", "km^2", "km²", "square kilometre", "square kilometres",
                     "square kilometer", "square kilometers", "sq km"), 1_000_000.0),
    **dict.fromkeys(("cm2", "cm^2", "cm²", "square centimetre", "square centimetres",
                     "square centimeter", "square centimeters"), 1e-4),
    **dict.fromkeys(("dm2", "dm^2", "dm²", "square decimetre", "square decimetres"), 1e-2),
    **dict.fromkeys(("ft2", "ft^2", "ft²", "square foot", "square feet", "sq ft", "sq. ft",
                     "sqft"), 0.09290304),
    **dict.fromkeys(("acre", "acres", "ac"), 4046.8564224),
}  # fmt: skip
"""Unit, in lower case -> square metres."""

_HOURS = {
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "stunden", "horas", "heures"), 1.0),
    **dict.fromkeys(("min", "mins", "minute", "minutes", "minuten", "minutos"), 1 / 60),
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1 / 3600),
    **dict.fromkeys(("d", "day", "days"), 24.0),
}
"""Unit, in lower case -> hours."""

_NUMBER = re.compile(r"\d+(?:[.,]\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_THOUSANDS = re.compile(r"[1-9]\d{0,2},\d{3}", re.ASCII)
"""A number such as 1,000, which is a thousand or one."""
_AMOUNT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([^\d\s].*?)\s*", re.ASCII)
_SIDES = re.compile(
    r"\s*(\d+(?:[.,]\d+)?)\s*m?\s*[x×*]\s*(\d+(?:[.,]\d+)?)\s*(?:m\.?|metres|meters)?\s*",
    re.ASCII | re.I,
)
_OF_PLOT = r"(?:plot|sampl\w*|survey\w*|quadrat|relev\w*|site|transect)"
_AREA_TYPE = re.compile(
    rf"{_OF_PLOT}\W*(?:area|size|surface)|area|area\W*(?:of\W+(?:the\W+)?)?{_OF_PLOT}", re.I
)
_DURATION_TYPE = re.compile(r"(sampl\w*|survey\w*|search\w*|event)?\W*(duration|time)", re.I)


class Span(NamedTuple):
    """A date that may be a range: its first day as text, and its length in days."""

    first: str
    days: int


def area_m2(value: str, unit: str) -> float | None:
    """Square metres of a size and its unit; None if it is no area.

    `10 x 10` with the unit m, or without one, is an area too. `1,000` is none, since its comma may
    part thousands or decimals.
    """
    sides = _SIDES.fullmatch(value)
    unit = " ".join(unit.lower().split()).rstrip(".")
    if sides and unit in ("", "m", "metre", "metres", "meter", "meters", "m x m", *_ONE):
        if _THOUSANDS.fullmatch(sides[1]) or _THOUSANDS.fullmatch(sides[2]):
            return None
        return _number(sides[1]) * _number(sides[2])
    if not unit and (amount := _AMOUNT.fullmatch(value)):
        value, unit = amount[1], " ".join(amount[2].lower().split())
    factor = _SQUARE_METRES.get(unit)
    if factor is None or not _is_number(value):
        return None
    # Decimals are kept exact where the unit is: 0.01 ha is 100, not 100.00000000000001.
    area = float(f"{_number(value) * factor:.12g}")
    return area if area > 0 else None


_ONE = tuple(unit for unit, factor in _SQUARE_METRES.items() if factor == 1.0)


def hours(value: str, unit: str) -> float | None:
    """Hours of a duration and its unit, or of a text such as `30 minutes`; None if it is none."""
    if not unit and (amount := _AMOUNT.fullmatch(value)):
        value, unit = amount[1], amount[2]
    factor = _HOURS.get(" ".join(unit.lower().split()).rstrip("."))
    if factor is None or not _is_number(value):
        return None
    duration = float(f"{_number(value) * factor:.12g}")
    return duration if duration > 0 else None


def is_area(measurement: str) -> bool:
    """Whether a measurementType is the area of a plot."""
    return bool(_AREA_TYPE.fullmatch(_spaced(measurement)))


def is_duration(measurement: str) -> bool:
    """Whether a measurementType is the duration of a survey."""
    return bool(_DURATION_TYPE.fullmatch(_spaced(measurement)))


def first_day(text: str) -> Span | None:
    """The first day of an ISO 8601 interval such as 2003-05-01/2003-05-20; None for other text.

    An interval may shorten its end: 2003-05-01/20.
    """
    first, mark, last = text.partition("/")
    if not mark or len(first) < 4 or not first[:4].isdigit():
        return None
    first, last = first.split("T")[0].strip(), last.split("T")[0].strip()
    if len(last) < len(first):
        last = first[: len(first) - len(last)] + last
    begin, end = _day(first, last=False), _day(last, last=True)
    if begin is None or end is None or end < begin:
        return None
    return Span(first, (end - begin).days + 1)


def _day(text: str, last: bool) -> datetime.date | None:
    """A day, or the first or last day of a month or year."""
    parts = text.split("-")
    try:
        numbers = [int(part) for part in parts]
        if len(numbers) == 1:
            return datetime.date(numbers[0], 12, 31) if last else datetime.date(numbers[0], 1, 1)
        if len(numbers) == 2:
            year, month = numbers
            if not last:
                return datetime.date(year, month, 1)
            after = datetime.date(year + month // 12, month % 12 + 1, 1)
            return after - datetime.timedelta(days=1)
        return datetime.date(*numbers)
    except (ValueError, TypeError):
        return None


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip())) and not _THOUSANDS.fullmatch(text.strip())


def _number(text: str) -> float:
    return float(text.strip().replace(",", "."))


def _spaced(name: str) -> str:
    """A name such as plotArea or plot_area as words."""
    return " ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", name).split())
