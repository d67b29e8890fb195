"""Read one raster of any kind on any grid: float32 values, NaN where there is no data.

GDAL's warper leaves NaN out of its weights. `geo.raster.stack` turns NaN into an explicit mask, so
that NaN never reaches a model.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.transform import from_bounds
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.crs import known_crs
from spatioformer.geo.grid import Grid
from spatioformer.geo.place import check_warped
from spatioformer.geo.raster import netcdf
from spatioformer.geo.raster.checks import UNTRUSTED, Trust, check_memory, refuse_address
from spatioformer.geo.raster.classes import ClassIndex, check_colours, few_integers
from spatioformer.geo.raster.hdf5 import ENDINGS
from spatioformer.geo.raster.hdf5_set import open_data_set
from spatioformer.geo.raster.opening import is_netcdf, open_raster, variables_of
from spatioformer.geo.raster.regular import remark_of
from spatioformer.geo.raster.resampling import Resampler, memory_raster
from spatioformer.geo.raster.tally import Tally
from spatioformer.geo.raster.unit_length import check_unit_length, to_unit_length
from spatioformer.geo.raster.values import (
    Values,
    alpha_bands,
    band_titles,
    check_numbers,
    value_bands,
)

PLACE = "set the right `crs` and `bounds: [W, E, S, N]` in the layer's configuration"
RESAMPLING = ("nearest", "bilinear", "cubic", "average", "mode")


@dataclass(frozen=True)
class Layer:
    """A raster file and the interpretation of its values.

    Args:
        path: GeoTIFF, NetCDF (.nc), JPEG or anything else GDAL opens.
        name: stem of the band names.
        bands: 1-based band numbers; None takes all but alpha, which only masks.
        band_names: a name for each band read; None: `name`, or `name_1`, `name_2`, ...
        resampling: one of RESAMPLING; None: bilinear, or mode for class rasters.
        scale, offset: value = raw * scale + offset; None: as the file states.
        nodata: raw value that means no data; None: as the file states.
        crs, bounds: georeference for files that have none, or a wrong one;
            bounds = (W, E, S, N) in units of `crs`.
        variable: NetCDF variable.
        reduce: function that combines the other dimensions of a NetCDF variable (months) into one
            band; None: one band a step.
        min_share: smallest share of the steps with data, 0 to 1, for `reduce`; None: 1 for sum, and
            one step for the others.
        categorical: whether values are classes; None: no, but a raster with a colour table is
            refused.
        classes: class values of a categorical raster, each a 0/1 band; None: those that occur.
        unit_length: whether the bands of a pixel are a vector of length 1, as of an embedding;
            means are scaled back to length 1, and a pixel without one band has none.
        is_mask: whether its classes exclude pixels; a mask alone may be resampled bilinearly.
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
    min_share: float | None = None
    categorical: bool | None = None
    classes: tuple[int, ...] | None = None
    unit_length: bool = False
    is_mask: bool = False
    trust: Trust = UNTRUSTED


