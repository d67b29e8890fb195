"""The files of a Zarr store, local or remote, in the form that zarr reads from."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from zarr.abc.store import (
    ByteRequest,
    OffsetByteRequest,
    RangeByteRequest,
    Store,
    SuffixByteRequest,
)
from zarr.core.buffer import Buffer, BufferPrototype

from spatioformer.archives.remote import Access, NotFound, RemoteFile, read_bytes

MOST_BYTES = 2**27
"""Largest file of a store that is read whole: a document, or a chunk that is no shard."""


class ZarrFiles(Store):
    """A Zarr store that is read through `archives.remote`: hosts, cache, retries, `--offline`.

    A file that the server does not have is a chunk without data, as Zarr defines it. Every other
    failure is an error.

    Args:
        href: address or path of the store.
        access: how its files are read.
    """

    supports_writes = False
    supports_deletes = False
    supports_partial_writes = False
    supports_listing = False
    supports_consolidated_metadata = True

    def __init__(self, href: str, access: Access):
        super().__init__(read_only=True)
        self.href, self.access = href.rstrip("/"), access

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ZarrFiles) and (self.href, self.access) == (
            other.href,
            other.access,
        )

    async def get(
        self,
        key: str,
        prototype: BufferPrototype,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """The bytes of a file, or a part of them; None if there is no such file."""
        data = await asyncio.to_thread(self._read, key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self,
        prototype: BufferPrototype,
        key_ranges: Iterable[tuple[str, ByteRequest | None]],
    ) -> list[Buffer | None]:
        return list(
            await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges))
        )

    async def exists(self, key: str) -> bool:
        return await asyncio.to_thread(self._exists, key)

    def _exists(self, key: str) -> bool:
        try:
            with RemoteFile(f"{self.href}/{key}", self.access):
                return True
        except (NotFound, FileNotFoundError):
            return False

    def _read(self, key: str, byte_range: ByteRequest | None) -> bytes | None:
        href = f"{self.href}/{key}"
        try:
            if byte_range is None:
                return read_bytes(href, self.access, limit=MOST_BYTES)
            with RemoteFile(href, self.access) as file:
                return file.read_at(*_span(byte_range, file.size()))
        except (NotFound, FileNotFoundError, IsADirectoryError):
            return None

    async def set(self, key: str, value: Buffer) -> None:
        raise NotImplementedError("archives are only read")

    async def delete(self, key: str) -> None:
        raise NotImplementedError("archives are only read")

    def list(self) -> AsyncIterator[str]:
        raise NotImplementedError("an archive cannot be listed over http")

    def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError("an archive cannot be listed over http")

    def list_dir(self, prefix: str) -> AsyncIterator[str]:
        raise NotImplementedError("an archive cannot be listed over http")


def _span(byte_range: ByteRequest, size: int) -> tuple[int, int]:
    """First byte and number of bytes."""
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.start, byte_range.end - byte_range.start
    if isinstance(byte_range, SuffixByteRequest):
        length = min(byte_range.suffix, size)
        return size - length, length
    assert isinstance(byte_range, OffsetByteRequest)
    return byte_range.offset, max(size - byte_range.offset, 0)
