"""Content hashes of files, remembered by size, times and inode, so that a file is hashed once."""

import contextlib
from pathlib import Path
from typing import Any

from spatioformer.common.errors import OutputError
from spatioformer.common.files import hash_file, hash_value, read_json, write_json
from spatioformer.common.parts import is_part


class Hashes:
    """Content hashes, remembered in a JSON file: name -> {"stamp", "sha256"}.

    Args:
        store: the JSON file; an absent one remembers nothing.

    Attributes:
        path: the JSON file.
        damaged: whether the JSON file could not be read.
    """

    def __init__(self, store: Path):
        self.path = store
        self._known: dict[str, dict[str, Any]] = {}
        self._new = False
        self.damaged = False
        try:
            known = read_json(store)
            self._known = {name: dict(entry) for name, entry in known.items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            self.damaged = True

    def of(self, path: Path, name: str | None = None) -> str | None:
        """SHA-256 of a file, or of a folder's files and names; None where it is absent.

        Args:
            name: name under which the hash is remembered; None: the path.
        """
        if path.is_dir():
            files = self.inside(path, name or str(path))
            return hash_value({key: self.of(path / key, f"{name or path}/{key}") for key in files})
        name = name or str(path)
        try:
            stamp = _stamp(path)
            entry = self._known.get(name, {})
            if entry.get("stamp") == stamp and isinstance(entry.get("sha256"), str):
                return entry["sha256"]
            digest = hash_file(path) if path.is_file() else None
        except FileNotFoundError:
            return None  # the stage itself says what is missing
        if digest is not None:
            self._known[name] = {"stamp": stamp, "sha256": digest}
            self._new = True
        return digest

    def inside(self, folder: Path, name: str) -> dict[str, str | None]:
        """Hashes of all files in a folder, by their path in it."""
        paths = sorted(p for p in folder.rglob("*") if p.is_file() and not _is_surplus(p))
        keys = [path.relative_to(folder).as_posix() for path in paths]
        return {k: self.of(p, f"{name}/{k}") for k, p in zip(keys, paths, strict=True)}

    def save(self) -> None:
        """Write the JSON file, if anything was hashed; where it cannot be, time is lost later."""
        if self._new:
            with contextlib.suppress(OutputError):
                write_json(self.path, self._known)
            self._new = False


def _is_surplus(path: Path) -> bool:
    return is_part(path) or path.suffix == ".damaged"


def _stamp(path: Path) -> list[int]:
    stat = path.stat()
    # The time of change too: a copy that keeps the date of an older file has a new one.
    return [stat.st_size, stat.st_mtime_ns, stat.st_ino, stat.st_ctime_ns]
