"""Columns of a table as `recognise` looks at them: cells, missing cells, distinct values."""

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from itertools import islice

import numpy as np

from spatioformer.geo.plots.numbers import Style, numbers, usual_style
from spatioformer.geo.plots.sexagesimal import is_sexagesimal
from spatioformer.geo.plots.source import MISSING, Source
from spatioformer.geo.plots.vocabulary import joined, words

_SAMPLE = 2000  # distinct values from which the kind of a column is decided

_BATCH = 1000  # rows

_MISSING_LENGTH = max(map(len, MISSING))

_MOST_BAD = 0.1  # share of a column of numbers that may be something else


class Column:
    """One column of a table.

    Attributes:
        name: as in the header.
        position: in the header.
        cells: all its text cells.
        typed: whether the file types them as numbers.
    """

    def __init__(self, name: str, position: int, cells: Sequence[str], typed: bool, axis: str = ""):
        self.name, self.position, self.cells, self.typed = name, position, cells, typed
        self._axis = axis
        self.words, self.joined = words(name), joined(name)

    @cached_property
    def distinct(self) -> dict[str, int]:
        """Distinct cells that are not missing, in the order of the file -> number of rows."""
        counts = Counter(self.cells)
        for cell in [c for c in counts if len(c) <= _MISSING_LENGTH and c.lower() in MISSING]:
            del counts[cell]
        return counts

    @cached_property
    def known(self) -> int:
        """Number of cells that are not missing."""
        return sum(self.distinct.values())

    @cached_property
    def missing_share(self) -> float:
        return 1 - self.known / len(self.cells) if self.cells else 1.0

    @cached_property
    def style(self) -> Style:
        """How the column writes numbers."""
        if self._axis:
            return Style(axis=self._axis)
        return Style() if self.typed else usual_style(list(self.distinct))

    @cached_property
    def sample(self) -> np.ndarray:
        """Values of up to 2,000 distinct cells from the whole column; NaN for other text."""
        cells = list(self.distinct)
        step = max(1, len(cells) // _SAMPLE)
        return numbers(cells[::step], self.style)

    @cached_property
    def span(self) -> tuple[float, float]:
        """Smallest and largest number of the sample; NaN without any."""
        values = self.sample[np.isfinite(self.sample)]
        return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)

    @cached_property
    def has_numbers(self) -> bool:
        """Whether nine tenths or more of the sample are finite numbers."""
        return len(self.sample) > 0 and bool(np.isfinite(self.sample).mean() >= 1 - _MOST_BAD)

    @cached_property
    def is_whole(self) -> bool:
        """Whether all finite numbers of the sample are whole."""
        values = self.sample[np.isfinite(self.sample)]
        return self.has_numbers and bool((values == np.round(values)).all())

    @cached_property
    def values(self) -> np.ndarray:
        """Value of each row, float64; NaN if missing or not a number."""
        cells = list(self.distinct)
        value = dict(zip(cells, numbers(cells, self.style).tolist(), strict=True))
        return np.array([value.get(cell, np.nan) for cell in self.cells], dtype=np.float64)


def as_coordinate(column: Column, axis: str) -> Column:
    """The column read as degrees, minutes and seconds if it is written so, else as it is.

    Args:
        axis: 'lon' or 'lat'.
    """
    if column.has_numbers or not is_sexagesimal(list(column.distinct)):
        return column
    return Column(column.name, column.position, column.cells, False, axis)


def read_columns(source: Source) -> list[Column]:
    """All columns of a source, with the cells of the rows that are not broken.

    Columns behind the last name are left out: rows may end before them.
    """
    names = list(source.header)
    while names and not names[-1]:
        names.pop()
    cells: list[list[str]] = [[] for _ in names]
    rows = (row.cells for row in source.rows(range(len(names))) if not row.fault)
    # Many short-lived rows at once cost less than one long list of all of them.
    while batch := list(islice(rows, _BATCH)):
        for column, part in zip(cells, zip(*batch, strict=True), strict=True):
            column.extend(part)
    return [Column(name, i, cells[i], source.has_numbers(i)) for i, name in enumerate(names)]
