"""Fetch bytes over the network: signed, with retries, checked. No cache."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar
from urllib.parse import urlsplit

from spatioformer.archives.remote.access import Access, NotCached, RemoteError
from spatioformer.archives.remote.addresses import check_host
from spatioformer.archives.remote.connection import Query
from spatioformer.archives.remote.retries import persist
from spatioformer.archives.remote.signing import Signature, sign
from spatioformer.archives.remote.transport import Answer, Refused, send

Result = TypeVar("Result")

LARGEST_WHOLE = 8 * 2**20
"""Bytes of a file that is kept whole if its server ignores ranges."""


def fetch(query: Query, access: Access) -> Answer:
    """Fetch a span of a file or a document.

    Raises:
        RemoteError: it cannot be fetched; each failure has one sentence.
    """
    check_host(query.url, access, query.href)
    if access.offline:
        raise not_cached(query.href, access)

    def attempt(ready: Query) -> Answer:
        return send(ready, access, LARGEST_WHOLE)

    return persist(lambda: signed(query, access, attempt), access, query.href)


def not_cached(href: str, access: Access) -> NotCached:
    """The error for what `--offline` does not find in the cache."""
    return NotCached(
        f"{access.owner}: {href} is not in the cache {access.cache}, or not all of it; "
        "run once without --offline",
        href,
    )


def signed(query: Query, access: Access, attempt: Callable[[Query], Result]) -> Result:
    """Run one attempt of a signed query; a signature that the server refuses is renewed once.

    Raises:
        RemoteError: the server refuses the new one too; or as `attempt`.
    """
    signature = sign(query.url, access, query.href)
    try:
        return attempt(_with(query, signature))
    except Refused as first:
        status = first.status
        renewed = signature
        if signature.query or signature.headers:
            renewed = sign(query.url, access, query.href, refused=signature)
        if renewed != signature:
            try:
                return attempt(_with(query, renewed))
            except Refused as second:
                status = second.status
    raise _denied(query, access, status)


def _with(query: Query, signature: Signature) -> Query:
    headers = {**query.headers, **signature.headers}
    return replace(query, signature=signature.query, headers=headers)


def _denied(query: Query, access: Access, status: int) -> RemoteError:
    host = urlsplit(query.url).hostname
    if access.signing in (None, "none"):
        remedy = (
            "the file does not exist, or its host wants a signature that the collection does not "
            "name; check the address"
        )
    else:
        remedy = f"it also refused a new signature of {access.signing!r}; run again later"
    return RemoteError(
        f"{access.owner}: {host} refuses to give {query.href} ({status}): {remedy}", query.href
    )
