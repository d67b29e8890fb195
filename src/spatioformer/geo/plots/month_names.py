"""Dates with the name of the month, in English, Spanish, French, German and Portuguese.

Such as 5 Jan 2014, 5-ene-2014, 05.Januar 2014, 5 de enero de 2014, 1er janvier 2014, January 5,
2014, 2014-Mar-05 and 05JAN2014; also Mai 2014, which is its first day. The name shows the month, so
the order of day and month needs no decision. Names are read without accents and in any case.
"""

import re
import unicodedata

_MONTHS = (
    "january jan janv janvier januar jaenner janner enero ene janeiro",
    "february feb fevrier fevr fev februar febrero fevereiro",
    "march mar mars marz maerz mrz marzo marco",
    "april apr avril avr abril abr",
    "may mai mayo maio",
    "june jun juin juni junio junho",
    "july jul juillet juil juli julio julho",
    "august aug aout august agosto ago",
    "september sep sept septembre septiembre setiembre set setembro",
    "october oct octobre oktober okt octubre outubro out",
    "november nov novembre noviembre novembro",
    "december dec decembre dezember dez diciembre dic dezembro",
)
MONTHS = {name: number for number, names in enumerate(_MONTHS, 1) for name in names.split()}
"""Name of a month, in small letters without accents -> its number. No name means two months."""

_GAP = r"[\s.,/_-]*"
_OF = r"(?:(?:of|de|del|do)\s+)?"
_NAME = rf"(?P<name>{'|'.join(sorted(MONTHS, key=len, reverse=True))})"
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th|er|o)?"
_YEAR = r"(?P<year>[0-9]{4}|[0-9]{2})"
_CLOCK = r"(?:[t,]?\s*[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?\s*(?:[ap]\.?m\.?|z)?)?"
_FORMS = tuple(
    re.compile(form + _CLOCK)
    for form in (
        rf"{_DAY}{_GAP}{_OF}{_NAME}{_GAP}{_OF}{_YEAR}",
        rf"{_NAME}{_GAP}{_DAY}[\s.,/_-]+(?P<year>[0-9]{{4}})",
        rf"(?P<year>[0-9]{{4}}){_GAP}{_NAME}{_GAP}{_DAY}",
        rf"{_NAME}{_GAP}{_OF}(?P<year>[0-9]{{4}})(?P<day>)",
    )
)
_LONGEST = 40  # characters of a date
_WORD = re.compile(r"[a-z\u00c0-\uffff]{3}", re.IGNORECASE)  # most dates have no word


def parse_named(text: str) -> tuple[str, int, int] | None:
    """Year, as it is written, month and day of a date with the name of a month; None if it is none.

    The year may have two digits, which do not tell the century.
    """
    if len(text) > _LONGEST or not _WORD.search(text):
        return None
    plain = "".join(
        mark
        for mark in unicodedata.normalize("NFKD", text.lower())
        if not unicodedata.combining(mark)
    )
    for form in _FORMS:
        if match := form.fullmatch(plain):
            return match["year"], MONTHS[match["name"]], int(match["day"] or 1)
    return None
