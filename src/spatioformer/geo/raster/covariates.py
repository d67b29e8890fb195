"""Rasters of the covariates of a plot table, as the bands of a model that learned from them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio

from spatioformer.common.errors import ImageryError
from spatioformer.common.files import writing
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.covariates import Covariate, Covariates
from spatioformer.geo.raster.stack import Stack
from spatioformer.geo.raster.writing import BLOCK, stack_profile, write_errors

Fixed = Mapping[str, float | str]
"""Covariate -> its value everywhere."""


def write_covariates(
    covariates: Covariates,
    raster: str | Path,
    fixed: Fixed,
    out: Path,
    console: Console = SILENT,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a raster with a band for each column of numbers that the covariates become.

    Args:
        covariates: of the plots that a model learned from.
        raster: bands with the covariates' names; of a covariate of classes, their numbers.
        fixed: value of each covariate that has no band.
        tags: of the new raster.
        out: path of the new raster; NaN where a covariate has no value, or an unknown class.

    Raises:
        ImageryError: the raster cannot be read, a covariate has neither a band nor a value, or a
            fixed value is of no covariate or class.
        OutputError: the new raster cannot be written.
    """
    with Stack(raster) as stack:
        described = stack.bands
    _check(covariates, described, fixed, raster)
    bands = [c.name for c in covariates.covariates if c.name not in fixed]
    with (
        Stack(raster, bands or None) as stack,
        writing(out) as part,
        write_errors(out),
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
    ):
        count = len(covariates.columns)
        with rasterio.open(part, "w", **stack_profile(stack.grid, count)) as target:
            target.update_tags(**(tags or {}))
            for number, name in enumerate(covariates.columns, start=1):
                target.set_band_description(number, name)
            for window in console.track(list(stack.grid.windows(BLOCK)), "covariates"):
                data, valid, wanted = stack.read(window)
                values = dict(zip(bands, np.where(valid, data, np.nan), strict=False))
                columns = [
                    column
                    for covariate in covariates.covariates
                    for column in _columns(covariate, values, fixed, wanted.shape)
                ]
                encoded = np.stack(columns).astype(np.float32)
                whole = np.isfinite(encoded).all(axis=0)
                target.write(np.where(whole, encoded, np.nan), window=window)
                target.write_mask(whole & wanted, window=window)


def _check(covariates: Covariates, bands: list[str], fixed: Fixed, raster: str | Path) -> None:
    """Raise an ImageryError unless each covariate has a band or a value of its own."""
    strange = [name for name in fixed if name not in covariates.names]
    if strange:
        raise ImageryError(
            f"the model has no covariate {strange[0]!r} to fix; its covariates are "
            f"{', '.join(covariates.names)}"
        )
    for covariate in covariates.covariates:
        if covariate.name in fixed:
            _fixed_columns(covariate, fixed[covariate.name])
        elif any(np.isnan(_code(label)) for label in covariate.classes):
            raise ImageryError(
                f"the classes of {covariate.name} have names ({', '.join(covariate.classes)}), and "
                "a raster holds numbers; give a class for the whole map, such as --fixed "
                f"'{covariate.name}={covariate.usual}'"
            )
    lacking = [name for name in covariates.names if name not in fixed and name not in bands]
    if lacking:
        first = covariates.covariates[covariates.names.index(lacking[0])]
        raise ImageryError(
            f"{raster} lacks {len(lacking)} of the {len(covariates.names)} covariates of the "
            f"model: {', '.join(lacking)} (it has {', '.join(bands)}); name its bands after "
            f"them, or give a value for the whole map, such as --fixed {first.name}={first.usual}"
        )


def _columns(
    covariate: Covariate, values: Mapping[str, np.ndarray], fixed: Fixed, shape: tuple[int, int]
) -> list[np.ndarray]:
    """Columns of a covariate at each pixel, (y, x) each; NaN where it has no value."""
    if covariate.name in fixed:
        return [np.full(shape, v) for v in _fixed_columns(covariate, fixed[covariate.name])]
    band = values[covariate.name].astype(np.float64)
    if covariate.classes:
        columns = [np.where(band == _code(label), 1.0, 0.0) for label in covariate.classes]
        columns[0][~np.any(columns, axis=0)] = np.nan
    else:
        with np.errstate(invalid="ignore", divide="ignore"):
            columns = [np.log10(band) if covariate.logarithmic else band]
    return [*columns, *([np.zeros(shape)] * covariate.missing)]


def _fixed_columns(covariate: Covariate, value: float | str) -> list[float]:
    """Columns of a covariate with one value.

    Raises:
        ImageryError: it is no number, or no class.
    """
    if not covariate.classes:
        try:
            value = float(value)
        except ValueError:
            raise ImageryError(
                f"{covariate.name} is fixed at {value!r}, and it is a number; give one"
            ) from None
    if reason := covariate.reasons([value])[0]:
        raise ImageryError(f"a value cannot be fixed: {reason}")
    return [float(v) for v in covariate.encoded([value])[0]]


def _code(label: str) -> float:
    """Number of a class in a raster; NaN if the class is no number."""
    try:
        return float(label)
    except ValueError:
        return np.nan
