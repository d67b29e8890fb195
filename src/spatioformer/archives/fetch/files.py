"""Fetch a file by its address: from the cache, or over the network into the cache."""

import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from spatioformer.archives.fetch.checksums import Checksum, parse_checksum
from spatioformer.archives.fetch.download import Task, download
from spatioformer.archives.fetch.file_cache import FileEntry, Kept
from spatioformer.archives.remote.access import Access, NotFound, RemoteError, default_cache
from spatioformer.archives.remote.addresses import (
    check_host,
    https_of,
    is_remote,
    local_path,
    without_signature,
)
from spatioformer.archives.remote.fetching import not_cached
from spatioformer.common.errors import ArgumentError
from spatioformer.common.progress import SILENT, Console

LONGEST_NAME = 100
_UNSAFE = re.compile(r"[^\w.+=@-]+")


def fetch(
    url: str,
    *,
    checksum: str | None = None,
    name: str | None = None,
    cache: str | Path | None = None,
    offline: bool = False,
    console: Console = SILENT,
    hosts: tuple[str, ...] = (),
    owner: str = "fetch",
) -> Path:
    """Fetch a whole file that a user or this program names into the user's cache folder.

    An interrupted download goes on where it ended. The server is asked each time whether the file
    has changed, but not if a checksum is given, which the cached file has.

    Args:
        url: address (http, https, s3, gs), or a path of a file on this computer, which is returned.
        checksum: "sha256:..." or "md5:..." (also sha1, sha512) that the file must have.
        name: name of the file in the cache; None: the last part of the address.
        cache: folder of the cache; None: the one below the user's cache folder.
        offline: read the cache alone, never the network.
        console: shows the progress.
        hosts: hosts to which the server may redirect, besides its own; "*.example.org" matches
            subdomains.
        owner: who fetches, in messages.

    Returns:
        Path of the complete file in the cache; it is not to be changed.

    Raises:
        NotFound: there is no such file.
        NotCached: it is not in the cache, and the network may not be used.
        RemoteError: it cannot be fetched, has another checksum, or is larger than the cache.
        OutputError: the cache cannot be written, or the disk is full.
        ArgumentError: the checksum or the name cannot be used.
    """
    access = Access(
        hosts=(*_own_host(url), *hosts),
        cache=default_cache() if cache is None else Path(cache),
        offline=offline,
        owner=owner,
        by_user=True,
    )
    return fetch_file(url, access, checksum=checksum, name=name, console=console)


def fetch_file(
    href: str,
    access: Access,
    *,
    checksum: str | None = None,
    name: str | None = None,
    console: Console = SILENT,
) -> Path:
    """Fetch a whole file of a source into the cache of the source; arguments as `fetch`.

    Raises:
        RemoteError, OutputError, ArgumentError: as `fetch`; also if the host is not permitted.
    """
    expected = None if checksum is None else parse_checksum(checksum)
    if not is_remote(href):
        return _local(href, access, expected)
    url = https_of(href, access)
    shown = without_signature(url)
    check_host(url, access, shown)
    entry = FileEntry(access, shown, _checked_name(name) if name else _name_of(shown))
    kept = entry.kept()
    if access.offline:
        _check_offline(kept, expected, shown, access)
    elif kept is None or expected is None or not kept.fits(expected):
        with entry.locked(console):
            kept = entry.kept()  # another process may have fetched it meanwhile
            if kept is None or expected is None or not kept.fits(expected):
                unchanged = kept if expected is None else None
                kept = download(Task(url, access, entry, expected, unchanged), console)
    entry.touch()
    return entry.path


def _own_host(url: str) -> list[str]:
    """Host and port of an address; of a bucket, its host."""
    if not is_remote(url):
        return []
    parts = urlsplit(url)
    if parts.scheme in ("s3", "gs"):
        parts = urlsplit(https_of(url, Access((), Path())))
    host = parts.netloc.rpartition("@")[2].lower()
    return [host] if host else []


def _check_offline(kept: Kept | None, expected: Checksum | None, href: str, access: Access) -> None:
    if kept is None:
        raise not_cached(href, access)
    if expected is not None and not kept.fits(expected):
        raise RemoteError(
            f"{access.owner}: {href} in the cache does not have the checksum {expected}; run once "
            "without --offline",
            href,
        )


def _local(href: str, access: Access, expected: Checksum | None) -> Path:
    path = local_path(href)
    if not path.is_file():
        raise NotFound(f"{access.owner}: there is no file {path}; check the path", href)
    if expected is not None and not expected.fits(path):
        raise RemoteError(
            f"{access.owner}: {path} does not have the checksum {expected}; check the file", href
        )
    return path


def _checked_name(name: str) -> str:
    if name != _UNSAFE.sub("_", name) or name.startswith(".") or len(name) > LONGEST_NAME:
        raise ArgumentError(
            f"{name!r} cannot be the name of a file in the cache; use letters, digits and . _ - , "
            f"at most {LONGEST_NAME}"
        )
    return name


def _name_of(url: str) -> str:
    """A safe name of a file, from the last part of its address."""
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    safe = _UNSAFE.sub("_", last).lstrip(".")[-LONGEST_NAME:]
    return safe or "file"
