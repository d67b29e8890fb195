"""Which columns of a table hold the coordinates, and what their CRS can be."""

from dataclasses import dataclass, field

import numpy as np
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.crs import area_bounds
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column
from spatioformer.geo.plots.source import quoted

WGS84 = "EPSG:4326"

_MOST_DECIMALS = 3  # x and y with fewer decimals may be metres even between -180 and 180

_NEAR_ZERO = 2.0  # degrees around (0, 0) without land: such values are no degrees


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
        if not column.has_numbers:
            if column.known:
                places.faults[column.name] = f"{quoted(next(iter(column.distinct)))} is no number"
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
    for candidates in (pairs, [pair for pair in loose if _fits_degrees(*_both(pair))]):
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


def _only(axes: list[_Axis], is_x: bool) -> Column | None:
    """The only longitude or latitude, to stand beside a given column with any name."""
    columns = [axis.column for axis in axes if axis.is_x == is_x]
    return columns[0] if len(columns) == 1 else None


def _axis(column: Column) -> _Axis | None:
    parts = vocabulary.coordinate(column.name)
    if parts is None:
        return None
    return _Axis(column, *parts, is_x=parts[0] in vocabulary.PARTNERS)


def _both(pair: tuple[_Axis, _Axis]) -> tuple[Column, Column]:
    return pair[0].column, pair[1].column


def _rank(pair: tuple[_Axis, _Axis]) -> tuple[bool, int]:
    """Lower is better: degrees, then names with few other words."""
    return not _fits_degrees(*_both(pair)), len(pair[0].stem)


def _range(column: Column) -> tuple[float, float]:
    values = column.sample[np.isfinite(column.sample)]
    return (float(values.min()), float(values.max())) if len(values) else (np.nan, np.nan)


def _fits_degrees(x: Column, y: Column) -> bool:
    """Whether nearly all values are degrees, as they are or exchanged."""
    lon, lat = (column.sample[np.isfinite(column.sample)] for column in (x, y))
    if not len(lon) or not len(lat):
        return False
    return bool((np.abs(lon) <= 360).mean() > 0.9 and (np.abs(lat) <= 180).mean() > 0.9)


@dataclass(frozen=True)
class CrsFinding:
    """What values of coordinates say of their CRS.

    Attributes:
        crs: the only plausible CRS; None if there is none or several.
        candidates: CRSs that something in the table suggests.
        why: the values that decide, or why nothing does.
        problem: fault of the values, a sentence with the remedy; '' if none.
    """

    crs: str | None
    candidates: tuple[str, ...]
    why: str
    problem: str = ""


def find_crs(lon: Column, lat: Column, columns: list[Column]) -> CrsFinding:
    """Decide whether coordinates are degrees (EPSG:4326), or which CRS the table states.

    Values that may be degrees as well as metres near an origin are not decided.
    """
    shown = _shown(lon, lat)
    stated = _stated_crs(columns)
    if not _fits_degrees(lon, lat):
        if len(stated) == 1 and _inside(lon, lat, stated[0]):
            return CrsFinding(stated[0], stated, f"a column of the table states {stated[0]}")
        return CrsFinding(None, stated, f"{shown} are no degrees, and metres fit many CRSs")
    problem = _degree_problem(lon, lat)
    if problem:
        return CrsFinding(None, (), shown, problem)
    doubt = _doubt(lon, lat)
    if doubt:
        return CrsFinding(None, (WGS84, *stated), f"{shown} {doubt}")
    geographic = [name for name in stated if name != WGS84]
    if geographic:
        candidates = tuple(dict.fromkeys((*stated, WGS84)))
        if len(stated) == 1 and CRS(stated[0]).is_geographic:
            return CrsFinding(stated[0], stated, f"a column of the table states {stated[0]}")
        return CrsFinding(
            None, candidates, f"{shown} are degrees, but a column states {', '.join(stated)}"
        )
    return CrsFinding(WGS84, (WGS84,), f"{shown} are degrees")


def _shown(lon: Column, lat: Column) -> str:
    """Both ranges, for a message."""
    ranges = [
        f"{quoted(column.name)} {_range(column)[0]:g} to {_range(column)[1]:g}"
        for column in (lon, lat)
    ]
    return " and ".join(ranges)


