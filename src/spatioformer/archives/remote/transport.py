"""One attempt of a request: send it, follow redirects by hand, read its body and check it.

What may pass at another attempt is raised as `Fault`, what will not as `RemoteError`.
"""

import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import urljoin, urlsplit

from spatioformer.archives.remote.access import Access, FileChanged, RemoteError, not_found
from spatioformer.archives.remote.addresses import (
    check_host,
    origin,
    with_query,
    without,
    without_signature,
)
from spatioformer.archives.remote.counters import count
from spatioformer.archives.remote.retries import Fault, seconds_of
from spatioformer.common.version import __version__

if TYPE_CHECKING:
    import requests

LONGEST_CONNECT = 10.0
"""Seconds to wait for a connection; shorter where the time limit of the source is."""
SLOWEST = 16_384
"""Bytes a second; a body that comes more slowly is given up after the time limit of the source."""
CHUNK = 1 << 18
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)
REFUSALS = (401, 403)
TRANSIENT = (408, 425, 429)
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")


class Refused(Exception):
    """The server wants a (newer) signature: 401 or 403."""

    def __init__(self, status: int):
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class Query:
    """What is asked of a server.

    Attributes:
        url: http or https address without a signature.
        href: the address in messages.
        span: first byte and the byte after the last, or None for the whole document.
        limit: largest body of a whole document, bytes.
        body: body of a POST request, or None for GET.
        signature: parameters of the signature, "a=b&c=d".
        headers: further headers; Authorization goes to the first host only.
    """

    url: str
    href: str
    span: tuple[int, int] | None = None
    limit: int = 0
    body: bytes | None = None
    signature: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


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
    try:
        import requests
        from urllib3.exceptions import HTTPError
    except ImportError as error:
        raise RemoteError(
            f"{access.owner}: reading from the network needs the package requests, which is not "
            "installed; pip install 'spatioformer[stac]'",
            query.href,
        ) from error

    deadline = time.monotonic() + access.timeout + _length(query, largest_whole) / SLOWEST
    try:
        response = _follow(query, access)
        try:
            return _checked(response, query, access, largest_whole, deadline)
        finally:
            response.close()
    except requests.exceptions.ConnectTimeout as error:
        host = urlsplit(query.url).netloc
        raise Fault(f"cannot reach the host {host}: no answer", unreachable=True) from error
    except (requests.exceptions.Timeout, TimeoutError) as error:
        raise Fault(f"no byte came for {access.timeout:g} s") from error
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise _as_fault(error, query) from error


def _length(query: Query, largest_whole: int) -> int:
    if query.span is None:
        return query.limit
    return max(query.span[1] - query.span[0], largest_whole)


def _as_fault(error: Exception, query: Query) -> Fault:
    """What a broken connection means: was the host reached at all?"""
    from requests.exceptions import SSLError
    from urllib3.exceptions import NewConnectionError

    reason = getattr(error.args[0], "reason", None) if error.args else None
    host = urlsplit(query.url).netloc
    if isinstance(reason, NewConnectionError):
        why = "its name is not known" if "resol" in repr(reason).lower() else "no connection"
        return Fault(f"cannot reach the host {host}: {why}", unreachable=True)
    if isinstance(error, SSLError):
        return Fault(f"the certificate or encryption of {host} is not valid", attempts=2)
    if "timed out" in repr(error).lower():
        return Fault("the server stopped sending")
    return Fault("the connection broke")


def _follow(query: Query, access: Access) -> "requests.Response":
    """The answer at the end of all redirects, each of which leads to a permitted host."""
    check_host(query.url, access, query.href)
    url, method, body = with_query(query.url, query.signature), "GET", query.body
    if body is not None:
        method = "POST"
    for _ in range(MOST_REDIRECTS + 1):
        headers = _headers(query, same=origin(url) == origin(query.url))
        count(requests=1)
        response = _session().request(
            method,
            url,
            data=body,
            headers=headers,
            stream=True,
            allow_redirects=False,
            timeout=(min(LONGEST_CONNECT, access.timeout), access.timeout),
        )
        if response.status_code not in REDIRECTS:
            return response
        location, status = response.headers.get("Location"), response.status_code
        response.close()
        if not location:
            raise RemoteError(
                f"{access.owner}: {query.href} is redirected to nowhere ({status}); its bucket may "
                "lie in another region: give the address of the region's host",
                query.href,
            )
        if status == 303 or (status in (301, 302) and method == "POST"):
            method, body = "GET", None
        url = _next(urljoin(url, location), url, query, access)
    raise RemoteError(
        f"{access.owner}: {query.href} is redirected more than {MOST_REDIRECTS} times; the server "
        "is set up wrongly",
        query.href,
    )


