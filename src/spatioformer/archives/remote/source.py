"""One file of an archive in this process: which bytes of it are known, and fetching of the others.

All readers of a file in a process share its `Source`, so two threads never fetch the same bytes.
"""

import bisect
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

from spatioformer.archives.remote.access import (
    Access,
    FileChanged,
    NotFound,
    RemoteError,
    not_found,
)
from spatioformer.archives.remote.addresses import check_host, https_of, without_signature
from spatioformer.archives.remote.block_cache import ABSENT, BlockCache
from spatioformer.archives.remote.connection import Query
from spatioformer.archives.remote.fetching import fetch
from spatioformer.archives.remote.spans import Span, missing, pieces, requests, union
from spatioformer.archives.remote.transport import Answer, Identity

HEAD = 16_384
"""Bytes of the first request of a file: GDAL finds the header of a cloud-optimised file there."""
CONNECTIONS = 8
"""Requests of one process at a time."""
HELD = 64 * 2**20
"""Bytes of pieces that a process holds in memory."""
MOST_SOURCES = 4096
ROUNDS = 10
"""How often pieces that other processes remove meanwhile are fetched again."""


class Source:
    """A file of an archive.

    Args:
        url: its http or https address.
        access: how it is read; only the first reader's cache counts.
    """

    def __init__(self, url: str, access: Access):
        self._url, self.href = url, without_signature(url)
        self._shelf = _shelf()
        self._entry = self._shelf.cache(access).entry(self.href)
        self._condition = threading.Condition()
        self._flying: set[Span] = set()
        kept = self._entry.identity()
        self._absent = kept == ABSENT
        self._identity = None if self._absent else kept
        self._known: list[Span] = []
        self._longest = 0
        if self._identity is not None:
            self._look(self._identity)

    def identity(self, access: Access) -> Identity:
        """The version of the file; the first bytes are fetched where it is not known.

        Raises:
            RemoteError: as `fetching.fetch`.
        """
        with self._condition:
            if self._identity is None:  # readers of one file wait for its first
                if access.offline and self._absent:
                    raise not_found(self.href, access)
                try:
                    self._take(self._fetch((0, HEAD), access), (0, HEAD))
                except NotFound:
                    self._entry.set_identity(ABSENT)  # --offline has to know
                    self._absent = True
                    raise
            assert self._identity is not None
            return self._identity

    def read(self, span: Span, identity: Identity, access: Access) -> bytes:
        """Read bytes of a version of the file.

        Raises:
            FileChanged: the file is not that version any more.
            RemoteError, OutputError: as `ensure`.
        """
        first, data = self.around(span, identity, access)
        return data[span[0] - first : span[1] - first]

    def around(self, span: Span, identity: Identity, access: Access) -> tuple[int, bytes]:
        """Read bytes and those near them that are kept with them: first byte, bytes.

        Raises:
            FileChanged, RemoteError, OutputError: as `read`.
        """
        for _ in range(ROUNDS):
            self.ensure([span], identity, access)
            parts = [self._piece(piece, identity) for piece in self._covering(span)]
            if all(part is not None for part in parts):
                return _join(span, [part for part in parts if part is not None])
        raise RemoteError(
            f"{access.owner}: the cache {access.cache} loses what is written to it; set "
            "imagery.cache.gb to more, or check its disk",
            self.href,
        )

    def ensure(self, spans: Iterable[Span], identity: Identity, access: Access) -> None:
        """Fetch those of the spans that the cache does not hold, neighbours in one request.

        Raises:
            FileChanged: the file is not that version any more.
            RemoteError: as `fetching.fetch`.
            OutputError: the cache cannot be written.
        """
        wanted = union(spans)
        looked = False
        while True:
            with self._condition:
                self._check(identity, access)
                lacking = self._lacking(wanted)
                if lacking and not looked:  # another process may have fetched them
                    self._look(identity)
                    looked, lacking = True, self._lacking(wanted)
                if not lacking:
                    return
                mine = [s for s in lacking if not _overlaps(s, self._flying)]
                if not mine:
                    self._condition.wait()
                    continue
                self._flying.update(mine)
            try:
                self._fetch_all(requests(mine), identity, access)
            finally:
                with self._condition:
                    self._flying.difference_update(mine)
                    self._condition.notify_all()

    def discard(self) -> None:
        """Remove what is kept of the file; who has it open gets FileChanged at the next read."""
        with self._condition:
            self._forget()

    def known(self, position: int) -> bool:
        """Whether a byte is kept."""
        with self._condition:
            return not self._lacking([(position, position + 1)])

    def _lacking(self, wanted: list[Span]) -> list[Span]:
        return [part for span in wanted for part in missing(span, self._near(span))]

    def _near(self, span: Span) -> list[Span]:
        """The known pieces that may overlap a span."""
        first = bisect.bisect_left(self._known, (span[0] - self._longest, 0))
        return self._known[first : bisect.bisect_left(self._known, (span[1], 0))]

    def _look(self, identity: Identity) -> None:
        """Look which pieces the cache holds."""
        self._known = self._entry.spans(identity)
        self._longest = max((stop - start for start, stop in self._known), default=0)

    def _covering(self, span: Span) -> list[Span]:
        with self._condition:
            return self._near(span)

    def _piece(self, piece: Span, identity: Identity) -> tuple[int, bytes] | None:
        """First byte and bytes of a kept piece; None where it was removed or is damaged."""
        key = self.href, identity, piece
        data = self._shelf.get(key)
        if data is None:
            data = self._entry.load(identity, piece)
            if data is None:
                with self._condition:
                    if piece in self._known:
                        self._known.remove(piece)
                return None
            self._shelf.put(key, data)
        return piece[0], data

    def _fetch_all(self, groups: list[list[Span]], identity: Identity, access: Access) -> None:
        if len(groups) == 1:
            self._fetch_group(groups[0], identity, access)
            return
        tasks = [
            self._shelf.threads.submit(self._fetch_group, group, identity, access)
            for group in groups
        ]
        try:
            wait(tasks)  # for all: until then their spans count as being fetched
        finally:
            for task in tasks:
                task.cancel()
        for task in tasks:
            task.result()

    def _fetch_group(self, group: list[Span], identity: Identity, access: Access) -> None:
        span = group[0][0], group[-1][1]
        answer = self._fetch(span, access)
        with self._condition:
            if answer.identity != identity:
                self._forget()
            self._check(identity, access)
        if answer.whole:
            self._keep(0, answer.data, [(0, len(answer.data))], identity)
        else:
            self._keep(span[0], answer.data, pieces(group), identity)

    def _fetch(self, span: Span, access: Access) -> Answer:
        return fetch(Query(self._url, self.href, span=span), access)

    def _take(self, answer: Answer, span: Span) -> None:
        """Keep the first bytes of a file whose version was not known."""
        self._entry.set_identity(answer.identity)
        self._identity, self._known = answer.identity, []
        start = 0 if answer.whole else span[0]
        if answer.data:
            self._keep(start, answer.data, [(start, start + len(answer.data))], answer.identity)

    def _keep(self, start: int, data: bytes, spans: list[Span], identity: Identity) -> None:
        for first, last in spans:
            part = data[first - start : last - start]
            self._entry.save(identity, first, part)
            self._shelf.put((self.href, identity, (first, last)), part)
            with self._condition:
                if (first, last) not in self._near((first, last)):
                    bisect.insort(self._known, (first, last))
                    self._longest = max(self._longest, last - first)

    def _forget(self) -> None:
        self._entry.forget()
        self._identity, self._known = None, []

    def _check(self, identity: Identity, access: Access) -> None:
        if self._identity != identity:
            raise FileChanged(
                f"{access.owner}: {self.href} has changed on its server since its first bytes were "
                "read; what was kept of it is removed: run again",
                self.href,
            )


