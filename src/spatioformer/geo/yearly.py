"""Chips of plots with dates: the year of each plot's imagery, and the windows that are read of it.

No stack is built: a few small windows around the plots are read from imagery of each year.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.cutting import TILE, Piece
from spatioformer.geo.grid import Grid

SMALL = 32
"""Side of a window, pixels, up to which the plots in it are read at once."""

FILLED = 0.25
"""Smallest share of a larger window that chips fill."""

Days = tuple[str, str]
"""First and last day of a season, MM-DD."""


class YearlyImagery(Protocol):
    """Imagery of several years on one grid, which is read window by window."""

    @property
    def grid(self) -> Grid: ...

    @property
    def bands(self) -> list[str]: ...

    def windows(self, windows: Sequence[Window], year: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number and the values of each window, float32 (band, y, x), NaN for none.

        A window may come again with other values; the last ones count.
        """


def years_of_plots(
    dates: pd.Series, years: Sequence[int], max_years: int, season: Days | None = None
) -> tuple[pd.DataFrame, np.ndarray]:
    """Choose the year of the imagery of each plot: that of its date, or the nearest one.

    Of two years as near, the earlier one is chosen. A plot without a date has a year only if there
    is one year of imagery.

    Args:
        dates: date of each plot, NaT for none.
        years: years of imagery, ascending; none of imagery that is the same in all years.
        max_years: largest distance of a plot's year from that of its imagery.
        season: days that the imagery covers. If it ends in the next year, a plot dated up to its
            end belongs to the year in which it began.

    Returns:
        Columns composite_year and years_apart (composite minus plot; both Int64, missing where
        there is none), and the reason for which a plot has no year, (n,), '' for none.
    """
    if not len(years):
        none = pd.Series(pd.NA, dates.index, "Int64")
        return (
            pd.DataFrame({"composite_year": none, "years_apart": none}),
            np.full(len(dates), "", object),
        )
    of_plot = dates.dt.year.to_numpy(np.float64, na_value=np.nan).copy()
    if season is not None and season[1] < season[0]:
        day = (100 * dates.dt.month + dates.dt.day).to_numpy(np.float64, na_value=np.nan)
        of_plot[day <= int(season[1].replace("-", ""))] -= 1
    dated = np.isfinite(of_plot)
    offered = np.asarray(years)
    distance = np.abs(offered - np.where(dated, of_plot, offered[0])[:, None])
    chosen = offered[distance.argmin(axis=1)].astype(np.float64)
    apart = np.where(dated, chosen - of_plot, np.nan)
    reason = np.full(len(dates), "", object)
    far = np.abs(apart) > max_years
    reason[far] = [
        f"the nearest imagery is of {near:.0f} and the plot of {year:.0f}, more than max_years "
        f"({max_years}) apart"
        for near, year in zip(chosen[far], of_plot[far], strict=True)
    ]
    if len(offered) > 1:
        reason[~dated] = "no date, by which to choose one of the years of the imagery"
    none = reason != ""
    table = pd.DataFrame({"composite_year": chosen, "years_apart": apart}, index=dates.index)
    table[none] = np.nan
    return table.astype("Int64"), reason


def require_years(reason: np.ndarray, years: Sequence[int]) -> None:
    """Raise if no plot has imagery of its year.

    Args:
        reason: of `years_of_plots`.
        years: years of the imagery, ascending.

    Raises:
        ImageryError: none has.
    """
    if len(reason) and (reason != "").all():
        span = f"{years[0]} to {years[-1]}" if len(years) > 1 else f"{years[0]}"
        raise ImageryError(
            f"none of the {len(reason)} plots has imagery of its year, which is of {span} (first: "
            f"{reason[0]}); give `years` that hold the plots' dates, raise `max_years`, or name "
            "the column of the dates in `plots.columns.date`"
        )


