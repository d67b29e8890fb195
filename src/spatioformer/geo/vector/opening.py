"""Read a vector file that a user gives: GeoPackage, GeoJSON, shapefile or GeoParquet.

OGR chooses the driver by content, and some drivers fetch from a network or read other files. Here
the extension and the content must agree on one of four formats before OGR sees the file.
docs/security.md describes what that prevents.
"""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas as gpd
import pyogrio

from spatioformer.common.errors import PlotError, SpatioformerError
from spatioformer.geo.crs import fault_in_file, names_file, short_name
from spatioformer.geo.vector.stated_crs import problem_of_geojson, problem_of_parquet

FORMATS = {".gpkg": "GeoPackage", ".geojson": "GeoJSON", ".json": "GeoJSON", ".shp": "shapefile"}
PARQUET = (".parquet", ".geoparquet")
ADVICE = "give a GeoPackage, GeoJSON, shapefile or GeoParquet (.gpkg, .geojson, .shp, .parquet)"
ELSEWHERE = "its CRS names another file"
LONGEST_CRS = 1_000_000  # characters of a .prj
SHAPEFILE = b"\0\0\x27\x0a"
VIRTUAL = re.compile(r"create\s+virtual\s+table\b.*?\busing\s+[\"'`\[]?(\w+)", re.I | re.S)
INDEXES = {"rtree", "fts3", "fts4", "fts5"}
READS_FILES = re.compile(
    r"\b(gdal_\w+|ogr_\w+|load_extension|readfile|import\w+)\W{0,2}\s*\(", re.I
)


def read_vector(
    path: str | Path, layer: str | None = None, error: type[SpatioformerError] = PlotError
) -> Any:
    """Read a layer of a vector file as a GeoDataFrame, or a DataFrame if it has no geometry.

    Args:
        layer: its name; None: the first.
        error: class of the errors.

    Raises:
        SpatioformerError: of the class `error`: the file is missing, damaged, or of another format,
            or its CRS is none of the Earth.
    """
    file = Path(path)
    name = check_vector(file, error)
    if file.suffix.lower() in PARQUET:
        frame = _tried(file, error, lambda: gpd.read_parquet(file))
    else:
        frame = _tried(file, error, lambda: gpd.read_file(name, layer=layer))
    check_crs(frame, str(file), error)
    return frame


def check_crs(frame: Any, source: str, error: type[SpatioformerError] = PlotError) -> None:
    """Raise if the geometries of a table have a CRS without longitude and latitude.

    A table without a CRS or without geometries is left to the caller.

    Raises:
        SpatioformerError: of the class `error`.
    """
    crs = getattr(frame, "crs", None)
    if crs is not None and (reason := fault_in_file(crs)):
        raise error(
            f"the coordinate reference system of {source} ({short_name(crs)}) {reason}; write the "
            "right one into the file, for example with ogr2ogr -a_srs EPSG:4326"
        )


def list_layers(path: str | Path, error: type[SpatioformerError] = PlotError) -> list[str]:
    """Names of the layers of a vector file.

    Raises:
        SpatioformerError: as `read_vector`.
    """
    file = Path(path)
    name = check_vector(file, error)
    if file.suffix.lower() in PARQUET:
        return [file.stem]
    return _tried(file, error, lambda: [str(row[0]) for row in pyogrio.list_layers(name)])


def check_vector(file: Path, error: type[SpatioformerError] = PlotError) -> str:
    """The name by which OGR reads a vector file, after a look at its kind and content.

    Raises:
        SpatioformerError: of the class `error`: no regular file, a format that is not listed, or
            content of another format than the extension says.
    """
    if not file.exists():
        raise error(f"{file} cannot be read (no such file); {ADVICE}")
    if not file.is_file():
        raise error(f"{file} is not a regular file; {ADVICE}")
    ending = file.suffix.lower()
    if ending not in FORMATS and ending not in PARQUET:
        raise error(f"{file} has the extension {ending or '(none)'!r}, which is not read; {ADVICE}")
    problem = problem_of(file)
    if problem:
        raise error(f"{file} cannot be read ({problem}); {ADVICE}")
    # Absolute, so that a file's name is never taken for a driver's prefix.
    place = str(file.absolute())
    return f"GeoJSON:{place}" if FORMATS.get(ending) == "GeoJSON" else place


def problem_of(file: Path) -> str:
    """Why the content of a regular file must not be given to OGR; empty: it may."""
    try:
        return _problem(file, file.suffix.lower())
    except (OSError, sqlite3.Error) as reason:
        return str(reason)


def _problem(file: Path, ending: str) -> str:
    with open(file, "rb") as stream:
        head = stream.read(1024)
    if ending in PARQUET:
        return problem_of_parquet(file) if head.startswith(b"PAR1") else "it is not a Parquet file"
    if ending == ".shp":
        return _problem_of_prj(file) if head.startswith(SHAPEFILE) else "it is not a shapefile"
    if ending == ".gpkg":
        if not head.startswith(b"SQLite format 3\0"):
            return "it is not a GeoPackage"
        return _problem_of_database(file)
    if not head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{"):
        return "it is not a GeoJSON file"
    return problem_of_geojson(file)


def _problem_of_prj(file: Path) -> str:
    """What the CRS beside a shapefile would read; empty: nothing."""
    for ending in (".prj", ".PRJ", ".Prj"):
        beside = file.with_suffix(ending)
        if beside.is_file():
            with open(beside, encoding="latin-1") as stream:
                text = stream.read(LONGEST_CRS + 1)
            if len(text) > LONGEST_CRS or names_file(text):
                return ELSEWHERE
    return ""


def _problem_of_database(file: Path) -> str:
    """What in a GeoPackage could read other files: virtual tables, views that call GDAL, CRSs."""
    for option in ("mode=ro", "immutable=1"):  # a write-ahead log needs a writable folder
        try:
            with closing(sqlite3.connect(f"{file.absolute().as_uri()}?{option}", uri=True)) as base:
                base.execute("PRAGMA trusted_schema = OFF")
                rows = base.execute("SELECT name, sql FROM sqlite_master").fetchall()
                crss = _stated_crss(base)
            break
        except sqlite3.OperationalError:
            if option == "immutable=1":
                raise
    for name, sql in rows:
        virtual = VIRTUAL.search(str(sql or ""))
        if (virtual and virtual[1].lower() not in INDEXES) or READS_FILES.search(str(sql or "")):
            return f"its table {str(name)[:60]!r} reads other files"
    return ELSEWHERE if any(names_file(crs) for crs in crss) else ""


def _stated_crss(base: sqlite3.Connection) -> list[str]:
    """Texts of the CRSs in a GeoPackage; none if it has no table of them."""
    try:
        return [
            str(value)
            for row in base.execute("SELECT * FROM gpkg_spatial_ref_sys")
            for value in row
            if isinstance(value, str | bytes)
        ]
    except sqlite3.OperationalError:
        return []


def _tried(file: Path, error: type[SpatioformerError], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except Exception as reason:  # OGR, PROJ, shapely and pyarrow raise many unrelated kinds
        first = (str(reason).splitlines() or [""])[0] or type(reason).__name__
        raise error(f"{file} cannot be read ({first[:200]}); {ADVICE}") from reason
