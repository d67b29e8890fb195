"""Files of an archive: a zip file or a folder, read without being unpacked.

Hostile archives are refused before anything is read: paths that lead outside, passwords, and files
that unpack to far more than they take.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from spatioformer.common.errors import PlotError
from spatioformer.common.zip_files import (
    DAMAGED,
    MOST_FILES,
    leads_outside,
    one_line,
    zip_members,
)
from spatioformer.geo.plots.source import quoted

LARGEST_TEXT = 20_000_000
"""Bytes of a file that is read as a whole, such as meta.xml."""


class Store:
    """The files of a zip archive or a folder, by their names with `/`.

    Attributes:
        path: the archive.
        names: its files, in the archive's order; without those that systems add (`__MACOSX`).

    Raises:
        PlotError: no archive, a damaged or hostile one, or too many files.
    """

    def __init__(self, path: Path):
        self.path = path
        self._is_folder = path.is_dir()
        self._names = self._list_folder() if self._is_folder else zip_members(path, PlotError)
        self.names = [n for n in self._names if not _is_litter(n)]
        if not self.names:
            raise PlotError(f"{path.name} holds no file; name the archive as it was downloaded")

    def size(self, name: str) -> int:
        """Bytes of a file, unpacked."""
        return self._names[name]

    def find(self, name: str) -> str | None:
        """The file of that name, in any case: at the top, or in the only folder that has it."""
        matches = [n for n in self.names if PurePosixPath(n).name.lower() == name.lower()]
        top = [n for n in matches if "/" not in n]
        if top:
            return top[0]
        depth = min((n.count("/") for n in matches), default=0)
        nearest = [n for n in matches if n.count("/") == depth]
        return nearest[0] if len(nearest) == 1 else None

    def beside(self, name: str, location: str) -> str:
        """The file at a location that a file of the archive states, relative to that file.

        Raises:
            PlotError: the location leads outside the archive, or the file is absent.
        """
        if leads_outside(location) or ":" in location:
            raise PlotError(
                f"{name} of {self.path.name} names the file {quoted(location)}, which lies outside "
                f"the archive; a data file must be inside it"
            )
        full = str(PurePosixPath(PurePosixPath(name).parent, location))
        if full not in self._names:
            raise PlotError(
                f"{name} of {self.path.name} names the file {quoted(location)}, which the archive "
                f"does not hold; fetch the archive again"
            )
        return full

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A file of the archive as a stream of bytes.

        Raises:
            PlotError: the file is damaged, also while it is read.
        """
        try:
            if self._is_folder:
                with (self.path / name).open("rb") as stream:
                    yield stream
            else:
                with zipfile.ZipFile(self.path) as archive, archive.open(name) as stream:
                    yield stream
        except DAMAGED as error:
            raise PlotError(
                f"{name} of {self.path.name} is damaged ({one_line(error)}); fetch the archive "
                f"again"
            ) from error
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise PlotError(
                f"cannot read {name} of {self.path}: {reason}; check the file"
            ) from error

    def read(self, name: str) -> bytes:
        """The content of a small file, such as meta.xml.

        Raises:
            PlotError: it is damaged, or larger than LARGEST_TEXT.
        """
        if self.size(name) > LARGEST_TEXT:
            raise PlotError(
                f"{name} of {self.path.name} has {self.size(name) / 1e6:,.0f} MB, more than such a "
                f"file may have ({LARGEST_TEXT / 1e6:.0f} MB); check the archive"
            )
        with self.open(name) as stream:
            return stream.read()

    def start(self, name: str, length: int) -> bytes:
        """The first bytes of a file."""
        parts: list[bytes] = []
        with self.open(name) as stream:
            while length > 0 and (part := stream.read(length)):
                parts.append(part)
                length -= len(part)
        return b"".join(parts)

    def _list_folder(self) -> dict[str, int]:
        sizes = {}
        for file in sorted(self.path.rglob("*")):
            if file.is_file() and file.resolve().is_relative_to(self.path.resolve()):
                sizes[file.relative_to(self.path).as_posix()] = file.stat().st_size
                if len(sizes) > MOST_FILES:
                    raise PlotError(
                        f"{self.path} holds more than {MOST_FILES:,} files; name the folder of one "
                        f"archive"
                    )
        return sizes


def _is_litter(name: str) -> bool:
    """Whether a file is one that systems add to archives and folders."""
    parts = PurePosixPath(name).parts
    return any(part == "__MACOSX" or part.startswith(".") for part in parts)
