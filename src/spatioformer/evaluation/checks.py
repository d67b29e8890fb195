"""Input checks shared by the evaluation tools: return float64 arrays or raise one clear
sentence."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spatioformer.common.errors import EvaluationError

Space = Literal["geographic", "projected", "feature"]
"""Meaning of coordinates: lon/lat in degrees (distances are great-circle metres), projected metres,
or predictors (distances are in standard deviations)."""

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

FAR = 10
"""Prediction points farther from the plots than this many times the larger extent's diagonal are
taken to be in another CRS."""


def numbers(values: ArrayLike, name: str) -> Floats:
    """Return `values` as a float64 array of finite numbers; error messages call it `name`."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError(f"{name} must be numbers, but {error}; convert them first") from error
    if array.size == 0:
        raise EvaluationError(f"{name} are empty; give at least one value")
    finite = np.isfinite(array)
    if not finite.all():
        missing = int(array.size - finite.sum())
        row = int(np.argwhere(~finite)[0][0])
        raise EvaluationError(
            f"{name} hold {missing} NaN or infinite value(s), the first in row {row}; "
            "drop or fill those rows"
        )
    return array


def vector(values: ArrayLike, name: str, like: NDArray[Any] | None = None) -> Floats:
    """Return one number a row, (n,), with as many rows as `like` if that is given."""
    array = numbers(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]  # (n, 1) -> (n,)
    if array.ndim != 1:
        raise EvaluationError(f"{name} must be one column, not an array of shape {array.shape}")
    same_rows(array, name, like)
    return array


def matrix(values: ArrayLike, name: str) -> Floats:
    """Return a table of numbers, (n, p)."""
    array = numbers(values, name)
    if array.ndim != 2:
        raise EvaluationError(f"{name} must be a table (n, p), not of shape {array.shape}")
    return array


def labels(values: ArrayLike, name: str, like: NDArray[Any] | None = None) -> NDArray[Any]:
    """Return one label of any type a row, (n,), with as many rows as `like` if that is given."""
    array = np.asarray(values)
    if array.ndim != 1:
        raise EvaluationError(f"{name} must be one column, not an array of shape {array.shape}")
    same_rows(array, name, like)
    return array


def same_rows(array: NDArray[Any], name: str, like: NDArray[Any] | None) -> None:
    """Raise unless `array` has as many rows as `like` (None: any number)."""
    if like is not None and len(array) != len(like):
        raise EvaluationError(f"{name} have {len(array)} rows where {len(like)} are expected")


def coordinates(values: ArrayLike, space: Space, name: str = "coordinates") -> Floats:
    """Return (n, 2) longitude, latitude in degrees, (n, 2) projected metres, or (n, p) predictors.

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
                f"{name} row {row} ({lon[row]:g}, {lat[row]:g}) is not a longitude and latitude in "
                "degrees; swap the columns, reproject to EPSG:4326, or set space='projected'"
            )
    return array


def prediction_points(values: ArrayLike, space: Space, X: Floats) -> Floats:
    """Return the mapped area's coordinates (m, p), in columns and CRS of the plots `X` (n, p)."""
    array = coordinates(values, space, "prediction points")
    if array.shape[1] != X.shape[1]:
        raise EvaluationError(
            f"prediction points have {array.shape[1]} columns where the plots have {X.shape[1]}"
        )
    if space == "projected":
        _same_projection(array, X)
    return array


def _same_projection(points: Floats, X: Floats) -> None:
    """Raise if the two cannot share a CRS: degrees beside metres, or extents very far apart."""
    like_degrees = [(np.abs(places) <= [360, 90]).all() for places in (points, X)]
    if like_degrees[0] != like_degrees[1]:
        raise EvaluationError(
            f"prediction points around {_middle(points)} and plots around {_middle(X)} mix degrees "
            "and metres; reproject the prediction points to the plots' CRS"
        )
    beyond = np.maximum(points.min(0) - X.max(0), X.min(0) - points.max(0))
    gap = np.linalg.norm(np.maximum(0, beyond))
    if gap > FAR * max(np.linalg.norm(np.ptp(places, axis=0)) for places in (points, X)):
        raise EvaluationError(
            f"prediction points start {gap / 1000:,.0f} km from the plots, so their CRS probably "
            "differs; reproject them to the plots' CRS"
        )


def _middle(places: Floats) -> str:
    return "({:.6g}, {:.6g})".format(*np.median(places, axis=0))


def level(value: float) -> float:
    """Return the nominal coverage of an interval, a share strictly between 0 and 1."""
    if not 0 < value < 1:
        raise EvaluationError(f"coverage {value} must lie between 0 and 1, such as 0.9")
    return float(value)
