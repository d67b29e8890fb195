"""Who may ask: the names of the server, the origin of a page, a token, and the size of a request.

A page of another site may make a browser ask this server. It reaches it under the server's address
(its Origin differs), or under a name of its own that resolves to this machine (DNS rebinding: its
Host differs). Both are refused. Somebody who has the token may use any name, such as that of a
notebook's proxy.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from secrets import compare_digest
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from spatioformer.viewer.answers import refusal

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

MOST_BODY = 2_000_000
"""Largest body of a request, bytes."""

TOO_LARGE = f"the request has more than {MOST_BODY:,} bytes; simplify the polygon"

MOST_ADDRESS = 4000
"""Longest address of a request, bytes."""

POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'self'"
)
"""What the page may load: nothing but from this server."""


@dataclass(frozen=True)
class Gate:
    """Rules for requests.

    Attributes:
        names: host names under which the server may be asked without a token.
        token: the token, or None; without one only `names` decide.
        always: whether every request needs the token.
        framed: whether a page of another origin, such as a notebook, may show this one in a frame.
    """

    names: frozenset[str] = LOOPBACK
    token: str | None = None
    always: bool = False
    framed: bool = False
    cookie: str = field(default="spatioformer_view")

    def holds(self, token: str | None) -> bool:
        """Whether a token is the right one, in a time that does not depend on it."""
        if self.token is None or token is None:
            return False
        return compare_digest(self.token.encode(), token.encode())

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers of every answer."""
        ancestors = "" if self.framed else "; frame-ancestors 'self'"
        return [
            (b"content-security-policy", (POLICY + ancestors).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]


def host_name(host: str) -> str:
    """The name in a Host header or the place of an address, without its port, in small letters."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".").lower()
    except ValueError:
        return ""


class Guard:
    """Middleware: refuses requests that the gate does not let through, adds the headers."""

    def __init__(self, app: App, gate: Gate):
        self._app, self._gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets here
        headers = _Headers(scope)
        query = scope.get("query_string", b"").decode("latin-1")
        given = _tokens(query)
        in_address = any(self._gate.holds(token) for token in given)
        authorised = in_address or self._gate.holds(_cookie(headers, self._gate.cookie))
        send = self._with_headers(send)
        refused = self._refused(scope, headers, authorised)
        if refused is not None:
            await refusal(*refused)(scope, receive, send)
        elif in_address and scope["method"] in ("GET", "HEAD"):
            await self._keep_token(scope, query, send)
        else:
            body = receive if scope["method"] in ("GET", "HEAD") else await _body(receive)
            if body is None:
                await refusal(TOO_LARGE, 413)(scope, receive, send)
            else:
                await self._app(scope, body, send)

    def _refused(
        self, scope: Scope, headers: "_Headers", authorised: bool
    ) -> tuple[str, int] | None:
        """Sentence and status of a refusal, or None."""
        hosts, gate = headers.all(b"host"), self._gate
        if len(scope.get("raw_path") or b"") + len(scope.get("query_string", b"")) > MOST_ADDRESS:
            return f"the address is longer than {MOST_ADDRESS} bytes; shorten it", 414
        if len(hosts) != 1:
            return "the request needs one Host header; give one", 400
        if gate.always and not authorised:
            return "the token is missing or wrong; open the address that the server printed", 401
        if not authorised and host_name(hosts[0]) not in gate.names:
            name = host_name(hosts[0])[:100]
            return f"this server does not answer to the name {name!r}; use the printed address", 403
        origins = headers.all(b"origin")
        if origins and not all(_same_place(o, hosts, headers) for o in origins):
            return "the request comes from a page of another origin; open the map itself", 403
        length = headers.all(b"content-length")
        if length and (not length[0].isdigit() or int(length[0]) > MOST_BODY):
            return TOO_LARGE, 413
        return None

    async def _keep_token(self, scope: Scope, query: str, send: Send) -> None:
        """Keep the token in a cookie, and send the browser to the address without it."""
        pairs = [(k, v) for k, v in parse_qsl(query, keep_blank_values=True) if k != "token"]
        last = scope["path"].rsplit("/", 1)[-1]
        place = "./" + _quoted(last) + (f"?{urlencode(pairs)}" if pairs else "")
        cookie = f"{self._gate.cookie}={self._gate.token}; HttpOnly; SameSite=Strict"
        headers = [
            (b"location", place.encode()),
            (b"set-cookie", cookie.encode()),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    def _with_headers(self, send: Send) -> Send:
        async def with_headers(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                extra = [h for h in self._gate.headers if h[0] not in given]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        return with_headers


class _Headers:
    """Headers of a request."""

    def __init__(self, scope: Scope):
        self._headers = scope["headers"]

    def all(self, name: bytes) -> list[str]:
        return [value.decode("latin-1") for key, value in self._headers if key.lower() == name]


def _same_place(origin: str, hosts: list[str], headers: _Headers) -> bool:
    """Whether a page's origin is this server, as the browser or a proxy before it names it."""
    place = origin.partition("://")[2].lower()
    named = {host.lower() for host in (*hosts, *headers.all(b"x-forwarded-host"))}
    return bool(place) and place in named


def _tokens(query: str) -> list[str]:
    if "token=" not in query:
        return []
    return [value for key, value in parse_qsl(query, keep_blank_values=True) if key == "token"]


def _cookie(headers: _Headers, name: str) -> str | None:
    for line in headers.all(b"cookie"):
        try:
            morsel = SimpleCookie(line).get(name)
        except CookieError:
            continue
        if morsel is not None:
            return morsel.value
    return None


def _quoted(name: str) -> str:
    return urlencode({"": name})[1:]


async def _body(receive: Receive) -> Receive | None:
    """A receiver that answers with the body, read already; None if it is too large."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MOST_BODY:
            return None
        more = message.get("more_body", False)
    messages = [{"type": "http.request", "body": b"".join(parts), "more_body": False}]

    async def read() -> MutableMapping[str, Any]:
        return messages.pop() if messages else await receive()

    return read
