"""Send a request: connect, follow redirects by hand to permitted hosts, and name what fails."""

import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from spatioformer.archives.remote.access import Access, RemoteError
from spatioformer.archives.remote.addresses import (
    check_host,
    origin,
    with_query,
    without,
    without_signature,
)
from spatioformer.archives.remote.counters import count
from spatioformer.archives.remote.retries import Fault
from spatioformer.common.version import __version__

if TYPE_CHECKING:
    import requests

LONGEST_CONNECT = 10.0
"""Seconds to wait for a connection; shorter where the time limit of the source is."""
MOST_REDIRECTS = 5
REDIRECTS = (301, 302, 303, 307, 308)


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


@contextmanager
def answering(query: Query, access: Access) -> Iterator["requests.Response"]:
    """The answer of a server at the end of all redirects; its body is not read yet.

    Raises:
        Fault: the connection fails, here or while the body is read.
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

    try:
        response = _follow(query, access)
        try:
            yield response
        finally:
            response.close()
    except requests.exceptions.ConnectTimeout as error:
        host = urlsplit(query.url).netloc
        raise Fault(f"cannot reach the host {host}: no answer", unreachable=True) from error
    except (requests.exceptions.Timeout, TimeoutError) as error:
        raise Fault(f"no byte came for {access.timeout:g} s") from error
    except (requests.exceptions.RequestException, HTTPError, OSError) as error:
        raise _as_fault(error, query) from error


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
