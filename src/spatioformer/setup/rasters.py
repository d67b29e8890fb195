"""Look at a raster: its header, a sample of its values, and which plots lie on it.

However large the file is, at most `MOST_BYTES` of it are read, except for small NetCDF files, which
their reader takes as a whole.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.errors import RasterioIOError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError, SpatioformerError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster import netcdf
from spatioformer.geo.raster.checks import refuse_address
from spatioformer.geo.raster.classes import few_integers, spread_windows
from spatioformer.geo.raster.hdf5 import data_sets
from spatioformer.geo.raster.layers import Layer, OpenLayer, open_layer
from spatioformer.geo.raster.opening import is_netcdf, open_raster

LARGE_NETCDF = 50 * 10**6  # bytes, from which only the header is read
MOST_BYTES = 200 * 10**6  # of blocks read from one raster
MOST_PLOTS = 100  # whose pixels are read
_AXES = re.compile(
    r"(lat|lon|latitude|longitude|x|y|time|level|crs|spatial_ref|.*_(bnds|bounds))$", re.IGNORECASE
)


@dataclass
class RasterFacts:
    """What is known of a raster.

    Attributes:
        layer: the layer as it was opened; `variable` is set where there was no choice.
        error: why it cannot be used; None if it can.
        variables: variables of a NetCDF file among which the user has to choose; else empty.
        steps: number of steps (months) of a NetCDF variable; 0 of other rasters.
        lacks_crs: whether neither the file nor the configuration states a CRS.
        bounds: left, bottom, right, top in the units of the file; None if not known.
        grid: its grid; None with an error.
        bands: names of its bands; empty for a class raster, whose bands are its classes.
        states_classes: whether the file itself says that its values are classes.
        few: the values of a single band of 3 to 24 different integers, else empty.
        few_bands: names of such bands among several.
        suspect: raw value that looks like undeclared missing data, and its share; or None.
        stated: what the file states: "nodata", "scale, offset", as a sentence each.
        holds: bool (n,), whether each plot lies on the grid; None without plots.
        empty: share of a sample of those plots whose pixel has no data in some band.
    """

    layer: Layer
    error: SpatioformerError | None = None
    variables: tuple[str, ...] = ()
    steps: int = 0
    lacks_crs: bool = False
    bounds: tuple[float, float, float, float] | None = None
    grid: Grid | None = None
    bands: tuple[str, ...] = ()
    states_classes: bool = False
    few: list[int] = field(default_factory=list)
    few_bands: tuple[str, ...] = ()
    suspect: tuple[float, float] | None = None
    stated: tuple[str, ...] = ()
    holds: NDArray[np.bool_] | None = None
    empty: float = 0.0


def examine(layer: Layer, lonlat: NDArray[np.float64] | None) -> RasterFacts:
    """Look at a raster, and at the pixels of plots at lon, lat (n, 2), degrees."""
    facts = RasterFacts(layer)
    try:
        _peek(facts)
        if not facts.variables and not facts.lacks_crs:
            _open(facts, lonlat)
    except RasterioIOError as error:
        facts.error = ImageryError(
            f"{layer.path} cannot be opened as a raster ({error}); give a GeoTIFF, NetCDF or JPEG"
        )
    except SpatioformerError as error:
        facts.error = error
    return facts


def _peek(facts: RasterFacts) -> None:
    """Read the header: variables, CRS and bounds, before anything is asked of them."""
    layer = facts.layer
    refuse_address(layer.path)
    if not layer.path.exists():
        raise ImageryError(f"there is no file {layer.path}; check the path")
    with open_raster(layer.path, layer.trust) as dataset:
        if dataset.driver == "netCDF" or dataset.subdatasets:
            _choose_variable(facts, dataset)
            return
        facts.lacks_crs = layer.crs is None and not dataset.crs and not dataset.gcps[0]
        bounds = dataset.bounds
        facts.bounds = (bounds.left, bounds.bottom, bounds.right, bounds.top)
        if facts.lacks_crs and dataset.transform.is_identity and layer.bounds is None:
            raise ImageryError(
                f"{layer.path} has no coordinate reference system, corner and pixel size; set "
                "`crs` and `bounds: [W, E, S, N]` of the layer (with `spatioformer init`: --set "
                "imagery.layers.N.crs=EPSG:4326 --set imagery.layers.N.bounds=[W,E,S,N])"
            )


def _choose_variable(facts: RasterFacts, container: DatasetReader) -> None:
    listed = data_sets(container)
    if facts.layer.variable is not None or not listed:
        return
    variables = [name for name in listed if not _AXES.match(name.rpartition("/")[2])] or listed
    if len(variables) > 1:
        facts.variables = tuple(variables)
    else:
        facts.layer = replace(facts.layer, variable=variables[0])


def _open(facts: RasterFacts, lonlat: NDArray[np.float64] | None) -> None:
    path = facts.layer.path
    if is_netcdf(path, facts.layer.trust):
        _count_steps(facts)
        if path.stat().st_size > LARGE_NETCDF:
            _locate(facts, lonlat)
            return
    try:
        _look(facts, lonlat)
    except ImageryError:
        if facts.layer.categorical is not None:
            raise
        undecided = facts.layer
        facts.layer = replace(undecided, categorical=True)
        try:  # a colour table, or flags of a NetCDF variable
            _look(facts, lonlat)
        except ImageryError:
            facts.layer = undecided
        facts.states_classes = facts.layer.categorical is True
        if not facts.states_classes:
            raise


def _variable(layer: Layer) -> str | Path:
    return layer.path if layer.variable is None else f"netcdf:{layer.path}:{layer.variable}"


def _count_steps(facts: RasterFacts) -> None:
    with open_raster(_variable(facts.layer), facts.layer.trust) as dataset:
        facts.steps = dataset.count


def _locate(facts: RasterFacts, lonlat: NDArray[np.float64] | None) -> None:
    """Read the grid of a large NetCDF variable from its header."""
    layer = facts.layer
    with open_raster(_variable(layer), layer.trust) as dataset:
        crs, transform = netcdf.place(dataset, layer.variable, layer.crs, str(layer.path))
        facts.grid = Grid(crs, transform, *dataset.shape)
        count = 1 if layer.reduce is not None else dataset.count
    names = [layer.name] if count == 1 else [f"{layer.name}_{i + 1}" for i in range(count)]
    facts.bands = tuple(names)
    if lonlat is not None:
        facts.holds = facts.grid.holds(*facts.grid.pixel(*lonlat.T))


def _look(facts: RasterFacts, lonlat: NDArray[np.float64] | None) -> None:
    """Open the layer with its reader; sample its values and the pixels of the plots."""
    with open_layer(facts.layer) as opened:
        facts.grid, facts.bands = opened.grid, opened.band_names
        facts.stated = _stated(opened)
        with opened.readable():
            if not opened.layer.categorical:
                _sample(opened)
                facts.suspect = opened.tally.suspect()
                _find_classes(facts, opened)
            if lonlat is not None:
                _visit(facts, opened, lonlat)


def _stated(opened: OpenLayer) -> tuple[str, ...]:
    """What the file states on the meaning of its values."""
    dataset, sentences = opened.dataset, []
    stated = {dataset.nodatavals[band - 1] for band in opened.indexes}
    nodata = sorted(value for value in stated if value is not None and np.isfinite(value))
    if nodata and opened.layer.nodata is None and opened.counts:
        sentences.append(f"nodata {', '.join(f'{value:.8g}' for value in nodata)}")
    units = {unit for unit in opened.values.units() if unit != (1, 0)}
    if units and opened.layer.scale is None and opened.layer.offset is None:
        scale, offset = sorted(units)[0]
        more = " (one of several)" if len(units) > 1 else ""
        sentences.append(f"value = raw x {scale:g} + {offset:g}{more}")
    return tuple(sentences)


def _windows(opened: OpenLayer) -> Sequence[Window]:
    """Windows spread over the raster, fewer where its blocks are large."""
    windows = list(spread_windows(opened.grid.height, opened.grid.width))
    height, width = opened.dataset.block_shapes[0]
    across = [1 + 64 // side for side in (height, width)]
    cost = across[0] * across[1] * height * width * _pixel_bytes(opened.dataset)
    count = int(np.clip(MOST_BYTES // max(1, cost), 1, len(windows)))
    chosen = np.linspace(0, len(windows) - 1, count).astype(int)
    return [windows[i] for i in np.unique(chosen)]


def _pixel_bytes(dataset: DatasetReader) -> int:
    return sum(np.dtype(dtype).itemsize for dtype in dataset.dtypes)


def _sample(opened: OpenLayer) -> None:
    """Let the layer count values that look like missing data in windows of the raster."""
    if opened.counts:  # a NetCDF variable was counted as it was read
        for window in _windows(opened):
            opened.read(window, opened.grid)


def _find_classes(facts: RasterFacts, opened: OpenLayer) -> None:
    few = {i: few_integers(opened.dataset, band) for i, band in enumerate(opened.indexes)}
    few = {i: values for i, values in few.items() if values}
    if few and len(opened.indexes) == 1:
        facts.few = few[0]
    facts.few_bands = tuple(facts.bands[i] for i in few) if len(opened.indexes) > 1 else ()


def _visit(facts: RasterFacts, opened: OpenLayer, lonlat: NDArray[np.float64]) -> None:
    """Find the plots on the grid, and of a sample of them those without data."""
    rows, cols = opened.grid.pixel(*lonlat.T)
    facts.holds = opened.grid.holds(rows, cols)
    inside = np.flatnonzero(facts.holds)
    height, width = opened.dataset.block_shapes[0]
    cost = height * width * _pixel_bytes(opened.dataset)
    most = int(np.clip(MOST_BYTES // max(1, cost), 1, MOST_PLOTS))
    chosen = (
        inside[np.unique(np.linspace(0, len(inside) - 1, most).astype(int))] if len(inside) else []
    )
    empty = 0
    for i in chosen:
        raw, valid = opened.values.read_raw(Window(int(cols[i]), int(rows[i]), 1, 1))
        if np.issubdtype(raw.dtype, np.floating):
            valid = valid & np.isfinite(raw)
        empty += not valid.all()
    facts.empty = empty / max(1, len(chosen))
