"""Download a file in attempts until it is complete; each goes on where the last one ended.

An attempt asks for the rest of the file of one version (RFC 9110, If-Range). A server that has
another version, or ignores ranges, sends the whole file, which then replaces what was kept.
"""

import contextlib
import io
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from spatioformer.archives.fetch.checksums import Checksum, digests
from spatioformer.archives.fetch.file_cache import FileEntry, Kept
from spatioformer.archives.remote.access import Access, RemoteError
from spatioformer.archives.remote.connection import Query, answering
from spatioformer.archives.remote.counters import count
from spatioformer.archives.remote.fetching import signed
from spatioformer.archives.remote.retries import Fault, persist
from spatioformer.archives.remote.transport import (
    CHUNK,
    CONTENT_RANGE,
    SLOWEST,
    Identity,
    check_encoding,
    refusal,
)
from spatioformer.common.errors import OutputError
from spatioformer.common.files import as_output_error
from spatioformer.common.progress import Advance, Console

if TYPE_CHECKING:
    import requests

MEGABYTE = 1_000_000
UNKNOWN = -1
"""Length of a file whose server does not state it."""


@dataclass(frozen=True)
class Task:
    """A file that is to be fetched.

    Attributes:
        url: http or https address without a signature.
        access: how it is fetched.
        entry: its place in the cache, whose lock is held.
        expected: the checksum that it must have, or None.
        kept: a complete file that counts if the server's has not changed, or None.
    """

    url: str
    access: Access
    entry: FileEntry
    expected: Checksum | None
    kept: Kept | None


def download(task: Task, console: Console) -> Kept:
    """Fetch the file, check it and give it its name in the cache.

    Raises:
        RemoteError: it cannot be fetched, has another checksum, or is larger than the cache.
        OutputError: the cache cannot be written, or the disk is full.
    """
    resumed = task.entry.begun() is not None
    while True:
        identity = _complete(task, console)
        if identity is None:
            assert task.kept is not None
            return task.kept
        names = {"sha256", *([task.expected.algorithm] if task.expected else [])}
        sums = digests(task.entry.part, sorted(names))
        if task.expected is None or sums[task.expected.algorithm] == task.expected.digest:
            return task.entry.publish(identity, sums["sha256"])
        task.entry.discard()
        if not resumed:
            break
        resumed = False  # bytes of an earlier run may be damaged: once more from the start
    raise RemoteError(
        f"{task.access.owner}: {task.entry.href} has the checksum "
        f"{task.expected.algorithm}:{sums[task.expected.algorithm]}, not {task.expected} as "
        "stated, so it was changed or damaged; check the address and the checksum",
        task.entry.href,
    )


def _complete(task: Task, console: Console) -> Identity | None:
    """Fetch all bytes into the part; None if the kept file is still the server's."""
    with _Progress(console, task.entry.name) as progress:

        def attempt(query: Query) -> Identity | None:
            return _attempt(query, task, progress)

        def bytes_kept() -> int:
            begun = task.entry.begun()
            return 0 if begun is None else begun[1]

        query = Query(task.url, task.entry.href)
        access = task.access
        return persist(lambda: signed(query, access, attempt), access, task.entry.href, bytes_kept)


def _attempt(query: Query, task: Task, progress: "_Progress") -> Identity | None:
    """Ask once for what is missing, and write what comes."""
    begun = task.entry.begun()
    if begun is not None and not _validator(begun[0]):
        task.entry.discard()  # nothing tells whether the server still has this version
        begun = None
    headers = _resuming(*begun) if begun else _conditions(task.kept)
    with answering(replace(query, headers={**query.headers, **headers}), task.access) as response:
        status = response.status_code
        if status == 304 and begun is None and task.kept is not None:
            return None
        if status == 416 and begun is not None:
            return _at_the_end(response, task, *begun)
        if status == 206 and begun is not None:
            identity, start = _rest(response, task, *begun), begun[1]
        elif status == 200:
            identity, start = _start(response, task), 0
        else:
            raise refusal(response, query, task.access)
        _write(response, task, identity, start, progress)
    return identity


def _validator(identity: Identity) -> str:
    """What If-Range may hold: a strong entity tag, or the time of the last change; '' for none."""
    if identity.etag and not identity.etag.startswith("W/"):
        return identity.etag
    return identity.modified


def _resuming(identity: Identity, size: int) -> Mapping[str, str]:
    return {"Range": f"bytes={size}-", "If-Range": _validator(identity)}


def _conditions(kept: Kept | None) -> Mapping[str, str]:
    """Headers that ask for a file only if it is not the kept one."""
    if kept is None:
        return {}
    if kept.identity.etag:
        return {"If-None-Match": kept.identity.etag}
    return {"If-Modified-Since": kept.identity.modified} if kept.identity.modified else {}


