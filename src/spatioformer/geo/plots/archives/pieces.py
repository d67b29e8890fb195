"""Delimited text files of an archive, read in pieces of rows, so that memory does not grow.

The rules are those of `geo.plots.text`: no row disappears. A row with another number of fields is
an error, since it would lower a count of species, and so is a stray quotation mark that joins rows.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from operator import itemgetter
from typing import IO, Any

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.store import Store
from spatioformer.geo.plots.separators import NAMES, find_separator
from spatioformer.geo.plots.source import quoted

ROWS = 1_000
"""Rows of a piece; more at once take longer, since they do not fit the processor's cache."""

LONGEST_LINE = 16_000_000
"""Bytes of a line; a longer one is no table."""

_SAMPLE = 1 << 20
_CHUNK = 1 << 20


@dataclass(frozen=True)
class TextFormat:
    """How a delimited text file is written.

    Attributes:
        separator: one character between fields.
        quote: character around fields; '' for none.
        encoding: name that Python knows.
        header_lines: lines before the first row.
    """

    separator: str = ","
    quote: str = '"'
    encoding: str = "utf-8"
    header_lines: int = 0


@dataclass(frozen=True)
class Piece:
    """Some rows of a file, as columns of stripped text.

    Attributes:
        line: line of the first row, from 1; lines inside quoted fields count too.
        size: number of rows.
        columns: one sequence of cells for each position that was asked for, in that order.
    """

    line: int
    size: int
    columns: tuple[Sequence[str], ...]


def read_pieces(
    store: Store,
    name: str,
    form: TextFormat,
    positions: Sequence[int | str],
    rows: int = ROWS,
) -> Iterator[Piece]:
    """Read columns of a file in pieces.

    Args:
        positions: of the columns, from 0; text stands for a constant column.

    Raises:
        PlotError: a row has another number of fields than the first, quotation marks join rows, a
            line is longer than LONGEST_LINE, or the text has another encoding.
    """
    present = [p for p in positions if isinstance(p, int)]
    with store.open(name) as stream:
        text = _Rows(stream, form, f"{name} of {store.path.name}")
        width = 0
        while True:
            line = text.count + 1
            batch = text.next_rows(rows)
            if not batch:
                return
            width = width or len(batch[0])
            if present and max(present) >= width:
                raise PlotError(
                    f"{text.where} has {width} columns, but column {max(present) + 1} is asked "
                    f"for; its separator or its description is wrong"
                )
            if set(map(len, batch)) != {width}:
                batch = _checked(batch, width, line, text)
            if text.count - line + 1 > len(batch):
                _refuse_joined(batch, form.separator, width, line, text.where)
            if batch:
                yield Piece(line, len(batch), _columns(batch, positions))


def read_header(store: Store, name: str, form: TextFormat) -> list[str]:
    """The column names in the first line of a file, stripped.

    Raises:
        PlotError: the file is empty.
    """
    plain = TextFormat(form.separator, form.quote, form.encoding)
    with store.open(name) as stream:
        batch = _Rows(stream, plain, f"{name} of {store.path.name}").next_rows(1)
    if not batch or not "".join(batch[0]).strip():
        raise PlotError(f"{name} of {store.path.name} is empty; it needs a header and rows")
    return [cell.strip() for cell in batch[0]]


