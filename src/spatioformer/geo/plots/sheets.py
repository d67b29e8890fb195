"""Sheets of .xlsx workbooks as rows of text cells.

openpyxl reads the values. What it does not tell in its mode for large files is found in the parts
of the archive: merged cells, formulas without a stored value, and what hostile files hold.
"""

import datetime
import re
import warnings
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from spatioformer.common.errors import PlotError
from spatioformer.common.zip_files import DAMAGED, one_line
from spatioformer.geo.plots.source import MISSING, Row, Source, quoted

SUFFIXES = frozenset({".xlsx", ".xlsm"})

_LARGEST = 2_000_000_000  # bytes of all parts unpacked; a million rows of 20 columns take half
_LARGEST_TEXTS = 500_000_000  # bytes of the part with the texts, which is held in memory
_MOST_CELLS = 200_000_000  # of a sheet, with blank ones

_CHUNK = 1 << 20
_OVERLAP = 4096  # bytes in which an element fits that is looked for

_DOCTYPE = re.compile(rb"<\0?!\0?D\0?O\0?C\0?T\0?Y\0?P\0?E")
_MERGED = re.compile(rb'<(?:\w+:)?mergeCell\b[^>]*\bref="([A-Z]+)([0-9]+):([A-Z]+)([0-9]+)"')
_NO_VALUE = re.compile(
    rb'<(?:\w+:)?c\b(?![^>]*\bt="str")[^>]*\br="([A-Z]+[0-9]+)"[^>]*>\s*'
    rb"<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_NUMBER = re.compile(r"[+-]?[0-9.,]+", re.ASCII)


class _Parts(NamedTuple):
    """What the XML of a sheet holds besides values."""

    merged: list[tuple[str, int, int]]  # range, first row, last row
    unsaved: list[str]  # cells whose formula has no stored value


class SheetSource(Source):
    """One sheet of a workbook; lines are the sheet's row numbers.

    The header is the first row that is not blank; blank columns before and behind the table are
    left out. Dates become YYYY-MM-DD, formulas their stored values.

    Args:
        path: the workbook.
        layer: name of the sheet; None: the only one with cells.
        key: prefix of the settings in error messages, such as 'species.'.

    Raises:
        PlotError: no workbook, a damaged or hostile one, several sheets and no `layer`, or cells
            that cannot be told apart from a header.
    """

    def __init__(self, path: Path, layer: str | None, key: str):
        self.path = path
        self.notes: list[str] = []
        _refuse_no_workbook(path)
        book = _open(path)
        try:
            sheet = self._choose(book, layer, key)
            self.sheet = str(sheet.title)
            rows = list(_table_rows(sheet, path))
            part = str(getattr(sheet, "_worksheet_path", ""))
        finally:
            book.close()
        if not rows:
            raise PlotError(f"sheet {self.sheet!r} of {path.name} is blank; set {key}layer")
        first, last = _extent(rows)
        self._check_header(rows, first, last)
        self._check_parts(_scan(path, part), rows[0][0])
        self.header = [_text(cell) for cell in rows[0][1][first : last + 1]]
        self.header += [""] * (last + 1 - first - len(self.header))
        self._rows = [(line, cells[first : last + 1]) for line, cells in rows[1:]]
        self._typed: dict[int, bool] = {}

    def _choose(self, book: Any, layer: str | None, key: str) -> Any:
        """The sheet that is named, or the only visible one with cells."""
        names = [str(sheet.title) for sheet in book.worksheets]
        if layer is not None:
            if layer not in names:
                listed = ", ".join(map(repr, names))
                raise PlotError(
                    f"{self.path.name} has no sheet {layer!r}; set {key}layer to one of {listed}"
                )
            return book.worksheets[names.index(layer)]
        shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        filled = [s for s in shown if next(iter(_table_rows(s, self.path)), None) is not None]
        if len(filled) > 1:
            listed = ", ".join(repr(sheet.title) for sheet in filled)
            raise PlotError(
                f"{self.path.name} has {len(filled)} sheets with cells; set {key}layer to one of "
                f"{listed}"
            )
        if not filled:
            raise PlotError(f"{self.path.name} holds no table; give it a header and rows")
        hidden = [str(s.title) for s in book.worksheets if s.sheet_state != "visible"]
        if hidden:
            self.notes.append(
                f"hidden sheets of {self.path.name} are not read: {', '.join(map(quoted, hidden))}"
            )
        return filled[0]

    def _check_header(self, rows: list[tuple[int, list[Any]]], first: int, last: int) -> None:
        """Raise if the first row names fewer columns than the rows below it fill."""
        line, cells = rows[0]
        names = [_text(cell) for cell in cells]
        blank = [
            i
            for i in range(first, last + 1)
            if (i >= len(names) or not names[i]) and any(_filled(row, i) for _, row in rows[1:])
        ]
        # R and pandas write row names without a name for their column.
        if blank in ([], [first]):
            return
        where = f"row {line} of sheet {self.sheet!r} of {self.path.name}"
        below = next((row for row, other in rows[1:] if _filled(other, blank[0])), line)
        columns = ", ".join(_letters(i) for i in blank[:5])
        raise PlotError(
            f"{where} is read as the header and has no name in column {columns}, which row {below} "
            f"fills; delete rows above the header, split merged cells, and name every column"
        )

    def _check_parts(self, parts: _Parts, header: int) -> None:
        """Raise for merged cells in the table and for formulas without a stored value."""
        where = f"of sheet {self.sheet!r} of {self.path.name}"
        merged = [cells for cells, _, last in parts.merged if last >= header]
        if merged:
            raise PlotError(
                f"cells {merged[0]} {where} are merged, so only the first of them has a value; "
                f"split them and fill in each"
            )
        if parts.unsaved:
            raise PlotError(
                f"the formula in cell {parts.unsaved[0]} {where} has no stored value; open the "
                f"file in a spreadsheet program and save it"
            )

    def has_numbers(self, position: int) -> bool:
        """Whether numbers of the column are typed: none of its texts looks like one."""
        if position not in self._typed:
            cells = [row[position] for _, row in self._rows if _filled(row, position)]
            texts = [cell.strip() for cell in cells if isinstance(cell, str)]
            texts = [text for text in texts if text.lower() not in MISSING]
            is_number = any(isinstance(c, int | float) and not isinstance(c, bool) for c in cells)
            self._typed[position] = is_number and not any(map(_NUMBER.fullmatch, texts))
        return self._typed[position]

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        for line, cells in self._rows:
            count = len(cells)
            yield Row(line, [_text(cells[i]) if i < count else "" for i in positions], "")


def sheet_names(path: Path) -> list[str]:
    """Names of the visible sheets of a workbook that have cells.

    Raises:
        PlotError: no workbook, or a damaged or hostile one.
    """
    _refuse_no_workbook(path)
    book = _open(path)
    try:
        shown = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        return [str(s.title) for s in shown if next(iter(_table_rows(s, path)), None) is not None]
    finally:
        book.close()


def _open(path: Path) -> Any:
    """The workbook, in the mode for large files."""
    import openpyxl

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on parts that are not read, such as validation
            return openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # any, for damaged parts of the archive
        raise PlotError(
            f"{path.name} is not a readable workbook ({one_line(error)}); save it again"
        ) from error


def _table_rows(sheet: Any, path: Path) -> Iterator[tuple[int, list[Any]]]:
    """Row numbers and cells of the rows that are not blank."""
    total = 0
    try:
        sheet.reset_dimensions()  # programs write wrong ones
        for line, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
            total += len(cells) + 1
            if total > _MOST_CELLS:
                raise PlotError(
                    f"sheet {sheet.title!r} of {path.name} has more than {_MOST_CELLS:,} cells; "
                    f"save it as CSV"
                )
            if any(map(_is_filled, cells)):
                yield line, list(cells)
    except PlotError:
        raise
    except Exception as error:  # any, for damaged parts of the archive
        raise PlotError(
            f"sheet {sheet.title!r} of {path.name} is damaged ({one_line(error)}); save it again"
        ) from error


def _refuse_no_workbook(path: Path) -> None:
    """Raise for files that are no workbooks, and for those that unpack to more than is sensible."""
    try:
        with path.open("rb") as file:
            start = file.read(8)
        if start.startswith(b"\xd0\xcf\x11\xe0"):
            raise PlotError(
                f"{path.name} has a password or is an old .xls file; save it as .xlsx without one"
            )
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            names = {part.filename for part in parts}
            if "[Content_Types].xml" not in names:
                raise PlotError(f"{path.name} is a zip archive, not a workbook; unpack it")
            size = sum(part.file_size for part in parts)
            texts = sum(p.file_size for p in parts if "sharedstrings" in p.filename.lower())
            if size > _LARGEST or texts > _LARGEST_TEXTS:
                raise PlotError(
                    f"{path.name} unpacks to {size / 1e6:,.0f} MB, more than a workbook may have; "
                    f"save its sheet as CSV"
                )
            for part in parts:
                if part.filename.endswith((".xml", ".rels")):
                    with archive.open(part) as stream:
                        for chunk in _chunks(stream):
                            if _DOCTYPE.search(chunk):
                                raise PlotError(
                                    f"{path.name} defines entities in {part.filename}, which no "
                                    f"workbook needs; save it again in a spreadsheet program"
                                )
    except DAMAGED as error:
        raise PlotError(
            f"{path.name} is not a readable workbook ({one_line(error)}); save it again"
        ) from error
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PlotError(f"cannot read {path}: {reason}; check the file") from error


def _scan(path: Path, part: str) -> _Parts:
    """Merged cells and formulas without a value in the XML of a sheet."""
    merged: dict[str, tuple[str, int, int]] = {}
    unsaved: dict[str, None] = {}
    with zipfile.ZipFile(path) as archive, archive.open(part.lstrip("/")) as stream:
        for chunk in _chunks(stream):
            for left, top, right, bottom in _MERGED.findall(chunk):
                cells = f"{left.decode()}{int(top)}:{right.decode()}{int(bottom)}"
                merged[cells] = (cells, int(top), int(bottom))
            unsaved.update((cell.decode(), None) for cell in _NO_VALUE.findall(chunk))
    return _Parts(list(merged.values()), list(unsaved))


def _chunks(stream: Any) -> Iterator[bytes]:
    """Pieces of a stream that overlap, so that no element is cut in all of them."""
    rest = b""
    while piece := stream.read(_CHUNK):
        yield rest + piece
        rest = piece[-_OVERLAP:]


def _extent(rows: Iterable[tuple[int, list[Any]]]) -> tuple[int, int]:
    """First and last column that is not blank."""
    first, last = 1 << 20, 0
    for _, cells in rows:
        count = len(cells)
        first = min(first, next(i for i in range(count) if _is_filled(cells[i])))
        last = max(last, next(i for i in range(count - 1, -1, -1) if _is_filled(cells[i])))
    return first, last


def _filled(cells: Sequence[Any], position: int) -> bool:
    return position < len(cells) and _is_filled(cells[position])


def _is_filled(cell: Any) -> bool:
    return cell is not None and not (isinstance(cell, str) and not cell.strip())


def _letters(position: int) -> str:
    """Name of a column, such as A or AB."""
    from openpyxl.utils import get_column_letter

    return str(get_column_letter(position + 1))


def _text(cell: Any) -> str:
    """A typed cell as text: 12.0 as '12', midnight as a day, TRUE and FALSE."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.strip()
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15:
        return str(int(cell))
    if isinstance(cell, datetime.datetime):
        return (cell.date() if cell.time() == datetime.time() else cell).isoformat()
    if isinstance(cell, datetime.date | datetime.time):
        return cell.isoformat()
    return str(cell)
