"""Plot and species files as rows of text cells, with line numbers.

Cells stay text until the checks parse them. So a rejected row can be quoted exactly as it is in the
file, and the same parsers serve CSV, TSV, Parquet and GeoPackage.
"""

import csv
import difflib
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError
from pyproj import CRS

from spatioformer.common.errors import PlotError
from spatioformer.geo.vector.opening import problem_of

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})
"""Texts, in lower case, that mean a missing value in every column."""

GEOMETRY_X, GEOMETRY_Y = "(geometry x)", "(geometry y)"
"""Names of the columns added for the point geometries of a source."""

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_SPREADSHEETS = {".xlsx", ".xls", ".xlsm", ".ods"}
_CONTROL_BYTES = bytes({*range(0x20)} - set(b"\t\n\v\f\r"))  # never occur in text files
_NAMES = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}


class Row(NamedTuple):
    """One row of a source: `line` counts from 1; `fault` says why the row is broken, else ''."""

    line: int
    cells: list[str]
    fault: str


class Source:
    """Table of text cells; each call of `rows` starts at the first row.

    Attributes:
        path: the file.
        header: column names, stripped; may be blank or repeated.
        crs: CRS of the point geometries; None if the file has no geometry.
        encoding: encoding of a text file; '' otherwise.
    """

    path: Path
    header: list[str]
    crs: CRS | None = None
    encoding: str = ""

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        """Yield rows with the cells at `positions` of the header, stripped."""
        raise NotImplementedError

    def position(self, name: str, key: str) -> int:
        """Position of column `name` in the header; `key` is the setting that names the column.

        Raises:
            PlotError: the column is absent, or several have that name.
        """
        count = self.header.count(name)
        if count > 1:
            raise PlotError(
                f"column {name!r} ({key}) occurs {count} times in {self.path.name}; "
                f"rename all but one of them"
            )
        if count == 0:
            raise PlotError(
                f"column {name!r} ({key}) is not in {self.path.name}; {self._advice(name)}"
            )
        return self.header.index(name)

    def _advice(self, name: str) -> str:
        """Remedy for the absent column `name`: similar column names, or a list of the columns."""
        folded = {column.casefold(): column for column in self.header if column}
        wanted = name.casefold()
        close = [column for column in folded if wanted in column or column in wanted]
        close = close or difflib.get_close_matches(wanted, folded)
        if close:
            return f"did you mean {' or '.join(repr(folded[match]) for match in close[:3])}?"
        shown = ", ".join(repr(column) for column in self.header[:12])
        more = f" and {len(self.header) - 12} more" if len(self.header) > 12 else ""
        return f"its columns are {shown}{more}"


def open_source(
    path: str | Path | pd.DataFrame,
    *,
    separator: str | None = None,
    layer: str | None = None,
    key: str = "",
) -> Source:
    """Open a CSV, TSV or TXT file (also gzip), a (Geo)Parquet file or a GeoPackage layer.

    Args:
        path: file to open; or a table in memory, which messages call "the table".
        separator: one character between the columns of a text file; None: a comma for .csv, a tab
            for .tsv and .txt. With a separator, a file with any suffix is read as text.
        layer: layer of a GeoPackage; not needed if there is only one.
        key: prefix of the settings in error messages, such as 'species.'.

    Raises:
        PlotError: a missing, empty or damaged file, an unsupported format, a wrong separator or
            layer.
    """
    if isinstance(path, pd.DataFrame):
        named = path.reset_index() if path.index.name else path
        return _FrameSource(Path("the table"), named)
    path = Path(path)
    if path.is_dir():
        raise PlotError(f"{path} is a folder; name a file in it")
    if not path.exists():
        raise PlotError(f"there is no file {path}; check the path")
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in _SPREADSHEETS:
        raise PlotError(f"{path.name} is a spreadsheet; save its sheet as CSV and use that")
    if suffix in {".parquet", ".geoparquet"}:
        return _FrameSource(path, _read_parquet(path))
    if suffix == ".gpkg":
        return _FrameSource(path, _read_layer(path, layer, key))
    if separator is None and suffix not in _SEPARATORS:
        raise PlotError(
            f"the format of {path.name} is not supported; use .csv, .tsv, .txt (also .gz), "
            f".parquet or .gpkg, or set {key}separator to read it as text"
        )
    separator = _SEPARATORS[suffix] if separator is None else separator
    if len(separator) != 1:
        raise PlotError(f"{key}separator {separator!r} is not one character; use ',' ';' or '\\t'")
    return _TextSource(path, separator, key)


