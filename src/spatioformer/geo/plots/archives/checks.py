"""Checks of visits before their rows are checked: days, coordinates, single records."""

import contextlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.errors import PlotError
from spatioformer.geo.plots.archives.effort import first_day
from spatioformer.geo.plots.archives.survey import NO, Survey
from spatioformer.geo.plots.numbers import numbers, usual_style
from spatioformer.geo.plots.source import quoted
from spatioformer.geo.plots.verdicts import is_missing

_LONGEST = 366  # days of a survey whose date still says to which year it belongs


def first_days(visits: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Visits with the first day of ranges of dates, or no date if a range is over a year; notes."""
    days = {text: first_day(text) for text in dict.fromkeys(visits["date"]) if "/" in text}
    spans = {text: span for text, span in days.items() if span is not None}
    if not spans:
        return visits.copy(), []
    short = {text: span.first for text, span in spans.items() if span.days <= _LONGEST}
    long = {text: "" for text in spans if text not in short}
    notes = []
    in_short, in_long = visits["date"].isin(list(short)), visits["date"].isin(list(long))
    if in_short.any():
        notes.append(
            f"{int(in_short.sum()):,} visits have a range of dates, such as "
            f"{quoted(next(iter(short)))}; the first day counts"
        )
    if in_long.any():
        notes.append(
            f"{int(in_long.sum()):,} visits have a range of more than a year, such as "
            f"{quoted(next(iter(long)))}; their date is unknown"
        )
    return visits.assign(date=visits["date"].replace(short | long)), notes


def require_coordinates(visits: pd.DataFrame, name: str) -> None:
    """Raise if most visits have no coordinates."""
    if visits.empty:
        raise PlotError(f"{name} holds no plot; check the archive")
    missing = is_missing(visits["lon"]) | is_missing(visits["lat"])
    if missing.mean() > 0.5:
        raise PlotError(
            f"{int(missing.sum()):,} of {len(visits):,} plots of {name} have no coordinates, so "
            f"they cannot be placed; ask the publisher for them, or fetch plots with coordinates"
        )


def check_presence(survey: Survey, name: str, accept: bool) -> tuple[NDArray[np.bool_], list[str]]:
    """Visits that are kept: single records only if they are accepted; notes.

    Raises:
        PlotError: the archive holds single records alone, which are not accepted.
    """
    count = len(survey.visits)
    single = survey.presence_only
    if single is None or not single.any():
        return np.ones(count, dtype=bool), []
    records = survey.counts["read"]
    if accept:
        survey.visits.loc[single, "list_complete"] = NO
        return np.ones(count, dtype=bool), [
            f"{int(single.sum()):,} of {count:,} plots are places and days of single records, not "
            f"surveys; their richness is that of what was recorded"
        ]
    if single.all():
        raise PlotError(
            f"{name} holds {records:,} single records, not surveys: they share no event with a "
            f"list, and state no sampling protocol or effort, so a species without a record may "
            f"still be there, and counts of them are no richness; fetch a data set of sampling "
            f"events, or accept that with --accept-incomplete"
        )
    return ~single, [
        f"{int(single.sum()):,} of {count:,} places and days have single records only, no survey, "
        f"and are left out; --accept-incomplete keeps them"
    ]


def leave_out_others(survey: Survey, kept: NDArray[np.bool_], name: str) -> list[str]:
    """Leave visits without any record that counts out of `kept`; a sentence on them.

    A survey of birds or fungi has no list of plants, not one without species.

    Raises:
        PlotError: no visit is left.
    """
    count = int(kept[survey.without_plants].sum())
    if not count:
        return []
    kept[survey.without_plants] = False
    if not kept.any():
        raise PlotError(
            f"{name} holds no records that count, only such of animals, fungi, mosses, fossils or "
            f"gardens; fetch a data set of vascular plants"
        )
    return [
        f"{count:,} visits have only records that do not count, such as those of animals, fungi or "
        f"mosses, and are left out"
    ]


def numbers_of(texts: pd.Series) -> tuple[NDArray[np.float64], list[str]]:
    """Values of cells, NaN if missing or not a number; a note on cells that are not."""
    cells = texts.tolist()
    with contextlib.suppress(ValueError):  # of the usual form, which takes a tenth of the time
        return np.array([float(cell) if cell else np.nan for cell in cells], np.float64), []
    values = np.asarray(numbers(cells, usual_style(list(dict.fromkeys(cells)))), np.float64)
    bad = ~np.isfinite(values) & ~is_missing(texts)
    if not bad.any():
        return values, []
    return values, [
        f"{int(bad.sum()):,} cells of {texts.name} are no numbers, such as "
        f"{quoted(cells[int(bad.argmax())])}"
    ]
