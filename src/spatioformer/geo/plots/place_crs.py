"""Which CRS coordinates of a table have: degrees, metres, or a column that says so."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.crs import area_bounds
from spatioformer.geo.plots import vocabulary
from spatioformer.geo.plots.columns import Column, as_coordinate
from spatioformer.geo.plots.places import fits_degrees
from spatioformer.geo.plots.source import quoted
from spatioformer.geo.plots.zones import holds_zones, parse_zones

WGS84 = "EPSG:4326"

_LEAST_DECIMALS = 4  # x and y with fewer may be metres, to a millimetre, even between -180 and 180

_NEAR_ZERO = 2.0  # degrees around (0, 0) without land: such values are no degrees


_DATUMS = {
    "NAD27": "EPSG:4267",
    "ED50": "EPSG:4230",
    "SAD69": "EPSG:4618",
    "PSAD56": "EPSG:4248",
    "AGD66": "EPSG:4202",
    "AGD84": "EPSG:4203",
    "NZGD49": "EPSG:4272",
}
"""Datums whose places lie 50 to 250 m from those of WGS 84 -> geographic CRSs."""


@dataclass(frozen=True)
class CrsFinding:
    """What values of coordinates say of their CRS.

    Attributes:
        crs: the only plausible CRS; None if there is none or several.
        candidates: CRSs that something in the table suggests.
        why: the values that decide, or why nothing does.
        problem: fault of the values, a sentence with the remedy; '' if none.
        zone: name of the column that gives the UTM zone of each row; '' if there is none.
    """

    crs: str | None
    candidates: tuple[str, ...]
    why: str
    problem: str = ""
    zone: str = ""


def find_crs(lon: Column, lat: Column, columns: list[Column]) -> CrsFinding:
    """Decide whether coordinates are degrees (EPSG:4326), or which CRS the table states.

    Values that may be degrees as well as metres near an origin are not decided.
    """
    lon, lat = as_coordinate(lon, "lon"), as_coordinate(lat, "lat")
    shown = _shown(lon, lat)
    stated = _stated_crs(columns)
    if not fits_degrees(lon, lat):
        if len(stated) == 1 and _inside(lon, lat, stated[0]):
            return CrsFinding(stated[0], stated, f"a column of the table states {stated[0]}")
        zoned = _by_zone(lat, columns)
        if zoned is not None and not stated:
            return zoned
        return CrsFinding(None, stated, f"{shown} are no degrees, and metres fit many CRSs")
    problem = _degree_problem(lon, lat)
    if problem:
        return CrsFinding(None, (), shown, problem)
    doubt = _doubt(lon, lat)
    if doubt:
        return CrsFinding(None, (WGS84, *stated), f"{shown} {doubt}")
    column, datum = _old_datum(columns, (lon, lat))
    if datum and not stated:
        return CrsFinding(
            None, (_DATUMS[datum],), f"{shown} are degrees of {datum}, as {quoted(column)} states"
        )
    geographic = [name for name in stated if name != WGS84]
    if geographic:
        candidates = tuple(dict.fromkeys((*stated, WGS84)))
        if len(stated) == 1 and CRS(stated[0]).is_geographic:
            return CrsFinding(stated[0], stated, f"a column of the table states {stated[0]}")
        return CrsFinding(
            None, candidates, f"{shown} are degrees, but a column states {', '.join(stated)}"
        )
    return CrsFinding(WGS84, (WGS84,), f"{shown} are degrees")


def _by_zone(lat: Column, columns: list[Column]) -> CrsFinding | None:
    """The CRS from a column of UTM zones; None if there is none, or several."""
    zoned = [c for c in columns if _is_zone(c) and holds_zones(list(c.distinct))]
    if len(zoned) != 1:
        return None
    (column,) = zoned
    owner, datum = _old_datum(columns, ())
    if datum:
        return CrsFinding(
            None,
            (),
            f"{quoted(column.name)} holds UTM zones, and {quoted(owner)} states {datum}, whose "
            f"zones are not those of WGS 84",
        )
    zones = parse_zones(column.cells, lat.values)
    if zones.question:
        return CrsFinding(None, zones.candidates, f"{quoted(column.name)}: {zones.question}")
    codes = sorted(set(zones.codes.tolist()))
    why = f"{quoted(column.name)} holds {zones.why}"
    if len(codes) == 1:
        return CrsFinding(f"EPSG:{codes[0]}", (f"EPSG:{codes[0]}",), why)
    return CrsFinding(None, (), why, zone=column.name)


def states_crs(column: Column) -> bool:
    """Whether a column holds CRSs, datums or UTM zones, which are no covariates."""
    if column.joined in vocabulary.CRS | vocabulary.DATUM:
        return True
    is_sure = not column.has_numbers or bool(vocabulary.ZONE_WORDS & set(column.words))
    return _is_zone(column) and is_sure and holds_zones(list(column.distinct))


def _is_zone(column: Column) -> bool:
    return column.joined in vocabulary.ZONE or bool(vocabulary.ZONE_WORDS & set(column.words))


def _old_datum(columns: list[Column], coordinates: Sequence[Column]) -> tuple[str, str]:
    """A column that states a datum up to 250 m from WGS 84, and the datum; '' if none does.

    The names of coordinates may state it too, as lon_nad27 does.
    """
    for column in coordinates:
        for datum in _DATUMS:
            if datum.lower() in column.joined:
                return column.name, datum
    for column in columns:
        if column.joined in vocabulary.DATUM:
            for cell in list(column.distinct)[:20]:
                for datum in _DATUMS:
                    if datum.lower() in vocabulary.joined(cell):
                        return column.name, datum
    return "", ""


def _shown(lon: Column, lat: Column) -> str:
    """Both ranges, for a message."""
    ranges = [
        f"{quoted(column.name)} {column.span[0]:g} to {column.span[1]:g}" for column in (lon, lat)
    ]
    return " and ".join(ranges)


def _degree_problem(lon: Column, lat: Column) -> str:
    """Why degrees cannot be read as they are, with the remedy; '' if they can."""
    x, y = (column.values for column in (lon, lat))
    finite = np.isfinite(x) & np.isfinite(y)
    x, y = x[finite], y[finite]
    if not len(x):
        return ""
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
        if words & set(column.words) and (values > 0).all():
            return (
                f"column {quoted(column.name)} is named for the {side}, but its values such as "
                f"{values[0]:g} are above 0; write degrees {negative} with a minus sign"
            )
    return ""


def _doubt(lon: Column, lat: Column) -> str:
    """Why values between -180 and 180 may be no degrees; '' if they surely are."""
    (west, east), (south, north) = lon.span, lat.span
    if max(abs(west), abs(east), abs(south), abs(north)) < _NEAR_ZERO:
        return "lie around 0, where there is no land"
    if lon.style.axis or lat.style.axis:
        return ""
    words = {part[0] for column in (lon, lat) if (part := vocabulary.coordinate(column.name))}
    if words & {*vocabulary.DEGREES, *vocabulary.DEGREES.values()} or not words:
        return ""
    if words & {*vocabulary.METRES, *vocabulary.METRES.values()}:
        return "may be degrees, but the names are those of metres"
    decimals = [_decimals(column) for column in (lon, lat)]
    if min(decimals) < _LEAST_DECIMALS:
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
    codes: dict[str, None] = {}
    for column in columns:
        if column.joined not in vocabulary.CRS or not 1 <= len(column.distinct) <= 3:
            continue
        for cell in column.distinct:
            code = cell.upper().removeprefix("EPSG:").removesuffix(".0").strip()
            if code.isascii() and code.isdigit() and _is_crs(f"EPSG:{code}"):
                codes[f"EPSG:{code}"] = None
    return tuple(codes)


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
