"""Which driver reads which extension, and how a file's first bytes show its format."""

import re
from pathlib import Path

EXTENSIONS = {
    "GTiff": (".tif", ".tiff", ".gtiff", ".gtif"),
    "VRT": (".vrt",),
    "netCDF": (".nc", ".nc4", ".cdf"),
    "HDF5": (".h5", ".hdf5", ".he5"),
    "JPEG": (".jpg", ".jpeg"),
    "PNG": (".png",),
    "JP2OpenJPEG": (".jp2", ".j2k"),
    "GRIB": (".grb", ".grb2", ".grib", ".grib2"),
    "HFA": (".img",),
    "AAIGrid": (".asc",),
    "EHdr": (".bil", ".bip", ".bsq", ".flt"),
    "RRASTER": (".grd",),
}
LISTED = ", ".join(endings[0] for endings in EXTENSIONS.values())

XML = "XML"
GRIDS = {b"DSBB": "GSBG", b"DSRB": "GS7BG", b"DSAA": "GSAG", b"CDF": "netCDF", b"\x89HDF": "netCDF"}
"""Formats that share the extension .grd, by their first bytes."""

FORMATS = (
    ("a GeoTIFF", re.compile(rb"II[*+]\0|MM\0[*+]"), ("GTiff",)),
    ("a NetCDF file", re.compile(rb"CDF[\1\2\5]"), ("netCDF",)),
    ("an HDF5 file", re.compile(rb"\x89HDF\r\n\x1a\n"), ("netCDF", "HDF5")),
    ("a JPEG", re.compile(rb"\xff\xd8\xff"), ("JPEG",)),
    ("a PNG", re.compile(rb"\x89PNG\r\n\x1a\n"), ("PNG",)),
    ("a JPEG 2000", re.compile(rb"\0\0\0\x0cjP  \r\n|\xff\x4f\xff\x51"), ("JP2OpenJPEG",)),
    ("an ERDAS image", re.compile(rb"EHFA_HEADER_TAG"), ("HFA",)),
    ("a GRIB file", re.compile(rb"GRIB"), ("GRIB",)),
    ("XML", re.compile(rb"(\xef\xbb\xbf)?\s*<[?!A-Za-z]"), ()),
)
DRIVERS = {name: drivers for name, _, drivers in FORMATS}
"""Name of a format -> the drivers that read it."""


def format_of(head: bytes) -> str | None:
    """Name of the format whose signature a file begins with; None: a format without one."""
    return next((name for name, start, _ in FORMATS if start.match(head)), None)


def driver_of(file: Path, head: bytes) -> str | None:
    """Name of the driver that reads a file of this extension; None: no driver is listed."""
    ending = file.suffix.lower()
    driver = next((name for name, endings in EXTENSIONS.items() if ending in endings), None)
    if driver == "RRASTER":
        return next((name for start, name in GRIDS.items() if head.startswith(start)), driver)
    return driver
