"""Arrays in JSON: whole numbers of 16 or 32 bits in base64, with a scale.

A page unpacks `data` in the byte order of the file, little endian: value = number * scale + offset.
16 bits are enough for what is seen; 32-bit floats are for numbers that the page computes with.
"""

import base64
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

STEPS = 65534
"""Largest number of a packed value; the next, 65535, means that there is none."""

MISSING = 65535


def packed(values: ArrayLike) -> dict[str, Any]:
    """An array as 16-bit numbers between its smallest and largest value; NaN is kept.

    Returns:
        shape; type "uint16"; scale, offset; data, base64.
    """
    array = np.asarray(values, np.float64)
    finite = np.isfinite(array)
    low, high = (float(f(array[finite])) for f in (np.min, np.max)) if finite.any() else (0.0, 0.0)
    scale = (high - low) / STEPS or 1.0
    numbers = np.full(array.shape, MISSING, "<u2")
    numbers[finite] = np.round((array[finite] - low) / scale)
    return _entry(numbers, "uint16") | {"scale": scale, "offset": low}


def packed_floats(values: ArrayLike) -> dict[str, Any]:
    """An array as 32-bit floats: shape, type "float32", data."""
    return _entry(np.asarray(values, "<f4"), "float32")


def unpacked(entry: dict[str, Any]) -> NDArray[np.float64]:
    """The array of `packed` or `packed_floats`, as a page computes it."""
    raw = base64.b64decode(entry["data"])
    if entry["type"] == "float32":
        return np.frombuffer(raw, "<f4").reshape(entry["shape"]).astype(np.float64)
    numbers = np.frombuffer(raw, "<u2").reshape(entry["shape"])
    values = numbers * entry["scale"] + entry["offset"]
    return np.where(numbers == MISSING, np.nan, values)


def _entry(array: NDArray[Any], kind: str) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"shape": list(array.shape), "type": kind, "data": data}
