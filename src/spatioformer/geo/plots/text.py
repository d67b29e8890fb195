"""Delimited text files as rows of cells: encodings, separators, headers, quotation marks.

No line of the file disappears. A record that spans lines is refused if its lines look like rows
that a stray quotation mark has joined. The lines of all records are counted against the file.
"""

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.separators import NAMES, find_separator, parse_separator
from spatioformer.geo.plots.source import Row, Source, quoted

_CONTROL_BYTES = bytes({*range(0x20)} - set(b"\t\n\v\f\r"))  # never occur in text files
_WIDE_MARKS = [
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_SEP_LINE = re.compile(rb'"?sep=([^\r\n"])"?[\t ,;|]*(?:\r\n|\n|\r)', re.IGNORECASE)
_PEEKED = 200  # rows from which a header that is one name short is recognised


_Record = tuple[int, int, list[str]]  # first and last line, and the fields, of one record


class TextSource(Source):
    """Delimited text file, held as bytes and decoded while it is read.

    Args:
        separator: one character, or its name such as tab; None: that of a `sep=` line, or found
            from the rows.
        usual: separator that files with this suffix usually have.
        key: prefix of the settings in error messages, such as 'species.'.
    """

    def __init__(self, path: Path, separator: str | None, usual: str, key: str):
        self.path = path
        self.notes: list[str] = []
        self._key = key
        content = _read_text(path)
        sep_line = _SEP_LINE.match(content)
        self._lines_before = 1 if sep_line else 0
        chosen = None if separator is None else parse_separator(separator, key)
        if sep_line:
            stated = sep_line[1].decode("latin-1")
            if chosen not in (None, stated):
                raise PlotError(
                    f"the first line of {path.name} says that the separator is {stated!r}, but "
                    f"{key}separator is {chosen!r}; remove one of the two"
                )
            chosen, content = stated, content[sep_line.end() :]
        self._content = content
        self.encoding = _guess_encoding(content)
        self._is_found = chosen is None
        self.separator = find_separator(content, self.encoding, usual) if chosen is None else chosen
        if chosen is None and self.separator != usual:
            self.notes.append(
                f"the columns of {path.name} are separated by {NAMES[self.separator]}s"
            )
        header = next((record for record in self._records() if "".join(record[2]).strip()), None)
        if header is None:
            raise PlotError(f"{path.name} holds no table; give it a header and rows")
        self._header_line = header[0]
        self.header = [name.strip() for name in header[2]]
        self._width = max(i for i, name in enumerate(self.header) if name) + 1
        self._refuse_joined_rows(*header[:2])
        better = self._better_separator()
        if len(self.header) == 1 and better:
            raise PlotError(
                f"{path.name} has a single column {quoted(self.header[0])} when it is split at "
                f"{NAMES.get(self.separator, self.separator)}s; {self._use(better)}"
            )
        self._has_row_names, self._is_ambiguous = self._find_row_names()
        if self._has_row_names:
            self.header = ["", *self.header]
            self._width += 1
            self.notes.append(
                f"the rows of {path.name} have one field more than its header, so the first column "
                f"was read as row names"
            )

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        width, longest = self._width, len(self.header)
        if self._is_ambiguous and positions and longest - 1 not in positions:
            raise PlotError(
                f"each row of {self.path.name} has one field more than the header and ends with a "
                f"blank, so its first column may or may not be row names; give every column a name"
            )
        reach = max(positions, default=-1) + 1
        header_line = self._header_line
        accounted = 0
        for first, last, cells in self._records():
            accounted += last - first + 1
            if first == header_line or not "".join(cells).strip():
                continue
            if last > first:
                self._refuse_joined_rows(first, last)
            fault = ""
            if len(cells) < width or (len(cells) > longest and "".join(cells[longest:]).strip()):
                fault = self._fault(first, last, len(cells))
                cells = cells + [""] * (reach - len(cells))
            yield Row(first, [*map(str.strip, map(cells.__getitem__, positions))], fault)
        if accounted != _count_lines(self._content):
            raise RuntimeError(
                f"{accounted} of the {_count_lines(self._content)} lines of {self.path.name} were "
                f"read: a defect of Spatioformer"
            )

    def _fault(self, first: int, last: int, fields: int) -> str:
        """Reason why a record has too few or too many fields; raises if row names are at stake."""
        names = len(self.header)
        if self._has_row_names:
            raise PlotError(
                f"line {first} of {self.path.name} has {fields} fields, but the rows before it "
                f"have {names} and the header has {names - 1}; give every column a name, and every "
                f"row as many fields"
            )
        if last > first:
            return (
                f"quotation marks join lines {first} to {last} into one row of {fields} fields "
                f"where the header has {self._width}"
            )
        return f"the row has {fields} fields where the header has {self._width}"

    def _refuse_joined_rows(self, first: int, last: int) -> None:
        """Raise if the lines of one record look like rows joined by stray quotation marks."""
        lines = self._lines[first - 1 - self._lines_before : last - self._lines_before]
        if len(lines) < 2 or self._width < 2:
            return
        widths = [line.count(self.separator) + 1 for line in lines]
        is_row_inside = self._width > 2 and any(
            width >= self._width and '"' not in line.replace('""', "")
            for width, line in zip(widths[1:-1], lines[1:-1], strict=True)
        )
        if is_row_inside or min(widths[0], widths[-1]) >= self._width:
            raise PlotError(
                f"quotation marks join lines {first} to {last} of {self.path.name} into one row, "
                f"though each looks like a row of its own; remove the stray quotation marks, or "
                f"the line breaks inside quoted text"
            )

    def _find_row_names(self) -> tuple[bool, bool]:
        """Whether the first column has no name in the header, and whether that is ambiguous.

        R writes row names without a name for their column. Other programs end each row, but not
        the header, with a separator. If all rows end with a blank field, quoted whole numbers in
        front are row names (R), unquoted ones may be either, and other text is no row name.
        """
        records = [
            fields
            for first, _, fields in islice(self._records(), _PEEKED + self._header_line)
            if first != self._header_line and "".join(fields).strip()
        ]
        names = len(self.header)
        if not records or names < 2 or any(len(fields) != names + 1 for fields in records):
            return False, False
        if any(fields[-1].strip() for fields in records):
            return True, False
        first = [fields[0].strip() for fields in records]
        if len(set(first)) < len(first) or not all(re.fullmatch("[0-9]+", name) for name in first):
            return False, False
        in_quotes = [
            text for text in self._lines if text.startswith(f'"{first[0]}"{self.separator}')
        ]
        return bool(in_quotes), not in_quotes

    @cached_property
    def _lines(self) -> list[str]:
        """All lines; few files need them."""
        return list(self._stream())

    def _stream(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(
            io.BytesIO(self._content), self.encoding, errors="replace", newline=""
        )

    def _records(self) -> Iterator[_Record]:
        """Yield all records, also blank ones."""
        reader = csv.reader(self._stream(), delimiter=self.separator, strict=True)
        before = self._lines_before
        while True:
            first = reader.line_num + 1 + before
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Strict, because a stray quotation mark otherwise includes the rows that follow.
                raise PlotError(
                    f"{self.path.name} has a misplaced quotation mark between lines {first} "
                    f"and {reader.line_num + before} ({error}); close it, or double it inside "
                    f"quoted text"
                ) from error
            yield first, reader.line_num + before, fields

    def _better_separator(self) -> str | None:
        """The separator that occurs most often in the column names; None if none does."""
        names = "".join(self.header)
        counts = {mark: names.count(mark) for mark in NAMES if mark != self.separator}
        best = max(counts, key=counts.__getitem__)
        return best if counts[best] else None

    def _use(self, separator: str) -> str:
        return f"set {self._key}separator to {separator!r} ({NAMES[separator]})"

    def _advice(self, name: str) -> str:
        better = None if self._is_found else self._better_separator()
        if better and any(name in column.split(better) for column in self.header):
            return self._use(better)
        return super()._advice(name)


def read_bytes(path: Path) -> bytes:
    """Content of a file; a PlotError if the system refuses it."""
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PlotError(f"cannot read {path}: {reason}; check the file") from error


def _read_text(path: Path) -> bytes:
    """Content of a text file, unzipped, as UTF-8 or Windows-1252; raises if it is not text."""
    content = read_bytes(path)
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise PlotError(
                f"{path.name} is a damaged or incomplete gzip file ({error}); fetch it again"
            ) from error
    wide = next((name for mark, name in _WIDE_MARKS if content.startswith(mark)), None)
    if wide:
        try:
            content = content.decode(wide).encode("utf-8")
        except UnicodeError as error:
            raise PlotError(f"{path.name} is damaged {wide.upper()} text; save it again") from error
    while content.startswith(codecs.BOM_UTF8):  # programs that append files repeat the mark
        content = content[len(codecs.BOM_UTF8) :]
    if not content.strip():
        raise PlotError(f"{path.name} is empty; give it a header and rows")
    if content.startswith(b"PK\x03\x04"):
        raise PlotError(
            f"{path.name} is a zip archive or spreadsheet; unpack it or save its sheet as CSV"
        )
    if content.count(0) > len(content) // 4 and content[:40].count(0) in (19, 20, 21):
        raise PlotError(
            f"{path.name} looks like UTF-16 text without a byte order mark; save it as UTF-8"
        )
    if len(content.translate(None, _CONTROL_BYTES)) < len(content):
        raise PlotError(f"{path.name} is binary, not text; give a CSV file or the right suffix")
    return content


def _guess_encoding(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"  # Windows-1252, which Windows programs call latin-1
    return "utf-8"


def _count_lines(content: bytes) -> int:
    """Number of lines of a text with line ends LF, CR LF or CR."""
    ends = content.count(b"\n") + content.count(b"\r") - content.count(b"\r\n")
    return ends + (not content.endswith((b"\n", b"\r")))
