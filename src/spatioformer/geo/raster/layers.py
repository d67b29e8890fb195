"""Read one raster of any kind on any grid: float32 values, NaN where there is no data.

GDAL's warper leaves NaN out of its weights. `geo.raster.stack` turns NaN into an explicit mask, so
that NaN never reaches a model.
"""

import math
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.errors import RasterioError, RasterioIOError
from rasterio.io import DatasetReader, MemoryFile
from rasterio.transform import from_bounds
from rasterio.vrt import WarpedVRT
from rasterio.warp import Resampling, transform_bounds
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import LONLAT, Grid
from spatioformer.geo.raster.checks import UNTRUSTED, Trust, refuse_address
from spatioformer.geo.raster.opening import open_raster

RESAMPLING = ("nearest", "bilinear", "cubic", "average", "mode")
REDUCTIONS = ("mean", "sum", "min", "max")


@dataclass(frozen=True)
class Layer:
    """A raster file and the interpretation of its values.

    Args:
        path: GeoTIFF, NetCDF (.nc), JPEG or anything else GDAL opens.
        name: stem of the band names.
        bands: 1-based band numbers; None takes all.
        band_names: a name for each band read; None: `name`, or `name_1`, `name_2`, ...
        resampling: one of RESAMPLING; None: bilinear, or mode for class rasters.
        scale, offset: value = raw * scale + offset; None: as the file states.
        nodata: raw value that means no data; None: as the file states.
        crs, bounds: georeference for files that have none, or a wrong one;
            bounds = (W, E, S, N) in units of `crs`.
        variable: NetCDF variable.
        reduce: function that combines the other dimensions of a NetCDF variable (months) into one
            band; None: one band a step.
        classes: class values of a categorical raster, each a 0/1 band; None: not categorical.
        trust: what the file may do beyond being read.
    """

    path: Path
    name: str
    bands: tuple[int, ...] | None = None
    band_names: tuple[str, ...] | None = None
    resampling: str | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    crs: str | None = None
    bounds: tuple[float, float, float, float] | None = None
    variable: str | None = None
    reduce: str | None = None
    categorical: bool = False
    classes: tuple[int, ...] | None = None
    trust: Trust = UNTRUSTED


def valid_mask(data: np.ndarray, nodata: float | None) -> np.ndarray:
    """Mask of values that are finite and not `nodata`: bool, same shape, any dtype.

    `nodata` is compared in the data's dtype, because -3.4e38 differs in float32 and float64.
    """
    if np.issubdtype(data.dtype, np.floating):
        valid = np.isfinite(data)
        if nodata is not None and np.isfinite(nodata):
            with np.errstate(over="ignore"):
                valid &= data != data.dtype.type(nodata)
        return valid
    if nodata is None or not np.isfinite(nodata) or nodata != int(nodata):
        return np.ones(data.shape, bool)
    return data != int(nodata)


