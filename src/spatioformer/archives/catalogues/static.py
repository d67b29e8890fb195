"""Walk a static STAC catalogue with pystac: a tree of JSON documents on a server or a disk.

Collections whose extent in space or time lies outside the query are not entered.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pystac
from pystac.errors import STACError, STACTypeError
from pystac.stac_io import DefaultStacIO

from spatioformer.archives.catalogues.documents import parse, read_text
from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError


class CatalogueIO(DefaultStacIO):
    """Reads for pystac what `access` permits."""

    def __init__(self, access: Access):
        super().__init__()
        self.access = access

    def read_text(self, source: Any, *args: Any, **kwargs: Any) -> str:
        """The text of a document."""
        return read_text(str(source), self.access)


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Items of a static catalogue, or of one ItemCollection document.

    Raises:
        ImageryError: a document cannot be read, or is not of STAC.
    """
    reader = CatalogueIO(access)
    href = collection.endpoint
    document = parse(reader.read_text(href), href, access)
    if document.get("type") == "FeatureCollection":
        yield from _of_collection(document, collection.id)
        return
    try:
        yield from _walk(pystac.Catalog.from_file(href, reader), collection, query)
    except (STACError, STACTypeError, KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error.__cause__, ImageryError):
            raise error.__cause__ from None  # pystac wraps what a document's reader raises
        raise ImageryError(
            f"{access.owner}: {href} is not a static STAC catalogue ({type(error).__name__}: "
            f"{str(error)[:200]}); check `endpoint` and `kind`"
        ) from error


def names(collection: Collection, access: Access) -> list[str]:
    """Names of the collections of a static catalogue, two levels deep."""
    document = parse(read_text(collection.endpoint, access), collection.endpoint, access)
    if document.get("type") == "Collection":
        return [str(document["id"])]
    if document.get("type") == "FeatureCollection":
        return sorted({str(item.get("collection")) for item in document.get("features") or ()})
    catalogue = pystac.Catalog.from_file(collection.endpoint, CatalogueIO(access))
    return sorted(child.id for child in catalogue.get_all_collections())


def _of_collection(document: dict[str, Any], name: str) -> Iterator[RawItem]:
    for item in document.get("features") or ():
        if item.get("collection") in (None, name):
            yield item


def _walk(
    catalogue: pystac.Catalog, collection: Collection, query: Query, inside: bool = False
) -> Iterator[RawItem]:
    """Items below a catalogue; those of other collections are left out."""
    if isinstance(catalogue, pystac.Collection):
        inside = inside or catalogue.id == collection.id
        if not inside or not _reaches(catalogue, query):
            return
    for item in catalogue.get_items():
        if inside or item.collection_id in (None, collection.id):
            item.make_asset_hrefs_absolute()
            yield item.to_dict()
    for child in catalogue.get_children():
        yield from _walk(child, collection, query, inside)


def _reaches(collection: pystac.Collection, query: Query) -> bool:
    """Whether the extent of a collection meets the query; an extent without bounds does."""
    extent = collection.extent
    spans = extent.temporal.intervals or [[None, None]]
    in_time = any(
        (span[0] is None or _utc(span[0]) <= query.end)
        and (span[1] is None or _utc(span[1]) >= query.start)
        for span in spans
    )
    return in_time and any(
        _meets([*box[:2], *box[len(box) // 2 :][:2]], other)
        for box in extent.spatial.bboxes or [[-180, -90, 180, 90]]
        for other in query.boxes
    )


def _meets(box: list[float], other: tuple[float, ...]) -> bool:
    west, south, east, north = box
    if south > other[3] or north < other[1]:
        return False
    if west > east:
        return other[2] >= west or other[0] <= east
    return west <= other[2] and east >= other[0]


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
