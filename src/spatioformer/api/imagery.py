"""Imagery for the Python door: rasters of any kind in, one stack of named bands out."""

import shutil
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import rioxarray
import xarray
from pyproj import CRS

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.stack import Stack

_LASTING: list["Imagery"] = []  # whose temporary files stay until Python ends


class Imagery:
    """A stack of named bands on one grid, in a file; made by `read_imagery`.

    Attributes:
        path: GeoTIFF with float32 bands, NaN for no data, and a mask of where to predict.
        bands: names of the bands, in the file's order.
        crs: coordinate reference system of the grid.
        region: W, E, S, N in degrees; W > E where it crosses the antimeridian.
        shape: number of rows and columns.
    """

    def __init__(self, path: str | Path, summary: Mapping[str, Any] | None = None):
        self.path = Path(path)
        self._folder: object | None = None  # its end removes a temporary file
        self._summary = None if summary is None else dict(summary)
        with Stack(self.path) as stack:
            self.bands: list[str] = stack.bands
            self.crs: CRS = stack.grid.crs
            self.shape: tuple[int, int] = stack.grid.shape
            west, east, south, north = (float(round(v, 6)) for v in stack.grid.region)
        self.region: tuple[float, float, float, float] = (west, east, south, north)

    @cached_property
    def summary(self) -> dict[str, Any]:
        """Shape, CRS, region, pixels to predict; of a stack just built also bands' statistics."""
        if self._summary is not None:
            return self._summary
        with Stack(self.path) as stack:
            wanted = sum(int(stack.read(window)[2].sum()) for window in stack.grid.windows(1024))
        height, width = self.shape
        return {
            "bands": self.bands,
            "height": height,
            "width": width,
            "crs": self.crs.to_string(),
            "region": list(self.region),
            "pixels": height * width,
            "pixels_to_predict": wanted,
        }

    def to_xarray(self) -> xarray.DataArray:
        """The bands as a DataArray that reads its values when they are used.

        Returns:
            float32 (band, y, x), NaN where a band holds no data; `band` holds the names, and
            `.rio.crs` the CRS.
        """
        if self._folder is not None and self not in _LASTING:
            _LASTING.append(self)  # a temporary file must outlive the arrays that read it
        array = rioxarray.open_rasterio(self.path)
        assert isinstance(array, xarray.DataArray)
        array = array.assign_coords(band=self.bands).rename("imagery")
        array.attrs = {"long_name": "imagery"}
        masked: xarray.DataArray = array.rio.write_nodata(np.nan, encoded=True)
        return masked

    def __repr__(self) -> str:
        return described("Imagery", self.bands, self.shape, self.crs, self.region)


def described(
    what: str,
    bands: Sequence[str],
    shape: tuple[int, int],
    crs: CRS,
    region: Sequence[float],
) -> str:
    """Imagery in one line: what it is, its bands, rows and columns, CRS and region."""
    count = f"{len(bands)} band{'s' * (len(bands) > 1)}"
    names = ", ".join(bands[:6]) + (", ..." if len(bands) > 6 else "")
    height, width = shape
    edges = ", ".join(f"{value:g}" for value in region)
    return (
        f"<{what}: {count} ({names}), {height} x {width} pixels, "
        f"{short_name(crs)}, W, E, S, N = {edges}>"
    )


def short_name(crs: CRS) -> str:
    """The code of a CRS, or its name."""
    code = crs.to_epsg()
    return crs.name if code is None else f"EPSG:{code}"


def opened(imagery: object) -> Imagery:
    """Imagery as it is, or the stack at a path.

    Raises:
        ImageryError: neither of them, or no raster.
    """
    if isinstance(imagery, Imagery):
        return imagery
    if isinstance(imagery, str | Path):
        return Imagery(imagery)
    raise ImageryError(
        f"imagery is a {type(imagery).__name__}; give what spatioformer.read_imagery returns"
    )


def remove_with(owner: Any, folder: Path) -> "weakref.finalize[..., Any]":
    """Remove a folder when an object is no longer used."""
    return weakref.finalize(owner, shutil.rmtree, folder, ignore_errors=True)
