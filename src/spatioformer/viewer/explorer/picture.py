"""Small pictures inside JSON: one pixel of a chip or an image is one pixel of a PNG."""

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """A grey (y, x) or RGB (y, x, 3) picture as a `data:` address."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def stretched(
    values: NDArray[np.float32], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """Bands (y, x, k) as 8 bits, `low` (k,) black and `high` (k,) full; NaN is black."""
    share = (values - low) / np.where(high > low, high - low, 1)
    return (np.clip(np.nan_to_num(share), 0, 1) * 255).round().astype(np.uint8)


def as_picture(image: NDArray) -> NDArray[np.uint8]:
    """An image (C, Y, X), uint8 or floats, as (Y, X) or (Y, X, 3); floats fill their own range."""
    if image.dtype != np.uint8:
        low, high = float(image.min()), float(image.max())
        image = np.round((image - low) / ((high - low) or 1) * 255).astype(np.uint8)
    return image[0] if len(image) != 3 else np.ascontiguousarray(image.transpose(1, 2, 0))