def _degree_problem(lon: Column, lat: Column) -> str:
    """Why degrees cannot be read as they are, with the remedy; '' if they can."""
    x, y = (column.values for column in (lon, lat))
    known = np.isfinite(x) & np.isfinite(y)
    x, y = x[known], y[known]
    if ((np.abs(y) > 90) & (np.abs(x) <= 90)).mean() > 0.5:
        return (
            f"column {quoted(lon.name)} holds latitudes, and {quoted(lat.name)} holds "
            f"longitudes such as {y[np.abs(y) > 90][0]:g}; exchange columns.lon and columns.lat"
        )
    east = (x > 180) & (x <= 360)
    if east.mean() > 0.1:
        return (
            f"column {quoted(lon.name)} holds longitudes up to {x.max():g}, which count from 0 to "
            f"360; subtract 360 from those above 180"
        )
    for column, values, words, side, negative in (
        (lon, x, vocabulary.WESTWARD, "west", "west of Greenwich"),
        (lat, y, vocabulary.SOUTHWARD, "south", "south of the equator"),
    ):
        # "Longitude W 70.5" is -70.5.
        if words & set(column.words) and len(values) and (values > 0).all():
            return (
                f"column {quoted(column.name)} is named for the {side}, but its values such as "
                f"{values[0]:g} are above 0; write degrees {negative} with a minus sign"
            )
    return ""


def _doubt(lon: Column, lat: Column) -> str:
    """Why values between -180 and 180 may be no degrees; '' if they surely are."""
    (west, east), (south, north) = _range(lon), _range(lat)
    if max(abs(west), abs(east), abs(south), abs(north)) < _NEAR_ZERO:
        return "lie around 0, where there is no land"
    words = {part[0] for column in (lon, lat) if (part := vocabulary.coordinate(column.name))}
    if words & {*vocabulary.DEGREES, *vocabulary.DEGREES.values()} or not words:
        return ""
    if words & {*vocabulary.METRES, *vocabulary.METRES.values()}:
        return "may be degrees, but the names are those of metres"
    decimals = [_decimals(column) for column in (lon, lat)]
    if min(decimals) < _MOST_DECIMALS:
        return f"have {min(decimals)} decimals, so they may be degrees or metres of a local grid"
    if all(
        -1 <= low <= max(1.0, 0.1 * (high - low)) for low, high in ((west, east), (south, north))
    ):
        return "begin at 0, so they may be degrees or metres of a local grid"
    return ""


def _decimals(column: Column) -> int:
    """Decimals of most cells: the lower quartile of distinct cells."""
    cells = list(column.distinct)[:500]
    sign = column.style.decimal
    counts = [len(cell.rpartition(sign)[2]) if sign in cell else 0 for cell in cells]
    return int(np.percentile(counts, 25)) if counts else 0


def _stated_crs(columns: list[Column]) -> tuple[str, ...]:
    """CRSs in a column such as crs or epsg; up to three."""
    found: dict[str, None] = {}
    for column in columns:
        if column.joined not in vocabulary.CRS or not 1 <= len(column.distinct) <= 3:
            continue
        for cell in column.distinct:
            code = cell.upper().removeprefix("EPSG:").removesuffix(".0").strip()
            if code.isascii() and code.isdigit() and _is_crs(f"EPSG:{code}"):
                found[f"EPSG:{code}"] = None
    return tuple(found)


def _is_crs(text: str) -> bool:
    from spatioformer.geo.plots.checks import parse_crs

    try:
        parse_crs(text)
    except PlotError:
        return False
    return True


def _inside(lon: Column, lat: Column, crs: str) -> bool:
    """Whether most values lie in the area of use of a CRS."""
    bounds = area_bounds(CRS(crs))
    if bounds is None:
        return True
    x, y = lon.sample, lat.sample
    inside_x = (x >= bounds[0]) & (x <= bounds[2])
    inside_y = (y >= bounds[1]) & (y <= bounds[3])
    return bool(inside_x.mean() > 0.5 and inside_y.mean() > 0.5)
