"""Problems of a configuration, each under its key."""

from collections.abc import Callable, Iterator
from pathlib import Path

from spatioformer.common.errors import SpatioformerError

Problem = tuple[str, SpatioformerError]
"""A key of the configuration, and what is wrong with it."""

LARGE = 50 * 10**6
"""Size in bytes from which a file without a header of its own is left to its stage: GeoPackage,
Parquet and NetCDF are read as a whole."""


def caught(key: str, check: Callable[[], object]) -> Iterator[Problem]:
    """The problem that a check raises, under a key; nothing if it raises none."""
    try:
        check()
    except SpatioformerError as error:
        yield key, error


def is_whole(path: str, *suffixes: str) -> bool:
    """Whether a file is large, and its format has no header that can be read alone."""
    file = Path(path)
    return file.suffix.lower() in suffixes and file.is_file() and file.stat().st_size > LARGE
