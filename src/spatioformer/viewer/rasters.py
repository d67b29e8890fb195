"""Rasters that are served: opened once a thread, checked at the start, read by tile or pixel.

A rasterio dataset belongs to one thread. So a fixed pool of threads reads, and each thread opens a
raster when it first needs it. GDAL's cache of blocks is shared and bounded.
"""

import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window
from rio_tiler.errors import NoOverviewWarning, RioTilerError, TileOutsideBounds
from rio_tiler.io import Reader

from spatioformer.common.earth import WGS84_SEMI_MAJOR_KM
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.layers import unreadable
from spatioformer.geo.raster.opening import open_raster

Floats = NDArray[np.float32]

# A raster without overviews has a smallest zoom, and what lies beyond Web Mercator is not drawn.
warnings.filterwarnings("ignore", category=NoOverviewWarning)
warnings.filterwarnings("ignore", "Adjusting dataset latitudes", UserWarning, "rio_tiler")

TILE = 256
"""Side of a tile, pixels."""

THREADS = 2
"""Threads that read rasters; more would only hold more datasets open."""

BLOCKS = 64 * 2**20
"""Size of GDAL's cache of blocks, bytes."""

COARSE = 512
"""Largest side of the overview from which a raster's range of values is taken, pixels."""

WITHOUT_OVERVIEWS = 4096
"""Largest number of pixels along a tile's side that are read from a raster without overviews."""

MERCATOR_RADIUS = 1000 * WGS84_SEMI_MAJOR_KM
"""Radius of the sphere of Web Mercator, m."""

ROUNDING = 1e-7
"""Relative error of a number that a file states as text."""

MOST_ZOOM = 22
"""Largest zoom of any tile: pixels of 4 cm."""

EXACT = 1e-3
"""Tolerance of the reprojection, pixels; GDAL's 0.125 would take a neighbouring pixel at times."""


@dataclass(frozen=True)
class Raster:
    """A registered raster.

    Attributes:
        path: its file.
        grid: of its pixels.
        bands: name -> number of the bands that are served.
        bounds: (W, S, E, N), degrees.
        ranges: name -> smallest and largest value of all pixels.
        minzoom: smallest zoom of its tiles.
        maxzoom: zoom at which a tile's pixel is at most as large as the raster's.
        stamp: size and time of change of the file; another file of the name is not served.
    """

    path: Path
    grid: Grid
    bands: dict[str, int]
    bounds: tuple[float, float, float, float]
    ranges: dict[str, tuple[float, float]]
    minzoom: int
    maxzoom: int
    stamp: tuple[int, int]


def stamp_of(path: Path) -> tuple[int, int]:
    """Size and time of change of a file."""
    state = path.stat()
    return state.st_size, state.st_mtime_ns


