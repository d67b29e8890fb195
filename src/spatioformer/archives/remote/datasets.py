"""Remote rasters as datasets of rasterio: only the blocks that are needed are fetched.

GDAL reads through `RemoteFile`, never over the network itself. Its callbacks cannot raise, so an
error is kept and raised when the caller gets control again; a dataset that met one never ends
without it.
"""

import contextlib
import io
import os
import re
import threading
import uuid
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from spatioformer.archives.remote.access import Access, FileChanged, RemoteError
from spatioformer.archives.remote.addresses import is_remote, local_path, without_signature
from spatioformer.archives.remote.file import RemoteFile
from spatioformer.archives.remote.spans import Span

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

Result = TypeVar("Result")

SCHEME = "archive"
OPEN = 32
"""Local rasters that each thread keeps open."""
ANEW = 3
"""How often a raster that changes while it is read is read."""
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_files: "weakref.WeakKeyDictionary[DatasetReader, RemoteFile]" = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def open_remote(href: str, access: Access) -> "Iterator[DatasetReader]":
    """Open a raster for reading, inside the block only and in one thread only.

    A remote one must be a GeoTIFF. A local one may be any raster that a run reads.

    Args:
        href: address (http, https, s3, gs) or path.

    Raises:
        RemoteError: it cannot be read, is no GeoTIFF, or a read inside the block failed.
        ImageryError: it states a size above the limit; a local one cannot be opened.
    """
    from rasterio.errors import RasterioIOError

    from spatioformer.geo.raster.opening import open_raster

    if not is_remote(href):
        try:
            dataset = open_raster(local_path(href))
        except RasterioIOError as error:
            raise RemoteError(
                f"{access.owner}: cannot open {local_path(href)}: {_plain(str(error))}; check the "
                "path",
                href,
            ) from error
        with dataset:
            yield dataset
        return
    with _opened(href, access) as (dataset, errors):
        try:
            yield dataset
        except Exception as error:
            if errors and not isinstance(error, RemoteError):
                raise errors[0] from error
            if _is_of_gdal(error):
                _files[dataset].discard()
                raise _damaged(href, access, str(error)) from error
            raise
        if errors:  # GDAL went on without what it could not read
            raise errors[0]


class _Open(threading.local):
    """Local rasters that a thread keeps open, those used last; opening one takes 3 ms."""

    def __init__(self) -> None:
        self.known: OrderedDict[Path, tuple[tuple[int, int, int], DatasetReader]] = OrderedDict()


_open_files = _Open()


def _local(path: Path) -> "DatasetReader":
    """An open raster of this computer; it is opened anew if the file has changed."""
    from rasterio.errors import RasterioIOError

    from spatioformer.geo.raster.opening import open_raster

    known = _open_files.known
    try:
        facts = path.stat()
    except OSError as error:
        known.pop(path, None)
        raise RasterioIOError(f"{path}: {error.strerror}") from error
    state = facts.st_mtime_ns, facts.st_size, facts.st_ino
    if path in known and known[path][0] == state:
        known.move_to_end(path)
        return known[path][1]
    known[path] = state, open_raster(path)
    known.move_to_end(path)
    while len(known) > OPEN:
        known.popitem(last=False)  # closed when nobody reads it any more
    return known[path][1]


def read_remote(href: str, access: Access, task: "Callable[[DatasetReader], Result]") -> Result:
    """Run a task on an open raster; it starts anew if the raster changes on its server meanwhile.

    Raises:
        RemoteError, ImageryError: as `open_remote`.
    """
    for _ in range(ANEW - 1):
        with contextlib.suppress(FileChanged):
            with open_remote(href, access) as dataset:
                return task(dataset)
    with open_remote(href, access) as dataset:
        return task(dataset)


def prefetch(
    dataset: "DatasetReader", windows: "Iterable[Window]", bands: Iterable[int] | None = None
) -> None:
    """Fetch the blocks that windows need, neighbours in one request, several requests at a time.

    A read of one of the windows then needs no network. Without it, GDAL asks for one block after
    the other. A local raster has nothing to fetch.

    Args:
        dataset: from `open_remote`.
        windows: windows of its pixels; parts outside it are left out.
        bands: numbers of the bands, from 1; None: all.

    Raises:
        RemoteError, OutputError: as `RemoteFile.fetch`.
    """
    file = _files.get(dataset)
    if file is not None:
        file.fetch(block_spans(dataset, windows, bands))


def block_spans(
    dataset: "DatasetReader", windows: "Iterable[Window]", bands: Iterable[int] | None = None
) -> list[Span]:
    """The bytes of a GeoTIFF's blocks that windows need, sorted, each block once."""
    numbers = list(dataset.indexes if bands is None else bands)
    pixel = dataset.profile.get("interleave") == "pixel"
    if pixel:
        numbers = numbers[:1]
    blocks = {
        (band, column, row)
        for window in windows
        for column, row in _blocks(dataset, window, numbers[0])
        for band in numbers
    }
    spans = {span for block in blocks if (span := _span(dataset, *block)) is not None}
    return sorted(spans)