class OpenLayer:
    """Layer that is open for reading; made by `open_layer`."""

    def __init__(self, layer: Layer, dataset: DatasetReader, grid: Grid):
        self.layer, self.dataset, self.grid = layer, dataset, grid
        self.indexes = list(layer.bands or dataset.indexes)
        missing = [b for b in self.indexes if b not in dataset.indexes]
        if missing:
            raise ImageryError(
                f"layer {layer.name}: band {missing[0]} is not in {layer.path}, which has bands "
                f"1 to {dataset.count}; correct `bands`"
            )
        names = layer.band_names or self._default_names()
        if layer.categorical:
            names = tuple(f"{layer.name}_{c}" for c in layer.classes or ())
        elif len(names) != len(self.indexes):
            raise ImageryError(
                f"layer {layer.name}: {len(names)} band names for {len(self.indexes)} bands; "
                "give one name a band"
            )
        if layer.categorical and len(self.indexes) != 1:
            raise ImageryError(
                f"layer {layer.name}: a categorical raster needs one band, but {layer.path} has "
                f"{len(self.indexes)}; choose one with `bands`"
            )
        self.band_names = names

    def _default_names(self) -> tuple[str, ...]:
        described = [self.dataset.descriptions[b - 1] for b in self.indexes]
        if all(described) and len(set(described)) == len(described):
            return tuple(described)
        if len(self.indexes) == 1:
            return (self.layer.name,)
        return tuple(f"{self.layer.name}_{i}" for i in self.indexes)

    def read(self, window: Window, grid: Grid) -> np.ndarray:
        """Read `window` of `grid`: float32 (band, y, x), NaN where there is no data.

        A categorical layer has one 0/1 band a class, NaN where the raster has no class.
        """
        values = self._resampled(window, grid)
        if not self.layer.categorical:
            return values
        classes = self.layer.classes
        assert classes is not None  # `stack._with_classes` finds those that are not configured
        present = np.isfinite(values[0])
        return np.stack([np.where(present, values[0] == c, np.nan) for c in classes]).astype(
            np.float32
        )

    def _resampled(self, window: Window, grid: Grid) -> np.ndarray:
        aligned = self._aligned_window(window, grid)
        if aligned is not None:
            return self._read_padded(aligned)
        source = self.source_window(window, grid)
        if source is None:
            return np.full((len(self.indexes), window.height, window.width), np.nan, np.float32)
        default = "mode" if self.layer.categorical else "bilinear"
        across, down = self._kernel_scale(grid)
        part = _memory_raster(
            self._read_padded(source),
            self.grid.transform @ Affine.translation(source.col_off, source.row_off),
            self.grid.crs,
        )
        with (
            part as dataset,
            WarpedVRT(
                dataset,
                crs=grid.crs.to_wkt(),
                transform=grid.transform @ Affine.translation(window.col_off, window.row_off),
                height=window.height,
                width=window.width,
                nodata=np.nan,
                resampling=Resampling[self.layer.resampling or default],
                # Exact positions, and one kernel width for the whole grid, so that a pixel's value
                # does not depend on the window.
                tolerance=1e-7,
                XSCALE=str(across),
                YSCALE=str(down),
            ) as warped,
        ):
            return warped.read()

    def read_all(self) -> np.ndarray:
        """Read the whole raster on its own grid, as `read`."""
        return self._read_padded(Window(0, 0, self.grid.width, self.grid.height))

    def _kernel_scale(self, grid: Grid) -> tuple[float, float]:
        """Target pixels a source pixel, across and down, at most 1: GDAL's XSCALE and YSCALE.

        Computed for the whole grid, because GDAL's default differs between windows.
        """
        window = self._source_pixels(Window(0, 0, grid.width, grid.height), grid)
        if window is None:
            return 1.0, 1.0
        c0, r0, c1, r1 = window
        return min(1.0, grid.width / (c1 - c0)), min(1.0, grid.height / (r1 - r0))

    def _aligned_window(self, window: Window, grid: Grid) -> Window | None:
        """The same window in source pixels if both grids share one lattice, else None."""
        if grid.crs != self.grid.crs:
            return None
        step = ~self.grid.transform @ grid.transform
        shift = np.array([step.c, step.f])
        same = np.allclose([step.a, step.b, step.d, step.e], [1, 0, 0, 1], rtol=0, atol=1e-9)
        if not same or np.abs(shift - np.round(shift)).max() > 1e-4:
            return None
        col, row = np.round(shift).astype(int)
        return Window(window.col_off + col, window.row_off + row, window.width, window.height)

    def source_window(self, window: Window, grid: Grid) -> Window | None:
        """Source pixels that contribute to a window of another grid; None if there are none."""
        pixels = self._source_pixels(window, grid)
        if pixels is None:
            return None
        c0, r0, c1, r1 = pixels
        ratio = max((c1 - c0) / window.width, (r1 - r0) / window.height, 1)
        margin = math.ceil(3 * ratio) + 2  # cubic, the widest kernel, spans two target pixels
        c0, r0 = max(0, math.floor(c0) - margin), max(0, math.floor(r0) - margin)
        c1 = min(self.grid.width, math.ceil(c1) + margin)
        r1 = min(self.grid.height, math.ceil(r1) + margin)
        return Window(c0, r0, c1 - c0, r1 - r0) if c1 > c0 and r1 > r0 else None

    def _source_pixels(self, window: Window, grid: Grid) -> tuple[float, ...] | None:
        """A window of another grid in source pixels: (left, top, right, bottom) edges."""
        part = Grid(
            grid.crs,
            grid.transform @ Affine.translation(window.col_off, window.row_off),
            window.height,
            window.width,
        )
        try:
            left, bottom, right, top = transform_bounds(
                grid.crs.to_wkt(), self.grid.crs.to_wkt(), *part.bounds, densify_pts=21
            )
        except RasterioError:
            return None
        corners = [~self.grid.transform @ c for c in _box(left, bottom, right, top)]
        columns, rows = zip(*corners, strict=True)
        edges = min(columns), min(rows), max(columns), max(rows)
        return edges if all(map(math.isfinite, edges)) else None

    def _read_padded(self, window: Window) -> np.ndarray:
        """Read scaled source values; NaN where the window extends beyond the raster."""
        out = np.full((len(self.indexes), window.height, window.width), np.nan, np.float32)
        r0, c0 = max(0, window.row_off), max(0, window.col_off)
        r1 = min(self.grid.height, window.row_off + window.height)
        c1 = min(self.grid.width, window.col_off + window.width)
        if r1 <= r0 or c1 <= c0:
            return out
        inner = Window(c0, r0, c1 - c0, r1 - r0)
        try:
            raw = self.dataset.read(self.indexes, window=inner)
            flags = self.dataset.read_masks(self.indexes, window=inner) > 0
        except RasterioIOError as error:
            raise unreadable(self.layer.path, error) from error
        out[
            :, r0 - window.row_off : r1 - window.row_off, c0 - window.col_off : c1 - window.col_off
        ] = self._scaled(raw, flags)
        return out

    def _scaled(self, raw: np.ndarray, flags: np.ndarray) -> np.ndarray:
        out = np.empty(raw.shape, np.float32)
        for i, band in enumerate(self.indexes):
            nodata = self.layer.nodata
            valid = valid_mask(raw[i], self.dataset.nodatavals[band - 1])
            # The file's mask applies unless the user sets another nodata value.
            valid &= flags[i] if nodata is None else valid_mask(raw[i], nodata)
            scale = self.dataset.scales[band - 1] if self.layer.scale is None else self.layer.scale
            offset = (
                self.dataset.offsets[band - 1] if self.layer.offset is None else self.layer.offset
            )
            out[i] = np.where(valid, raw[i] * scale + offset, np.nan)
        return out


