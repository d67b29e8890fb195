"""Separators of delimited text: how settings write them, and which one a file has."""

import csv
import io
from itertools import islice

from spatioformer.common.errors import PlotError

NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}
_WORDS = {"\\t": "\t", **{name: mark for mark, name in NAMES.items()}}

_PEEKED = 200  # rows whose number of fields decides

_CHARACTERS = 1_000_000  # of a file that are looked at

_LEAST_FIT = 0.9  # share of rows that fit the header, for a separator other than the usual one


def parse_separator(text: str, key: str) -> str:
    r"""One character; also from its name, and from the two characters \t."""
    separator = _WORDS.get(text.lower(), text)
    if len(separator) != 1:
        raise PlotError(f"{key}separator {text!r} is not one character; use ',' ';' or '\\t'")
    if separator in '"\r\n\0':
        raise PlotError(f"{key}separator {text!r} cannot part columns; use ',' ';' or '\\t'")
    return separator


def find_separator(content: bytes, encoding: str, usual: str) -> str:
    """The separator of a text file.

    The usual one stays if it makes two or more columns and half of the rows fit the header.
    Otherwise the separator is the one that makes most columns of those that 90 % of the rows fit.

    Args:
        content: the file.
        encoding: of the content.
        usual: separator that files with this suffix usually have; it stays if no other fits.
    """
    start = content[:_CHARACTERS].decode(encoding, errors="replace")
    columns, fit = _split(start, usual)
    if columns > 1 and fit >= 0.5:
        return usual
    best, most = usual, 1
    for mark in NAMES:
        columns, fit = _split(start, mark)
        if columns > most and fit >= _LEAST_FIT:
            best, most = mark, columns
    return best


def _split(text: str, mark: str) -> tuple[int, float]:
    """Columns of the header, and share of rows with as many fields; 0.0 if the text is no CSV.

    A row may have blank fields at its end, or one field more, which is its name.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    widths: list[int] = []
    header = 0
    try:
        for fields in islice(reader, 10 * _PEEKED):
            filled = max((i + 1 for i, cell in enumerate(fields) if cell.strip()), default=0)
            if not filled:
                continue
            if not header:
                header = filled
                continue
            # A row as long as the header fits, however many of its fields are blank.
            widths.append(filled if len(fields) > header + 1 else min(len(fields), header))
            if len(widths) == _PEEKED:
                break
    except csv.Error:
        return header, 0.0
    if not widths:
        return header, 1.0
    return header, sum(width in (header, header + 1) for width in widths) / len(widths)
