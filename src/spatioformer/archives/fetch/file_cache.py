"""The cache of whole files on disk: shared by runs and processes, of limited size.

    FOLDER/files/abcdef.../entry.json     what is known of the complete file
    FOLDER/files/abcdef.../file/NAME      the file
    FOLDER/files/abcdef.../part           its first bytes, while it is fetched
    FOLDER/files/abcdef.../part.json      of which version they are
    FOLDER/files/abcdef....lock           held by the process that fetches

The folder of a file is the hash of its name and its address without signature. A file gets its name
only when it is complete and its checksum fits. The time of its last use is the modification time of
`entry.json`; the oldest files are removed when the limit is reached, but none of the last day,
since a run that still goes on may read it.
"""

import contextlib
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatioformer.archives.fetch.checksums import Checksum, digests
from spatioformer.archives.remote.access import Access, RemoteError
from spatioformer.archives.remote.transport import Identity
from spatioformer.common.errors import OutputError
from spatioformer.common.files import as_output_error, write_json
from spatioformer.common.lock import Finished, Held, Holder, lock, waited_lock
from spatioformer.common.progress import Console

IN_USE = 24 * 3600
"""Seconds after the last use for which a file is not removed."""


@dataclass(frozen=True)
class Kept:
    """A complete file of the cache.

    Attributes:
        path: where it lies.
        identity: its version, as the server stated it.
        sha256: of its content.
    """

    path: Path
    identity: Identity
    sha256: str

    def fits(self, checksum: Checksum) -> bool:
        """Whether the file has a checksum."""
        if checksum.algorithm == "sha256":
            return checksum.digest == self.sha256
        return checksum.fits(self.path)


