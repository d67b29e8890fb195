"""What the numbers in a raster mean: one reading of nodata, masks, alpha, scale and offset for all.

Missing values become NaN. A file may state them in several ways at once: a nodata value, a mask, an
alpha band, further values and a valid range of a NetCDF variable. All of them hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError
from spatioformer.geo.raster.checks import short, text_errors
from spatioformer.geo.raster.netcdf import stated_missing
from spatioformer.geo.raster.turns import turn

EXACT = 2**24  # the largest integer up to which float32 holds every integer


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


def alpha_bands(dataset: DatasetReader) -> list[int]:
    """Numbers of the bands that hold transparency."""
    roles = zip(dataset.indexes, dataset.colorinterp, strict=True)
    return [band for band, role in roles if role == ColorInterp.alpha]


def has_shadowed_alpha(dataset: DatasetReader) -> bool:
    """Whether GDAL's masks come from a nodata value although there is an alpha band."""
    flags = dataset.mask_flag_enums
    return bool(alpha_bands(dataset)) and any(MaskFlags.nodata in flag for flag in flags)


def value_bands(dataset: DatasetReader) -> list[int]:
    """Numbers of the bands that hold values: all but alpha, which only masks them."""
    alpha = alpha_bands(dataset)
    return [band for band in dataset.indexes if band not in alpha]


def band_titles(dataset: DatasetReader) -> list[str]:
    """The description of each band as one short line; "" where there is none."""
    return [short(" ".join((title or "").split())) for title in dataset.descriptions]


def check_numbers(dataset: DatasetReader, indexes: Sequence[int], owner: str) -> None:
    """Raise if bands hold complex numbers, which have no single value.

    Raises:
        ImageryError: a band is complex.
    """
    for band in indexes:
        if dataset.dtypes[band - 1].startswith("complex"):
            raise ImageryError(
                f"{owner}: band {band} holds complex numbers; compute the amplitude or phase "
                "first, for example with gdal_translate DERIVED_SUBDATASET:AMPLITUDE:FILE OUT.tif"
            )


@dataclass(frozen=True)
class Values:
    """Reader of some bands of a raster as float32 with NaN, or as exact classes.

    Args:
        dataset: open raster.
        indexes: 1-based band numbers.
        nodata: raw value that means no data, instead of the file's mask; None: as the file states.
        scale, offset: value = raw * scale + offset; None: as the file states.

    A NetCDF variable may state further values that mean no data, and the range of valid ones.
    """

    dataset: DatasetReader
    indexes: tuple[int, ...]
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None

    def read(self, window: Window, dtype: type = np.float32) -> np.ndarray:
        """Read a window inside the raster: (band, y, x), NaN where there is no data."""
        raw, valid = self.read_raw(window)
        out: np.ndarray = np.empty(raw.shape, dtype)
        units = self.units()
        for i, (scale, offset) in enumerate(units):
            # Beyond the range of float32 there is no data.
            with np.errstate(over="ignore", invalid="ignore"):
                out[i] = np.where(valid[i], raw[i] * scale + offset, np.nan)
        if raw.dtype == np.float64 or set(units) != {(1.0, 0.0)}:
            out[~np.isfinite(out)] = np.nan
        return out

    def read_classes(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window of one band as classes.

        Returns:
            classes: (y, x), integers as in the file; float64 if the file has a scale or fractions.
            valid: bool (y, x).
        """
        raw, valid = self.read_raw(window)
        ((scale, offset),) = self.units()
        if np.issubdtype(raw.dtype, np.integer) and (scale, offset) == (1, 0):
            return raw[0], valid[0]
        return raw[0].astype(np.float64) * scale + offset, valid[0]

    @text_errors()
    def read_raw(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window as in the file, and where it is valid: both (band, y, x)."""
        with turn(self.dataset.driver):
            return self._read_raw(window)

    def _read_raw(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        bands = list(self.indexes)
        raw = self.dataset.read(bands, window=window)
        if self.nodata is None and not has_shadowed_alpha(self.dataset):
            valid = self.dataset.read_masks(bands, window=window) > 0
        else:
            valid = np.stack([valid_mask(band, self.nodata) for band in raw])
        for i, band in enumerate(bands):
            valid[i] &= valid_mask(raw[i], self.dataset.nodatavals[band - 1])
            missing, valid_range = self._stated
            for value in missing:
                valid[i] &= valid_mask(raw[i], value)
            if np.isfinite(valid_range).any():
                valid[i] &= (raw[i] >= valid_range[0]) & (raw[i] <= valid_range[1])
        if self._alpha_is_unread():
            alpha = self.dataset.read(alpha_bands(self.dataset), window=window)
            valid &= (alpha > 0).all(axis=0)
        return raw, valid

    @cached_property
    def _stated(self) -> tuple[tuple[float, ...], tuple[float, float]]:
        return stated_missing(self.dataset)

    def _alpha_is_unread(self) -> bool:
        """Whether an alpha band is not part of GDAL's mask, for example beside a nodata value."""
        if not alpha_bands(self.dataset):
            return False
        flags = [self.dataset.mask_flag_enums[band - 1] for band in self.indexes]
        return self.nodata is not None or not all(MaskFlags.alpha in flag for flag in flags)

    def units(self) -> list[tuple[float, float]]:
        """Scale and offset of each band."""
        return [
            (
                self.dataset.scales[band - 1] if self.scale is None else self.scale,
                self.dataset.offsets[band - 1] if self.offset is None else self.offset,
            )
            for band in self.indexes
        ]


def is_stack(dataset: DatasetReader) -> bool:
    """Whether a raster is a stack as `geo.raster.stack` writes it.

    Its mask says where to predict; data outside the mask are valid.
    """
    names = dataset.descriptions
    return bool(
        all(names)
        and len(set(names)) == len(names)
        and set(dataset.dtypes) == {"float32"}
        and all(flags == [MaskFlags.per_dataset] for flags in dataset.mask_flag_enums)
        and all(value is None or np.isnan(value) for value in dataset.nodatavals)
        and set(dataset.scales) == {1.0}
        and set(dataset.offsets) == {0.0}
    )
