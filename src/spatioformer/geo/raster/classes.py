"""Class rasters: which files look like them, and classes that pass GDAL's warper exactly."""

from collections.abc import Iterator, Sequence

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.values import valid_mask

NAMESPACE, INTEGERS = "SPATIOFORMER", "INTEGERS"  # of tags of rasters in memory
FEW = range(3, 25)  # numbers of different integers that look like classes
WINDOWS, SIDE = 8, 64  # windows a side, and their side in pixels, in which values are sampled


def check_colours(
    dataset: DatasetReader, indexes: Sequence[int], categorical: bool | None, owner: str
) -> None:
    """Raise if a band has a colour table and the layer does not say whether it holds classes.

    Raises:
        ImageryError: as above; averages of classes would mean nothing.
    """
    tables = [b for b in indexes if dataset.colorinterp[b - 1] == ColorInterp.palette]
    if tables and categorical is None:
        raise ImageryError(
            f"{owner} has a colour table, so its values look like classes; set `categorical: true` "
            "for one 0/1 band a class, or `categorical: false` for numbers"
        )


def few_integers(dataset: DatasetReader, band: int) -> list[int]:
    """The values of an integer band that has 3 to 24 different ones, ascending; else an empty list.

    They are sampled in windows spread over the raster. A raster in memory may keep those of its
    file as a tag.
    """
    kept = dataset.tags(ns=NAMESPACE).get(INTEGERS)
    if kept is not None:
        return [int(value) for value in kept.split()]
    if not np.issubdtype(np.dtype(dataset.dtypes[band - 1]), np.integer):
        return []
    values: set[int] = set()
    pixels = 0
    for window in spread_windows(dataset.height, dataset.width):
        data = dataset.read(band, window=window)
        data = data[valid_mask(data, dataset.nodatavals[band - 1])]
        pixels += data.size
        values.update(np.unique(data).tolist())
        if len(values) > FEW[-1]:
            return []
    enough = len(values) in FEW and pixels >= 20 * len(values)
    return sorted(values) if enough else []


def spread_windows(height: int, width: int) -> Iterator[Window]:
    """At most 8 x 8 windows of 64 x 64 pixels, spread evenly over a raster, row by row."""
    for row in _spread(height):
        for col in _spread(width):
            yield Window(col, row, min(SIDE, width - col), min(SIDE, height - row))


def _spread(length: int) -> list[int]:
    last = max(0, length - SIDE)
    return sorted(set(np.linspace(0, last, WINDOWS).astype(int).tolist()))


def is_among(classes: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Test which classes are among `wanted`, without rounding large integers: bool, same shape."""
    if np.issubdtype(classes.dtype, np.integer):
        limits = np.iinfo(classes.dtype)
        wanted = [c for c in wanted if limits.min <= c <= limits.max]
    return np.isin(classes, np.array(list(wanted), classes.dtype))


class ClassIndex:
    """Numbers for classes, so that GDAL's float32 warper does not merge integers above 2^24.

    One object serves one call of the warper: `encode` what it reads, `decode` what it returns.
    """

    def __init__(self) -> None:
        self._numbers: dict[int | float, int] = {}
        self._dtype: np.dtype = np.dtype(np.float64)

    def encode(self, classes: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Classes (y, x) as float32 (1, y, x), NaN where not valid."""
        self._dtype = classes.dtype
        if _is_small(classes.dtype):
            return np.where(valid, classes, np.nan).astype(np.float32)[None]
        valid = valid & np.isfinite(classes)
        unique, inverse = np.unique(classes[valid], return_inverse=True)
        numbers = [self._numbers.setdefault(c, len(self._numbers)) for c in unique.tolist()]
        out = np.full(classes.shape, np.nan, np.float32)
        out[valid] = np.array(numbers, np.float32)[inverse]
        return out[None]

    def decode(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes (y, x), 0 where there is none, and where there is one."""
        present = np.isfinite(values)
        filled = np.where(present, values, 0)
        if _is_small(self._dtype):
            return filled, present
        table = np.array(list(self._numbers) or [0], self._dtype)
        return np.where(present, table[filled.astype(np.int64)], 0), present


def _is_small(dtype: np.dtype) -> bool:
    """Whether float32 holds every value of a dtype."""
    return dtype.itemsize <= 2 or dtype == np.float32
