"""Addresses of files: from buckets to https, without their signatures, and which hosts may be read.

Nothing here asks a network.
"""

from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from spatioformer.archives.remote.access import Access, RemoteError

SAS = frozenset(
    {
        *("sv", "se", "st", "sp", "sr", "sig", "spr", "sip", "ss", "srt", "skoid", "sktid"),
        *("skt", "ske", "sks", "skv", "saoid", "suoid", "scid", "sdd"),
    }
)
"""Parameters of a shared access signature of Azure storage; "sig" is always among them."""
SIGNED = frozenset({"sig", "signature", "x-amz-signature", "x-goog-signature"})
SIGNATURE = frozenset(
    {"signature", "expires", "policy", "key-pair-id", "awsaccesskeyid", "googleaccessid"}
)
TOKENS = frozenset({"token", "access_token", "api_key", "apikey"})
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_remote(href: str) -> bool:
    """Whether an address is read over the network; otherwise it is a path on this computer."""
    return "://" in href and not href.startswith("file://")


def local_path(href: str) -> Path:
    """The path of an address on this computer, which may begin with file://."""
    return Path(unquote(urlsplit(href).path) if href.startswith("file://") else href)


def https_of(href: str, access: Access) -> str:
    """The http or https address of a file, which may lie in a bucket given as s3:// or gs://.

    The region of a bucket of Amazon is that of a permitted host: `BUCKET.s3.REGION.amazonaws.com`,
    or `s3.REGION.amazonaws.com` for bucket names with dots, which certificates do not match.

    Raises:
        RemoteError: another scheme, no host, or a password in the address.
    """
    parts = urlsplit(href)
    key = quote(unquote(parts.path), safe="/~+=:@,")
    if parts.scheme == "s3":
        host = _bucket_host(parts.netloc, access.hosts)
        folder = "" if host.startswith(f"{parts.netloc}.") else f"/{parts.netloc}"
        return f"https://{host}{folder}{key}"
    if parts.scheme == "gs":
        return f"https://storage.googleapis.com/{parts.netloc}{key}"
    shown = without_signature(href)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise RemoteError(
            f"{access.owner}: {shown} cannot be read, because only addresses of http, https, s3 "
            f"and gs are; change the address{'' if access.by_user else ' in the catalogue'}",
            shown,
        )
    if parts.username or parts.password:
        raise RemoteError(
            f"{access.owner}: the address {shown} holds a user name or password, which would be "
            "sent to its host; remove it",
            shown,
        )
    return urlunsplit(parts._replace(fragment=""))


def _bucket_host(bucket: str, hosts: tuple[str, ...]) -> str:
    dotted = "." in bucket
    start = "s3." if dotted else f"{bucket}.s3."
    for host in hosts:
        if host.startswith(start) and host.endswith(".amazonaws.com"):
            return host
    return f"{start}amazonaws.com"


def without_signature(href: str) -> str:
    """An address without signature, token, user name and password, for messages and cache keys."""
    parts = urlsplit(href)
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    names = {name.lower() for name, _ in pairs}
    dropped = TOKENS
    if names & SIGNED:
        amazon = {name for name in names if name.startswith(("x-amz-", "x-goog-"))}
        dropped = TOKENS | SAS | SIGNATURE | amazon
    kept = [(name, value) for name, value in pairs if name.lower() not in dropped]
    query = parts.query if len(kept) == len(pairs) else urlencode(kept)
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=netloc, query=query, fragment=""))


def without(url: str, query: str) -> str:
    """An address without the parameters of a signature, which another host must not get."""
    if not query:
        return url
    parts = urlsplit(url)
    secret = set(parse_qsl(query, keep_blank_values=True))
    pairs = parse_qsl(parts.query, keep_blank_values=True)
    kept = [pair for pair in pairs if pair not in secret]
    return url if len(kept) == len(pairs) else urlunsplit(parts._replace(query=urlencode(kept)))


def with_query(url: str, query: str) -> str:
    """An address with more parameters."""
    if not query:
        return url
    parts = urlsplit(url)
    joined = f"{parts.query}&{query}" if parts.query else query
    return urlunsplit(parts._replace(query=joined))


def origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port, to which a signature belongs."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


def is_permitted(url: str, hosts: tuple[str, ...]) -> bool:
    """Whether the host of an address is among `hosts`."""
    _, host, port = origin(url)
    for pattern in hosts:
        name, _, number = pattern.lower().partition(":")
        if number and number != str(port):
            continue
        if host == name or (name.startswith("*.") and host.endswith(name[1:])):
            return True
    return False


def check_host(url: str, access: Access, href: str, *, came_from: str | None = None) -> None:
    """Raise if a host may not be read.

    Args:
        came_from: the host that redirects there, or None for the address in the catalogue.

    Raises:
        RemoteError: the host is not among `access.hosts`.
    """
    if is_permitted(url, access.hosts):
        return
    host = urlsplit(url).hostname or url
    way = f"{came_from} redirects {href} to" if came_from else f"{href} lies on"
    known = ", ".join(access.hosts) or "none"
    remedy = (
        f"give it as a host (--host {host})"
        if access.by_user
        else f"add it to {access.owner}.hosts"
    )
    raise RemoteError(
        f"{access.owner}: {way} the host {host}, which is not among the source's hosts ({known}); "
        f"{remedy} if you trust it",
        href,
    )
