"""Search a stac-geoparquet file: STAC items as rows, their properties as columns.

Source: the specification of stac-geoparquet, https://github.com/stac-utils/stac-geoparquet.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import reduce
from operator import or_
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.catalogues.tables import Ranges, may_meet, meets, rows_where, schema_of
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError

OF_ITEM = {
    *("type", "stac_version", "stac_extensions", "id", "bbox", "geometry", "links", "assets"),
    "collection",
}
"""Columns that are no properties."""
SIDES = ("xmin", "ymin", "xmax", "ymax")


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Items of a stac-geoparquet file.

    Raises:
        ImageryError: it cannot be read, or has not the columns of STAC items.
    """
    schema = schema_of(collection.endpoint, access)
    missing = [name for name in ("id", "assets") if name not in schema.names]
    if missing or "bbox" not in schema.names or not pa.types.is_struct(schema.field("bbox").type):
        raise ImageryError(
            f"{access.owner}: {collection.endpoint} has no STAC items (no column "
            f"{(missing or ['bbox'])[0]!r}); give a stac-geoparquet file, or choose `kind: index`"
        )
    sides = [pc.field("bbox", key) for key in SIDES]
    condition = meets(query, sides) & _time(schema, query) & _of_collection(schema, collection.id)

    def may_hold(ranges: Ranges) -> bool:
        return may_meet(query, ranges, [f"bbox.{key}" for key in SIDES]) and _in_time(
            schema, query, ranges
        )

    for row in rows_where(collection.endpoint, access, condition, may_hold):
        yield _item(row)


def names(collection: Collection, access: Access) -> list[str]:
    """Names of the collections in the file."""
    schema = schema_of(collection.endpoint, access)
    if "collection" not in schema.names:
        return []
    condition = pc.field("collection").is_valid()
    rows = rows_where(collection.endpoint, access, condition, lambda _: True)
    return sorted({str(row["collection"]) for row in rows})


def _time(schema: pa.Schema, query: Query) -> Any:
    """The condition on the dates; text is compared later, by the search."""
    moments = {
        name
        for name in ("datetime", "start_datetime", "end_datetime")
        if name in schema.names and pa.types.is_timestamp(schema.field(name).type)
    }
    at = pc.field("datetime")
    conditions = []
    if "datetime" in moments:
        conditions.append((at >= query.start) & (at <= query.end))
    if {"start_datetime", "end_datetime"} <= moments:
        first, last = pc.field("start_datetime"), pc.field("end_datetime")
        conditions.append((first <= query.end) & (last >= query.start))
    return reduce(or_, conditions) if conditions else pc.scalar(True)


def _in_time(schema: pa.Schema, query: Query, ranges: Ranges) -> bool:
    """Whether a row group may hold an item of the span of time, by its dates alone."""
    dates = ranges.get("datetime")
    if dates is None or "start_datetime" in schema.names or not isinstance(dates[0], datetime):
        return True
    return bool(dates[0] <= query.end and dates[1] >= query.start)


def _of_collection(schema: pa.Schema, name: str) -> Any:
    if "collection" not in schema.names:
        return pc.scalar(True)
    column = pc.field("collection")
    return (column == name) | column.is_null()


def _item(row: dict[str, Any]) -> RawItem:
    box, outline = row["bbox"], row.get("geometry")
    return {
        "type": "Feature",
        "id": row["id"],
        "collection": row.get("collection"),
        "bbox": [box["xmin"], box["ymin"], box["xmax"], box["ymax"]],
        "geometry": _geometry(outline),
        "links": _plain(row.get("links")) or [],
        "assets": _assets(row["assets"]),
        "properties": {k: _plain(v) for k, v in row.items() if k not in OF_ITEM and v is not None},
    }


def _geometry(outline: Any) -> dict[str, Any] | None:
    if not isinstance(outline, bytes):
        return None
    import json

    shape: dict[str, Any] = json.loads(shapely.to_geojson(shapely.from_wkb(outline)))
    return shape


def _assets(column: Any) -> dict[str, Any]:
    """The assets by key, from a struct, a map, or a list of structs with their keys inside."""
    if isinstance(column, dict):
        entries = list(column.items())
    else:
        entries = [
            (entry[0], entry[1]) if isinstance(entry, tuple) else (_key_of(entry), entry)
            for entry in column or ()
        ]
    # A struct has the keys of all items; those that this one lacks are empty.
    assets = {key: _plain(value) for key, value in entries if value is not None}
    return {key: asset for key, asset in assets.items() if asset.get("href")}


def _key_of(entry: dict[str, Any]) -> str:
    key = next((entry[name] for name in ("key", "name", "id") if entry.get(name)), None)
    return str(key if key is not None else entry.get("title"))


def _plain(value: Any) -> Any:
    """A value as in JSON; empty fields, which a struct has for other rows, are left out."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return value