def _next(target: str, url: str, query: Query, access: Access) -> str:
    """The address that a redirect leads to, without the signature if it is another host's."""
    came_from = urlsplit(url).hostname
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https") or (urlsplit(url).scheme == "https" and scheme == "http"):
        raise RemoteError(
            f"{access.owner}: {came_from} redirects {query.href} to "
            f"{without_signature(target)}, which is not encrypted as the first address is; give "
            "an address that needs no redirect",
            query.href,
        )
    check_host(target, access, query.href, came_from=came_from)
    return target if origin(target) == origin(query.url) else without(target, query.signature)


def _headers(query: Query, same: bool) -> dict[str, str]:
    headers = {
        "User-Agent": f"spatioformer/{__version__}",
        # Ranges count the bytes of the body, and a compressed body has others.
        "Accept-Encoding": "identity",
    }
    headers |= {k: v for k, v in query.headers.items() if same or k.lower() != "authorization"}
    if query.span is not None:
        headers["Range"] = f"bytes={query.span[0]}-{query.span[1] - 1}"
    if query.body is not None:
        headers["Content-Type"] = "application/json"
    return headers


_local = threading.local()


def _session() -> "requests.Session":
    """The session of this thread: requests' are not made for several."""
    import requests

    if getattr(_local, "pid", None) != os.getpid():  # connections must not be shared by processes
        session = requests.Session()
        session.auth = _no_auth
        _local.session, _local.pid = session, os.getpid()
    kept: requests.Session = _local.session
    kept.cookies.clear()
    return kept


def _no_auth(request: "requests.PreparedRequest") -> "requests.PreparedRequest":
    """Authorise nothing: otherwise requests sends the passwords of a .netrc file."""
    return request


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
        return Answer(b"", _identity(response, -1), unchanged=True)
    if status == 416 and query.span is not None:
        _not_that_long(response, query, access)
    raise _refusal(response, query, access)


def _refusal(response: "requests.Response", query: Query, access: Access) -> Exception:
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
    _check_encoding(response)
    stated = response.headers.get("Content-Range", "")
    match = CONTENT_RANGE.fullmatch(stated.strip())
    if match is None or match[1] is None:
        raise Fault(f"the server answered with the range {stated[:60]!r}, which is not valid")
    first, last, size = int(match[1]), int(match[2]), int(match[3])
    stop = min(stop, size)
    if (first, last + 1) != (start, stop):
        raise Fault(f"the server sent bytes {first}-{last} where {start}-{stop - 1} were asked for")
    data = _body(response, stop - start, access, deadline)
    if len(data) != stop - start:
        raise Fault(f"the server sent {_amount(len(data), stop - start)} of {stop - start} bytes")
    return Answer(data, _identity(response, size))


def _whole(
    response: "requests.Response", query: Query, access: Access, limit: int, deadline: float
) -> Answer:
    _check_encoding(response)
    stated = response.headers.get("Content-Length", "")
    length = int(stated) if stated.isascii() and stated.isdigit() else None
    data = b""
    if length is None or length <= limit:
        data = _body(response, limit if length is None else length, access, deadline)
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
    return Answer(data, _identity(response, len(data)), whole=True)


def _amount(came: int, expected: int) -> str:
    return f"only {came}" if came < expected else f"more than the {expected}"


def _body(response: "requests.Response", length: int, access: Access, deadline: float) -> bytes:
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


def _check_encoding(response: "requests.Response") -> None:
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


def _identity(response: "requests.Response", size: int) -> Identity:
    etag = response.headers.get("ETag", "").strip().removeprefix("W/")
    return Identity(size, etag, response.headers.get("Last-Modified", "").strip())
