"""Which columns of a plot table can be covariates, and how their cells are read."""

from collections.abc import Iterable

import numpy as np

from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column
from spatioformer.geo.plots.source import quoted

KINDS = ("number", "class")

RESERVED = frozenset(
    {"plot_id", "lon", "lat", "richness", "area_m2", "date", "programme"}
    | {"location", "source_line", "geometry", "group", "fold"}
)
"""Columns of a plot table; a covariate cannot have such a name."""

OF_IMPORT = (
    *("list_complete", "scope", "site", "protocol", "origin", "duration_h"),
    *("coordinate_uncertainty_m", "coordinate_rounding_m", "coordinate_flag"),
)
"""Columns that `archives.importing` adds: they describe a survey, and are offered as covariates to
nobody, since a map does not know them."""

MOST_CLASSES = 20

_MOST_MISSING = 0.95


def find_covariates(columns: Iterable[Column]) -> tuple[dict[str, str], dict[str, str]]:
    """Usable columns -> 'number' or 'class'; the others -> why they are not usable."""
    kinds: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for column in columns:
        reason = _why_not(column)
        if reason:
            left_out[column.name] = reason
        else:
            kinds[column.name] = "number" if column.has_numbers else "class"
    return kinds, left_out


def _why_not(column: Column) -> str:
    """Reason why a column cannot be a covariate; '' if it can."""
    if column.name in RESERVED:
        return "the name of a column of every plot table; rename it"
    if column.name in OF_IMPORT:
        return "describes the survey of a plot"
    if not column.known:
        return "blank"
    if column.missing_share >= _MOST_MISSING:
        return f"{column.missing_share:.0%} missing"
    if len(column.distinct) == 1:
        return f"the same in every row: {quoted(next(iter(column.distinct)))}"
    if column.has_numbers:
        return _why_no_number(column)
    return _why_no_class(column)


def _why_no_number(column: Column) -> str:
    if column.joined in vocabulary.IDENTIFIER and column.is_whole:
        return "an identifier"
    if column.is_whole and len(column.distinct) == column.known > 2:
        values = np.sort(column.values[np.isfinite(column.values)])
        if (np.diff(values) == 1).all():
            return "numbers the rows"
    return ""


def _why_no_class(column: Column) -> str:
    if len(column.distinct) > MOST_CLASSES:
        kind = "an identifier" if len(column.distinct) > 0.9 * column.known else "text"
        return f"{kind}: {len(column.distinct):,} different texts"
    lonely = [cell for cell, count in column.distinct.items() if count < 2]
    if lonely:
        return f"class {quoted(lonely[0])} is in a single row"
    return ""
