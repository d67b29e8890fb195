"""Pixels whose centre lies in a polygon, by GDAL, from any thread."""

from collections.abc import Sequence

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from shapely.geometry.base import BaseGeometry

from spatioformer.geo.raster.checks import UNPLACED


def burned(
    shapes: Sequence[BaseGeometry],
    shape: tuple[int, int],
    transform: Affine,
    *,
    all_touched: bool = False,
) -> np.ndarray:
    """Whether a pixel's centre lies in a polygon: bool (y, x).

    Args:
        shapes: polygons in the coordinates of `transform`; at least one.
        shape: rows and columns.
        transform: from column and row to coordinates, at the corners of pixels.
        all_touched: pixels that a polygon touches count too.
    """
    # rasterio sets the transform after it has opened the raster, and hides the warning that it has
    # none with `catch_warnings`, which another thread can undo.
    with UNPLACED:
        return rasterize(
            shapes, shape, transform=transform, all_touched=all_touched, dtype="uint8"
        ).view(bool)