class OpenLayer:
    """Layer that is open for reading; made by `open_layer`."""

    def __init__(self, layer: Layer, dataset: DatasetReader, grid: Grid):
        self.layer, self.dataset, self.grid = layer, dataset, grid
        owner = f"layer {layer.name}: {layer.path}"
        self.indexes = list(layer.bands or value_bands(dataset))
        missing = [b for b in self.indexes if b not in dataset.indexes]
        if missing:
            raise ImageryError(
                f"layer {layer.name}: band {missing[0]} is not in {layer.path}, which has bands "
                f"1 to {dataset.count}; correct `bands`"
            )
        self._check_kind(owner)
        self.values = Values(dataset, tuple(self.indexes), layer.nodata, layer.scale, layer.offset)
        self.dtype: type = np.float32
        self.tally, self.counts = Tally(self.values.units()), True
        self.regularity = remark_of(dataset)
        self.integers: list[int] | None = None  # those of a NetCDF file, which is read already
        self._resampler = Resampler(grid, len(self.indexes))
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

    def _check_kind(self, owner: str) -> None:
        """Raise if the bands, or how they are to be resampled, do not suit the layer."""
        layer = self.layer
        if not self.indexes:
            raise ImageryError(
                f"{owner} has no band with values; give a file with bands (of a file of several "
                "data sets, write one as a GeoTIFF with gdal_translate)"
            )
        alpha = set(alpha_bands(self.dataset)) & set(self.indexes)
        if alpha:
            raise ImageryError(
                f"{owner}: band {min(alpha)} is alpha, which masks the others; leave it out of "
                "`bands`"
            )
        check_numbers(self.dataset, self.indexes, owner)
        check_colours(self.dataset, self.indexes, layer.categorical, owner)
        if layer.classes is not None and layer.categorical is None:
            raise ImageryError(
                f"layer {layer.name}: `classes` are given; set `categorical: true` too"
            )
        if layer.classes == ():
            raise ImageryError(
                f"layer {layer.name}: `classes` is empty; list the classes to use, or remove "
                "`classes` to use all"
            )
        if layer.unit_length and (layer.categorical or len(self.indexes) < 2):
            raise ImageryError(
                f"layer {layer.name}: `unit_length` is for the bands of an embedding, and the "
                "layer holds classes or one band; remove it"
            )
        methods = (None, "nearest", "mode", *(["bilinear"] if layer.is_mask else []))
        if layer.categorical and layer.resampling not in methods:
            raise ImageryError(
                f"layer {layer.name}: resampling {layer.resampling!r} computes averages of "
                "classes; set `resampling` to nearest or mode"
            )

    def _default_names(self) -> tuple[str, ...]:
        titles = band_titles(self.dataset)
        described = [titles[b - 1] for b in self.indexes]
        if all(described) and len(set(described)) == len(described):
            return tuple(described)
        if len(self.indexes) == 1:
            return (self.layer.name,)
        return tuple(f"{self.layer.name}_{i}" for i in self.indexes)

    def read(self, window: Window, grid: Grid) -> np.ndarray:
        """Read `window` of `grid`: float32 (band, y, x), NaN where there is no data.

        A categorical layer has one 0/1 band a class, NaN where the raster has no class.
        """
        if not self.layer.categorical:
            method = self.layer.resampling or "bilinear"
            values = self._resampler.resample(window, grid, method, self._read)
            return to_unit_length(values) if self.layer.unit_length else values
        wanted = self.layer.classes
        assert wanted is not None  # `stack.with_classes` finds those that are not configured
        classes, present = self.read_classes(window, grid)
        bands = [np.where(present, classes == c, np.nan) for c in wanted]
        return np.stack(bands).astype(np.float32)

    def read_classes(self, window: Window, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Read `window` of `grid` as classes, exact for integers of any size.

        Returns:
            classes: (y, x), integers as in the file, float64 of a file with fractions.
            present: bool (y, x), whether there is a class.
        """
        index = ClassIndex()

        def read(part: Window) -> np.ndarray:
            with self.readable():
                return index.encode(*self.values.read_classes(part))

        method = self.layer.resampling or "mode"
        return index.decode(self._resampler.resample(window, grid, method, read)[0])

    def read_mask(self, window: Window, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
        """Read a mask on `grid`, as `read_classes` unless `resampling: bilinear` is set.

        That interpolates codes, as version 0.1 did; `build_stack` remarks it.
        """
        if not self.interpolates_on(grid):
            return self.read_classes(window, grid)
        codes = self._resampler.resample(window, grid, "bilinear", self._read)[0]
        return codes, np.isfinite(codes)

    def interpolates_on(self, grid: Grid) -> bool:
        """Whether `read_mask` interpolates codes on a grid, which has other pixels."""
        whole = Window(0, 0, grid.width, grid.height)
        return self.layer.resampling == "bilinear" and not self._resampler.is_aligned(whole, grid)

    def read_all(self) -> np.ndarray:
        """Read the whole raster on its own grid, as `read`."""
        return self._read(Window(0, 0, self.grid.width, self.grid.height))

    def source_window(self, window: Window, grid: Grid) -> Window | None:
        """Source pixels that contribute to a window of another grid; None if there are none."""
        return self._resampler.source_window(window, grid)

    def _read(self, window: Window) -> np.ndarray:
        with self.readable():
            values = self.values.read(window, self.dtype)
        if self.counts:
            self.tally.add(values)
        if self.layer.unit_length:
            check_unit_length(values, f"layer {self.layer.name}: {self.layer.path}")
            values[:, np.isnan(values).any(axis=0)] = np.nan
        return values

    @contextmanager
    def readable(self) -> Iterator[None]:
        """Turn errors of reading into a sentence that names the file."""
        try:
            yield
        except RasterioIOError as error:
            raise unreadable(self.layer.path, error) from error


def unreadable(path: Path | str, error: Exception) -> ImageryError:
    """Error for a file that opens but cannot be read to its end."""
    reason = str(error.__cause__ or error).splitlines()[0]
    return ImageryError(
        f"{path} cannot be read ({reason}): the file is damaged or cut short; fetch it again"
    )


@contextmanager
def open_layer(layer: Layer) -> Iterator[OpenLayer]:
    """Open a layer for reading; yields an `OpenLayer`.

    Raises:
        ImageryError: the file is missing, damaged, without a place on Earth, or the layer's options
            do not fit it.
    """
    refuse_address(layer.path)
    if not layer.path.exists():
        raise ImageryError(f"layer {layer.name}: {layer.path} does not exist; correct its `path`")
    if _is_netcdf(layer):
        with _netcdf(layer) as (dataset, grid, whole):
            # The values are already in their final units.
            plain = replace(layer, scale=None, offset=None, nodata=None)
            opened = OpenLayer(plain, dataset, grid)
            opened.tally, opened.counts, opened.regularity = whole.tally, False, whole.regularity
            opened.integers = whole.integers
            opened.dtype = np.float64 if layer.categorical else np.float32
            yield opened
        return
    dataset = _open_plain(layer)
    with dataset:
        opened = OpenLayer(layer, dataset, _grid(layer, dataset))
        if dataset.driver == "HDF5Image" and dataset.transform == Affine.identity():
            opened.regularity = (
                f"{layer.path} states no axes that are read; with `bounds`, its first row is "
                "taken to be the northern one and its first column the western one"
            )
        yield opened


def _is_netcdf(layer: Layer) -> bool:
    try:
        return is_netcdf(layer.path, layer.trust)
    except RasterioIOError as error:
        raise unreadable(layer.path, error) from error


def _open_plain(layer: Layer) -> DatasetReader:
    """Open a raster that is no NetCDF; of an HDF5 file the data set `variable`."""
    is_hdf5 = layer.path.suffix.lower() in ENDINGS
    for option in ("reduce",) if is_hdf5 else ("variable", "reduce"):
        if getattr(layer, option) is not None:
            raise ImageryError(
                f"layer {layer.name}: `{option}` is for NetCDF files (.nc), and {layer.path} is "
                f"another kind; remove `{option}`"
            )
    try:
        if is_hdf5:
            return open_data_set(layer.path, layer.variable, layer.trust, layer.name)
        return open_raster(layer.path, layer.trust)
    except RasterioIOError as error:
        raise ImageryError(
            f"layer {layer.name}: {layer.path} cannot be opened as a raster ({error}); "
            "give a GeoTIFF, NetCDF or JPEG"
        ) from error


def _grid(layer: Layer, dataset: DatasetReader) -> Grid:
    owner = f"layer {layer.name}: {layer.path}"
    check_warped(dataset, owner, dataset.name if layer.variable else layer.path)
    crs = layer.crs or dataset.crs
    if not crs:
        raise ImageryError(
            f"{owner} has no coordinate reference system; set "
            "`crs: EPSG:...` in the layer's configuration"
        )
    transform = dataset.transform
    if layer.bounds is not None:
        west, east, south, north = layer.bounds
        transform = from_bounds(west, south, east, north, dataset.width, dataset.height)
    elif transform == Affine.identity():
        raise ImageryError(
            f"{owner} has no corner and pixel size; add "
            "`bounds: [W, E, S, N]` to the layer's configuration"
        )
    return Grid.placed(
        known_crs(crs, f"layer {layer.name}"), transform, dataset.shape, owner, PLACE
    )


def _check_regular(layer: Layer, source: DatasetReader, owner: str) -> None:
    """Raise if the layer gives another place to a raster that its axes placed."""
    if remark_of(source) is None:
        return
    for option in ("bounds", "crs") if source.crs else ("bounds",):
        value = getattr(layer, option)
        if value is not None and not (option == "crs" and known_crs(value, owner) == source.crs):
            raise ImageryError(
                f"{owner} is placed by axes with unequal steps or a rotated pole, which `{option}` "
                f"cannot replace; remove `{option}`"
            )


@contextmanager
def _netcdf(layer: Layer) -> Iterator[tuple[DatasetReader, Grid, OpenLayer]]:
    """Open a NetCDF variable as an in-memory raster: steps reduced, longitudes -180 to 180."""
    owner = f"layer {layer.name}: {layer.path}"
    try:
        listed = variables_of(layer.path, layer.trust)
        name = netcdf.chosen_variable(listed, layer.variable, owner) if listed else None
        address = layer.path if name is None else f"netcdf:{layer.path}:{name}"
        nearest = bool(layer.categorical) or layer.resampling in ("nearest", "mode")
        source = open_raster(address, layer.trust, nearest=nearest, nodata=layer.nodata)
    except RasterioIOError as error:
        raise unreadable(layer.path, error) from error
    with source:
        name = netcdf.only_variable(source, layer.variable, owner)
        check_warped(source, owner, netcdf.address(layer.path, name))
        _check_regular(layer, source, owner)
        crs, transform = netcdf.place(source, name, layer.crs, owner)
        if layer.bounds is not None:
            west, east, south, north = layer.bounds
            transform = from_bounds(west, south, east, north, source.width, source.height)
        netcdf.check_flags(source, name, layer.categorical, owner)
        grid = Grid.placed(crs, transform, source.shape, owner, PLACE)
        check_memory(owner, source.count, *source.shape)
        raw = replace(layer, bands=None, band_names=None, categorical=False, classes=None,
                      unit_length=False)  # fmt: skip
        whole = OpenLayer(raw, source, grid)
        whole.dtype = np.float64 if layer.categorical else np.float32
        with whole.readable():
            whole.integers = few_integers(source, 1)
        data = whole.read_all()
    if layer.reduce is not None:
        data = netcdf.reduced(data, layer.reduce, layer.min_share).astype(data.dtype)
    if crs.is_geographic:
        data, transform = netcdf.westward(data, transform)
    with memory_raster(data, transform, crs) as dataset:
        yield dataset, Grid(crs, transform, *dataset.shape), whole
