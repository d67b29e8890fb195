"""Look at a raster file before GDAL opens it: its kind, content, sidecars and stated size."""

import html
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioIOError
from rasterio.io import DatasetReader

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import names_file
from spatioformer.geo.raster.cdf import problem_of_header
from spatioformer.geo.raster.signatures import DRIVERS, LISTED, XML, driver_of, format_of

MOST_PIXELS = 1e11  # 400 GB a band in float32
LONGEST_SIDE = 50_000_000  # the equator at 0.8 m
MOST_BANDS = 65_535
BYTES_A_VALUE = 30  # at the peak of reading a NetCDF variable, measured: 28 to 29
MOST_TAGGED = 100  # bands whose tags are looked at when a raster is opened
SIDECARS = (".ovr", ".msk", ".msk.ovr", ".ovr.msk", ".ovr.ovr")
MOST_XML_BYTES = 64_000_000
READ_ELSEWHERE = re.compile(
    rb"OVERVIEW_FILE|[XY]_DATASET|GRIDS(=|\"\s*,\s*\")[^\s\"]*[/\\]"
    rb"|PARAMETERFILE[^\]]*[/\\]",
    re.IGNORECASE,
)
SUBDATASET = re.compile(r'(netcdf|hdf5):("?)(.+)\2:([\w./ -]+)', re.IGNORECASE)


@dataclass(frozen=True)
class Trust:
    """What a raster may do beyond being read.

    Args:
        everything: it may refer to any file and have any size (`imagery.trust: true`).
        folder: files in this folder may be referred to, besides those in the raster's own.
    """

    everything: bool = False
    folder: Path | None = None


UNTRUSTED = Trust()


def refuse_address(path: Path | str) -> None:
    """Raise if a path is an address on a network, or a name that GDAL gives a meaning of its own.

    Raises:
        ImageryError: it is.
    """
    text = str(path)
    if not Path(path).exists() and re.search(r"(^|/)[A-Za-z][A-Za-z0-9+.-]+:/|^/vsi", text):
        raise ImageryError(
            f"{short(text)} is not a file on this computer, and rasters are not read from a "
            "network; download it and give its path"
        )


def check_file(file: Path, trust: Trust = UNTRUSTED) -> str:
    """The driver that reads a raster file, after a look at its kind, content and sidecars.

    Raises:
        ImageryError: as `open_raster`.
        RasterioIOError: it does not exist or may not be read.
    """
    try:
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            raise ImageryError(f"{file} is {_kind(mode)}, not a raster file; give a file")
        with open(file, "rb") as stream:
            head = stream.read(1024)
    except (OSError, ValueError) as error:
        raise RasterioIOError(f"{short(str(file))}: {error}") from error
    driver = driver_of(file, head)
    if driver is None:
        raise ImageryError(
            f"{file} has the extension {file.suffix or '(none)'!r}, which is not read; give one of "
            f"{LISTED}, for example with gdal_translate {file.name} {file.stem}.tif"
        )
    content = format_of(head)
    if driver != "VRT" and content is not None and driver not in DRIVERS[content]:
        remedy = (
            "by which GDAL could read other files; give a raster file, or name a VRT .vrt"
            if content == XML
            else "which is another format; give it the extension of that format"
        )
        raise ImageryError(
            f"{file} ends with {file.suffix}, but its content is {content}, {remedy}"
        )
    if content == "a NetCDF file" and (problem := problem_of_header(file)):
        raise RasterioIOError(f"{short(str(file))} has no valid NetCDF header: {problem}")
    if not trust.everything:
        _check_sidecars(file)
    return driver


def check_references(dataset: DatasetReader, file: Path) -> None:
    """Raise if an open raster names files elsewhere in its metadata, for GDAL to open later.

    Raises:
        ImageryError: it does.
    """
    remedy = ""
    if "OVERVIEW_FILE" in {key.upper() for key in dataset.tags(ns="OVERVIEWS")}:
        remedy = "-nomd"
    elif dataset.crs is not None and names_file(dataset.crs.to_wkt()):
        remedy = "-a_srs and its CRS, such as EPSG:4326"
    if remedy:
        raise ImageryError(
            f"{file} refers to another file in its metadata, which is not read; copy it with "
            f"gdal_translate {remedy}{WAY_OUT}"
        )


WAY_OUT = ", or in a run set `imagery.trust: true` if you trust it"


def check_leaf(file: Path, driver: str) -> None:
    """Open a source of a VRT alone, with its own driver, and look at its metadata."""
    with open_with(str(file), driver) as dataset:
        check_references(dataset, file)


