"""Items of collections without a catalogue: the addresses of their files follow a form."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from spatioformer.archives.catalogues.query import boxes_of, span_of
from spatioformer.archives.collections import Band, Collection
from spatioformer.archives.items import Asset, Bounds, Item
from spatioformer.archives.remote import Access, read_bytes
from spatioformer.common.errors import ConfigError
from spatioformer.config.archives import STATIC
from spatioformer.config.fields import Region, is_address
from spatioformer.config.messages import shown

AROUND = 0.05
"""Degrees round a region in which tiles of elevation are listed, for what its edge depends on."""
LISTED = 64 * 2**20  # bytes of a list of tiles
EARTH: Bounds = (-180.0, -90.0, 180.0, 90.0)

_PLACE = re.compile(r"\{(\w+)(?::(lower|upper|0[1-9]))?\}")


@dataclass(frozen=True)
class Tile:
    """A square of a lattice in degrees, or the Earth.

    Attributes:
        bbox: (W, S, E, N), degrees.
        values: what the names of a form mean for it.
    """

    bbox: Bounds
    values: Mapping[str, str | int]


def file_items(
    collection: Collection, bands: Sequence[Band], region: Region, year: int, access: Access
) -> list[Item]:
    """Items of a region: one for each tile, or one for the Earth. No raster is opened.

    Args:
        bands: those that are read; each gets its file.
        region: (W, E, S, N), degrees; W > E crosses the antimeridian.
        year: STATIC for a collection without years.

    Raises:
        ConfigError: the form of the row names something that there is not.
        ImageryError: the list of tiles cannot be read.
    """
    start, end = times(collection, year)
    items = []
    for tile in _existing(collection, region, bands, access):
        values = {**collection.chosen, **tile.values, "year": year}
        name = str(tile.values.get("tile") or tile.values.get("number") or "earth")
        items.append(
            Item(
                f"{collection.id}_{name}" + (f"_{year}" if year != STATIC else ""),
                collection.name,
                start,
                end,
                tile.bbox,
                {band.name: asset_of(collection, band, values) for band in bands},
            )
        )
    return sorted(items, key=lambda item: item.id)


def times(collection: Collection, year: int) -> tuple[datetime, datetime]:
    """First and last second that an item describes: a year, or the period of the collection."""
    if year != STATIC:
        return span_of(year, None)
    assert collection.period is not None
    first, last = collection.period
    if chosen := re.fullmatch(r"(\d{4})-(\d{4})", collection.chosen.get("period", "")):
        first, last = int(chosen[1]), int(chosen[2])
    return datetime(first, 1, 1, tzinfo=UTC), datetime(last, 12, 31, 23, 59, 59, tzinfo=UTC)


def asset_of(collection: Collection, band: Band, values: Mapping[str, str | int]) -> Asset:
    """The file of a band of a tile.

    Raises:
        ConfigError: the form names something that there is not.
    """
    assert collection.files is not None
    group, _, key = band.keys[0].rpartition("/")
    fields = {**values, "key": key, "group": group, "band": band.number}
    form, member = collection.files.form, collection.files.member
    # A form with the number of the band names a file for each; otherwise it counts in the file.
    each = "{band" in form + (member or "")
    return Asset(
        below(collection.endpoint, filled(form, fields, collection.name)),
        1 if each else band.number,
        member=None if member is None else filled(member, fields, collection.name),
    )


def below(endpoint: str, path: str) -> str:
    """Address or path of a file below an endpoint."""
    if is_address(endpoint):
        return f"{endpoint.rstrip('/')}/{path}"
    return str(Path(endpoint) / path)


def filled(form: str, values: Mapping[str, str | int], name: str) -> str:
    """A form with its names replaced.

    Args:
        name: of the collection, for the message.

    Raises:
        ConfigError: a name is not among the values.
    """

    def value_of(place: re.Match[str]) -> str:
        if place[1] not in values:
            raise ConfigError(
                f"collection {name}: {shown(place[0])} in `files` is not known; known are "
                f"{', '.join(values)}"
            )
        value, style = values[place[1]], place[2]
        if style in ("lower", "upper"):
            return str(value).lower() if style == "lower" else str(value).upper()
        return f"{int(value):0{int(style)}d}" if style else str(value)

    return _PLACE.sub(value_of, form)


def _existing(
    collection: Collection, region: Region, bands: Sequence[Band], access: Access
) -> Iterator[Tile]:
    """The tiles that touch a region and exist; the Earth where a file covers it."""
    files = collection.files
    assert files is not None
    if files.degrees is None:
        yield Tile(EARTH, {})
        return
    around = AROUND if any(band.derive for band in bands) else 0.0
    listed = _listed(collection, access)
    for tile in tiles_of(region, files.degrees, around):
        name = filled(files.tile or "{number}", tile.values, collection.name)
        if listed is None or name in listed:
            yield Tile(tile.bbox, {**tile.values, "tile": name if files.tile else ""})


def _listed(collection: Collection, access: Access) -> frozenset[str] | None:
    """The words of the list of tiles; None: all tiles exist."""
    assert collection.files is not None
    if collection.files.list is None:
        return None
    href = below(collection.endpoint, collection.files.list)
    content = read_bytes(href, access, limit=LISTED)
    return frozenset(re.findall(r"\w+", content.decode("utf-8", "replace")))


def tiles_of(region: Region, side: int, around: float = 0.0) -> Iterator[Tile]:
    """Squares of a lattice that touch a region, by rows from the south.

    Args:
        region: (W, E, S, N), degrees.
        side: of a square, degrees.
        around: degrees by which the region is enlarged.
    """
    seen = set()
    for west, south, east, north in boxes_of(region):
        low, high = max(-90.0, south - around), min(90.0, north + around)
        for lat in range(_floor(low, side), _ceil(high, side), side):
            for unturned in range(_floor(west - around, side), _ceil(east + around, side), side):
                lon = (unturned + 180) % 360 - 180
                if (lat, lon) not in seen:
                    seen.add((lat, lon))
                    yield _tile(lat, lon, side)


def _floor(value: float, side: int) -> int:
    return int(value // side) * side


def _ceil(value: float, side: int) -> int:
    return -int(-value // side) * side


def _tile(lat: int, lon: int, side: int) -> Tile:
    number = (90 - side - lat) // side * (360 // side) + (lon + 180) // side + 1
    values: dict[str, str | int] = {
        "ns": "N" if lat >= 0 else "S",
        "lat": abs(lat),
        "ew": "E" if lon >= 0 else "W",
        "lon": abs(lon),
        "number": number,
    }
    return Tile((float(lon), float(lat), float(lon + side), float(lat + side)), values)