class Rasters:
    """Pool of threads that read rasters, each with datasets of its own."""

    def __init__(self) -> None:
        self._local = threading.local()
        self._pool = ThreadPoolExecutor(THREADS, "raster", initializer=self._begin)

    @property
    def pool(self) -> ThreadPoolExecutor:
        """The threads in which the functions of this class may be called."""
        return self._pool

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function in the pool and wait for its result."""
        return self._pool.submit(function, *arguments).result()

    def _begin(self) -> None:
        # For the life of the thread: GDAL drops its blocks whenever the size changes.
        self._local.environment = rasterio.Env(GDAL_CACHEMAX=BLOCKS)
        self._local.environment.__enter__()
        self._local.readers = {}

    def close(self) -> None:
        """End the threads; what has not begun is not done."""
        self._pool.shutdown(cancel_futures=True)

    def tile(self, raster: Raster, names: tuple[str, ...], z: int, x: int, y: int) -> Floats | None:
        """Values (band, 256, 256) of a Web Mercator tile, NaN where there are none.

        A pixel has the value of the raster's nearest pixel; zoomed out, of the nearest pixel of an
        overview. None outside the raster, and for a zoom below its smallest. Call it in the pool.

        Raises:
            ImageryError: the file is damaged, or was replaced.
        """
        if z < raster.minzoom:
            return None
        numbers = tuple(raster.bands[name] for name in names)
        mosaic: Floats | None = None
        for reader in self._readers(raster):
            values = _tile(reader, raster, numbers, z, x, y)
            if mosaic is None:
                mosaic = values
            elif values is not None:  # a part of the raster lies on another turn of the Earth
                mosaic = np.where(np.isnan(mosaic), values, mosaic)
        return mosaic

    def pixel(self, raster: Raster, lon: float, lat: float) -> dict[str, float] | None:
        """Band name -> value of the pixel at a place; None outside the raster.
        Call it in the pool.

        Raises:
            ImageryError: the file is damaged, or was replaced.
        """
        row, col = (int(v) for v in raster.grid.pixel(np.array(lon), np.array(lat)))
        if not raster.grid.holds(np.array(row), np.array(col)):
            return None
        window = Window(col, row, 1, 1)
        try:
            values = self.dataset(raster).read(
                list(raster.bands.values()), window=window, masked=True
            )
        except RasterioError as error:
            raise unreadable(raster.path, error) from error
        numbers = values.astype(np.float64).filled(np.nan)[:, 0, 0].tolist()
        return dict(zip(raster.bands, numbers, strict=True))

    def dataset(self, raster: Raster) -> DatasetReader:
        """A raster, open in the calling thread, which is one of the pool.

        Raises:
            ImageryError: the file is damaged, or was replaced.
        """
        return self._readers(raster)[0].dataset

    def _readers(self, raster: Raster) -> list[Reader]:
        """The raster, and copies of it whole turns away where its longitudes leave -180 to 180."""
        readers: dict[Path, list[Reader]] = self._local.readers
        if raster.path not in readers:
            dataset = opened(raster.path)
            if stamp_of(raster.path) != raster.stamp:
                dataset.close()
                raise ImageryError(
                    f"{raster.path} was replaced since the viewer started; start the viewer again"
                )
            turns = (_turned(dataset, degrees) for degrees in _turns(raster.grid))
            readers[raster.path] = [Reader(None, dataset=d) for d in (dataset, *turns)]
        return readers[raster.path]


def _tile(
    reader: Reader, raster: Raster, numbers: tuple[int, ...], z: int, x: int, y: int
) -> Floats | None:
    try:
        image = reader.tile(
            x, y, z, tilesize=TILE, indexes=numbers,
            resampling_method="nearest", reproject_method="nearest", nodata=np.nan,
            vrt_options={"tolerance": EXACT},
        )  # fmt: skip
    except TileOutsideBounds:
        return None
    except (RasterioError, RioTilerError) as error:
        raise unreadable(raster.path, error) from error
    return np.asarray(image.array.filled(np.nan), np.float32)


def _turns(grid: Grid) -> list[int]:
    """Degrees by which copies of a raster have to be moved to lie in -180 to 180."""
    if not grid.crs.is_geographic or grid.transform.b or grid.transform.d:
        return []
    left, _, right, _ = grid.bounds
    return [-360] * (right > 180 + EXACT) + [360] * (left < -180 - EXACT)


def _turned(dataset: DatasetReader, degrees: int) -> WarpedVRT:
    """A raster in degrees, moved east."""
    moved = Affine.translation(degrees, 0) @ dataset.transform
    return WarpedVRT(
        dataset, crs=dataset.crs, src_transform=moved, transform=moved, height=dataset.height,
        width=dataset.width, nodata=np.nan,
    )  # fmt: skip


def register(
    path: Path, bands: dict[str, int] | Callable[[DatasetReader], dict[str, int]]
) -> Raster:
    """Open a raster, check that it can be read, and register bands of it.

    Args:
        bands: name -> number, or a function of the open raster.

    Raises:
        ImageryError: the file cannot be opened or read, or has no place on Earth.
    """
    stamp = stamp_of(path)
    with opened(path) as dataset:
        grid = Grid.of(dataset, str(path))
        numbers = bands(dataset) if callable(bands) else bands
        try:
            ranges = {name: _range(dataset, number) for name, number in numbers.items()}
        except RasterioIOError as error:
            raise unreadable(path, error) from error
        west, east, south, north = grid.region
        zooms = _zooms(dataset, grid)
    return Raster(path, grid, numbers, (west, south, east, north), ranges, *zooms, stamp)


def opened(path: Path) -> DatasetReader:
    """Open a raster of the run.

    Raises:
        ImageryError: it cannot be opened.
    """
    try:
        return open_raster(path)
    except RasterioIOError as error:
        raise ImageryError(
            f"{path} cannot be opened ({str(error).splitlines()[0]}); make it again with "
            "`spatioformer run`"
        ) from error


def _range(dataset: DatasetReader, number: int) -> tuple[float, float]:
    """Smallest and largest value of a band: as the file states, otherwise of all its pixels."""
    tags = dataset.tags(number)
    low, high = np.inf, -np.inf
    if "STATISTICS_APPROXIMATE" not in tags and "STATISTICS_MAXIMUM" in tags:
        coarse(dataset, (number,))  # a damaged file is found now
        low, high = float(tags["STATISTICS_MINIMUM"]), float(tags["STATISTICS_MAXIMUM"])
        low -= abs(low) * ROUNDING
        return low, high + abs(high) * ROUNDING
    for _, window in dataset.block_windows(number):
        values = dataset.read(number, window=window, masked=True).compressed()
        values = values[np.isfinite(values)]
        if values.size:
            low, high = min(low, float(values.min())), max(high, float(values.max()))
    return (low, high) if low <= high else (0.0, 0.0)


def coarse(dataset: DatasetReader, numbers: tuple[int, ...]) -> Floats:
    """Values (band, y, x) of at most COARSE pixels a side, NaN where there are none.

    They are those of an overview. Of a large raster without overviews, those of its middle.
    """
    height, width = dataset.shape
    window = Window(0, 0, width, height)
    if not dataset.overviews(numbers[0]):
        rows, cols = min(height, WITHOUT_OVERVIEWS), min(width, WITHOUT_OVERVIEWS)
        window = Window((width - cols) // 2, (height - rows) // 2, cols, rows)
    step = max(1.0, max(window.height, window.width) / COARSE)
    shape = len(numbers), max(1, int(window.height / step)), max(1, int(window.width / step))
    values = dataset.read(list(numbers), window=window, out_shape=shape, masked=True)
    return np.asarray(values.astype(np.float32).filled(np.nan))


def _zooms(dataset: DatasetReader, grid: Grid) -> tuple[int, int]:
    """Smallest and largest zoom of a raster's tiles.

    At the smallest the whole raster takes about a quarter of a tile's side. Of a raster without
    overviews it is the one at which a tile reads WITHOUT_OVERVIEWS pixels a side.
    """
    world = 2 * np.pi * MERCATOR_RADIUS / TILE
    finest = int(np.clip(np.ceil(np.log2(world / _pixel_size(grid)) - 1e-6), 0, MOST_ZOOM))
    most = 4 * max(grid.shape)
    if not dataset.overviews(1):
        most = min(most, WITHOUT_OVERVIEWS)
    return max(0, finest - int(np.ceil(np.log2(max(1, most / TILE))))), finest


def _pixel_size(grid: Grid) -> float:
    """Smallest side of a pixel in Web Mercator, m, among pixels spread over the grid."""
    rows = np.linspace(0, grid.height - 1, 9)[:, None]
    cols = np.linspace(0, grid.width - 1, 9)[None, :]
    x, y = _mercator(*grid.lonlat(rows, cols))
    sides = []
    for down, right in ((1, 0), (0, 1)):
        there_x, there_y = _mercator(*grid.lonlat(rows + down, cols + right))
        across = (there_x - x + np.pi * MERCATOR_RADIUS) % (2 * np.pi * MERCATOR_RADIUS)
        sides.append(np.hypot(across - np.pi * MERCATOR_RADIUS, there_y - y))
    every = np.stack(sides)
    every = every[np.isfinite(every) & (every > 0)]
    return float(every.min()) if every.size else 2 * np.pi * MERCATOR_RADIUS / TILE


def _mercator(
    lon: NDArray[np.float64], lat: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...]:
    inside = np.where(np.abs(lat) < 85, lat, np.nan)
    return (
        MERCATOR_RADIUS * np.radians(lon),
        MERCATOR_RADIUS * np.arctanh(np.sin(np.radians(inside))),
    )
