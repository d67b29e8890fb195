"""Temporary names of files that are being written, and removal of those that a killed process left.

A temporary name is unique: `map.tif` is written as `map.PID-HOST-RANDOM.part.tif`. The process id
and the host's mark say whether the process that writes it still lives.
"""

import contextlib
import hashlib
import os
import re
import secrets
import shutil
import socket
import sys
import time
from pathlib import Path

OLD = 24 * 3600
"""Seconds without a change after which a file of another machine counts as left behind."""

_TOKEN = re.compile(r".+\.(?P<pid>\d+)-(?P<host>[0-9a-f]{6})-[0-9a-f]{8}\.part(\..+)?")


def part_of(path: Path, *, folder: bool = False) -> Path:
    """A new temporary path beside `path`; a file's keeps the suffix, because drivers need it."""
    token = f"{os.getpid()}-{_host()}-{secrets.token_hex(4)}"
    if folder:
        return path.with_name(f"{path.name}.{token}.part")
    return path.with_name(f"{path.stem}.{token}.part{path.suffix}")


def is_part(path: Path) -> bool:
    """Whether the name is a temporary one, of this or an older version."""
    return path.stem.endswith(".part") or _TOKEN.fullmatch(path.name) is not None


def remove_left(path: Path, *, folder: bool = False) -> None:
    """Remove what killed processes left of `path`; files of living processes stay."""
    stem, suffix = (path.name, "") if folder else (path.stem, path.suffix)
    _discard(path.with_name(f"{stem}.part{suffix}"))  # the only name up to version 0.1
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            if name.startswith(f"{stem}.") and ".part" in name and _is_left(path.parent / name):
                _discard(path.parent / name)


def sweep(folder: Path) -> None:
    """Remove all temporary files and folders below `folder`, in which nobody else works."""
    for path in list(folder.rglob("*.part*")):
        if _TOKEN.fullmatch(path.name):
            _discard(path)


def _is_left(path: Path) -> bool:
    match = _TOKEN.fullmatch(path.name)
    if match is None:
        return False
    if match["host"] == _host() and sys.platform != "win32":
        return not _lives(int(match["pid"]))
    return time.time() - path.stat().st_mtime > OLD


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's
        return True
    return True


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


def _host() -> str:
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]
