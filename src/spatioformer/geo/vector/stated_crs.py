"""The CRS that a GeoJSON or GeoParquet file states, checked before OGR or PROJ reads it.

OGR follows a link to a CRS over the network, opens a file that PROJ finds in its name, and takes a
CRS that it does not know for longitude and latitude, each without a word.
"""

import json
import mmap
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet
from pyproj import CRS
from pyproj.exceptions import CRSError

from spatioformer.geo.crs import names_file

PIPELINE = b"gdal_streamed_alg"  # JSON by which OGR runs a command
_MEMBER = re.compile(  # OGR ignores case; letters may be escaped
    rb"""["'](?:c|\\u00[46]3)(?:r|\\u00[57]2)(?:s|\\u00[57]3)["']\s*""", re.IGNORECASE
)
_NAME = re.compile(r"(urn:ogc:def:crs:|)[A-Za-z]\w*:+[\w.]*(:\w+)?")
_TEXT = re.compile(rb':\s*"([^"]*)"')
_LONGEST = 10_000  # bytes of a CRS in GeoJSON


def problem_of_geojson(file: Path) -> str:
    """Why a GeoJSON file must not be given to OGR; empty: it may."""
    with open(file, "rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as text:
        if text.find(PIPELINE) >= 0:
            return "it would run a command of GDAL"
        begin, end = text.find(b'"features"'), text.rfind(b"]")
        for member in _MEMBER.finditer(text):
            after = text[member.end() : member.end() + _LONGEST]
            if problem := _problem_of_member(after):
                return problem
            outside = member.start() < begin or member.start() > end
            if outside and (stated := _TEXT.match(after)):
                return (
                    f"its CRS is the text {stated[1][:60].decode('latin-1')!r}, which readers "
                    "ignore; state it as "
                    '{"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::4326"}}'
                )
    return ""


def _problem_of_member(after: bytes) -> str:
    """What is wrong with the text that follows "crs"; empty: nothing, or it is no member."""
    if after[:1] in (b",", b"}", b"]", b""):  # a value
        return ""
    value = after[1:].lstrip()
    if after[:1] == b":" and not value.startswith(b"{"):  # null, or an attribute
        return ""
    try:
        stated, _ = json.JSONDecoder(object_pairs_hook=sorted).raw_decode(value.decode("latin-1"))
    except (ValueError, RecursionError, TypeError):
        return "its CRS is damaged"
    return _problem_of_crs(stated)


def _problem_of_crs(stated: Any) -> str:
    """What is wrong with the members of a CRS object, as sorted pairs of names and values."""
    match stated:
        case [("properties", [("name", str(name))]), ("type", "name")]:
            known = bool(_NAME.fullmatch(name)) and _is_known(name)
        case [("properties", [("name", None)]), ("type", "name")]:
            return ""
        case [("properties", [("code", int() | str() as code)]), ("type", "EPSG")]:
            name = f"EPSG:{code}"
            known = bool(_NAME.fullmatch(name)) and _is_known(name)
        case [("properties", [("urn", str(name))]), ("type", "OGC")]:
            known = bool(_NAME.fullmatch(name)) and _is_known(name)
        case _:
            return "its CRS is stated otherwise than by a name such as urn:ogc:def:crs:EPSG::4326"
    return "" if known else f"its CRS {name[:60]!r} is unknown"


def _is_known(name: str) -> bool:
    try:
        CRS.from_user_input(name)
    except CRSError:
        return False
    return True


def problem_of_parquet(file: Path) -> str:
    """Why the geometries of a Parquet file must not be read; empty: they may, or there are none."""
    try:
        metadata = pyarrow.parquet.read_schema(file).metadata or {}
    except (OSError, ValueError):  # the reader says why
        return ""
    try:
        columns = json.loads(metadata.get(b"geo", b"{}")).get("columns", {}).values()
        crss = [column.get("crs") for column in columns]
    except (ValueError, AttributeError, RecursionError):
        return "its metadata are damaged"
    for crs in crss:
        if isinstance(crs, str) and names_file(crs):
            return "its CRS names another file"
        try:
            if crs is not None:
                CRS.from_user_input(crs)
        except (CRSError, TypeError, ValueError):
            return "its CRS is unknown"
    return ""
