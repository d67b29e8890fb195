"""Search a STAC API with pystac-client; its requests go through `remote`.

Searches are POST requests where the API offers them: some servers cannot write the address of a
second page otherwise.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from pystac.errors import STACError, STACTypeError
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import ignore

from spatioformer.archives.catalogues.documents import read_text
from spatioformer.archives.catalogues.query import Query, RawItem
from spatioformer.archives.collections import Collection
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError

EXACT = 50_000
"""Items up to which their number is counted; some servers estimate larger ones."""
PAGE = 250
"""Items of a page. Some servers refuse more."""


class CatalogueIO(StacApiIO):
    """Reads for pystac-client what `access` permits."""

    def __init__(self, access: Access):
        super().__init__()
        self.access = access

    def request(
        self,
        href: str,
        method: str | None = "GET",
        headers: dict[str, str] | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> str:
        """Send a request; its errors are those of `remote`."""
        if method == "POST":
            return read_text(href, self.access, body=json.dumps(parameters or {}).encode())
        return read_text(_with_parameters(href, parameters or {}), self.access)


def find(collection: Collection, query: Query, access: Access) -> Iterator[RawItem]:
    """Items of a STAC API, box by box.

    Raises:
        ImageryError: it cannot be read, is no STAC API, or its pages go round in a circle.
    """
    for box in query.boxes:
        yield from _pages(collection, query, box, access)


def names(collection: Collection, access: Access) -> list[str]:
    """Names of the collections of a STAC API."""
    with _Guard(collection, access), ignore():
        return sorted(entry.id for entry in _open(collection, access).get_collections())


def _pages(
    collection: Collection, query: Query, box: tuple[float, ...], access: Access
) -> Iterator[RawItem]:
    received_ids: set[str] = set()
    received, matched = 0, None
    with _Guard(collection, access), ignore():
        client = _open(collection, access)
        offered = {link.extra_fields.get("method") for link in client.get_links("search")}
        search = client.search(
            method="POST" if "POST" in offered else "GET",
            collections=[collection.id],
            bbox=box,
            datetime=query.interval,
            limit=PAGE,
        )
        for page in search.pages_as_dicts():
            items = page.get("features") or []
            fresh = [item for item in items if item.get("id") not in received_ids]
            if items and not fresh:
                raise ImageryError(
                    f"{access.owner}: {collection.endpoint} sends the same page of items again and "
                    f"again after {len(received_ids):,} items; the catalogue cannot be searched"
                )
            received_ids.update(str(item.get("id")) for item in fresh)
            received, matched = received + len(items), _matched(page)
            yield from fresh
    if matched is not None and received < matched <= EXACT:
        raise ImageryError(
            f"{access.owner}: {collection.endpoint} sent {received:,} of {matched:,} items that it "
            "found, and no address of the others; ask for fewer years or a smaller region, or "
            "give another `endpoint`"
        )


def _matched(page: dict[str, Any]) -> int | None:
    """Number of items that a page states for the whole search; None: it states none."""
    context = page.get("context")
    stated = page.get(
        "numberMatched", context.get("matched") if isinstance(context, dict) else None
    )
    return stated if isinstance(stated, int) else None


def _open(collection: Collection, access: Access) -> Client:
    client: Client = Client.open(collection.endpoint, stac_io=CatalogueIO(access))
    return client


class _Guard:
    """Turns what pystac-client raises about an answer into one sentence."""

    def __init__(self, collection: Collection, access: Access):
        self.what = f"{access.owner}: {collection.endpoint}"

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: object, _trace: object) -> None:
        if isinstance(error, _ANSWERS):
            raise ImageryError(
                f"{self.what} does not answer as a STAC API ({type(error).__name__}: "
                f"{str(error)[:200]}); check `endpoint`, or `kind: stac-static` for a catalogue of "
                "files"
            ) from error


_ANSWERS = (
    *(STACError, STACTypeError, APIError, ClientTypeError),
    *(KeyError, TypeError, ValueError, NotImplementedError),
)


def _with_parameters(href: str, parameters: dict[str, Any]) -> str:
    if not parameters:
        return href
    joined = {
        key: ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        for key, value in parameters.items()
    }
    return f"{href}{'&' if urlsplit(href).query else '?'}{urlencode(joined, safe=',/:')}"
