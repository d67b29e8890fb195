"""Write Cloud Optimized GeoTIFFs. Reproducible bytes: no timestamps."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.writing import write_errors

BLOCK = 256


def cog_profile(grid: Grid, count: int, dtype: str, nodata: float) -> dict:
    """rasterio profile of the temporary raster in which `count` bands are assembled."""
    return {
        "driver": "GTiff",
        "dtype": dtype,
        "count": count,
        "height": grid.height,
        "width": grid.width,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": nodata,
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "compress": "deflate",
        "zlevel": 1,
        "sparse_ok": True,
        "bigtiff": "if_safer",
    }


@contextmanager
def cog(
    part: Path, out: Path, profile: dict, compress: str = "deflate", threads: int = 1
) -> Iterator[DatasetWriter]:
    """Yield a raster to fill; on exit it becomes the Cloud Optimized GeoTIFF `part`.

    Args:
        part: path to write, from `files.writing`.
        out: final path, for error messages.
        profile: rasterio profile of the raster to fill, from `cog_profile`.
        compress: "deflate" or "zstd".
        threads: threads that compress; the bytes are the same for any number.

    Raises:
        OutputError: no space, or a folder that cannot be written.
    """
    base = part.with_name(f"{part.stem}.tiles.tif")
    base.unlink(missing_ok=True)
    try:
        with write_errors(out), rasterio.open(base, "w+", **profile, num_threads=threads) as raw:
            yield raw
        with write_errors(out):
            to_cog(base, part, compress, profile["dtype"], threads)
    finally:
        base.unlink(missing_ok=True)


@contextmanager
def cog_in_parts(
    part: Path, out: Path, profile: dict, describe: Callable[[DatasetWriter], None], threads: int
) -> Iterator[Callable[[np.ndarray, Window], None]]:
    """Yield a function that writes a window (band, y, x); on exit they become `part`, as by `cog`.

    The raster is closed between two windows, so that GDAL keeps none in memory, and they may come
    over hours. It is not compressed: that would take longer than all the rest of filling it.

    Args:
        part, out, profile, threads: as of `cog`.
        describe: called with the raster before any window, to set descriptions and tags.

    Raises:
        OutputError: as `cog`.
    """
    base = part.with_name(f"{part.stem}.tiles.tif")
    base.unlink(missing_ok=True)
    plain = {key: value for key, value in profile.items() if key not in ("compress", "zlevel")}

    def write(values: np.ndarray, window: Window) -> None:
        with write_errors(out), rasterio.open(base, "r+") as raw:
            raw.write(values, window=window)

    try:
        with write_errors(out), rasterio.open(base, "w+", **plain) as raw:
            describe(raw)
        yield write
        with write_errors(out):
            to_cog(base, part, "deflate", profile["dtype"], threads)
    finally:
        base.unlink(missing_ok=True)


def to_cog(base: Path, out: Path, compress: str, dtype: str, threads: int = 1) -> None:
    """Copy to a Cloud Optimized GeoTIFF with statistics of each band.

    An overview pixel is the mean of its valid pixels.
    """
    rasterio.shutil.copy(
        base,
        out,
        driver="COG",
        compress=compress.upper(),
        predictor="FLOATING_POINT" if dtype == "float32" else "STANDARD",
        blocksize=BLOCK,
        overview_resampling="AVERAGE",
        overviews="IGNORE_EXISTING",
        sparse_ok=True,
        bigtiff="if_safer",
        num_threads=threads,
        statistics="YES",
    )
