"""Fetch bytes over the network: signed, with retries, checked. No cache."""

from dataclasses import replace
from urllib.parse import urlsplit

from spatioformer.archives.remote.access import Access, NotCached, RemoteError
from spatioformer.archives.remote.addresses import check_host
from spatioformer.archives.remote.retries import persist
from spatioformer.archives.remote.signing import Signature, sign
from spatioformer.archives.remote.transport import Answer, Query, Refused, send

LARGEST_WHOLE = 8 * 2**20
"""Bytes of a file that is kept whole if its server ignores ranges."""


def fetch(query: Query, access: Access) -> Answer:
    """Fetch a span of a file or a document.

    Raises:
        RemoteError: it cannot be fetched; each failure has one sentence.
    """
    check_host(query.url, access, query.href)
    if access.offline:
        raise NotCached(
            f"{access.owner}: {query.href} is not in the cache {access.cache}, or not all of it; "
            "run once without --offline",
            query.href,
        )
    return persist(lambda: _signed(query, access), access, query.href)


def _signed(query: Query, access: Access) -> Answer:
    """One attempt; a signature that the server refuses is renewed once."""
    signature = sign(query.url, access, query.href)
    try:
        return _send(query, access, signature)
    except Refused as first:
        status = first.status
        renewed = signature
        if signature.query or signature.headers:
            renewed = sign(query.url, access, query.href, refused=signature)
        if renewed != signature:
            try:
                return _send(query, access, renewed)
            except Refused as second:
                status = second.status
    raise _denied(query, access, status)


def _send(query: Query, access: Access, signature: Signature) -> Answer:
    headers = {**query.headers, **signature.headers}
    return send(replace(query, signature=signature.query, headers=headers), access, LARGEST_WHOLE)


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
