"""Put NetCDF variables on equal steps of a CRS that GeoTIFF knows: in memory, values interpolated.

Unequal rows or columns become equal ones as narrow as the narrowest; a rotated pole becomes
longitude and latitude; rows of longitude become columns. Values are interpolated bilinearly, with
missing ones left out; classes take the nearest.
"""

import math
import uuid
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from rasterio.io import DatasetReader
from rasterio.transform import from_origin
from rasterio.windows import Window

from spatioformer.geo.grid import LONLAT
from spatioformer.geo.raster.axes import Axes, axes_of, in_file_order, is_equal
from spatioformer.geo.raster.checks import check_memory, check_size
from spatioformer.geo.raster.classes import NAMESPACE, few_integers
from spatioformer.geo.raster.values import Values

Floats = NDArray[np.float64]

FINEST = 8  # rows or columns at equal steps for each one of the file, at most; or their mean
CHUNK = 2**20  # pixels interpolated at once


def regular(
    dataset: DatasetReader,
    file: Path,
    nearest: bool = False,
    nodata: float | None = None,
    placed: bool = False,
) -> DatasetReader:
    """Give a NetCDF variable an affine transform and a CRS, if its axes say them and GDAL does not.

    Args:
        dataset: the open variable; closed if another dataset is returned.
        file: the NetCDF file.
        nearest: whether pixels take the nearest value. So do variables with flags.
        nodata: raw value that means no data; None: as the file states.
        placed: whether a transform without a CRS is enough, if it is north up.

    Returns:
        `dataset`, or a raster in memory with the same bands, tags, scales and offsets, NaN where
        there are no data. `remark_of` says what was done.

    Raises:
        ImageryError: the raster is too large.
    """
    axes = axes_of(dataset, file) if dataset.count else None
    if axes is None:
        return dataset
    has_crs = dataset.crs or axes.crs is None
    is_north_up = dataset.transform.a > 0 > dataset.transform.e
    is_placed = dataset.transform != Affine.identity() and (has_crs or (placed and is_north_up))
    if is_placed and axes.is_regular and not axes.is_rotated and not axes.transposed:
        return dataset
    tags = dataset.tags()
    flags = ("flag_values", "flag_masks")
    nearest = nearest or any(key.rpartition("#")[2] in flags for key in tags)
    transform, shape = _target(axes)
    check_size(file, shape[1], shape[0], dataset.count)
    check_memory(str(file), dataset.count, *max(shape, dataset.shape, key=math.prod))
    with in_file_order(dataset) as ordered:
        values = _values(ordered, nodata)
    if axes.transposed:
        values = values.swapaxes(1, 2)
    crs = LONLAT if axes.is_rotated else axes.crs
    data = _interpolated(values, axes, transform, shape, nearest)
    with dataset:
        return _in_memory(dataset, data, transform, crs, _remark(axes, transform, file, nearest))


def remark_of(dataset: DatasetReader) -> str | None:
    """What `regular` did to the values of a raster, as a sentence; None: nothing."""
    remark: str | None = dataset.tags(ns=NAMESPACE).get("REGULAR")
    return remark


def _values(dataset: DatasetReader, nodata: float | None) -> NDArray[np.floating]:
    """All raw values (band, y, x), NaN where there are no data."""
    window = Window(0, 0, dataset.width, dataset.height)
    raw, valid = Values(dataset, tuple(dataset.indexes), nodata).read_raw(window)
    small = raw.dtype.itemsize <= 2 or raw.dtype == np.float32  # float32 holds them exactly
    return np.where(valid, raw, np.nan).astype(np.float32 if small else np.float64)


def _in_memory(
    dataset: DatasetReader,
    data: NDArray[np.floating],
    transform: Affine,
    crs: CRS | None,
    remark: str | None,
) -> DatasetReader:
    # rasterio deletes a file of the name that it writes, whatever the driver.
    memory = rasterio.open(
        f"/vsimem/{uuid.uuid4().hex}", "w+", driver="MEM", dtype=data.dtype.name, count=len(data),
        height=data.shape[1], width=data.shape[2], transform=transform, nodata=np.nan,
        crs=None if crs is None else crs.to_wkt(),
    )  # fmt: skip
    memory.write(data)
    memory.update_tags(**dataset.tags())
    memory.scales, memory.offsets = dataset.scales, dataset.offsets
    for band, title in zip(dataset.indexes, dataset.descriptions, strict=True):
        memory.update_tags(band, **dataset.tags(band))
        if title:
            memory.set_band_description(band, title)
    # Interpolated, classes are no integers any more.
    memory.update_tags(ns=NAMESPACE, INTEGERS=" ".join(map(str, few_integers(dataset, 1))))
    if remark:
        memory.update_tags(ns=NAMESPACE, REGULAR=remark)
    return memory


