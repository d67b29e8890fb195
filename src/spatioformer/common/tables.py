"""CSV tables for spreadsheets: no text that came from a file becomes a formula there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Spreadsheets take a cell that starts so for a formula; the last four, where East Asian text is
# entered. A quotation mark before it makes it text, so one more marks text that had one already.
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?[0-9][0-9., ]*([eE][+-]?[0-9]+)?")


def harmless(value: Any) -> Any:
    """A cell for a CSV file: text that would start a formula gets a quotation mark before it.

    Numbers stay numbers, also as text (-35.2).
    """
    if not isinstance(value, str) or not _FORMULA.match(value) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def restored(value: Any) -> Any:
    """The cell that `harmless` was given."""
    if isinstance(value, str) and value.startswith("'") and _FORMULA.match(value):
        return value[1:]
    return value


def harmless_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a table, its keys and cells made `harmless`."""
    return {harmless(key): harmless(value) for key, value in row.items()}


def write_csv(table: Any, path: Path, **options: Any) -> None:
    """Write a pandas.DataFrame without its index, its column names and cells made `harmless`.

    Args:
        options: further arguments of `DataFrame.to_csv`.
    """
    table = _each(table, harmless).rename(columns=harmless)
    table.to_csv(path, index=False, **options)


def restored_table(table: Any) -> Any:
    """The pandas.DataFrame that `write_csv` was given, from its columns of text."""
    return _each(table, restored).rename(columns=restored)


def _each(table: Any, change: Any) -> Any:
    """A table whose text cells are changed; the columns that hold none stay as they are."""
    columns = {}
    for i in range(table.shape[1]):
        column = table.iloc[:, i]
        if column.dtype.kind == "O":
            cells = column.astype(object)
            changed = cells.map(change)
            if not changed.equals(cells):
                columns[i] = changed
    if columns:
        table = table.copy()
        for i, changed in columns.items():
            table.isetitem(i, changed)
    return table
