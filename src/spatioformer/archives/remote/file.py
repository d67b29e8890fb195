"""A remote file as a Python file object, which zarr, pyarrow and GDAL can read through."""

import io
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from spatioformer.archives.remote.access import Access
from spatioformer.archives.remote.addresses import is_remote, local_path
from spatioformer.archives.remote.source import HEAD, Source, source_of
from spatioformer.archives.remote.spans import Span
from spatioformer.archives.remote.transport import Identity

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SMALL = 1024
"""Bytes below which a read is one of a header, so that what follows is fetched with it."""
AHEAD = 2 * HEAD
"""Bytes fetched with a small read behind the head; each further time twice as much."""
MOST_AHEAD = 20 * HEAD
"""Bytes that a reader fetches in this way altogether; then it fetches what is read and no more."""


class RemoteFile(io.RawIOBase):
    """A file of an archive, read in ranges through the cache.

    It may be used by one thread at a time; several of one address share what they fetch. All of its
    bytes are of one version of the file.

    Args:
        href: address (http, https, s3, gs) or path of a file on this computer.
        access: how it is read.

    Raises:
        RemoteError, OutputError: as `Source.read`, here and at each read.
        OSError: a file on this computer cannot be read.
    """

    def __init__(self, href: str, access: Access):
        super().__init__()
        self._access = access
        self._position = 0
        self._ahead = AHEAD
        self._fetched_ahead = 0
        self._near = 0, b""  # the piece of the last small read, for the next ones
        self._local = None if is_remote(href) else open(local_path(href), "rb")  # noqa: SIM115
        self._source: Source | None = None
        self._identity: Identity | None = None
        if self._local is None:
            self._source = source_of(href, access)
            self._identity = self._source.identity(access)

    def size(self) -> int:
        """Length of the file, bytes."""
        if self._local is not None:
            return os.fstat(self._local.fileno()).st_size
        assert self._identity is not None
        return self._identity.size

    def fetch(self, spans: Iterable[Span]) -> None:
        """Fetch spans into the cache ahead of reading them, several at a time.

        Args:
            spans: first byte, and the byte after the last, of each.
        """
        if self._source is None:
            return
        assert self._identity is not None
        size = self._identity.size
        inside = [(max(start, 0), min(stop, size)) for start, stop in spans]
        self._source.ensure(inside, self._identity, self._access)

    def discard(self) -> None:
        """Remove from the cache what is kept of the file, because its content is damaged."""
        if self._source is not None:
            self._source.discard()

    def read_at(self, start: int, length: int) -> bytes:
        """Read bytes from a position, fewer at the end of the file. The position stays."""
        stop = min(start + length, self.size())
        if stop <= start:
            return b""
        if self._local is not None:
            self._local.seek(start)
            return self._local.read(stop - start)
        assert self._source is not None
        assert self._identity is not None
        if length >= SMALL:
            return self._source.read((start, stop), self._identity, self._access)
        first, data = self._near
        if not first <= start <= stop <= first + len(data):
            self._read_ahead(start, stop)
            first, data = self._source.around((start, stop), self._identity, self._access)
            self._near = first, data
        return data[start - first : stop - first]

    def _read_ahead(self, start: int, stop: int) -> None:
        """Fetch what follows a small read, as headers are read in many of them."""
        assert self._source is not None
        if self._source.known(start) and self._source.known(stop - 1):
            return
        length = min(self._ahead, MOST_AHEAD - self._fetched_ahead)
        if length > stop - start:
            self._fetched_ahead += length
            self._ahead *= 2
            self.fetch([(start, start + length)])

    def read(self, size: int | None = -1, /) -> bytes:
        if self.closed:
            raise ValueError("the file is closed")
        length = self.size() - self._position if size is None or size < 0 else size
        data = self.read_at(self._position, length)
        self._position += len(data)
        return data

    def readall(self) -> bytes:
        return self.read()

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size()}[whence]
        if base + offset < 0:
            raise ValueError(f"{base + offset} is before the start of the file")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        if self._local is not None and not self.closed:
            self._local.close()
        super().close()
