"""Row checks of a plot table: parse text cells into values, and give reasons for rejected rows.

A bad row raises no error: it gets one reason, that of the first check it fails. A fault of a whole
column (no number in it at all) raises an error.
"""

import re
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError

from spatioformer.common.errors import PlotError
from spatioformer.geo.crs import conversion_fault
from spatioformer.geo.plots.dates import find_order, parse_date
from spatioformer.geo.plots.hemispheres import LETTERS
from spatioformer.geo.plots.numbers import Style, numbers
from spatioformer.geo.plots.sexagesimal import degrees
from spatioformer.geo.plots.source import quoted
from spatioformer.geo.plots.verdicts import Verdicts, is_missing
from spatioformer.geo.plots.zones import require_zones

_NO_NUMBER = {".": "is not a number", ",": "is not a number with a decimal comma"}

WORLD = (-180.0, 180.0, -90.0, 90.0)  # W, E, S, N

_SLACK = (
    10.0  # margin around a CRS's area of use within which coordinates count as plausible, degrees
)

_DECIMAL_COMMA = re.compile(r"[+-]?\d[\d.]*(,\d+)+", re.ASCII)


def check_rows(
    cells: pd.DataFrame,
    names: dict[str, str],
    crs: CRS,
    region: Sequence[float] | None,
    styles: Mapping[str, Style],
    verdicts: Verdicts,
    *,
    date_order: str | None = None,
    kind: str | None = "count",
) -> pd.DataFrame:
    """Parse the cells, and check the rows that are still good.

    Args:
        cells: text columns plot_id, lon, lat, zone, richness, area_m2, date, also group and fold
            if they are used, and int column line.
        names: our column names -> those of the file, for the columns that it has.
        crs: CRS of lon and lat, which are metres if it is projected.
        region: W, E, S, N in degrees or None; W > E means across the antimeridian.
        styles: how each column of numbers writes them.
        verdicts: updated with the rows rejected here.
        date_order: order of day, month and year, see `dates`; None: found from the column.
        kind: of richness, one of `target.KINDS` or 'auto'; None: places without one, which may
            repeat.

    Returns:
        Columns lon, lat (degrees, EPSG:4326), richness, area_m2 (float64), date (datetime64).

    Raises:
        PlotError: a numeric column has no number at all, a column of zones leaves the hemisphere
            open, or a spreadsheet has probably exchanged days and months.
    """
    x, y = (_numbers(cells, name, names, styles[name], verdicts) for name in ("lon", "lat"))
    if "zone" in names:
        lon, lat = _check_zoned_places(cells, x, y, names["zone"], region, verdicts)
    else:
        lon, lat = _check_places(cells, x, y, crs, region, verdicts)
    richness = _numbers(cells, "richness", names, styles["richness"], verdicts)
    if kind is not None:
        _check_richness(cells["richness"], richness, kind, verdicts)
    area = _numbers(cells, "area_m2", names, styles["area_m2"], verdicts)
    verdicts.reject(area <= 0, "areas not above 0", _quote(cells, "area_m2", "is not above 0"))
    date = _dates(cells["date"], names.get("date", ""), date_order, verdicts)
    for name in [name for name in ("group", "fold") if name in cells]:
        missing = is_missing(cells[name])
        verdicts.reject(missing, "missing group or fold", _same(f"{name} is missing"))
    values = pd.DataFrame(
        {"lon": lon, "lat": lat, "richness": richness, "area_m2": area, "date": date}
    )
    if kind is not None:
        _check_duplicates(cells, values, verdicts)
    return values


def parse_crs(crs: object) -> CRS:
    """Parse a geographic or projected CRS from anything pyproj reads, such as 'EPSG:4326'.

    Raises:
        PlotError: pyproj cannot parse it, or cannot convert it to degrees on the Earth.
    """
    try:
        parsed = CRS.from_user_input(crs)
    except CRSError as error:
        raise PlotError(f"crs {crs!r} is unknown; give one such as 'EPSG:4326'") from error
    fault = conversion_fault(parsed)
    if fault:
        raise PlotError(f"crs {crs!r} {fault}; give one such as 'EPSG:4326'")
    return parsed


def check_region(region: Sequence[float] | None) -> None:
    """Raise unless a region is W, E, S, N in degrees; W > E means across the antimeridian."""
    if region is None:
        return
    if (
        len(region) != 4
        or not region[2] < region[3]
        or min(region[2:]) < -90
        or max(region[2:]) > 90
    ):
        raise PlotError(f"region {list(region)} is not [W, E, S, N] in degrees; reorder it")


