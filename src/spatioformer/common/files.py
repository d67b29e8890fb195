"""Atomic writing of files and folders (write beside, then rename), JSON and hashes."""

import contextlib
import errno
import hashlib
import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spatioformer.common.errors import OutputError
from spatioformer.common.parts import part_of, remove_left

if TYPE_CHECKING:
    import numpy as np

PRIVATE = 0o600
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
UNWRITABLE = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
)


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success it replaces `path`, else it is deleted.

    The file is on the disk before it gets its name, so not even a power cut leaves a part of it.
    The temporary name keeps the suffix (`map.tif` -> `map.TOKEN.part.tif`), because drivers depend
    on it.

    Raises:
        OutputError: the folder cannot be made or written, or the disk is full.
    """
    path = Path(path)
    part = part_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():  # fail before the work, not after it
            raise OutputError(f"cannot write {path}: it is a folder; remove it or name a file")
        remove_left(path)
        yield part
        _settle(part)
        os.replace(part, path)
        _sync(path.parent)
    except OSError as error:
        raise as_output_error(error, path) from error
    finally:
        with contextlib.suppress(OSError):  # the folder may not exist
            part.unlink()


@contextlib.contextmanager
def writing_folder(path: str | Path, *, synced: bool = True) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it replaces the folder `path`.

    Args:
        synced: whether each file is on the disk before the folder gets its name. Of many thousand
            files this takes minutes.

    Raises:
        OutputError: as `writing`; also when `path` is a file.
    """
    path = Path(path)
    part = part_of(path, folder=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path, folder=True)
        part.mkdir()
        yield part
        for inner in part.rglob("*") if synced else ():
            _settle(inner)
        _sync(part)
        shutil.rmtree(path, ignore_errors=True)  # a folder cannot be renamed onto a full one
        os.replace(part, path)
        _sync(path.parent)
    except OSError as error:
        raise as_output_error(error, path) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _settle(path: Path) -> None:
    """Write a file or folder to the disk; give a file the mode that the umask asks for.

    Some libraries write through temporary files that only their owner may read.
    """
    if path.is_file():
        if stat.S_IMODE(path.stat().st_mode) == PRIVATE:
            path.chmod(0o666 & ~_umask())
        with open(path, "r+b") as stream:
            os.fsync(stream.fileno())
    else:
        _sync(path)


def _sync(folder: Path) -> None:
    """Write a folder's names to the disk, where the system can do so."""
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def set_aside(path: Path, kept: Path | None = None) -> Path:
    """Rename a damaged file to NAME.damaged, which replaces an older one; return the new path.

    Args:
        kept: path of the new name, where the folder of `path` is going to be replaced.

    Raises:
        OutputError: the folder cannot be written.
    """
    kept = path.with_name(f"{path.name}.damaged") if kept is None else kept
    try:
        if kept.is_dir():
            shutil.rmtree(kept)
        os.replace(path, kept)
    except OSError as error:
        raise as_output_error(error, kept) from error
    return kept


def remove(path: Path) -> None:
    """Delete a file, or a folder with its content."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def as_output_error(error: OSError, path: Path) -> Exception:
    """Convert an OSError to an OutputError if the user can fix it; other errors stay the same."""
    if error.errno in FULL:
        return OutputError(f"cannot write {path}: no space left; free some space and run again")
    if error.errno in UNWRITABLE:
        return OutputError(
            f"cannot write {path}: {(error.strerror or str(error)).lower()}; choose a folder you "
            "can write to"
        )
    return error


def write_text(path: str | Path, text: str) -> None:
    """Write a text file; no partial file remains if it fails."""
    with writing(path) as part:
        part.write_text(text, encoding="utf-8")


def save_array(path: str | Path, array: "np.ndarray") -> None:
    """Write an array as .npy.

    Uses Python's writer, because numpy's ignores a disk that is full at the last bytes.

    Raises:
        OSError: the array cannot be written; `writing` converts the error.
    """
    from numpy import ascontiguousarray
    from numpy.lib import format

    array = ascontiguousarray(array)
    with open(path, "wb") as stream:
        format.write_array_header_1_0(stream, format.header_data_from_array_1_0(array))
        stream.write(array.data)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON with sorted keys, so that equal values give equal files."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, default=str) + "\n")


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hash_value(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, hexadecimal."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def user_cache() -> Path:
    """The folder of this program below the user's cache folder, as each system has it."""
    home = Path.home()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        folder = Path(local) if local else home / "AppData" / "Local"
    elif sys.platform == "darwin":
        folder = home / "Library" / "Caches"
    else:
        given = os.environ.get("XDG_CACHE_HOME", "")
        # The specification says that a relative path is ignored.
        folder = Path(given) if os.path.isabs(given) else home / ".cache"
    return folder / "spatioformer"
