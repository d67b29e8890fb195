"""What writing a raster needs: a profile, errors as sentences, a look at what reached the disk."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError  # raised by rasterio when it copies a file
from rasterio.errors import RasterioError

from spatioformer.common.errors import OutputError
from spatioformer.geo.grid import Grid

BLOCK = 256
"""Side of a block of a stack, pixels."""


def stack_profile(grid: Grid, count: int) -> dict:
    """Arguments of `rasterio.open` for a stack of `count` bands on a grid."""
    return {
        "driver": "GTiff",
        "dtype": "float32",
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": np.nan,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "predictor": 3,
        "bigtiff": "if_safer",
    }


@contextmanager
def write_errors(out: Path) -> Iterator[None]:
    """Turn errors of GDAL while writing into a sentence that says what to check."""
    try:
        yield
    except (RasterioError, CPLE_BaseError) as error:
        reason = str(error.__cause__ or error).splitlines()[0].rstrip(".")
        raise OutputError(
            f"cannot write {out} ({reason}); check that the disk has space and the folder can be "
            "written"
        ) from error


def check_written(part: Path, out: Path, counts: Sequence[int], threads: int = 1) -> None:
    """Read a raster back, because GDAL gives no error if the disk is full when it closes a file.

    Args:
        part: the raster on disk.
        out: its final path, for the message.
        counts: number of finite values that each of the first bands must hold.
        threads: threads that read, each a part of the raster.

    Raises:
        OutputError: some values are missing.
    """

    def count(first: int) -> np.ndarray:
        finite = np.zeros(len(counts), np.int64)
        with suppress(RasterioError), rasterio.open(part) as source:
            for _, window in islice(source.block_windows(1), first, None, threads):
                values = source.read(window=window)[: len(counts)]
                finite += np.isfinite(values).sum(axis=(1, 2))
                source.dataset_mask(window=window)
        return finite

    if threads == 1:
        written = count(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            written = np.sum(list(pool.map(count, range(threads))), axis=0)
    if not np.array_equal(written, counts):
        raise OutputError(
            f"cannot write {out}: only a part of it reached the disk; free some space and run again"
        )
