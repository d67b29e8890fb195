"""Search an index of tiles: a GeoParquet file with a path, a year, a CRS and bounds a row.

This is the layout of the AlphaEarth Foundations embeddings: columns path, year, crs, utm_west,
utm_south, utm_east, utm_north, wgs84_west, wgs84_south, wgs84_east, wgs84_north. Source:
https://source.coop/tge-labs/aef.
"""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import pyarrow.compute as pc

from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.catalogues.tables import Ranges, may_meet, meets, rows_where, schema_of
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError

SIDES = ("west", "south", "east", "north")
WGS84 = tuple(f"wgs84_{side}" for side in SIDES)
UTM = tuple(f"utm_{side}" for side in SIDES)


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Tiles of an index.

    Raises:
        ImageryError: it cannot be read, or lacks a column.
    """
    schema = schema_of(collection.endpoint, access)
    missing = [name for name in ("path", "year", *WGS84) if name not in schema.names]
    if missing:
        raise ImageryError(
            f"{access.owner}: the index {collection.endpoint} has no column {missing[0]!r} (its "
            f"columns: {', '.join(schema.names)[:200]}); give an index with path, year, crs and "
            "wgs84 bounds, or choose `kind: stac-geoparquet`"
        )
    years = (pc.field("year") >= query.start.year) & (pc.field("year") <= query.end.year)
    sides = [pc.field(name) for name in WGS84]

    def may_hold(ranges: Ranges) -> bool:
        return may_meet(query, ranges, WGS84)

    for row in rows_where(collection.endpoint, access, years & meets(query, sides), may_hold):
        yield _item(row, collection)


def names(collection: Collection, access: Access) -> list[str]:
    """An index has no collections."""
    return []


def _item(row: dict[str, Any], collection: Collection) -> RawItem:
    path, year = str(row["path"]), int(row["year"])
    crs = row.get("crs")
    properties = {
        "start_datetime": f"{year}-01-01T00:00:00Z",
        "end_datetime": f"{year}-12-31T23:59:59Z",
        **{name: float(row[name]) for name in UTM if row.get(name) is not None},
    }
    if crs is not None:
        properties["proj:code"] = str(crs) if ":" in str(crs) else f"EPSG:{int(crs)}"
    key = collection.bands[0].keys[0]
    return {
        "type": "Feature",
        # Tiles of different years may have one name.
        "id": f"{PurePath(path).stem}_{year}",
        "collection": collection.id,
        "bbox": [float(row[name]) for name in WGS84],
        "geometry": None,
        # Relative paths lie beside the index.
        "links": [{"rel": "self", "href": collection.endpoint}],
        "assets": {key: {"href": path}},
        "properties": properties,
    }
