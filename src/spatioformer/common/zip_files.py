"""Members of zip archives; hostile archives are refused before anything is read.

Refused are paths that lead outside, passwords, names that occur twice, and members that unpack to
far more than they take.
"""

import zipfile
import zlib
from pathlib import Path

from spatioformer.common.errors import SpatioformerError

LARGEST = 40_000_000_000
"""Bytes of all files of an archive, unpacked."""

MOST_FILES = 20_000  # a GBIF download has one a dataset

DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""Errors of a damaged archive, when it is opened or read."""

_BOMB_RATIO, _BOMB_SIZE = 250, 100_000_000  # tables of records shrink to a tenth, seldom a fiftieth


def zip_members(path: Path, error: type[SpatioformerError]) -> dict[str, int]:
    """The files of a zip archive, in its order: name -> bytes, unpacked.

    Args:
        error: class of the errors.

    Raises:
        error: no archive, a damaged or hostile one, or too many files.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
    except (*DAMAGED, ValueError) as reason:
        raise error(
            f"{path.name} is not a readable zip archive ({one_line(reason)}); fetch it again"
        ) from reason
    except OSError as reason:
        why = (reason.strerror or str(reason)).lower()
        raise error(f"cannot read {path}: {why}; check the file") from reason
    sizes: dict[str, int] = {}
    for info in members:
        if fault := _fault(info, sizes):
            raise error(f"the file {_quoted(info.filename)} of {path.name} {fault}")
        sizes[info.filename] = info.file_size
    total = sum(sizes.values())
    if total > LARGEST or len(sizes) > MOST_FILES:
        raise error(
            f"{path.name} unpacks to {len(sizes):,} files of {total / 1e9:,.1f} GB, more than is "
            f"read ({MOST_FILES:,} files, {LARGEST / 1e9:.0f} GB); unpack it and name its parts"
        )
    return sizes


def _fault(info: zipfile.ZipInfo, sizes: dict[str, int]) -> str:
    """Why a member is refused: it is hostile, or hides another one; '' if it is not."""
    ratio = info.file_size / max(1, info.compress_size)
    if leads_outside(info.filename):
        return "leads outside the archive; fetch the archive from where it was published"
    if info.filename in sizes:
        return "is there twice; keep one of the two"
    if info.flag_bits & 1:
        return "has a password; save the archive without one"
    if info.file_size > _BOMB_SIZE and ratio > _BOMB_RATIO:
        return (
            f"unpacks to {ratio:,.0f} times its size, as no table does; fetch the archive from "
            f"where it was published"
        )
    return ""


def leads_outside(name: str) -> bool:
    """Whether a path of an archive leads out of it."""
    parts = name.replace("\\", "/").split("/")
    return ".." in parts or parts[0] == "" or parts[0].endswith(":") or "\0" in name


def one_line(error: BaseException) -> str:
    """The message of an error of a library, on one short line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:200]


def _quoted(name: str) -> str:
    return repr(name) if len(name) <= 60 else repr(name[:40]) + "..."