def _overlaps(span: Span, others: Iterable[Span]) -> bool:
    return any(span[0] < stop and start < span[1] for start, stop in others)


def _join(span: Span, parts: list[tuple[int, bytes]]) -> tuple[int, bytes]:
    """First byte and bytes of one piece that holds a span, or of the span from several."""
    start, stop = span
    for first, data in parts:
        if first <= start and stop <= first + len(data):
            return first, data
    joined, position = bytearray(), start
    for first, data in parts:
        if first + len(data) > position:
            joined += data[position - first : stop - first]
            position = min(stop, first + len(data))
    return start, bytes(joined)


class _Shelf:
    """What this process shares: sources, caches, threads, and the pieces used last."""

    def __init__(self) -> None:
        self.threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="archives")
        self._lock = threading.RLock()
        self._sources: OrderedDict[tuple[Path, str], Source] = OrderedDict()
        self._caches: dict[Path, BlockCache] = {}
        self._pieces: OrderedDict[object, bytes] = OrderedDict()
        self._held = 0

    def cache(self, access: Access) -> BlockCache:
        with self._lock:
            cache = self._caches.get(access.cache)
            if cache is None:
                cache = BlockCache(access.cache, int(access.limit_gb * 1e9))
                if not access.offline:
                    cache.check_disk(access.owner)
                self._caches[access.cache] = cache
            return cache

    def source(self, url: str, access: Access) -> Source:
        key = access.cache, without_signature(url)
        with self._lock:
            source = self._sources.get(key)
            if source is None:
                source = self._sources[key] = Source(url, access)
            self._sources.move_to_end(key)
            if len(self._sources) > MOST_SOURCES:
                self._sources.popitem(last=False)
            return source

    def get(self, key: object) -> bytes | None:
        with self._lock:
            data = self._pieces.get(key)
            if data is not None:
                self._pieces.move_to_end(key)
            return data

    def put(self, key: object, data: bytes) -> None:
        if len(data) > HELD // 2:
            return
        with self._lock:
            self._held += len(data) - len(self._pieces.pop(key, b""))
            self._pieces[key] = data
            while self._held > HELD:
                self._held -= len(self._pieces.popitem(last=False)[1])


_made: list[_Shelf] = []
_making = threading.Lock()


def _shelf() -> _Shelf:
    with _making:
        if not _made:
            _made.append(_Shelf())
        return _made[0]


def forget_all() -> None:
    """Forget what this process knows of files; the cache on disk stays."""
    global _making
    _making = threading.Lock()
    _made.clear()


if hasattr(os, "register_at_fork"):  # the threads and locks of the parent do not work in a child
    os.register_at_fork(after_in_child=forget_all)


def source_of(href: str, access: Access) -> Source:
    """The source of an address.

    Raises:
        RemoteError: its host or scheme is not permitted, or the disk is too small for the cache.
    """
    url = https_of(href, access)
    check_host(url, access, without_signature(url))
    return _shelf().source(url, access)


def cache_of(access: Access) -> BlockCache:
    """The cache of a source.

    Raises:
        RemoteError: the disk is too small for it.
        OutputError: its folder cannot be made.
    """
    return _shelf().cache(access)