class _TextSource(Source):
    """Delimited text file, held as bytes and decoded while it is read."""

    def __init__(self, path: Path, separator: str, key: str):
        self.path = path
        self._separator = separator
        self._key = key
        self._content = _read_text(path)
        self.encoding = _guess_encoding(self._content)
        self._header_line, header = next(self._records(), (0, []))
        if not header:
            raise PlotError(f"{path.name} holds no table; give it a header and rows")
        self.header = [name.strip() for name in header]
        better = self._better_separator()
        if len(header) == 1 and better:
            raise PlotError(
                f"{path.name} has a single column {self.header[0]!r} when it is split at "
                f"{_NAMES.get(separator, separator)}s; {self._use(better)}"
            )

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        width = len(self.header)
        reach = max(positions, default=-1) + 1
        for line, cells in self._records():
            if line == self._header_line:
                continue
            fault = ""
            if len(cells) < width or "".join(cells[width:]).strip():
                fault = f"the row has {len(cells)} fields where the header has {width}"
                cells = cells + [""] * (reach - len(cells))
            yield Row(line, [cells[i].strip() for i in positions], fault)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yield (line, cells) of each record, with the line where it starts; skip blank rows."""
        stream = io.TextIOWrapper(
            io.BytesIO(self._content), self.encoding, errors="replace", newline=""
        )
        reader = csv.reader(stream, delimiter=self._separator, strict=True)
        while True:
            line = reader.line_num + 1
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                # Strict, because a stray quotation mark otherwise includes the rows that follow.
                raise PlotError(
                    f"{self.path.name} has a misplaced quotation mark between lines {line} "
                    f"and {reader.line_num} ({error}); close it, or double it inside quoted text"
                ) from error
            if "".join(record).strip():
                yield line, record

    def _better_separator(self) -> str | None:
        """The separator that occurs most often in the column names; None if none does."""
        names = "".join(self.header)
        counts = {mark: names.count(mark) for mark in _NAMES if mark != self._separator}
        best = max(counts, key=counts.__getitem__)
        return best if counts[best] else None

    def _use(self, separator: str) -> str:
        return f"set {self._key}separator to {separator!r} ({_NAMES[separator]})"

    def _advice(self, name: str) -> str:
        better = self._better_separator()
        if better and any(name in column.split(better) for column in self.header):
            return self._use(better)
        return super()._advice(name)


class _FrameSource(Source):
    """Parquet file or GeoPackage layer; lines are row numbers from 1."""

    def __init__(self, path: Path, frame: pd.DataFrame):
        self.path = path
        if isinstance(frame, geopandas.GeoDataFrame):
            if frame.crs is None:
                raise PlotError(
                    f"the geometry of {path.name} has no CRS; write the file again with one"
                )
            self.crs = frame.crs
            x, y = _point_texts(frame.geometry, path)
            frame = pd.DataFrame(frame.drop(columns=frame.geometry.name))
            frame = frame.assign(**{GEOMETRY_X: x, GEOMETRY_Y: y})
        self._frame = frame
        self.header = [str(name).strip() for name in frame.columns]

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        columns = [_texts(self._frame.iloc[:, i]) for i in positions]
        for row in range(len(self._frame)):
            yield Row(row + 1, [column[row] for column in columns], "")


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise PlotError(f"cannot read {path}: {reason}; check the file") from error


def _read_text(path: Path) -> bytes:
    """Content of a text file, unzipped; raises for files that are not text."""
    content = _read_bytes(path)
    if content.startswith(b"\x1f\x8b"):
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error) as error:
            raise PlotError(
                f"{path.name} is a damaged or incomplete gzip file ({error}); fetch it again"
            ) from error
    if not content.strip():
        raise PlotError(f"{path.name} is empty; give it a header and rows")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise PlotError(f"{path.name} is UTF-16 text; save it as UTF-8")
    if content.startswith(b"PK\x03\x04"):
        raise PlotError(
            f"{path.name} is a zip archive or spreadsheet; unpack it or save its sheet as CSV"
        )
    if len(content.translate(None, _CONTROL_BYTES)) < len(content):
        raise PlotError(f"{path.name} is binary, not text; give a CSV file or the right suffix")
    return content


def _guess_encoding(content: bytes) -> str:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "cp1252"  # Windows-1252, which Windows programs call latin-1
    return "utf-8-sig"


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        read = geopandas.read_parquet if b"geo" in metadata else pd.read_parquet
        frame = read(path)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are among these
        raise PlotError(
            f"{path.name} is not a readable Parquet file ({_first_sentence(error)}); write it again"
        ) from error
    return frame.reset_index() if frame.index.name else frame


def _read_layer(path: Path, layer: str | None, key: str) -> pd.DataFrame:
    problem = problem_of(path)
    if problem:
        raise PlotError(f"{path.name} is not a readable GeoPackage ({problem}); write it again")
    try:
        layers = [str(name) for name in pyogrio.list_layers(path)[:, 0]]
    except DataSourceError as error:
        raise PlotError(
            f"{path.name} is not a readable GeoPackage ({_first_sentence(error)}); write it again"
        ) from error
    listed = ", ".join(repr(name) for name in layers)
    if layer is None and len(layers) != 1:
        raise PlotError(f"{path.name} has {len(layers)} layers; set {key}layer to one of {listed}")
    if layer is not None and layer not in layers:
        raise PlotError(f"{path.name} has no layer {layer!r}; set {key}layer to one of {listed}")
    try:
        return pyogrio.read_dataframe(path, layer=layer or layers[0])
    except (DataSourceError, DataLayerError) as error:
        raise PlotError(
            f"layer {layer or layers[0]!r} of {path.name} is damaged ({_first_sentence(error)}); "
            f"write it again"
        ) from error


def _first_sentence(error: Exception) -> str:
    """First sentence of a library's error, to quote within one of ours."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].split(". ")[0].rstrip(".")


