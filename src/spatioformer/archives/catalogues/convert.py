"""From a STAC item in JSON to an `Item`: which file and band of it holds each of our bands.

STAC 1.0 (`eo:bands`, `raster:bands`, `proj:epsg`) and 1.1 (`bands`, `proj:code`) are read alike.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any
from urllib.parse import urljoin

from spatioformer.archives.catalogues.footprints import bounds_of
from spatioformer.archives.catalogues.query import RawItem
from spatioformer.archives.collections import Band, Collection, QualityMask
from spatioformer.archives.items import Asset, Item
from spatioformer.common.errors import ImageryError

Json = Mapping[str, Any]


def item_of(raw: RawItem, collection: Collection, owner: str) -> Item:
    """Convert a STAC item; bands that it lacks are left out of `assets`.

    Args:
        owner: the source, in messages.

    Raises:
        ImageryError: it has no id, date or place.
    """
    try:
        properties = raw.get("properties") or {}
        start, end = times_of(raw)
        assets = raw.get("assets") or {}
        described = {key: _names(json) for key, json in assets.items()}
        parts = {}
        for part in collection.parts:
            if isinstance(part, Band) or part.applies(properties):
                chosen = _asset(part, assets, described)
                if chosen is not None:
                    parts[part.name] = chosen
        grid = _first_grid(properties, [json for json, _ in parts.values()])
        base = self_of(raw)
        return Item(
            id=str(raw["id"]),
            collection=collection.name,
            start=start,
            end=end,
            bbox=bounds_of(raw),
            assets={
                name: _file(json, number, base, collection)
                for name, (json, number) in parts.items()
            },
            crs=grid[0],
            transform=grid[1],
            shape=grid[2],
            properties={k: v for k, v in properties.items() if isinstance(v, _PLAIN)},
            href=base,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ImageryError(
            f"{owner}: the item {str(raw.get('id'))[:100]!r} of the catalogue is not a STAC item "
            f"({type(error).__name__}: {str(error)[:100]}); check the kind of the catalogue"
        ) from error


_PLAIN = (str, int, float, bool)


def times_of(raw: RawItem) -> tuple[datetime, datetime]:
    """First and last moment of an item, UTC."""
    properties = raw["properties"]
    first, last = properties.get("start_datetime"), properties.get("end_datetime")
    if first is None or last is None:
        first = last = properties["datetime"]
    return moment_of(first), moment_of(last)


def moment_of(text: str) -> datetime:
    """A moment of RFC 3339; one without a time zone is UTC."""
    # Python reads six digits of a second, and some catalogues write nine.
    moment = datetime.fromisoformat(_LONG_SECOND.sub(r"\1", text))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


_LONG_SECOND = re.compile(r"(\.\d{6})\d+")


def self_of(raw: RawItem) -> str | None:
    """Address of an item itself."""
    for link in raw.get("links") or ():
        if link.get("rel") == "self":
            return str(link["href"])
    return None


Choice = tuple[Json, int]
"""Asset in JSON, and number of the band in its file."""

PICTURES = {"visual", "thumbnail", "overview", "preview", "rendered_preview"}
"""Keys and roles of assets that hold colours for the eye, not measurements."""


Names = list[set[str]]
"""Names of each band that an asset describes."""


def _asset(part: Band | QualityMask, assets: Json, described: Mapping[str, Names]) -> Choice | None:
    """The asset of a band or mask, by its key or else by the bands that assets describe."""
    number = part.number if isinstance(part, Band) else 1
    for key in part.keys:
        if key in assets:
            return assets[key], _place(part, described[key]) or number
    choices = [
        (assets[key], place)
        for key, names in described.items()
        if names and not PICTURES & {key, *(assets[key].get("roles") or ())}
        if (place := _place(part, names)) is not None
    ]
    # The same band at several resolutions: the finest.
    return min(choices, key=lambda choice: _pixel(choice[0]) or 0.0, default=None)


def _place(part: Band | QualityMask, described: Names) -> int | None:
    """Number of a band or mask among those that an asset describes by name."""
    for i, band_names in enumerate(described):
        if part.name in band_names or any(key in band_names for key in part.keys):
            return i + 1
    return None


def _names(asset: Json) -> Names:
    """Names of each band that an asset describes."""
    described: Sequence[Json] = asset.get("bands") or asset.get("eo:bands") or ()
    if not described:
        return []
    if not all(isinstance(band, Mapping) for band in described):
        return []  # numbers of bands in old items
    return [
        {band[key] for key in ("name", "common_name", "eo:common_name") if band.get(key)}
        for band in described
    ]


def _file(json: Json, number: int, base: str | None, of: Collection) -> Asset:
    raster = _raster(json, number)
    return Asset(
        href=address_of(str(json["href"]), base, of),
        number=number,
        nodata=_number(_either("nodata", raster, json)),
        scale=_number(_either("scale", raster, json)),
        offset=_number(_either("offset", raster, json)),
        pixel=_pixel(json),
        size=json.get("file:size"),
    )


def _raster(asset: Json, number: int = 1) -> Json:
    """What an asset states about one of its bands."""
    rasters: Sequence[Json] = asset.get("raster:bands") or asset.get("bands") or ()
    place = number - 1 if len(rasters) > 1 else 0
    return rasters[place] if place < len(rasters) else {}


def _pixel(asset: Json) -> float | None:
    """Size of a pixel that an asset states."""
    transform = asset.get("proj:transform")
    if transform:
        return abs(float(transform[0]))
    return _number(_either("spatial_resolution", _raster(asset), asset) or asset.get("gsd"))


def _either(key: str, raster: Json, asset: Json) -> Any:
    for json in (raster, asset):
        for name in (key, f"raster:{key}"):
            if name in json and json[name] is not None:
                return json[name]
    return None


def _number(value: Any) -> float | None:
    """A number, also one that JSON must write as text ("nan")."""
    if value is None or isinstance(value, bool):
        return None
    return float(value)


def address_of(href: str, base: str | None, collection: Collection) -> str:
    """The address that is read: absolute, and over https where the collection says so."""
    if "://" not in href and base is not None and not PurePath(href).is_absolute():
        if "://" in base:
            href = urljoin(base, href)
        else:
            href = str(PurePath(base).parent / href)
    for prefix, instead in collection.addresses.items():
        if href.startswith(prefix):
            return instead + href.removeprefix(prefix)
    return href


Grid = tuple[str | None, tuple[float, ...] | None, tuple[int, int] | None]


def _grid(json: Json) -> Grid:
    """CRS, transform and shape that an asset or an item states."""
    transform, shape = json.get("proj:transform"), json.get("proj:shape")
    return (
        _crs(json),
        tuple(float(x) for x in transform[:6]) if transform else None,
        (int(shape[0]), int(shape[1])) if shape else None,
    )


def _first_grid(properties: Json, assets: Sequence[Json]) -> Grid:
    """The grid of the first band that states one, completed by the item's."""
    common = _grid(properties)
    for json in assets:
        if json.get("proj:transform"):
            grid = _grid(json)
            return grid[0] or common[0], grid[1], grid[2]
    return common


def _crs(json: Json) -> str | None:
    if json.get("proj:code"):
        return str(json["proj:code"])
    if json.get("proj:epsg"):
        return f"EPSG:{int(json['proj:epsg'])}"
    if json.get("proj:wkt2"):
        return str(json["proj:wkt2"])
    if json.get("proj:projjson"):
        import json as library

        return library.dumps(json["proj:projjson"])
    return None
