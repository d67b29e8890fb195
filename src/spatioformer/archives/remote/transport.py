"""One attempt of a request: send it, read its body and check it.

What may pass at another attempt is raised as `Fault`, what will not as `RemoteError`.
"""

import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from spatioformer.archives.remote.access import Access, FileChanged, RemoteError, not_found
from spatioformer.archives.remote.connection import Query, answering
from spatioformer.archives.remote.counters import count
from spatioformer.archives.remote.retries import Fault, seconds_of

if TYPE_CHECKING:
    import requests

SLOWEST = 16_384
"""Bytes a second; a body that comes more slowly is given up after the time limit of the source."""
CHUNK = 1 << 18
REFUSALS = (401, 403)
TRANSIENT = (408, 425, 429)
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


class Refused(Exception):
    """The server wants a (newer) signature: 401 or 403."""

    def __init__(self, status: int):
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class Identity:
    """By what a server tells one version of a file from another.

    Attributes:
        size: length of the file, bytes; -1 where unknown (documents).
        etag: entity tag without the mark of a weak one, or "".
        modified: time of the last change as the server writes it, or "".
    """

    size: int
    etag: str = ""
    modified: str = ""


@dataclass(frozen=True)
class Answer:
    """A checked answer.

    Attributes:
        data: the bytes that were asked for; the whole file where `whole`.
        identity: version of the file.
        whole: whether the server sent the whole file instead of a span.
        unchanged: whether the document is still the one that is cached (304).
    """

    data: bytes
    identity: Identity
    whole: bool = False
    unchanged: bool = False


def send(query: Query, access: Access, largest_whole: int = 0) -> Answer:
    """Send a request once.

    Args:
        largest_whole: largest file that may come whole instead of the span, bytes.

    Raises:
        Fault: it failed, and may succeed at another attempt.
        Refused: the server wants a signature or a newer one.
        RemoteError: it will not succeed.
    """
    deadline = time.monotonic() + access.timeout + _length(query, largest_whole) / SLOWEST
    with answering(query, access) as response:
        return _checked(response, query, access, largest_whole, deadline)


def _length(query: Query, largest_whole: int) -> int:
    if query.span is None:
        return query.limit
    return max(query.span[1] - query.span[0], largest_whole)


def _checked(
    response: "requests.Response",
    query: Query,
    access: Access,
    largest_whole: int,
    deadline: float,
) -> Answer:
    status = response.status_code
    if status == 206 and query.span is not None:
        return _part(response, query, access, deadline)
    if status == 200:
        limit = query.limit if query.span is None else largest_whole
        return _whole(response, query, access, limit, deadline)
    if status == 304 and query.span is None:
        return Answer(b"", identity_of(response, -1), unchanged=True)
    if status == 416 and query.span is not None:
        _not_that_long(response, query, access)
    raise refusal(response, query, access)


def refusal(response: "requests.Response", query: Query, access: Access) -> Exception:
    """What an answer without the file means: a Fault, Refused or a RemoteError."""
    status = response.status_code
    if status in REFUSALS:
        return Refused(status)
    if status in TRANSIENT or status >= 500:
        return Fault(
            f"the server answered {status}{_phrase(response)}",
            wait=seconds_of(response.headers.get("Retry-After")),
        )
    if status in (404, 410):
        return not_found(query.href, access, status)
    return RemoteError(
        f"{access.owner}: cannot read {query.href}: the server answered {status}"
        f"{_phrase(response)}; check the address",
        query.href,
    )


def _phrase(response: "requests.Response") -> str:
    reason = "".join(c for c in response.reason or "" if c.isprintable())[:60]
    return f" {reason}" if reason else ""


def _part(response: "requests.Response", query: Query, access: Access, deadline: float) -> Answer:
    assert query.span is not None
    start, stop = query.span
    check_encoding(response)
    stated = response.headers.get("Content-Range", "")
    match = CONTENT_RANGE.fullmatch(stated.strip())
    if match is None or match[1] is None:
        raise Fault(f"the server answered with the range {stated[:60]!r}, which is not valid")
    first, last, size = int(match[1]), int(match[2]), int(match[3])
    stop = min(stop, size)
    if (first, last + 1) != (start, stop):
        raise Fault(f"the server sent bytes {first}-{last} where {start}-{stop - 1} were asked for")
    data = _body(response, stop - start, deadline)
    if len(data) != stop - start:
        raise Fault(f"the server sent {_amount(len(data), stop - start)} of {stop - start} bytes")
    return Answer(data, identity_of(response, size))


def _whole(
    response: "requests.Response", query: Query, access: Access, limit: int, deadline: float
) -> Answer:
    check_encoding(response)
    stated = response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdigit() else None
    data = b""
    if length is None or length <= limit:
        data = _body(response, limit if length is None else length, deadline)
    if (length or 0) > limit or len(data) > limit:
        if query.span is None:
            raise RemoteError(
                f"{access.owner}: {query.href} has more than {limit:,} bytes, which is more than "
                "a document of a catalogue may have; check the address",
                query.href,
            )
        # A proxy may do so once.
        raise Fault("its server ignores ranges and sends the whole file", attempts=2)
    if length is not None and len(data) != length:
        raise Fault(f"the server sent {_amount(len(data), length)} of {length} bytes")
    identity = identity_of(response, len(data))
    if length is None and "chunked" not in response.headers.get("Transfer-Encoding", "").lower():
        # Nobody knows whether it is complete, so it is not asked for by its version later.
        identity = Identity(len(data))
    return Answer(data, identity, whole=True)


def _amount(came: int, expected: int) -> str:
    return f"only {came}" if came < expected else f"more than the {expected}"


def _body(response: "requests.Response", length: int, deadline: float) -> bytes:
    """The body, at most one byte more than `length`; it may be shorter."""
    data = bytearray()
    try:
        while len(data) <= length:
            # read1 returns what has come, so that the deadline is looked at in time.
            chunk = response.raw.read1(min(CHUNK, length + 1 - len(data)), decode_content=False)
            if not chunk:
                break
            data += chunk
            if time.monotonic() > deadline:
                raise Fault(f"the server sent only {len(data)} bytes within the time limit")
    finally:
        count(bytes=len(data))
    return bytes(data)


def check_encoding(response: "requests.Response") -> None:
    """Raise a Fault for a compressed body, whose bytes are not those of the file."""
    encoding = response.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity"):
        raise Fault(f"the server sent a body compressed with {encoding[:20]}, unasked")


def _not_that_long(response: "requests.Response", query: Query, access: Access) -> NoReturn:
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is not None and int(match[3]) == 0:
        raise RemoteError(
            f"{access.owner}: {query.href} is empty; the archive holds a damaged file", query.href
        )
    raise FileChanged(
        f"{access.owner}: {query.href} is shorter than it was; run again to read it anew",
        query.href,
    )


def identity_of(response: "requests.Response", size: int) -> Identity:
    """The version of the file that an answer states."""
    etag = response.headers.get("ETag", "").strip().removeprefix("W/")
    return Identity(size, etag, response.headers.get("Last-Modified", "").strip())
