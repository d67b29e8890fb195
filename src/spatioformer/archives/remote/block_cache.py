"""The cache of pieces of files on disk: shared by runs and processes, of limited size.

    FOLDER/v1/ab/abcdef.../identity.json      which version of the file the pieces belong to
    FOLDER/v1/ab/abcdef.../VERSION-START-STOP  bytes START to STOP of it, then a checksum

The folder of a file is the hash of its address without signature; VERSION is the hash of what the
server says of its version. So pieces of two versions never mix. A piece is written beside its name
and renamed, so no process needs a lock. A damaged piece counts as absent and is removed. The time
of a piece's last use is its time of modification; the oldest are removed when the limit is reached.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from spatioformer.archives.remote.access import RemoteError
from spatioformer.archives.remote.transport import Identity
from spatioformer.common.files import as_output_error
from spatioformer.common.parts import is_part, part_of

DIGEST = 16
KEPT = 0.9
"""Share of the limit that stays when pieces are removed."""
COUNTED = 0.02
"""Share of the limit that a process writes before it counts the whole cache again."""
IDENTITY = "identity.json"
LEFT = 24 * 3600
"""Seconds after which a temporary file counts as left by a killed process."""
TOUCHED = 60.0
"""Seconds for which a piece's time of last use need not be exact."""

ABSENT = Identity(-404)
"""The version of a file that its server did not have when it was asked last."""

Span = tuple[int, int]
"""First byte, and the byte after the last."""