@dataclass(frozen=True)
class YearlyChips:
    """Source of chips of which each comes from the imagery of its plot's year.

    Attributes:
        imagery: imagery of several years.
        years: year of each plot, int (n,); any number for plots that get no chip.
    """

    imagery: YearlyImagery
    years: np.ndarray

    @property
    def grid(self) -> Grid:
        return self.imagery.grid

    @property
    def bands(self) -> list[str]:
        return self.imagery.bands

    def pieces(
        self, members: np.ndarray, rows: np.ndarray, cols: np.ndarray, half: int
    ) -> Iterator[Piece]:
        """As `ChipSource.pieces`, year by year."""
        for year in np.unique(self.years[members]):
            plots = members[self.years[members] == year]
            groups = grouped(rows[plots], cols[plots], half)
            boxes = [_box(rows[plots[g]], cols[plots[g]], half) for g in groups]
            windows = [_inside(box, self.grid) for box in boxes]
            for number, values in self.imagery.windows(windows, int(year)):
                box, inner = boxes[number], windows[number]
                top, left = box.row_off, box.col_off
                data = np.zeros((len(values), box.height, box.width), np.float32)
                valid = np.zeros((box.height, box.width), bool)
                place = (
                    slice(inner.row_off - top, inner.row_off - top + inner.height),
                    slice(inner.col_off - left, inner.col_off - left + inner.width),
                )
                finite = np.isfinite(values).all(axis=0)
                data[:, *place], valid[place] = np.where(finite, values, 0), finite
                yield Piece(plots[groups[number]], top + half, left + half, data, valid)


def grouped(rows: np.ndarray, cols: np.ndarray, half: int) -> list[np.ndarray]:
    """Group pixels so that few windows hold their chips, and little besides.

    The pixels of a tile are divided at their widest gap, until chips fill a share FILLED of the
    window around them or its sides are no longer than SMALL.

    Args:
        rows, cols: pixels, int (n,).
        half: pixels of a chip on each side of its centre.

    Returns:
        Positions in `rows` of each group, in the order of the tiles.
    """
    tiles = pd.Series(np.arange(len(rows))).groupby([rows // TILE, cols // TILE])
    groups = []
    for _, tile in tiles:
        waiting = [tile.to_numpy()]
        while waiting:
            group = waiting.pop()
            parts = _divided(rows, cols, group, half)
            if parts:
                waiting += parts[::-1]
            else:
                groups.append(group)
    return groups


def _divided(rows: np.ndarray, cols: np.ndarray, group: np.ndarray, half: int) -> list[np.ndarray]:
    """Two parts of a group, on both sides of its widest gap; none if it can be read at once."""
    box = _box(rows[group], cols[group], half)
    pixels = len(np.unique(rows[group] * 2**31 + cols[group]))
    area = box.height * box.width
    if max(box.height, box.width) <= SMALL or pixels * (2 * half + 1) ** 2 >= FILLED * area:
        return []
    widest, parts = 0, []
    for line in (rows[group], cols[group]):
        places = np.unique(line)
        gaps = np.diff(places)
        if len(gaps) and gaps.max() > widest:
            widest = gaps.max()
            # Of equal gaps the one in the middle, so that no part is a single line.
            equal = np.flatnonzero(gaps == widest)
            cut = places[equal[np.abs(equal - len(gaps) / 2).argmin()]]
            parts = [group[line <= cut], group[line > cut]]
    return parts


def _box(rows: np.ndarray, cols: np.ndarray, half: int) -> Window:
    """The window around the chips of some pixels; it may lie partly outside the grid."""
    top, left = int(rows.min()) - half, int(cols.min()) - half
    return Window(left, top, int(cols.max()) + half + 1 - left, int(rows.max()) + half + 1 - top)


def _inside(box: Window, grid: Grid) -> Window:
    top, left = max(0, box.row_off), max(0, box.col_off)
    bottom = min(grid.height, box.row_off + box.height)
    right = min(grid.width, box.col_off + box.width)
    return Window(left, top, right - left, bottom - top)
