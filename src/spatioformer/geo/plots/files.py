"""Plot and species files as rows of text cells, with line numbers.

Cells stay text until the checks parse them. So a rejected row can be quoted exactly as it is in the
file, and the same parsers serve CSV, TSV, Parquet and GeoPackage.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import pyarrow.parquet
import pyogrio
import shapely
from pyogrio.errors import DataLayerError, DataSourceError

from spatioformer.common.errors import PlotError
from spatioformer.geo.crs import fault_in_file
from spatioformer.geo.plots.archives.facts import checked
from spatioformer.geo.plots.sheets import SUFFIXES, SheetSource
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y, Row, Source
from spatioformer.geo.plots.text import TextSource
from spatioformer.geo.vector.opening import problem_of

_SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": "\t"}
_SPREADSHEETS = {".xls", ".xlsb", ".ods"}


def open_source(
    path: str | Path | pd.DataFrame,
    *,
    separator: str | None = None,
    layer: str | None = None,
    key: str = "",
) -> Source:
    """Open a CSV, TSV or TXT file (also gzip), a workbook's sheet, a (Geo)Parquet file or a layer.

    Args:
        path: file to open; or a table in memory, which messages call "the table".
        separator: character between the columns of a text file, or its name (tab, comma,
            semicolon, bar); None: that of the file's `sep=` line, otherwise found from the rows.
            With a separator, a file with any suffix is read as text.
        layer: layer of a GeoPackage or sheet of a workbook; not needed if there is only one.
        key: prefix of the settings in error messages, such as 'species.'.

    Raises:
        PlotError: a missing, empty or damaged file, an unsupported format, a wrong separator or
            layer.
    """
    if isinstance(path, pd.DataFrame):
        return _FrameSource(Path("the table"), _with_index(path))
    path = Path(path)
    if path.is_dir():
        raise PlotError(f"{path} is a folder; name a file in it")
    if not path.exists():
        raise PlotError(f"there is no file {path}; check the path")
    name = path.name.lower().removesuffix(".gz")
    suffix = Path(name).suffix
    if suffix in _SPREADSHEETS:
        raise PlotError(
            f"{path.name} is a spreadsheet in a format that is not read; save it as .xlsx or CSV "
            f"and set the path to that file"
        )
    if suffix == ".zip":
        raise PlotError(
            f"{path.name} is a zip archive, not a table; import its plots first: spatioformer "
            f"plots import {path.name} -o plots.parquet"
        )
    if suffix in SUFFIXES:
        return SheetSource(path, layer, key)
    if suffix in {".parquet", ".geoparquet"}:
        return _FrameSource(path, _read_parquet(path))
    if suffix == ".gpkg":
        return _FrameSource(path, _read_layer(path, layer, key))
    if separator is None and suffix not in _SEPARATORS:
        raise PlotError(
            f"the format of {path.name} is not supported; use .csv, .tsv, .txt (also .gz), "
            f".xlsx, .parquet or .gpkg, or set {key}separator to read it as text"
        )
    return TextSource(path, separator, _SEPARATORS.get(suffix, ","), key)


class _FrameSource(Source):
    """Parquet file or GeoPackage layer; lines are row numbers from 1."""

    def __init__(self, path: Path, frame: pd.DataFrame):
        self.path = path
        self.imported = checked(frame.attrs.get("imported"))
        if isinstance(frame, geopandas.GeoDataFrame):
            if frame.crs is None:
                raise PlotError(
                    f"the geometry of {path.name} has no CRS; write the file again with one"
                )
            fault = fault_in_file(frame.crs)
            if fault:
                raise PlotError(
                    f"the CRS of {path.name} ({_cut(frame.crs.name)}) {fault}; set the right CRS "
                    f"in the file"
                )
            self.crs = frame.crs
            x, y = _point_texts(frame.geometry, path)
            frame = pd.DataFrame(frame.drop(columns=frame.geometry.name))
            frame = frame.assign(**{GEOMETRY_X: x, GEOMETRY_Y: y})
        self._frame = frame
        self.header = [str(name).strip() for name in frame.columns]

    def has_numbers(self, position: int) -> bool:
        if self.header[position] in (GEOMETRY_X, GEOMETRY_Y):
            return True
        return pd.api.types.is_numeric_dtype(self._frame.dtypes.iloc[position])

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        columns = [_texts(self._frame.iloc[:, i]) for i in positions]
        for row in range(len(self._frame)):
            yield Row(row + 1, [column[row] for column in columns], "")


def _read_parquet(path: Path) -> pd.DataFrame:
    problem = problem_of(path)
    if problem:
        raise PlotError(f"{path.name} is not a readable Parquet file ({problem}); write it again")
    try:
        metadata = pyarrow.parquet.read_schema(path).metadata or {}
        read = geopandas.read_parquet if b"geo" in metadata else pd.read_parquet
        frame = read(path)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's errors are among these
        raise PlotError(
            f"{path.name} is not a readable Parquet file ({_first_sentence(error)}); write it again"
        ) from error
    return _with_index(frame)


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with the named levels of its index as columns in front.

    A level that repeats a column of the same name is dropped; one that differs makes the name
    ambiguous, which `Source.position` refuses if a setting names that column.
    """
    drop = [
        level
        for level, name in enumerate(frame.index.names)
        if name is None or _repeats_column(frame, level)
    ]
    if len(drop) == frame.index.nlevels:
        return frame.reset_index(drop=True)
    return frame.reset_index(drop, drop=True).reset_index(allow_duplicates=True)


def _repeats_column(frame: pd.DataFrame, level: int) -> bool:
    """Whether an index level only repeats a column of its name, or only counts the rows."""
    name = frame.index.names[level]
    same = [i for i, column in enumerate(frame.columns) if column == name]
    if len(same) != 1:
        return False
    column = frame.iloc[:, same[0]].reset_index(drop=True)
    if str(column.dtype) == "geometry":
        return True
    values = frame.index.get_level_values(level)
    counts = frame.index.nlevels == 1 and list(values) == list(range(len(frame)))
    return counts or _texts(pd.Series(values)) == _texts(column)


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
    return lines[0].split(". ")[0].rstrip(".")[:200]


def _cut(text: str) -> str:
    """A name from a file, short enough for a message of one line."""
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:57] + "..."


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
    shapes = shapes.copy()
    shapes[absent | other] = None  # get_x raises for POINT EMPTY
    x, y = (_texts(pd.Series(get(shapes))) for get in (shapely.get_x, shapely.get_y))
    for row in np.flatnonzero(other):
        x[row] = y[row] = names[row]
    return x, y
