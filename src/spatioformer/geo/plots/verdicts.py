"""Kinds of rejected rows, their remedies, and the reason of each row."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from spatioformer.geo.plots.source import MISSING

REMEDIES = {
    "broken rows": "correct the rows or the separator",
    "missing coordinates": "fill in the coordinates",
    "unreadable zones": "write UTM zones such as 17S or 30T",
    "decimal commas": "write decimals with a point, or set decimal",
    "text for numbers": "correct the cells",
    "infinite numbers": "correct the cells",
    "coordinates (0, 0)": "replace the placeholder coordinates",
    "swapped coordinates": "exchange columns.lon and columns.lat",
    "coordinates out of range": "check the coordinates and crs",
    "places outside the region": "check the region, crs and coordinates",
    "missing richness": "fill in the richness",
    "negative richness": "correct the counts",
    "fractional richness": "choose a column of counts, or set target.kind to continuous",
    "proportions outside 0 to 1": "divide percentages by 100",
    "areas not above 0": "leave unknown areas blank",
    "unreadable dates": "write dates as YYYY-MM-DD or YYYY, or set date_order",
    "missing group or fold": "fill in the column, or remove the setting",
    "duplicate rows": "drop the duplicates",
    "missing species lists": "check that both files write plot_id the same way",
    "unreadable abundances": "correct them, or list non-species columns in species.ignore",
    "missing plot_id": "fill in plot_id",
    "rows of one plot that differ": "give each plot and visit its own plot_id",
    "repeated plot_id": "give each plot and visit its own plot_id",
}
"""Kinds of rejection, and the remedy for each."""


_LONGEST = max(map(len, MISSING))


class Verdicts:
    """Kind and reason of each row's rejection; both '' for good rows."""

    def __init__(self, kind: Sequence[str], reason: Sequence[str]):
        self.kind = np.array(kind, dtype=object)
        self.reason = np.array(reason, dtype=object)

    @property
    def good(self) -> np.ndarray:
        return self.kind == ""

    def reject(self, bad: np.ndarray, kind: str, reason: Callable[[int], str]) -> None:
        """Reject those rows of `bad` that are still good; `reason` writes the text for a row."""
        assert kind in REMEDIES, kind
        for row in np.flatnonzero(bad & self.good).tolist():
            self.kind[row] = kind
            self.reason[row] = reason(row)


def is_missing(texts: pd.Series) -> np.ndarray:
    """Mask of cells that are blank or hold a word for missing such as NA."""
    cells = texts.tolist()
    # Most cells are too long for such a word.
    return np.array([len(t) <= _LONGEST and t.lower() in MISSING for t in cells], dtype=bool)