def _remark(axes: Axes, transform: Affine, file: Path, nearest: bool) -> str | None:
    method = "each pixel takes the nearest value" if nearest else "values are interpolated"
    unit = f"{axes.crs.axis_info[0].unit_name}s" if axes.crs is not None else "units"
    if axes.is_rotated:
        return (
            f"{file} is on a rotated pole; {method}, at equal steps of {transform.a:.4g} degrees "
            "of longitude and latitude"
        )
    sides = {"rows": (axes.y, -transform.e), "columns": (axes.x, transform.a)}
    parts = [
        f"{side} of {file} are {low:.4g} to {high:.4g} {unit} apart; {method}, at equal steps of "
        f"{step:.4g}"
        for side, (centres, step) in sides.items()
        if not is_equal(centres)
        for low, high in [np.sort(np.abs(np.diff(centres)))[[0, -1]]]
    ]
    return "; ".join(parts) or None


def _target(axes: Axes) -> tuple[Affine, tuple[int, int]]:
    """Transform, north up, and shape of the grid with equal steps."""
    if axes.is_rotated:
        return _lonlat_target(axes)
    is_geographic = axes.crs is not None and axes.crs.is_geographic
    # Equal rows keep their step; else those centred on the poles would be interpolated.
    ends_at_poles = is_geographic and not is_equal(axes.y)
    south, north = edges(axes.y, 90.0 if ends_at_poles else np.inf)[[0, -1]]
    west, east = edges(axes.x)[[0, -1]]
    height, width = _count(axes.y, north - south), _count(axes.x, east - west)
    step = (east - west) / width, (north - south) / height
    return from_origin(west, north, *step), (height, width)


def _count(centres: Floats, extent: float) -> int:
    """Number of equal steps: as narrow as the narrowest of the axis, but FINEST times as many."""
    if is_equal(centres):
        return len(centres)
    narrowest = np.abs(np.diff(centres)).min()
    return int(min(np.ceil(extent / narrowest - 1e-6), FINEST * len(centres)))


def edges(centres: Floats, limit: float = np.inf) -> Floats:
    """Edges (n + 1,) of the cells around centres (n,): ascending, within -limit and limit."""
    ascending = np.sort(centres)
    between = (ascending[1:] + ascending[:-1]) / 2
    first, last = 2 * ascending[0] - between[0], 2 * ascending[-1] - between[-1]
    return np.clip(np.concatenate([[first], between, [last]]), -limit, limit)


def _lonlat_target(axes: Axes) -> tuple[Affine, tuple[int, int]]:
    """The longitudes and latitudes that a rotated grid covers, at its own mean step."""
    assert axes.crs is not None
    xs, ys = edges(axes.x), edges(axes.y, 90.0)
    to_lonlat = Transformer.from_crs(axes.crs, LONLAT, always_xy=True)
    x = np.concatenate([xs, np.full(len(ys), xs[-1]), xs[::-1], np.full(len(ys), xs[0])])
    y = np.concatenate([np.full(len(xs), ys[0]), ys, np.full(len(xs), ys[-1]), ys[::-1]])
    lon, lat = to_lonlat.transform(*_dense(x, y))
    lon = np.unwrap(lon, period=360)
    west, east, south, north = lon.min(), lon.max(), lat.min(), lat.max()
    poles = _inside(axes, np.zeros(2), np.array([90.0, -90.0]))
    if poles.any() or east - west > 359:
        west, east = -180.0, 180.0
        north, south = (90.0 if poles[0] else north), (-90.0 if poles[1] else south)
    step = min(np.abs(np.diff(axes.x)).mean(), np.abs(np.diff(axes.y)).mean())
    most = FINEST**2 * len(axes.x) * len(axes.y)  # pixels; near a pole longitudes are many
    step = max(step, np.sqrt((east - west) * (north - south) / most))
    width, height = (max(1, int(np.ceil(s / step - 1e-6))) for s in (east - west, north - south))
    west -= 360 * np.floor((west + 180) / 360)
    if width * step > 360:
        return from_origin(west, north, 360 / width, step), (height, width)
    return from_origin(west, north, step, step), (height, width)