class FileEntry:
    """One file of the cache, complete or not.

    Args:
        access: the cache and its limit.
        href: address without signature.
        name: name of the file.
    """

    def __init__(self, access: Access, href: str, name: str):
        self._access, self.href, self.name = access, href, name
        root = access.cache / "files"
        digest = hashlib.sha256(f"{name} {href}".encode()).hexdigest()[:32]
        self._root, self._folder = root, root / digest
        self.part = self._folder / "part"
        self._state, self._entry = self._folder / "part.json", self._folder / "entry.json"
        self.path = self._folder / "file" / name

    @contextlib.contextmanager
    def locked(self, console: Console) -> Iterator[None]:
        """Hold the lock of the file; wait while another process or thread fetches it.

        Raises:
            OutputError: the cache cannot be written.
        """
        path = self._folder.with_name(f"{self._folder.name}.lock")

        def tell(holder: Holder) -> None:
            console.say(f"{self.name} is being fetched by {holder}; waiting")

        with waited_lock(path, tell):
            try:
                self._folder.mkdir(exist_ok=True)
            except OSError as error:
                raise as_output_error(error, path) from error
            try:
                yield
            finally:
                with contextlib.suppress(OSError):  # it stays unless it is empty
                    self._folder.rmdir()

    def kept(self) -> Kept | None:
        """The complete file; None where there is none, or it is not what was fetched."""
        stated = _read(self._entry)
        try:
            identity = Identity(**stated["identity"])
            sha256, changed = str(stated["sha256"]), int(stated["mtime_ns"])
            facts = self.path.stat()
            if stated["address"] != self.href or facts.st_size != identity.size:
                return None
            if facts.st_mtime_ns != changed:  # somebody wrote it, or copied the cache
                if digests(self.path, ["sha256"])["sha256"] != sha256:
                    return None
                write_json(self._entry, {**stated, "mtime_ns": facts.st_mtime_ns})
        except (OSError, ValueError, TypeError, KeyError, OutputError):
            return None
        return Kept(self.path, identity, sha256)

    def touch(self) -> None:
        """Note that the file is used now."""
        with contextlib.suppress(OSError):
            os.utime(self._entry)

    def begun(self) -> tuple[Identity, int] | None:
        """Version and number of the first bytes that are kept of an incomplete file."""
        stated = _read(self._state)
        try:
            size = self.part.stat().st_size
            identity = Identity(**stated)
        except (OSError, TypeError):
            return None
        return (identity, size) if size else None

    def begin(self, identity: Identity) -> None:
        """State the version of the bytes that will be written to `part`, which is emptied."""
        try:
            self.part.unlink(missing_ok=True)
            self.part.touch()
            write_json(self._state, asdict(identity))
        except OSError as error:
            raise as_output_error(error, self.part) from error

    def discard(self) -> None:
        """Remove the incomplete file."""
        with contextlib.suppress(OSError):
            self.part.unlink()
        with contextlib.suppress(OSError):
            self._state.unlink()

    def publish(self, identity: Identity, sha256: str) -> Kept:
        """Give the complete `part` its name; what was unpacked from an older file is removed."""
        try:
            with open(self.part, "r+b") as stream:
                os.fsync(stream.fileno())
            shutil.rmtree(self.path.parent, ignore_errors=True)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.part, self.path)
            facts = self.path.stat()
            identity = Identity(facts.st_size, identity.etag, identity.modified)
            stated = {"identity": asdict(identity), "mtime_ns": facts.st_mtime_ns}
            write_json(self._entry, {**stated, "address": self.href, "sha256": sha256})
        except OSError as error:
            raise as_output_error(error, self.path) from error
        self.discard()
        return Kept(self.path, identity, sha256)

    def make_room(self, size: int) -> None:
        """Remove the files used longest ago until `size` more bytes are within the limit.

        Raises:
            RemoteError: the cache cannot hold so much.
            OutputError: the disk has no room for them.
        """
        limit = int(self._access.limit_gb * 1e9)
        others = _entries(self._root, self._folder)
        needed = sum(_sizes(self._folder)) + size  # an older version stays until it is replaced
        excess = needed + sum(entry.size for entry in others) - limit
        for entry in others:
            if excess > 0 and entry.used < time.time() - IN_USE and _remove(entry.folder):
                excess -= entry.size
        if excess > 0:
            raise RemoteError(
                f"{self._access.owner}: {self.href} needs {needed / 1e9:,.3g} GB in the cache "
                f"{self._root}, which may take {limit / 1e9:,.3g} GB and holds files used within a "
                f"day; {self._remedy()}",
                self.href,
            )
        free = shutil.disk_usage(self._folder).free
        if size > free:
            raise OutputError(
                f"cannot write {self.path}: it needs {size / 1e9:,.3g} GB, but the disk has "
                f"{free / 1e9:,.3g} GB left; free some space and run again"
            )

    def _remedy(self) -> str:
        if self._access.by_user:
            return "fetch it with a browser and name the file, or remove files of the cache"
        return "set imagery.cache.gb to more"


@dataclass(frozen=True)
class _Other:
    """A file of the cache: its folder, time of last use, and bytes."""

    folder: Path
    used: float
    size: int


def _entries(root: Path, own: Path) -> list[_Other]:
    """All files of the cache but one, the one used longest ago first."""
    entries = []
    with contextlib.suppress(OSError):
        for folder in root.iterdir():
            if folder == own or not folder.is_dir():
                continue
            used = [_mtime(folder / name) for name in ("entry.json", "part")]
            entries.append(_Other(folder, max(used), sum(_sizes(folder))))
    return sorted(entries, key=lambda entry: entry.used)


def _sizes(folder: Path) -> Iterator[int]:
    for inner, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                yield os.stat(os.path.join(inner, name)).st_size


def _mtime(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _remove(folder: Path) -> bool:
    """Remove a file of the cache, unless another process fetches it now."""
    try:
        with lock(folder.with_name(f"{folder.name}.lock")):
            shutil.rmtree(folder, ignore_errors=True)
    except (Held, Finished, OSError):
        return False
    return not folder.exists()


def _read(path: Path) -> dict[str, Any]:
    """The content of a JSON file; {} where there is none, or a damaged one."""
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stated if isinstance(stated, dict) else {}
