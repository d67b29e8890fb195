"""Polygons as pixels: known answers, and no false warning in threads."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import shapely
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from spatioformer.geo.raster.burning import burned

PLACE = Affine(0.5, 0, 10, 0, -0.5, 50)  # 20 x 20 pixels of 10 to 20 east and 40 to 50 north


def test_pixel_centres_and_touched_pixels():
    square = shapely.box(11.3, 44.9, 13.3, 46.2)
    centres = 10.25 + 0.5 * np.arange(20), 49.75 - 0.5 * np.arange(20)
    lon, lat = np.meshgrid(*centres)
    inside = burned([square], (20, 20), PLACE)
    np.testing.assert_array_equal(inside, shapely.contains_xy(square, lon, lat))
    assert inside.dtype == bool
    touched = burned([square], (20, 20), PLACE, all_touched=True)
    cells = shapely.box(lon - 0.25, lat - 0.25, lon + 0.25, lat + 0.25)
    np.testing.assert_array_equal(touched, shapely.intersects(cells, square))


def test_no_warning_in_threads():
    """rasterio hides its own false warning in a way that other threads undo."""
    square = shapely.box(11.3, 44.9, 13.3, 46.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error", NotGeoreferencedWarning)
        with ThreadPoolExecutor(4) as pool:
            rasters = pool.map(lambda _: burned([square], (20, 20), PLACE), range(1000))
            assert {int(raster.sum()) for raster in rasters} == {8}