def _box(left: float, bottom: float, right: float, top: float) -> list[tuple[float, float]]:
    """The four corners of a box; a rotated raster needs all of them."""
    return [(left, bottom), (left, top), (right, bottom), (right, top)]


def unreadable(path: Path, error: Exception) -> ImageryError:
    """Error for a file that opens but cannot be read to its end."""
    reason = str(error.__cause__ or error).splitlines()[0]
    return ImageryError(
        f"{path} cannot be read ({reason}): the file is damaged or cut short; fetch it again"
    )


@contextmanager
def open_layer(layer: Layer):
    """Open a layer for reading; yields an `OpenLayer`.

    Raises:
        ImageryError: the file is missing, damaged, or without a coordinate reference system.
    """
    refuse_address(layer.path)
    if not layer.path.exists():
        raise ImageryError(f"layer {layer.name}: {layer.path} does not exist; correct its `path`")
    if layer.path.suffix.lower() in (".nc", ".nc4", ".cdf"):
        with _netcdf(layer) as dataset:
            # The values are already in their final units.
            plain = replace(layer, scale=None, offset=None, nodata=None)
            yield OpenLayer(plain, dataset, Grid.of(dataset))
        return
    try:
        dataset = open_raster(layer.path, layer.trust)
    except RasterioIOError as error:
        raise ImageryError(
            f"layer {layer.name}: {layer.path} cannot be opened as a raster ({error}); "
            "give a GeoTIFF, NetCDF or JPEG"
        ) from error
    with dataset:
        yield OpenLayer(layer, dataset, _grid(layer, dataset))