def _blocks(dataset: "DatasetReader", window: "Window", band: int) -> Iterator[tuple[int, int]]:
    """Column and row of each block that a window touches."""
    height, width = dataset.block_shapes[band - 1]
    left, top = max(int(window.col_off), 0), max(int(window.row_off), 0)
    right = min(_ceil(window.col_off + window.width), dataset.width)
    bottom = min(_ceil(window.row_off + window.height), dataset.height)
    if right <= left or bottom <= top:
        return
    for row in range(top // height, (bottom - 1) // height + 1):
        for column in range(left // width, (right - 1) // width + 1):
            yield column, row


def _ceil(value: float) -> int:
    return -int(-value // 1)


def _span(dataset: "DatasetReader", band: int, column: int, row: int) -> Span | None:
    """The bytes of a block; None where the file has none, as it holds no data."""
    offset = dataset.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=band)
    size = dataset.get_tag_item(f"BLOCK_SIZE_{column}_{row}", "TIFF", bidx=band)
    if not offset or not size or int(size) == 0:
        return None
    return int(offset), int(offset) + int(size)


class _GdalFile(io.RawIOBase):
    """What GDAL reads from; it never raises, and gives no bytes after an error.

    GDAL's callbacks into Python lose exceptions. A read that is too short is an error to GDAL.
    """

    def __init__(self, file: RemoteFile, errors: list[BaseException]):
        super().__init__()
        self._file, self._errors, self._position = file, errors, 0

    def read(self, size: int = -1, /) -> bytes:
        if self._errors:
            return b""
        try:
            data = self._file.read_at(self._position, size)
        except BaseException as error:  # Ctrl-C would be lost too
            self._errors.append(error)
            return b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size()}
        self._position = max(base[whence] + offset, 0)
        return self._position

    def tell(self) -> int:
        return self._position


@contextlib.contextmanager
def _opened(href: str, access: Access) -> "Iterator[tuple[DatasetReader, list[BaseException]]]":
    """An open dataset, and the errors that its reads will have met."""
    import rasterio

    with RemoteFile(href, access) as file:
        if file.read_at(0, 4) not in MAGIC:
            file.discard()
            raise _damaged(href, access, "its content is no GeoTIFF")
        errors: list[BaseException] = []
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
            dataset = _open(href, access, file, errors)
        try:
            _files[dataset] = file
            yield dataset, errors
        finally:
            dataset.close()


def _open(
    href: str, access: Access, file: RemoteFile, errors: list[BaseException]
) -> "DatasetReader":
    """Open a file as a GeoTIFF and check what its header states."""
    import rasterio
    from rasterio.errors import RasterioError

    from spatioformer.geo.raster.checks import UNPLACED, check_references, check_size, text_errors

    shown = without_signature(href)
    name = PurePosixPath(urlsplit(shown).path).name or "file"
    # rasterio keeps openers by folder, so each opening has a folder of its own.
    place = f"{SCHEME}://{uuid.uuid4().hex}/raster.tif"

    def opener(path: str, mode: str = "rb") -> _GdalFile:
        if path != place or not mode.startswith("r"):
            raise FileNotFoundError(path)  # files beside it are never looked for
        return _GdalFile(file, errors)

    dataset = None
    try:
        with UNPLACED, text_errors():
            dataset = rasterio.open(place, driver="GTiff", opener=opener)
            check_size(local_path(name), dataset.width, dataset.height, dataset.count)
            check_references(dataset, local_path(name))
        if errors:
            raise errors[0]
    except Exception as error:
        if dataset is not None:
            dataset.close()
        if errors:
            raise errors[0] from error
        if isinstance(error, RasterioError):
            file.discard()
            raise _damaged(href, access, str(error)) from error
        raise
    return dataset


def _is_of_gdal(error: Exception) -> bool:
    from rasterio._err import CPLE_BaseError
    from rasterio.errors import RasterioError

    return isinstance(error, RasterioError | CPLE_BaseError)


def _damaged(href: str, access: Access, why: str) -> RemoteError:
    shown = without_signature(href)
    return RemoteError(
        f"{access.owner}: {shown} cannot be read as a GeoTIFF: {_plain(why)}; what was kept of it "
        "is removed: run again, or leave its item out",
        shown,
    )


def _plain(text: str) -> str:
    """A message of GDAL without the names under which it reads files, at most 120 characters."""
    from spatioformer.geo.raster.checks import short

    return short(re.sub(rf"\S*{SCHEME}:/+\S*raster\.tif['\"]?,?:?", "the file", text))
