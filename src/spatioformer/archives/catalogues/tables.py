"""Rows of Parquet files, on a server or a disk, that fulfil a condition.

Row groups whose statistics rule the condition out are not read.
"""

from collections.abc import Callable, Sequence
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


def rows_where(href: str, access: Access, condition: Any) -> list[dict[str, Any]]:
    """Rows that fulfil a condition (an expression of pyarrow), as plain values by column.

    Raises:
        ImageryError: the file cannot be read, or its columns are of other types.
    """
    # One thread, no buffering ahead: the file is read in ranges, each by one caller.
    table = _read(
        href,
        access,
        lambda file: pq.read_table(file, filters=condition, use_threads=False, pre_buffer=False),
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


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