def _stated(response: "requests.Response", size: int) -> Identity:
    """The version that an answer states; the mark of a weak entity tag is kept."""
    etag = response.headers.get("ETag", "").strip()
    return Identity(size, etag, response.headers.get("Last-Modified", "").strip())


def _start(response: "requests.Response", task: Task) -> Identity:
    """The version of a file that comes whole."""
    check_encoding(response)
    stated = response.headers.get("Content-Length", "")
    size = int(stated) if stated.isascii() and stated.isdigit() else UNKNOWN
    chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
    if size == UNKNOWN and not chunked and task.expected is None:
        raise RemoteError(
            f"{task.access.owner}: the server of {task.entry.href} does not state its length, so "
            "nothing tells whether it came whole; state its checksum",
            task.entry.href,
        )
    identity = _stated(response, size)
    task.entry.begin(identity)
    task.entry.make_room(max(size, 0))
    return identity


def _rest(response: "requests.Response", task: Task, identity: Identity, size: int) -> Identity:
    """The version of a file whose rest comes, checked to be that of its first bytes."""
    check_encoding(response)
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is None or match[1] is None or int(match[2]) + 1 != int(match[3]):
        raise Fault("the server answered with a range that is not the rest of the file")
    total, stated = int(match[3]), _stated(response, int(match[3]))
    changed = identity.size not in (UNKNOWN, total) or any(
        new and old and new != old
        for new, old in ((stated.etag, identity.etag), (stated.modified, identity.modified))
    )
    if changed:
        task.entry.discard()
        raise Fault("the file changed on its server while it was fetched")
    if int(match[1]) != size:
        raise Fault(f"the server sent bytes from {match[1]} where {size} were asked for")
    task.entry.make_room(total - size)
    return replace(identity, size=total)


def _at_the_end(
    response: "requests.Response", task: Task, identity: Identity, size: int
) -> Identity:
    """The version of a file of which nothing is missing, as the server says."""
    match = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "").strip())
    if match is not None and int(match[3]) == size and identity.size in (UNKNOWN, size):
        return replace(identity, size=size)
    task.entry.discard()
    raise Fault("the file changed on its server while it was fetched")


def _write(
    response: "requests.Response",
    task: Task,
    identity: Identity,
    start: int,
    progress: "_Progress",
) -> None:
    """Append a body to the part.

    Raises:
        Fault: it ends too early, or comes too slowly; what came is kept.
    """
    position = start
    window, came = time.monotonic(), 0
    largest = task.access.limit_gb * 1e9
    with _disk(task):
        stream = io.FileIO(task.entry.part, "ab")
    with stream:
        progress.reach(position, identity.size)
        # read1 returns what has come, so that a slow server is noticed in time.
        while chunk := response.raw.read1(CHUNK, decode_content=False):
            with _disk(task):
                _put(stream, chunk)
            position += len(chunk)
            came += len(chunk)
            count(bytes=len(chunk))
            progress.reach(position, identity.size)
            if position > largest:
                task.entry.make_room(int(position - largest))
            if (seconds := time.monotonic() - window) > task.access.timeout:
                if came < SLOWEST * seconds and position != identity.size:
                    raise Fault(f"the server sent only {came} bytes in {seconds:.0f} s")
                window, came = time.monotonic(), 0
    if identity.size not in (UNKNOWN, position):
        raise Fault(f"the server sent only {position} of {identity.size} bytes")


def _put(stream: io.FileIO, chunk: bytes) -> None:
    """Write all bytes; a disk that is nearly full takes some of them."""
    rest = memoryview(chunk)
    while rest:
        rest = rest[stream.write(rest) :]


@contextlib.contextmanager
def _disk(task: Task) -> Iterator[None]:
    """Turn errors of the disk into a sentence, lest they are taken for those of the connection."""
    try:
        yield
    except OSError as error:
        converted = as_output_error(error, task.entry.path)
        if not isinstance(converted, OutputError):
            why = (error.strerror or str(error)).lower()
            converted = OutputError(f"cannot write {task.entry.path}: {why}; check the disk")
        raise converted from error


class _Progress(contextlib.AbstractContextManager["_Progress"]):
    """A bar in megabytes, shown as soon as the length of the file is known."""

    def __init__(self, console: Console, name: str):
        self._console, self._name = console, name
        self._stack = contextlib.ExitStack()
        self._advance: Advance | None = None
        self._done = 0

    def reach(self, position: int, size: int) -> None:
        """Show that `position` of `size` bytes are there."""
        if self._advance is None:
            if size == UNKNOWN:
                return
            task = self._console.task(f"{self._name}, MB", -(-size // MEGABYTE))
            self._advance = self._stack.enter_context(task)
        done = position // MEGABYTE
        if done != self._done:
            self._advance(done - self._done)
            self._done = done

    def __exit__(self, *_: object) -> None:
        self._stack.close()