def _texts(column: pd.Series) -> list[str]:
    """Cells of a typed column as text in the usual form: 12.0 as '12', nulls as ''."""
    absent = column.isna().to_numpy()
    values = column.tolist()
    return ["" if gone else _text(value) for gone, value in zip(absent, values, strict=True)]


def _text(value: object) -> str:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return str(value).strip()


def _point_texts(geometry: geopandas.GeoSeries, path: Path) -> tuple[list[str], list[str]]:
    """x and y of each point as text; '' for absent geometries, the type for other geometries."""
    shapes = geometry.to_numpy()
    lone = (shapely.get_type_id(shapes) == shapely.GeometryType.MULTIPOINT) & (
        shapely.get_num_geometries(shapes) == 1
    )
    shapes = np.where(lone, shapely.get_geometry(shapes, 0), shapes)
    types = shapely.get_type_id(shapes)
    absent = shapely.is_missing(shapes) | shapely.is_empty(shapes)
    other = ~absent & (types != shapely.GeometryType.POINT)
    names = geometry.geom_type.astype(object).to_numpy()
    if len(shapes) and other.sum() == (~absent).sum() > 0:
        raise PlotError(
            f"the geometries of {path.name} are {names[other][0]}s; "
            f"a plot is a point, so write their centroids"
        )
    x, y = (_texts(pd.Series(get(shapes))) for get in (shapely.get_x, shapely.get_y))
    for row in np.flatnonzero(other):
        x[row] = y[row] = names[row]
    return x, y
