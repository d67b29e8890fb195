"""Input checks shared by the evaluation tools: float64 arrays out, or one clear sentence."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatioformer.errors import EvaluationError

Space = Literal["geographic", "projected", "feature"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def numbers(values: ArrayLike, name: str) -> Floats:
    """`values` as a float64 array of finite numbers; `name` is what messages call it."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"{name} must be numbers, but {error}; convert them first") from error
    if array.size == 0:
        raise EvaluationError(f"{name} are empty; give at least one value")
    finite = np.isfinite(array)
    if not finite.all():
        missing = int(array.size - finite.sum())
        first = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise EvaluationError(
            f"{name} hold {missing} NaN or infinite value(s), the first in row {first[0]}; "
            "drop or fill those rows"
        )
    return array


def vector(values: ArrayLike, name: str, like: NDArray | None = None) -> Floats:
    """One number a row, (n,); the length must match `like` where that is given."""
    array = numbers(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # (n, 1) -> (n,)
    if array.ndim != 1:
        raise EvaluationError(f"{name} must be one column, not an array of shape {array.shape}")
    if like is not None and len(array) != len(like):
        raise EvaluationError(f"{name} have {len(array)} rows where {len(like)} are expected")
    return array


def matrix(values: ArrayLike, name: str) -> Floats:
    """Rows and columns, (n, p)."""
    array = numbers(values, name)
    if array.ndim != 2:
        raise EvaluationError(f"{name} must be a table (n, p), not of shape {array.shape}")
    return array


def coordinates(values: ArrayLike, space: Space, name: str = "coordinates") -> Floats:
    """(n, 2) longitude and latitude in degrees, (n, 2) projected metres, or (n, p) features.

    Longitudes may run from -180 to 360.
    """
    array = matrix(values, name)
    if space == "feature":
        return array
    if array.shape[1] != 2:
        raise EvaluationError(f"{name} must have 2 columns (lon, lat), not {array.shape[1]}")
    if space == "geographic":
        lon, lat = array.T
        outside = (lon < -180) | (lon > 360) | (np.abs(lat) > 90)
        if outside.any():
            row = int(np.argmax(outside))
            raise EvaluationError(
                f"{name} row {row} ({lon[row]:g}, {lat[row]:g}) is no longitude and latitude in "
                "degrees; swap the columns, reproject to EPSG:4326, or say space='projected'"
            )
    return array
