"""Whether a column can be a field of a plot table, by its name and values."""

import numpy as np

from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column
from spatioformer.geo.plots.dates import looks_like_date

_LEAST_DISTINCT = 0.4  # share of rows with different names, else they name groups of plots


def range_of(column: Column) -> str:
    values = column.sample[np.isfinite(column.sample)]
    if not len(values):
        return "no numbers"
    missing = f", {column.missing_share:.0%} missing" if column.missing_share > 0 else ""
    return f"{values.min():g} to {values.max():g}{missing}"


def first_cell(column: Column) -> str:
    return next(iter(column.distinct), "")


def is_richness(column: Column) -> bool:
    """Whether a column is named like a richness and holds numbers from 0 up."""
    named = (
        column.joined in vocabulary.RICHNESS | vocabulary.SHORT_RICHNESS
        or bool(vocabulary.RICHNESS_WORDS & set(column.words))
        or column.joined.rstrip("0123456789") in vocabulary.RICHNESS
    )
    if not named or not column.has_numbers:
        return False
    values = column.sample[np.isfinite(column.sample)]
    is_count = column.is_whole or column.joined not in vocabulary.SHORT_RICHNESS
    return is_count and bool((values >= 0).mean() > 0.9)


def is_date(column: Column) -> bool:
    names = vocabulary.DATES | vocabulary.YEARS
    if column.joined not in names and not vocabulary.DATE_WORDS & set(column.words):
        return False
    cells = list(column.distinct)[:500]
    return bool(cells) and sum(map(looks_like_date, cells)) >= 0.8 * len(cells)


def names_plots(column: Column) -> bool:
    """Whether a column names plots: by its name, and because most cells differ."""
    named = column.joined in vocabulary.PLOT_ID or vocabulary.PLOT_WORDS & set(column.words)
    if not named or not column.known or (column.has_numbers and not column.is_whole):
        return False
    return len(column.distinct) >= _LEAST_DISTINCT * column.known
