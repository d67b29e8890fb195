"""Print panels as tables, for any width of the terminal, and matrices of named rows and columns."""

from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from spatioformer.tracing.panels import NO_UNIT, Panel, Rows

LABEL, LONGEST_LABEL = 14, 24  # width of a row's name, cells: usual, and at most
CELL = 6  # width of a number or of a column's name in a table of few digits, cells
WIDE = 9  # the same in a table of values of any size
MOST_ROWS = MOST_COLUMNS = 24  # rows, and columns with names, of a panel that are printed
BAR = 30  # width of the bar of the largest share, cells


def print_panels(rows: Rows) -> None:
    """Print panels one below the other, numbered in the order of the computation."""
    panels = [panel for row in rows for panel in row]
    for number, panel in enumerate(panels, start=1):
        console = Console(highlight=False)
        console.print(Text(f"{number}. {panel.title}", style="bold"), soft_wrap=True)
        console.print(Text(f"   {panel.formula}; {_size(panel)}"), soft_wrap=False)
        _print_panel(panel)
        if panel.kind != "matrix":  # a matrix ends with an empty line
            console.print()


def _size(panel: Panel) -> str:
    """Size of a panel and its unit, and what of it is printed."""
    if panel.kind == "image":
        return f"{panel.values.shape[0]} x {panel.values.shape[1]} pixels; -o draws it"
    height, width = panel.values.shape
    if panel.kind == "bars":
        return panel.unit
    size = f"{height} x {width}"
    if width > _shown(panel):
        size += f", here columns 1-{_shown(panel)}"
    if height > MOST_ROWS:
        size += f", here rows 1-{MOST_ROWS}"
    return size if panel.unit == NO_UNIT else f"{size}; {panel.unit}"


def _print_panel(panel: Panel) -> None:
    if panel.kind == "image":
        return
    if panel.kind == "bars":
        _print_bars(panel)
        return
    columns = panel.column_names[: _shown(panel)]
    values = panel.values[:MOST_ROWS, : len(columns)]
    shares = panel.scale == "share"
    print_matrix(
        _names(panel)[:MOST_ROWS],
        columns,
        values,
        "{:.2f}" if shares else _form(values),
        ~np.isfinite(values),
        CELL if shares else WIDE,
        _label(panel),
    )


def _shown(panel: Panel) -> int:
    """How many columns of a panel are printed, at most."""
    return _fitting(WIDE, _label(panel)) if panel.columns is None else MOST_COLUMNS


def _names(panel: Panel) -> list[str]:
    """Names of the rows of a panel with their numbers."""
    return [f"{n:>3} {name}" for n, name in enumerate(panel.rows, start=1)]


def _label(panel: Panel) -> int:
    """Width of the names of a panel, cells."""
    longest = max(map(cell_len, _names(panel))) + 1
    return min(max(longest, LABEL), LONGEST_LABEL)


def _form(values: np.ndarray) -> str:
    """A format in which every value of a table fits its cell, with its sign."""
    largest = float(np.nanmax(np.abs(values), initial=0))
    if largest < 1000:
        return "{:.3f}"
    return "{:.1f}" if largest < 1e5 else "{:.1e}"


def _print_bars(panel: Panel) -> None:
    values = panel.values[:, 0]
    largest = np.abs(values).max(initial=0)
    widest = max(cell_len(name) for name in panel.rows)
    for name, value in zip(panel.rows, values, strict=True):
        shown = f"{value:8.2%}" if panel.scale == "share" else f"{value:9.4g}"
        bar = "█" * round(BAR * abs(value) / largest) if largest > 0 else ""
        sign = "-" if value < 0 else ""
        _print(f"    {set_cell_size(name, widest)} {shown}  {sign}{bar}")


def _fitting(cell: int, label: int) -> int:
    """How many columns fit the terminal beside the names of the rows."""
    return max(1, (Console().width - label) // cell)


def print_matrix(
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    form: str,
    hidden: np.ndarray | None = None,
    cell: int = CELL,
    label: int = LABEL,
) -> None:
    """Print a table; columns that do not fit the terminal follow below.

    Args:
        rows, columns: names of rows and columns.
        values: (rows, columns).
        form: format string of a value.
        hidden: True where a cell stays empty.
        cell: width of a column, cells.
        label: width of the names of the rows, cells.
    """
    fitting = _fitting(cell, label)
    for start in range(0, len(columns), fitting):
        shown = range(start, min(start + fitting, len(columns)))
        _print(" " * label + "".join(_right(columns[c], cell) for c in shown))
        for r, row in enumerate(rows):
            cells = (
                "" if hidden is not None and hidden[r, c] else form.format(values[r, c])
                for c in shown
            )
            _print(set_cell_size(row, label) + "".join(_right(text, cell) for text in cells))
        _print("")


def _right(text: str, cell: int) -> str:
    """Right-align a text in a column, cut to one cell less than its width."""
    shown = set_cell_size(text, min(cell_len(text), cell - 1))
    return " " * (cell - cell_len(shown)) + shown


def _print(line: str) -> None:
    print(line.rstrip())