def find_format(store: Store, name: str) -> tuple[TextFormat, list[str]]:
    """How a text file with a header is written, and notes on what was found.

    A file that is not UTF-8 is read as Windows-1252, as a plot table is.
    """
    start = store.start(name, _SAMPLE)
    notes = []
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
        sample = start[: len(start) // 2 * 2].decode("utf-16", "replace").encode()
    else:
        encoding = "utf-8" if is_utf8(store, name, plain=True) else "cp1252"
        sample = start.removeprefix(codecs.BOM_UTF8)
    if encoding == "cp1252":
        notes.append(f"{name} is not UTF-8 and was read as Windows-1252 (latin-1)")
    whole = sample[: sample.rfind(b"\n") + 1] or sample
    plain = "utf-8" if encoding == "utf-16" else encoding.removesuffix("-sig")
    separator = find_separator(whole, plain, "\t" if b"\t" in whole else ",")
    quote = '"'
    if separator == "\t" and not _is_quoted_well(whole.decode(plain, "replace"), separator):
        quote = ""
        notes.append(f"quotation marks of {name} are text, since they do not come in pairs")
    return TextFormat(separator, quote, encoding, 1), notes


def check_format(form: TextFormat, where: str) -> None:
    """Raise for a description of a file that cannot be used."""
    if len(form.separator) != 1 or form.separator in "\r\n":
        raise PlotError(
            f"{where} says that fields end with {form.separator!r}; a single character such as "
            f"{', '.join(NAMES.values())} can be read"
        )
    if len(form.quote) > 1:
        raise PlotError(
            f"{where} says that fields are enclosed by {form.quote!r}; one character, or none, can "
            f"be read"
        )
    try:
        "".encode(form.encoding)  # also refuses codecs that are not of text
    except LookupError as error:
        raise PlotError(
            f"{where} says that the text is {form.encoding!r}, which is no known encoding; write "
            f"UTF-8"
        ) from error


class _Rows:
    """Rows of a stream of bytes, with their lines counted.

    Attributes:
        where: the file, for a message.
    """

    def __init__(self, stream: IO[bytes], form: TextFormat, where: str):
        self.where = where
        self._form = form
        limited = io.BufferedReader(_Limited(stream, where), _CHUNK)
        self._text = io.TextIOWrapper(limited, form.encoding, newline="")
        self._skipped = 0
        with self._errors():
            while self._skipped < form.header_lines and self._text.readline():
                self._skipped += 1
        csv.field_size_limit(LONGEST_LINE)
        if form.quote:
            self._reader = csv.reader(
                self._text, delimiter=form.separator, quotechar=form.quote, strict=True
            )
        else:
            self._reader = csv.reader(self._text, delimiter=form.separator, quoting=csv.QUOTE_NONE)

    @property
    def count(self) -> int:
        """Number of lines read so far."""
        return self._skipped + self._reader.line_num

    def next_rows(self, rows: int) -> list[list[str]]:
        """The next rows that are not blank; an empty list at the end."""
        with self._errors():
            while batch := list(islice(self._reader, rows)):
                if filled := [row for row in batch if row]:
                    return filled
        return []

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn errors of the text into a sentence."""
        try:
            yield
        except UnicodeError as error:
            raise PlotError(
                f"{self.where} is not {self._form.encoding.upper()}, as it should be; save it with "
                f"the encoding that is stated for it"
            ) from error
        except csv.Error as error:
            raise PlotError(
                f"{self.where} has a misplaced quotation mark near line {self.count} ({error}); "
                f"close it, or double it inside quoted text"
            ) from error


class _Limited(io.RawIOBase):
    """A stream of bytes without its byte order mark, whose lines are limited in length."""

    def __init__(self, stream: IO[bytes], where: str):
        self._stream, self._where = stream, where
        self._since = 0  # bytes since the last line end
        self._first = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._stream.read(len(buffer))
        if self._first:
            self._first = False
            mark = codecs.BOM_UTF8
            chunk = chunk.removeprefix(mark) or self._stream.read(len(buffer))
        end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
        self._since = self._since + len(chunk) if end < 0 else len(chunk) - end
        if self._since > LONGEST_LINE:
            raise PlotError(
                f"{self._where} has a line of more than {LONGEST_LINE:,} bytes, so it is no table; "
                f"check the file"
            )
        buffer[: len(chunk)] = chunk
        return len(chunk)


def _checked(batch: list[list[str]], width: int, line: int, text: _Rows) -> list[list[str]]:
    """The rows that are not blank; raises for one with another number of fields."""
    kept = []
    for number, row in enumerate(batch):
        if len(row) == width:
            kept.append(row)
        elif "".join(row).strip():
            at = "about " if text.count - line + 1 > len(batch) else ""
            raise PlotError(
                f"line {at}{line + number} of {text.where} has {len(row)} fields where the others "
                f"have {width}, so a species may be lost; correct the row"
            )
    return kept


def _refuse_joined(
    batch: list[list[str]], separator: str, width: int, line: int, where: str
) -> None:
    """Raise if the lines of one row look like rows joined by stray quotation marks."""
    for row in batch:
        if width < 2 or not any("\n" in cell or "\r" in cell for cell in row):
            continue
        widths = [part.count(separator) + 1 for part in separator.join(row).splitlines()]
        inside = width > 2 and any(count >= width for count in widths[1:-1])
        if inside or min(widths[0], widths[-1]) >= width:
            raise PlotError(
                f"quotation marks join lines of {where} after line {line - 1} into one row, though "
                f"each looks like a row of its own, as in {quoted(' '.join(row[0].split()))}; "
                f"remove the stray quotation marks"
            )


def _columns(batch: list[list[str]], positions: Sequence[int | str]) -> tuple[list[str], ...]:
    size = len(batch)
    return tuple(
        list(map(str.strip, map(itemgetter(p), batch))) if isinstance(p, int) else [p] * size
        for p in positions
    )


def is_utf8(store: Store, name: str, plain: bool = False) -> bool:
    """Whether a whole file is UTF-8.

    Args:
        plain: whether a file of ASCII alone, which has most encodings, is one.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with store.open(name) as stream:
        try:
            while chunk := stream.read(_CHUNK):
                decoder.decode(chunk)
                plain = plain or not chunk.isascii()
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return plain


def _is_quoted_well(text: str, separator: str) -> bool:
    """Whether quotation marks of a sample come in pairs around fields."""
    lines = text.splitlines(keepends=True)
    if '"' not in text:
        return True
    reader = csv.reader(iter(lines), delimiter=separator, strict=True)
    try:
        widths = {len(row) for row in reader if row}
    except csv.Error:
        return False
    return len(widths) == 1 and reader.line_num == len(lines)