def _numbers(
    cells: pd.DataFrame, name: str, names: dict[str, str], style: Style, verdicts: Verdicts
) -> np.ndarray:
    """Values of a numeric column, float64; NaN if missing or not a number."""
    texts = cells[name]
    missing = is_missing(texts)
    values = numbers(texts.tolist(), style)
    unread = np.isnan(values) & ~missing
    if style.axis:
        verdicts.reject(unread, "text for numbers", _why_no_degrees(cells, name))
    comma = unread.copy()
    comma[unread] = [
        style.decimal == "." and bool(_DECIMAL_COMMA.fullmatch(text)) for text in texts[unread]
    ]
    if name in names and len(texts) and not (~missing & ~unread).any():
        _refuse_column(texts, name, names[name], unread, comma)
    verdicts.reject(
        comma, "decimal commas", _quote(cells, name, "has a comma where a decimal point belongs")
    )
    verdicts.reject(unread, "text for numbers", _quote(cells, name, _NO_NUMBER[style.decimal]))
    verdicts.reject(np.isinf(values), "infinite numbers", _quote(cells, name, "is not finite"))
    return values


def _why_no_degrees(cells: pd.DataFrame, name: str) -> Callable[[int], str]:
    """Reasons for cells of a column in degrees, minutes and seconds that are not read."""
    letters = LETTERS[name]

    def reason(row: int) -> str:
        text = cells[name][row]
        what = "is no coordinate in degrees, minutes and seconds"
        if "O" in text.upper():
            what = "has O, which means west or east; write W or E"
        elif np.isfinite(degrees(text, name)):
            what = f"has no {letters}, which other cells have"
        return f"{name} {quoted(text)} {what}"

    return reason


def _refuse_column(
    texts: pd.Series, name: str, column: str, unread: np.ndarray, comma: np.ndarray
) -> None:
    """Raise for a column without any number; a blank area_m2 only means unknown areas."""
    if comma.any():
        raise PlotError(
            f"column {column!r} ({name}) has commas, as in {quoted(texts[comma.argmax()])}, but "
            f"other columns have decimal points; set decimal to '.' if the commas part thousands"
        )
    if unread.any():
        raise PlotError(
            f"column {column!r} ({name}) holds text such as {quoted(texts[unread.argmax()])} "
            f"and no number; set columns.{name} to a column of numbers"
        )
    if name != "area_m2":
        raise PlotError(
            f"column {column!r} ({name}) is blank in every row; set columns.{name} to another"
        )


def _quote(cells: pd.DataFrame, name: str, what: str) -> Callable[[int], str]:
    return lambda row: f"{name} {quoted(cells[name][row])} {what}"


def _same(reason: str) -> Callable[[int], str]:
    """The same reason for every row."""
    return lambda row: reason


def _check_places(
    cells: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    crs: CRS,
    region: Sequence[float] | None,
    verdicts: Verdicts,
) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude in degrees, EPSG:4326, of x and y in `crs`."""

    def both(what: str) -> Callable[[int], str]:
        return lambda row: (
            f"lon {quoted(cells['lon'][row])}, lat {quoted(cells['lat'][row])} {what}"
        )

    for name in ("lon", "lat"):
        verdicts.reject(is_missing(cells[name]), "missing coordinates", _same(f"{name} is missing"))
    verdicts.reject(
        (x == 0) & (y == 0), "coordinates (0, 0)", both("is the point (0, 0), a placeholder")
    )
    lon, lat = _to_degrees(x, y, crs)
    verdicts.reject(
        _look_swapped(x, y, lon, lat, crs, region, verdicts.good),
        "swapped coordinates",
        both("look swapped"),
    )
    if crs.is_geographic:
        for name, raw, limit in (("lat", y, 90), ("lon", x, 180)):
            verdicts.reject(
                np.abs(raw) > limit,
                "coordinates out of range",
                _quote(cells, name, f"is outside -{limit}..{limit}"),
            )
    if not crs.equals(CRS(4326), ignore_axis_order=True):
        verdicts.reject(
            np.isfinite(lon) & ~_inside(lon, lat, _home(crs)),
            "coordinates out of range",
            both(f"is outside the area of use of {crs.name}"),
        )
    verdicts.reject(
        ~_inside(lon, lat, WORLD),
        "coordinates out of range",
        both(f"is outside the domain of {crs.name}"),
    )
    if region is not None:
        bounds = ", ".join(f"{bound:g}" for bound in region)
        verdicts.reject(
            ~_inside(lon, lat, region),
            "places outside the region",
            both(f"is outside region [{bounds}]"),
        )
    return lon, lat


def _check_zoned_places(
    cells: pd.DataFrame,
    x: np.ndarray,
    y: np.ndarray,
    column: str,
    region: Sequence[float] | None,
    verdicts: Verdicts,
) -> tuple[np.ndarray, np.ndarray]:
    """As `_check_places`, with the CRS of each row from the column of UTM zones."""
    verdicts.reject(is_missing(cells["zone"]), "missing coordinates", _same("zone is missing"))
    codes = require_zones(cells["zone"].tolist(), y, column).codes
    verdicts.reject(
        codes == 0,
        "unreadable zones",
        _quote(cells, "zone", "is no UTM zone, or none of this northing"),
    )
    lon, lat = np.full((2, len(x)), np.nan)
    for code in np.unique(codes[codes > 0]).tolist():
        rows = codes == code
        part = Verdicts(verdicts.kind[rows], verdicts.reason[rows])
        lon[rows], lat[rows] = _check_places(
            cells[rows].reset_index(drop=True), x[rows], y[rows], CRS(code), region, part
        )
        verdicts.kind[rows], verdicts.reason[rows] = part.kind, part.reason
    return lon, lat


def _to_degrees(x: np.ndarray, y: np.ndarray, crs: CRS) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude, EPSG:4326; infinite outside the domain of the projection."""
    if crs.equals(CRS(4326), ignore_axis_order=True):
        return x.copy(), y.copy()
    return Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)


