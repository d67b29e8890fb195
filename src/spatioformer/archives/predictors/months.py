"""The months of a NetCDF file of one year, from its time axis (CF conventions, 4.4)."""

import calendar
import re
from datetime import datetime, timedelta

import numpy as np
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.config.messages import escaped

MONTHS = 12

TIMES = ("valid_time", "time", "date")
"""Names of the time axis, in files of the Climate Data Store since 2024 and before."""

_SINCE = re.compile(
    r"(seconds|minutes|hours|days) since (\d{4}-\d{1,2}-\d{1,2})"
    r"(?:[T ]00?(?::00?(?:\.0*)?)*)?Z?"  # midnight
)
_DAY = re.compile(r"(19|20)\d{6}")


def month_lengths(dataset: DatasetReader, year: int, owner: str) -> np.ndarray:
    """Days of the month of each band of an open NetCDF variable: float64 (12,).

    Args:
        dataset: a variable whose bands must be the twelve months of the year.
        year: the year.
        owner: beginning of the message, such as "source climate: era5-land_2005".

    Raises:
        ImageryError: the bands are not these months, or the file states no times.
    """
    if "NETCDF_DIM_expver" in dataset.tags(1) and dataset.count > MONTHS:
        raise ImageryError(
            f"{owner}: the file holds preliminary months beside final ones (dimension expver); "
            "download the year again"
        )
    if dataset.count != MONTHS:
        raise ImageryError(
            f"{owner}: the file holds {dataset.count} steps of time, and the {MONTHS} months of "
            f"{year} were expected; download monthly means of all months of this year alone, or "
            "leave the year out of `years`"
        )
    months = [_month(dataset, number, owner) for number in dataset.indexes]
    if {(year, month) for month in range(1, MONTHS + 1)} != set(months):
        other = next((y, m) for y, m in months if y != year or months.count((y, m)) > 1)
        raise ImageryError(
            f"{owner}: the file holds {other[0]}-{other[1]:02d}"
            f"{' twice' if other[0] == year else ''}, and each month of {year} once was expected; "
            "check the name of the file, or download the year again"
        )
    return np.array([calendar.monthrange(*month)[1] for month in months], float)


def _month(dataset: DatasetReader, number: int, owner: str) -> tuple[int, int]:
    """Year and month of a band."""
    tags = dataset.tags(number)
    name = next((name for name in TIMES if f"NETCDF_DIM_{name}" in tags), None)
    if name is None:
        raise ImageryError(
            f"{owner}: the file states no times (an axis {', '.join(TIMES[:-1])} or {TIMES[-1]}), "
            "so its months are not known; download the year again"
        )
    text, unit = tags[f"NETCDF_DIM_{name}"], dataset.tags().get(f"{name}#units", "")
    try:
        if _DAY.fullmatch(text) and "since" not in unit:
            moment = datetime.strptime(text, "%Y%m%d")
        else:
            moment = _moment(float(text), unit)
    except (ValueError, OverflowError) as error:
        raise ImageryError(
            f"{owner}: the time {escaped(text, 40)} with the unit {escaped(unit, 60)!r} cannot be "
            "read; it must be seconds, minutes, hours or days since a date"
        ) from error
    return moment.year, moment.month


def _moment(value: float, unit: str) -> datetime:
    stated = _SINCE.fullmatch(unit.strip())
    if stated is None:
        raise ValueError(unit)
    return datetime.strptime(stated[2], "%Y-%m-%d") + timedelta(**{stated[1]: value})
