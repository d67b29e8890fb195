"""Rows of Parquet files, on a server or a disk, that fulfil a condition.

Row groups whose statistics rule the condition out are not read.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from operator import or_
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spatioformer.archives.catalogues.query import Query
from spatioformer.archives.remote import RemoteFile
from spatioformer.archives.remote.access import Access
from spatioformer.common.errors import ImageryError
from spatioformer.config.messages import escaped


def schema_of(href: str, access: Access) -> pa.Schema:
    """Columns of a Parquet file.

    Raises:
        ImageryError: it cannot be read, or is none.
    """
    return _read(href, access, lambda file: pq.read_schema(file))


Ranges = Mapping[str, tuple[Any, Any]]
"""Smallest and largest value of columns in a row group, by their path ("bbox.xmin")."""


def rows_where(
    href: str, access: Access, condition: Any, may_hold: Callable[[Ranges], bool]
) -> list[dict[str, Any]]:
    """Rows that fulfil a condition, as plain values by column.

    Args:
        condition: an expression of pyarrow.
        may_hold: whether a row group with these values may hold such a row. pyarrow itself does
            not look at the statistics of columns inside structs.

    Raises:
        ImageryError: the file cannot be read, or its columns are of other types.
    """

    def task(file: RemoteFile) -> list[dict[str, Any]]:
        parquet = pq.ParquetFile(file, pre_buffer=False)
        groups = [
            number
            for number in range(parquet.metadata.num_row_groups)
            if may_hold(_ranges(parquet.metadata.row_group(number)))
        ]
        file.fetch([_span(parquet.metadata.row_group(number)) for number in groups])
        # One thread: the file has one position.
        table = parquet.read_row_groups(groups, use_threads=False)
        rows: list[dict[str, Any]] = table.filter(condition).to_pylist()
        return rows

    matching: list[dict[str, Any]] = _read(href, access, task)
    return matching


def _ranges(group: pq.RowGroupMetaData) -> Ranges:
    columns = [group.column(i) for i in range(group.num_columns)]
    return {
        column.path_in_schema: (column.statistics.min, column.statistics.max)
        for column in columns
        if column.statistics is not None and column.statistics.has_min_max
    }


def _span(group: pq.RowGroupMetaData) -> tuple[int, int]:
    """First byte of a row group in its file, and the byte after the last."""
    starts, stops = [], []
    for column in (group.column(i) for i in range(group.num_columns)):
        start = column.dictionary_page_offset or column.data_page_offset
        starts.append(start)
        stops.append(start + column.total_compressed_size)
    return min(starts), max(stops)


def may_meet(query: Query, ranges: Ranges, sides: Sequence[str]) -> bool:
    """Whether a row group may hold bounds that meet one of the boxes of a query.

    Args:
        sides: paths of the columns of the bounds W, S, E, N.
    """
    if any(side not in ranges for side in sides):
        return True
    west, south, east, north = (ranges[side] for side in sides)
    crosses = west[1] > 0 > east[0]  # an item may cross the antimeridian
    return any(
        south[0] <= box[3]
        and north[1] >= box[1]
        and (crosses or (west[0] <= box[2] and east[1] >= box[0]))
        for box in query.boxes
    )


def meets(query: Query, sides: Sequence[Any]) -> Any:
    """The condition that bounds meet one of the boxes of a query.

    Args:
        sides: columns of the bounds W, S, E, N; W > E crosses the antimeridian.
    """
    west, south, east, north = sides
    boxes = [
        (south <= box[3])
        & (north >= box[1])
        & (((west <= box[2]) & (east >= box[0])) | (west > east))
        for box in query.boxes
    ]
    return reduce(or_, boxes)


def _read(href: str, access: Access, task: Callable[[RemoteFile], Any]) -> Any:
    try:
        with RemoteFile(href, access) as file:
            return task(file)
    except (pa.ArrowException, OSError) as error:
        if isinstance(error.__cause__, ImageryError):  # pragma: no cover - of pyarrow's choice
            raise error.__cause__ from None
        raise ImageryError(
            f"{access.owner}: {escaped(href)} cannot be read as a Parquet file "
            f"({escaped(str(error), 200)}); check `endpoint` and `kind`"
        ) from error