def _dense(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """A line with four points for each of its own, so that its bends on Earth are not missed."""
    at = np.arange(0, len(x) - 1 + 1e-9, 0.25)
    return np.interp(at, np.arange(len(x)), x), np.interp(at, np.arange(len(y)), y)


def _inside(axes: Axes, lon: Floats, lat: Floats) -> NDArray[np.bool_]:
    """Whether places on Earth lie on a rotated grid."""
    rows, cols = _positions(axes, lon, lat)
    return np.isfinite(rows) & np.isfinite(cols)


def _positions(axes: Axes, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Fractional rows and columns of places; NaN outside. Centres are whole numbers."""
    x, y = lon, lat
    if axes.is_rotated:
        west = edges(axes.x)[0]
        x, y = Transformer.from_crs(LONLAT, axes.crs, always_xy=True).transform(lon, lat)
        x = np.where(np.isfinite(x), x, np.nan)
        x = west + (x - west) % 360
    return _position(axes.y, y), _position(axes.x, x)


def _position(centres: Floats, values: Floats) -> Floats:
    ascending = centres[0] < centres[-1]
    index = np.arange(len(centres), dtype=np.float64)
    points = (centres, index) if ascending else (centres[::-1], index[::-1])
    low, high = edges(centres)[[0, -1]]
    slack = 1e-9 * (high - low)
    inside = (values >= low - slack) & (values <= high + slack)
    return np.where(inside, np.interp(values, *points), np.nan)


def _interpolated(
    values: NDArray[np.floating],
    axes: Axes,
    transform: Affine,
    shape: tuple[int, int],
    nearest: bool,
) -> NDArray[np.floating]:
    """Values (band, y, x) of the axes on the grid with equal steps."""
    height, width = shape
    out = np.empty((len(values), height, width), values.dtype)
    x = transform.c + transform.a * (np.arange(width) + 0.5)
    rows_at_once = max(1, CHUNK // width)
    for first in range(0, height, rows_at_once):
        last = min(height, first + rows_at_once)
        y = transform.f + transform.e * (np.arange(first, last) + 0.5)
        lon, lat = np.broadcast_arrays(x[None], y[:, None])
        rows, cols = _positions(axes, lon, lat)
        for band, target in zip(values, out, strict=True):
            sample = _nearest(band, rows, cols) if nearest else _bilinear(band, rows, cols)
            target[first:last] = sample
    return out


def _nearest(band: NDArray[np.floating], rows: Floats, cols: Floats) -> NDArray[np.floating]:
    inside = np.isfinite(rows) & np.isfinite(cols)
    row, col = (np.rint(np.where(inside, at, 0)).astype(np.int64) for at in (rows, cols))
    return np.where(inside, band[row, col], np.nan)


def _bilinear(band: NDArray[np.floating], rows: Floats, cols: Floats) -> NDArray[np.floating]:
    """Means of the four centres around; NaN where less than half of their weight has data."""
    inside = np.isfinite(rows) & np.isfinite(cols)
    rows, cols = np.where(inside, rows, 0), np.where(inside, cols, 0)
    top, left = np.floor(rows).astype(np.int64), np.floor(cols).astype(np.int64)
    down, right = rows - top, cols - left
    total, weights = np.zeros(rows.shape), np.zeros(rows.shape)
    for row, across in ((top, 1 - down), (top + 1, down)):
        for col, along in ((left, 1 - right), (left + 1, right)):
            value = band[np.minimum(row, band.shape[0] - 1), np.minimum(col, band.shape[1] - 1)]
            weight = np.where(np.isfinite(value), across * along, 0)
            total += weight * np.where(weight > 0, value, 0)
            weights += weight
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(inside & (weights >= 0.5 - 1e-9), total / weights, np.nan)
