"""What a catalogue is asked: boxes without the antimeridian inside, and a span of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from spatioformer.archives.items import Bounds
from spatioformer.common.errors import ConfigError
from spatioformer.config.fields import Region

RawItem = dict[str, Any]
"""A STAC item in JSON."""

SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Query:
    """What a catalogue is asked.

    Attributes:
        boxes: (W, S, E, N) each, degrees, with W < E; two where the region crosses the
            antimeridian.
        start, end: first and last second, UTC, both inside.
    """

    boxes: tuple[Bounds, ...]
    start: datetime
    end: datetime

    @property
    def interval(self) -> str:
        """The span of time as STAC writes it."""
        return f"{_text(self.start)}/{_text(self.end)}"


def boxes_of(region: Region) -> tuple[Bounds, ...]:
    """A region (W, E, S, N) as boxes (W, S, E, N); W > E crosses the antimeridian."""
    west, east, south, north = region
    if west < east:
        return ((west, south, east, north),)
    parts = ((west, south, 180.0, north), (-180.0, south, east, north))
    return tuple(box for box in parts if box[0] < box[2])


def span_of(year: int, season: Sequence[str] | None) -> tuple[datetime, datetime]:
    """First and last second of a year, or of the season that begins in it.

    Args:
        season: first and last day, MM-DD; a last day before the first lies in the next year.

    Raises:
        ConfigError: a day is not of the calendar.
    """
    if season is None:
        return datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC) - SECOND
    first, last = season
    start = _day(year, first)
    end = _day(year + (last < first), last)
    return start, end + timedelta(days=1) - SECOND


def _day(year: int, text: str) -> datetime:
    try:
        return datetime.strptime(f"{year}-{text}", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(
            f"`season` has the day {text[:20]!r}, which {year} has not; write MM-DD, such as 10-01"
        ) from None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
