"""Kinds of catalogues: each finds the items of a query, as STAC items in JSON.

`find` chooses the kind. `convert.py` turns what is found into `archives.items.Item`.
"""

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError

MODULES = {
    "stac-api": "stac_api",
    "stac-static": "static",
    "stac-geoparquet": "geoparquet",
    "index": "index",
    "folder": "folder",
}
"""Module of each kind; they load heavy libraries, so each is imported when it is needed."""


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Find the items of a query, in any order, perhaps some beyond its dates and boxes.

    Raises:
        ImageryError: the catalogue cannot be read, or is not of this kind.
    """
    search: Callable[[Collection, Query, Access], Iterator[RawItem]] = _module(
        collection, access
    ).find
    return search(collection, query, access)


def names(collection: Collection, access: Access) -> list[str]:
    """Names of the collections that the catalogue holds; empty where it has none.

    Raises:
        ImageryError: the catalogue cannot be read.
    """
    listed: list[str] = _module(collection, access).names(collection, access)
    return listed


def _module(collection: Collection, access: Access) -> Any:
    if collection.catalogue not in MODULES:
        raise ImageryError(
            f"{access.owner}: a catalogue of the kind {collection.catalogue} has no items to "
            f"search; the kinds are {', '.join(MODULES)}"
        )
    try:
        return import_module(f"{__name__}.{MODULES[collection.catalogue]}")
    except ModuleNotFoundError as error:
        raise ImageryError(
            f"{access.owner}: a catalogue of the kind {collection.catalogue} needs the package "
            f"{(error.name or '').split('.')[0]}, which is not installed; pip install "
            "'spatioformer[stac]'"
        ) from error
