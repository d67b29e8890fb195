"""Which columns of a table hold the coordinates."""

from dataclasses import dataclass, field

import numpy as np

from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column, as_coordinate
from spatioformer.geo.plots.sexagesimal import is_open
from spatioformer.geo.plots.source import quoted


@dataclass
class Places:
    """Columns of coordinates, and what is known of their CRS.

    Attributes:
        lon, lat: the columns; None where none or several fit.
        rivals: pairs of columns that fit as well as each other; empty if one is best.
        others: names of further columns of coordinates.
        faults: columns named like coordinates whose values are none -> what they hold.
    """

    lon: Column | None = None
    lat: Column | None = None
    rivals: list[tuple[Column, Column]] = field(default_factory=list)
    others: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Axis:
    """A column named like a coordinate: its word, the other words, whether it is a longitude."""

    column: Column
    word: str
    stem: tuple[str, ...]
    is_x: bool


def find_places(columns: list[Column], lon: str | None = None, lat: str | None = None) -> Places:
    """Find the columns of longitude and latitude by their names and values.

    A longitude and its latitude have the same words otherwise (start_lon, start_lat). Degrees come
    before metres, and shorter names before longer ones.

    Args:
        columns: all columns.
        lon, lat: the name of one that is given; the other is found among its partners.
    """
    places = Places()
    axes = []
    for column in columns:
        axis = _axis(column)
        if axis is None:
            continue
        if not axis.column.has_numbers:
            if column.known:
                places.faults[column.name] = _why_none(axis.column)
            continue
        axes.append(axis)
    pairs = [
        (x, y)
        for x in axes
        for y in axes
        if x.is_x and not y.is_x and x.stem == y.stem and vocabulary.PARTNERS[x.word] == y.word
    ]
    # Longitude beside lat, if nothing fits better.
    loose = [(x, y) for x in axes for y in axes if x.is_x and not y.is_x and (x, y) not in pairs]
    paired = {column.name for pair in pairs for column in _both(pair)}
    clear = {axis.column.name for axis in axes if axis.word not in vocabulary.VAGUE}
    places.others = paired | clear
    for candidates in (pairs, [pair for pair in loose if fits_degrees(*_both(pair))]):
        chosen = [
            pair
            for pair in candidates
            if lon in (None, pair[0].column.name) and lat in (None, pair[1].column.name)
        ]
        ranked = sorted(chosen, key=_rank)
        best = [pair for pair in ranked if _rank(pair) == _rank(ranked[0])]
        if len(best) == 1:
            places.lon, places.lat = _both(best[0])
        elif best:
            places.rivals = [_both(pair) for pair in best]
        if best:
            return places
    places.lon = _only(axes, True) if lon is None and lat is not None else None
    places.lat = _only(axes, False) if lat is None and lon is not None else None
    return places


def _why_none(column: Column) -> str:
    """Why a column named like a coordinate holds none."""
    for cell in column.distinct:
        if is_open(cell):
            return f"O in {quoted(cell)} means west or east; write W or E"
    return f"{quoted(next(iter(column.distinct)))} is no number"


def _only(axes: list[_Axis], is_x: bool) -> Column | None:
    """The only longitude or latitude, to stand beside a given column with any name."""
    columns = [axis.column for axis in axes if axis.is_x == is_x]
    return columns[0] if len(columns) == 1 else None


def _axis(column: Column) -> _Axis | None:
    parts = vocabulary.coordinate(column.name)
    if parts is None:
        return None
    is_x = parts[0] in vocabulary.PARTNERS
    return _Axis(as_coordinate(column, "lon" if is_x else "lat"), *parts, is_x=is_x)


def _both(pair: tuple[_Axis, _Axis]) -> tuple[Column, Column]:
    return pair[0].column, pair[1].column


def _rank(pair: tuple[_Axis, _Axis]) -> tuple[bool, int]:
    """Lower is better: degrees, then names with few other words."""
    return not fits_degrees(*_both(pair)), len(pair[0].stem)


def fits_degrees(x: Column, y: Column) -> bool:
    """Whether nearly all values are degrees, as they are or exchanged."""
    lon, lat = (column.sample[np.isfinite(column.sample)] for column in (x, y))
    if not len(lon) or not len(lat):
        return False
    return bool((np.abs(lon) <= 360).mean() > 0.9 and (np.abs(lat) <= 180).mean() > 0.9)