def _look_swapped(
    x: np.ndarray,
    y: np.ndarray,
    lon: np.ndarray,
    lat: np.ndarray,
    crs: CRS,
    region: Sequence[float] | None,
    good: np.ndarray,
) -> np.ndarray:
    """Rows whose place is implausible, and plausible with x and y exchanged.

    Plausible places are inside the region, or, without a region, inside the CRS's area of use plus
    a margin. For degrees, they are also on the globe.
    """
    homes = [_home(crs) if region is None else region]
    if crs.is_geographic:
        homes.append(WORLD)
    suspects = good & ~np.logical_and.reduce([_inside(lon, lat, home) for home in homes])
    swapped = np.zeros(len(x), dtype=bool)
    if suspects.any():
        other = _to_degrees(y[suspects], x[suspects], crs)
        here = lon[suspects], lat[suspects]
        swapped[suspects] = np.logical_or.reduce(
            [_inside(*other, home) & ~_inside(*here, home) for home in homes]
        )
    return swapped


def _home(crs: CRS) -> tuple[float, float, float, float]:
    """The CRS's area of use plus a margin: W, E, S, N in degrees."""
    area = crs.area_of_use
    if area is None:
        return WORLD
    south, north = area.south - _SLACK, area.north + _SLACK
    if (area.east - area.west) % 360 + 2 * _SLACK >= 360 or area.east - area.west == 360:
        return (*WORLD[:2], south, north)
    west, east = ((bound + 180) % 360 - 180 for bound in (area.west - _SLACK, area.east + _SLACK))
    return (west, east, south, north)


def _inside(lon: np.ndarray, lat: np.ndarray, region: Sequence[float]) -> np.ndarray:
    west, east, south, north = region
    across = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    return across & (lat >= south) & (lat <= north) & np.isfinite(lon)


def _check_richness(texts: pd.Series, richness: np.ndarray, kind: str, verdicts: Verdicts) -> None:
    cells = texts.to_frame("richness")
    verdicts.reject(np.isnan(richness), "missing richness", _same("richness is missing"))
    verdicts.reject(richness < 0, "negative richness", _quote(cells, "richness", "is negative"))
    if kind == "count":
        verdicts.reject(
            richness != np.floor(richness),
            "fractional richness",
            _quote(cells, "richness", "is not a whole number"),
        )
    elif kind == "proportion":
        verdicts.reject(
            richness > 1, "proportions outside 0 to 1", _quote(cells, "richness", "is above 1")
        )


def _dates(texts: pd.Series, column: str, date_order: str | None, verdicts: Verdicts) -> np.ndarray:
    """Dates as datetime64; NaT if missing or unreadable."""
    distinct = dict.fromkeys(texts.tolist())
    found = find_order(distinct)
    if found.exchanged and date_order is None:
        raise PlotError(
            f"column {column!r} (date) is not clear: {found.exchanged}; correct them, or set "
            f"date_order to {found.order}"
        )
    parsed = {text: parse_date(text, date_order or found.order) for text in distinct}
    days = [parsed[text] for text in texts.tolist()]
    verdicts.reject(
        np.array([isinstance(day, str) for day in days], dtype=bool),
        "unreadable dates",
        lambda row: f"date {quoted(texts[row])} {days[row]}",
    )
    days = [None if isinstance(day, str) else day for day in days]
    return np.array(days, dtype="datetime64[us]")


def _check_duplicates(cells: pd.DataFrame, values: pd.DataFrame, verdicts: Verdicts) -> None:
    """Reject rows that repeat an earlier good row of the same plot_id in every value."""
    candidates = np.flatnonzero(verdicts.good & ~is_missing(cells["plot_id"]))
    keys = values.iloc[candidates].assign(plot_id=cells["plot_id"].iloc[candidates])
    groups = keys.groupby(list(keys.columns), dropna=False, sort=False)
    first = np.zeros(len(cells), dtype=int)
    first[candidates] = cells["line"].iloc[candidates].groupby(groups.ngroup()).transform("first")
    repeat = np.zeros(len(cells), dtype=bool)
    repeat[candidates] = groups.cumcount() > 0
    verdicts.reject(
        repeat,
        "duplicate rows",
        lambda row: (
            f"repeats line {first[row]}: plot_id {quoted(cells['plot_id'][row])} with the same "
            f"coordinates, date, area and richness"
        ),
    )