class _Quiet:
    """Ignores warnings about a missing georeference while any thread is inside.

    `warnings.catch_warnings` alone restores the filters of other threads.
    """

    def __init__(self) -> None:
        self._guard, self._inside = threading.Lock(), 0
        self._filters: warnings.catch_warnings | None = None

    def __enter__(self) -> None:
        with self._guard:
            if self._inside == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore", NotGeoreferencedWarning)
            self._inside += 1

    def __exit__(self, *error: object) -> None:
        with self._guard:
            self._inside -= 1
            if self._inside == 0 and self._filters is not None:
                self._filters.__exit__(None, None, None)


UNPLACED = _Quiet()
"""Without warnings about a missing georeference, which the callers check."""


def open_with(name: str, driver: str) -> DatasetReader:
    """Open a raster with one driver, without a warning about a missing georeference."""
    with UNPLACED, text_errors():
        dataset = rasterio.open(name, driver=driver)
        try:
            _read_texts(dataset)
        except Exception:
            dataset.close()
            raise
    return dataset


@contextmanager
def text_errors() -> Iterator[None]:
    """Turn errors in text of a file, which rasterio lets through, into RasterioIOError."""
    try:
        yield
    except (UnicodeDecodeError, CRSError, CPLE_BaseError) as error:
        raise RasterioIOError(f"its text is damaged: {short(str(error))}") from error


def _read_texts(dataset: DatasetReader) -> None:
    """Read all texts of a raster once, so that no later access fails."""
    _ = dataset.crs, dataset.descriptions, dataset.tags(), dataset.colorinterp
    for band in dataset.indexes[:MOST_TAGGED]:
        dataset.tags(band)


def check_size(file: Path, width: int, height: int, bands: int = 1) -> None:
    """Raise if a raster states more pixels or bands than are read.

    Raises:
        ImageryError: it does.
    """
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS or bands > MOST_BANDS:
        raise ImageryError(
            f"{file} states {width} x {height} pixels and {bands} bands, above the limit of "
            f"{LONGEST_SIDE} pixels a side, {MOST_PIXELS:.0e} pixels and {MOST_BANDS} bands; cut "
            f"it with gdal_translate -projwin{WAY_OUT}"
        )


def check_memory(owner: str, steps: int, height: int, width: int) -> None:
    """Raise if a NetCDF variable, which is read as a whole, does not fit into the memory.

    Args:
        owner: subject of the message, such as "layer rain: rain.nc".

    Raises:
        ImageryError: it takes more than the computer has.
    """
    needed, present = BYTES_A_VALUE * steps * height * width, memory_of_computer()
    if present is not None and needed > present:
        raise ImageryError(
            f"{owner} has {steps} steps of {height} x {width} pixels, which take about "
            f"{needed / 1e9:,.2g} GB when they are read, and this computer has "
            f"{present / 1e9:,.2g} GB of memory; cut out the region first, for example with "
            "cdo sellonlatbox,W,E,S,N IN.nc OUT.nc, or keep fewer steps"
        )


def memory_of_computer() -> int | None:
    """Bytes of memory; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def _check_sidecars(file: Path) -> None:
    """Raise if a file beside a raster, which GDAL opens with it, is not what its name says."""
    for ending in ("", *SIDECARS):
        for name in {ending, ending.upper()}:
            beside = Path(f"{file}{name}")
            if ending and beside.exists():
                with _regular(beside) as stream:
                    if format_of(stream.read(1024)) != "a GeoTIFF":
                        raise ImageryError(
                            f"{beside} is not a TIFF, as the {ending.rpartition('.')[2]} file of a "
                            f"raster must be; remove it{WAY_OUT}"
                        )
            notes = Path(f"{beside}.aux.xml")
            if notes.exists():
                with _regular(notes) as stream:
                    content = stream.read(MOST_XML_BYTES + 1)
                plain = html.unescape(content.decode("latin-1")).encode("latin-1", "replace")
                if len(content) > MOST_XML_BYTES or READ_ELSEWHERE.search(plain):
                    raise ImageryError(
                        f"{notes} refers to another file or is too large; remove it{WAY_OUT}"
                    )


def _regular(path: Path):
    if not path.is_file():
        raise ImageryError(f"{path} is not a regular file; remove it")
    return open(path, "rb")


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
    }
    return kinds.get(stat.S_IFMT(mode), "no regular file")


def short(text: str) -> str:
    """At most 120 printable characters of a text from a file, to quote it in a message."""
    shown = "".join(c if c.isprintable() else " " for c in text)
    return shown if len(shown) <= 120 else f"{shown[:117]}..."
