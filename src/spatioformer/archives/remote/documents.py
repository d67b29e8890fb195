"""Documents of catalogues and other small files, read whole."""

import hashlib

from spatioformer.archives.remote.access import Access, NotFound, RemoteError, not_found
from spatioformer.archives.remote.addresses import (
    check_host,
    https_of,
    is_remote,
    local_path,
    without_signature,
)
from spatioformer.archives.remote.block_cache import ABSENT
from spatioformer.archives.remote.connection import Query
from spatioformer.archives.remote.fetching import fetch
from spatioformer.archives.remote.source import cache_of
from spatioformer.archives.remote.transport import Identity


def read_bytes(href: str, access: Access, *, limit: int, body: bytes | None = None) -> bytes:
    """Read a document whole.

    The server is asked each time, since catalogues change; a document that has not changed is taken
    from the cache, and so is each one that was read before if `access.offline`.

    Args:
        href: address (http, https, s3, gs) or path of a file on this computer.
        limit: largest length, bytes.
        body: JSON that is sent by POST, as a search of a STAC API is; None: GET.

    Raises:
        NotFound: there is none.
        RemoteError: it cannot be read, or is longer than `limit`.
        OutputError: the cache cannot be written.
    """
    if not is_remote(href):
        return _local(href, access, limit)
    url = https_of(href, access)
    shown = without_signature(url)
    check_host(url, access, shown)
    suffix = "" if body is None else f" {hashlib.sha256(body).hexdigest()}"
    entry = cache_of(access).entry(f"document {shown}{suffix}")
    identity = entry.identity()
    kept = None
    if access.offline and identity == ABSENT:
        raise not_found(shown, access)
    if identity is not None and 0 <= identity.size <= limit:
        kept = entry.load(identity, (0, identity.size))
    if access.offline and kept is not None:
        return kept
    headers = _conditions(identity) if kept is not None and body is None else {}
    try:
        answer = fetch(Query(url, shown, limit=limit, body=body, headers=headers), access)
    except NotFound:
        entry.set_identity(ABSENT)  # --offline has to know
        raise
    if answer.unchanged and kept is not None:
        return kept
    identity = Identity(len(answer.data), answer.identity.etag, answer.identity.modified)
    entry.set_identity(identity)
    entry.save(identity, 0, answer.data)
    return answer.data


def _conditions(identity: Identity | None) -> dict[str, str]:
    if identity is None:
        return {}
    if identity.etag:
        return {"If-None-Match": identity.etag}
    return {"If-Modified-Since": identity.modified} if identity.modified else {}


def _local(href: str, access: Access, limit: int) -> bytes:
    path = local_path(href)
    try:
        with open(path, "rb") as stream:
            data = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise NotFound(f"{access.owner}: {path} does not exist; check the path", href) from error
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise RemoteError(f"{access.owner}: {path} cannot be read: {why}", href) from error
    if len(data) > limit:
        raise RemoteError(
            f"{access.owner}: {path} has more than {limit:,} bytes, which is more than a document "
            "of a catalogue may have; check the path",
            href,
        )
    return data
