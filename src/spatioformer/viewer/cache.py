"""A cache of bytes in memory, bounded by their total size; the least recently used go first."""

from collections import OrderedDict
from collections.abc import Hashable

OVERHEAD = 200
"""Bytes of memory that an entry takes besides its content."""


class ByteCache:
    """Cache of bytes, or of None for an answer without content. For one thread.

    Args:
        most: largest total, bytes.
    """

    def __init__(self, most: int):
        self._most, self.size = most, 0
        self._held: OrderedDict[Hashable, bytes | None] = OrderedDict()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._held

    def __len__(self) -> int:
        return len(self._held)

    def get(self, key: Hashable) -> bytes | None:
        """The content of an entry that is in the cache.

        Raises:
            KeyError: it is not.
        """
        self._held.move_to_end(key)
        return self._held[key]

    def put(self, key: Hashable, content: bytes | None) -> None:
        """Add an entry, and remove the oldest ones that no longer fit."""
        if key in self._held:
            self.size -= _size(self._held.pop(key))
        self._held[key] = content
        self.size += _size(content)
        while self.size > self._most:
            self.size -= _size(self._held.popitem(last=False)[1])


def _size(content: bytes | None) -> int:
    return OVERHEAD + (0 if content is None else len(content))