class BlockCache:
    """The cache in a folder.

    Args:
        folder: where it lies; it is made.
        limit: largest size, bytes.
    """

    def __init__(self, folder: Path, limit: int):
        self.folder, self.limit = folder / "v1", limit
        self._written = limit  # the first piece written makes it count
        self._lock = threading.Lock()

    def entry(self, key: str) -> "Entry":
        """The pieces of a file, by its address without signature."""
        digest = hashlib.sha256(key.encode()).hexdigest()[:32]
        return Entry(self, self.folder / digest[:2] / digest, key)

    def size(self) -> int:
        """Bytes that the cache takes now."""
        return sum(size for _, _, size in self._pieces())

    def check_disk(self, owner: str, limit_key: str = "imagery.cache.gb") -> None:
        """Raise if the disk is too small for the cache.

        Raises:
            OutputError: the folder cannot be made.
            RemoteError: it is.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            raise as_output_error(error, self.folder) from error
        if free >= self.limit:
            return
        room = free + self.size()
        if room < self.limit:
            raise RemoteError(
                f"{owner}: the cache {self.folder.parent} may take {self.limit / 1e9:.3g} GB, but "
                f"its disk has room for {room / 1e9:.3g} GB; set {limit_key} to less, or "
                "imagery.cache.path to a folder on another disk",
                str(self.folder.parent),
            )

    def written(self, size: int) -> None:
        """Count bytes that were written; remove the oldest pieces where there are too many."""
        with self._lock:
            self._written += size
            if self._written <= COUNTED * self.limit:
                return
            self._written = 0
        self.prune()

    def prune(self) -> None:
        """Remove the pieces used longest ago until the cache is 10 % below its limit."""
        pieces = sorted(self._pieces(), key=lambda piece: piece[1])
        excess = sum(size for _, _, size in pieces)
        if excess <= self.limit:
            return
        excess -= int(KEPT * self.limit)
        folders = set()
        for path, _, size in pieces:
            if excess <= 0:
                break
            if path.name == IDENTITY or is_part(path):  # the pieces mean nothing without it
                continue
            with contextlib.suppress(OSError):  # another process removed or reads it
                path.unlink()
            excess -= size
            folders.add(path.parent)
        for folder in folders:
            if not any(folder.glob("*-*-*")):
                with contextlib.suppress(OSError):  # another process writes there now
                    (folder / IDENTITY).unlink()
                    folder.rmdir()

    def _pieces(self) -> Iterator[tuple[Path, float, int]]:
        """Path, time of last use and size of each file; what killed processes left is removed."""
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    facts = path.stat()
                    if is_part(path) and time.time() - facts.st_mtime > LEFT:
                        path.unlink()
                    else:
                        yield path, facts.st_mtime, facts.st_size


class Entry:
    """The pieces of one file in the cache."""

    def __init__(self, cache: BlockCache, folder: Path, key: str):
        self._cache, self.folder, self._key = cache, folder, key

    def identity(self) -> Identity | None:
        """The version whose pieces are kept, or None."""
        try:
            stated = json.loads((self.folder / IDENTITY).read_text(encoding="utf-8"))
            if stated.pop("address") != self._key:
                return None
            return Identity(**stated)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def set_identity(self, identity: Identity) -> None:
        """State the version of the pieces that follow; those of other versions are removed."""
        stated = json.dumps({"address": self._key, **asdict(identity)}, sort_keys=True)
        self._write(self.folder / IDENTITY, stated.encode())
        version = _version(identity)
        for name in self._names():
            if name != IDENTITY and not name.startswith(version) and ".part" not in name:
                self._remove(name)

    def forget(self) -> None:
        """Remove all that is kept of the file, but not what others are writing just now."""
        for name in self._names():
            if not is_part(self.folder / name):
                self._remove(name)

    def spans(self, identity: Identity) -> list[Span]:
        """The spans of the pieces that are kept of a version, sorted."""
        pattern = re.compile(rf"{_version(identity)}-(\d+)-(\d+)")
        matches = [pattern.fullmatch(name) for name in self._names()]
        return sorted((int(match[1]), int(match[2])) for match in matches if match)

    def load(self, identity: Identity, span: Span) -> bytes | None:
        """The bytes of a piece; None where it is absent or damaged (then it is removed)."""
        path = self._path(identity, span)
        try:
            content = path.read_bytes()
            if time.time() - path.stat().st_mtime > TOUCHED:
                os.utime(path)
        except FileNotFoundError:
            return None
        except OSError:
            content = b""
        data, digest = content[:-DIGEST], content[-DIGEST:]
        if len(data) != span[1] - span[0] or self._digest(identity, span, data) != digest:
            self._remove(path.name)
            return None
        return data

    def save(self, identity: Identity, start: int, data: bytes) -> None:
        """Keep a piece.

        Raises:
            OutputError: the disk is full, or the folder cannot be written.
        """
        span = start, start + len(data)
        self._write(self._path(identity, span), data + self._digest(identity, span, data))
        self._cache.written(len(data))

    def _write(self, path: Path, content: bytes) -> None:
        """Write a file whole or not at all. It need not survive a power cut: its checksum tells."""
        part = part_of(path)
        try:
            for last in (False, False, True):
                try:
                    self.folder.mkdir(parents=True, exist_ok=True)
                    part.write_bytes(content)
                    os.replace(part, path)
                    return
                except FileNotFoundError:  # another process removed the folder just now
                    if last:
                        raise
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink()
            # On Windows another process may be reading the piece of this name, which is the same.
            if not (isinstance(error, PermissionError) and path.exists()):
                raise as_output_error(error, path) from error

    def _path(self, identity: Identity, span: Span) -> Path:
        return self.folder / f"{_version(identity)}-{span[0]}-{span[1]}"

    def _digest(self, identity: Identity, span: Span, data: bytes) -> bytes:
        head = json.dumps([self._key, asdict(identity), span], sort_keys=True).encode()
        return hashlib.blake2b(data, digest_size=DIGEST, key=hashlib.sha256(head).digest()).digest()

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.folder)
        except OSError:
            return []

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self.folder / name).unlink()


def _version(identity: Identity) -> str:
    return hashlib.sha256(json.dumps(asdict(identity)).encode()).hexdigest()[:12]
