"""Write Cloud Optimized GeoTIFFs. Reproducible bytes: no timestamps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
import rasterio.shutil
from rasterio.io import DatasetWriter

from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.stack import write_errors

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