def _grid(layer: Layer, dataset: DatasetReader) -> Grid:
    crs = layer.crs or dataset.crs
    if crs is None:
        raise ImageryError(
            f"layer {layer.name}: {layer.path} has no coordinate reference system; set "
            "`crs: EPSG:...` in the layer's configuration"
        )
    transform = dataset.transform
    if layer.bounds is not None:
        west, east, south, north = layer.bounds
        transform = from_bounds(west, south, east, north, dataset.width, dataset.height)
    elif transform == Affine.identity():
        raise ImageryError(
            f"layer {layer.name}: {layer.path} has no corner and pixel size; add "
            "`bounds: [W, E, S, N]` to the layer's configuration"
        )
    return Grid(known_crs(crs, f"layer {layer.name}"), transform, *dataset.shape)


@contextmanager
def _netcdf(layer: Layer):
    """Open a NetCDF variable as an in-memory raster: steps reduced, longitudes -180 to 180."""
    try:
        with open_raster(layer.path, layer.trust) as container:
            variables = [name.rpartition(":")[2] for name in container.subdatasets]
        source = open_raster(
            f"netcdf:{layer.path}:{_variable(layer, variables)}" if variables else layer.path,
            layer.trust,
        )
    except RasterioIOError as error:
        raise unreadable(layer.path, error) from error
    with source:
        values = OpenLayer(
            replace(layer, bands=None, band_names=None, categorical=False),
            source,
            Grid(LONLAT, source.transform, *source.shape),
        )
        data = values.read_all()
        transform = source.transform
        crs = known_crs(layer.crs or source.crs or LONLAT, f"layer {layer.name}")
    if layer.reduce is not None:
        data = getattr(np, f"nan{layer.reduce}")(data.astype(float), axis=0, keepdims=True)
    if crs.is_geographic:
        data, transform = _westward(data, transform)
    with _memory_raster(data, transform, crs) as dataset:
        yield dataset


@contextmanager
def _memory_raster(data: np.ndarray, transform: Affine, crs: CRS):
    """Open an array (band, y, x) as an in-memory raster with NaN as nodata."""
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "count": len(data),
        "nodata": np.nan,
        "height": data.shape[1],
        "width": data.shape[2],
        "transform": transform,
        "crs": crs.to_wkt(),
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as dataset:
            dataset.write(data.astype(np.float32))
        with memory.open() as dataset:
            yield dataset


def _variable(layer: Layer, variables: list[str]) -> str:
    if layer.variable not in variables:
        raise ImageryError(
            f"layer {layer.name}: variable {layer.variable!r} is not in {layer.path}; set "
            f"`variable` to one of {', '.join(variables)}"
        )
    return layer.variable


def _westward(data: np.ndarray, transform: Affine) -> tuple[np.ndarray, Affine]:
    """Move columns east of 180 degrees to the west, so that longitudes run from -180 to 180."""
    centres = transform.c + transform.a * (np.arange(data.shape[2]) + 0.5)
    moved = int((centres >= 180).sum())
    if moved in (0, len(centres)):
        return data, transform @ Affine.translation(-360 / transform.a if moved else 0, 0)
    first = len(centres) - moved
    rolled = np.concatenate([data[:, :, first:], data[:, :, :first]], axis=2)
    west = centres[first] - 360 - transform.a / 2
    return rolled, Affine(transform.a, 0, west, 0, transform.e, transform.f)
