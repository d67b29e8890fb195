"""Files that a raster or vector file refers to, found without opening it with GDAL.

GDAL reads more than the file that it is given: the sources of a VRT, masks, overviews, world files,
a GeoPackage's journal, the parts of a shapefile. A change of one of them changes what is read.
"""

import html
import re
from collections.abc import Iterator
from pathlib import Path

BESIDE = (".aux.xml", ".ovr", ".msk", ".msk.ovr", ".hdr", "-wal", "-journal")
"""Ends that GDAL appends to the whole name."""
INSTEAD = (
    *(".aux", ".wld", ".prj", ".hdr", ".rrd", ".ige", ".rpb", ".rpc", "_rpc.txt", ".imd", ".tab"),
    *(".shx", ".dbf", ".cpg", ".qpj", ".qix", ".sbn", ".sbx", ".gfs", ".stx", ".clr"),
)
"""Ends that take the place of the suffix."""

VRT_BYTES = 64 << 20  # a larger VRT is read up to here
SNIFFED = 4096
_SOURCE = re.compile(
    rb"<(SourceFilename|SourceDataset|SourceVRT|SrcDataSource)\b([^>]*)>\s*([^<]*?)\s*<"
)
_ABSOLUTE = re.compile(r"[A-Za-z]:[\\/]|[\\/]")
_SUBDATASET = re.compile(r"(?i)(?:netcdf|hdf4|hdf5|gtiff_dir|zarr|grib|gpkg)[^:]*:(.+)")


def related_files(path: str | Path) -> list[Path]:
    """Files besides `path` itself from which its content is read, sorted; each exists.

    Sources of a VRT are followed through VRTs that it names. Addresses of networks are left out.
    """
    files: dict[Path, None] = {}
    waiting = [Path(path)]
    while waiting:
        file = waiting.pop()
        for other in (*_sidecars(file), *_sources(file)):
            if other not in files and other != Path(path):
                files[other] = None
                waiting.append(other)
    return sorted(files)


def _sidecars(path: Path) -> Iterator[Path]:
    if not path.is_file():
        return
    short = path.suffix[1:2] + path.suffix[-1:]
    world = (f".{short}w", f"{path.suffix}w") if path.suffix else ()
    names = [path.name + end for end in BESIDE]
    names += [path.stem + end for end in dict.fromkeys([*INSTEAD, *world])]
    names += [path.stem + end.upper() for end in dict.fromkeys([*INSTEAD, *world])]
    listed: list[Path] = []
    for name in names:
        other = path.with_name(name)
        # An empty journal holds nothing; where names ignore case, one file has two names.
        if other.is_file() and other.stat().st_size and not any(map(other.samefile, listed)):
            listed.append(other)
            if not other.samefile(path):
                yield other


def _sources(path: Path) -> Iterator[Path]:
    """The files that a VRT names; none of another file."""
    try:
        if not path.is_file():
            return
        with open(path, "rb") as stream:
            start = stream.read(SNIFFED)
            if b"<VRTDataset" not in start and b"<OGRVRTDataSource" not in start:
                return
            text = start + stream.read(VRT_BYTES)
    except OSError:
        return
    for _, attributes, name in _SOURCE.findall(text):
        relative = re.search(rb"relative(?:ToVRT)?\s*=\s*[\"']?(1|yes|true)", attributes, re.I)
        yield from _located(html.unescape(name.decode("utf-8", "replace")), path, bool(relative))


def _located(name: str, vrt: Path, relative: bool) -> Iterator[Path]:
    """The file of a source's name, where it is one on this machine."""
    if match := _SUBDATASET.fullmatch(name):
        quoted = re.match(r'"([^"]+)"', match[1])
        name = quoted[1] if quoted else match[1]
    if name.startswith("vrt://"):
        name = name[len("vrt://") :].partition("?")[0]
    if "\0" in name or name.startswith("/vsi") or "://" in name:
        return
    folder = vrt.parent if relative and not _ABSOLUTE.match(name) else Path()
    while name:
        file = folder / name
        try:
            if file.is_file():
                yield file
                return
        except OSError:
            return
        name = name.rpartition(":")[0]  # the name of a variable inside
