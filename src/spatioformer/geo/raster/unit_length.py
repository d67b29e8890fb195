"""Vectors of unit length in the bands of a raster, such as satellite embeddings.

A mean of unit vectors is shorter than 1. It is scaled back to length 1, so that a resampled pixel
is a vector of the same kind as those of the raster, and vectors stay comparable by their angle.
"""

import numpy as np

from spatioformer.common.errors import ImageryError

SHORTEST = 1e-3
"""Shortest mean that is scaled to length 1; a shorter one has no direction and is missing."""

TOLERANCE = 0.1
"""Largest difference of a vector's length from 1. Rounding to 8 bits changes it by about 0.005."""


def lengths(vectors: np.ndarray) -> np.ndarray:
    """Length of the vectors (band, ...): float64 (...), NaN where a band is NaN."""
    total = np.zeros(vectors.shape[1:])
    for band in vectors:  # one after another: numpy's own sum may depend on the window
        total += np.square(band, dtype=np.float64)
    return np.sqrt(total)


def to_unit_length(vectors: np.ndarray) -> np.ndarray:
    """Scale vectors (band, y, x) to length 1: float32, NaN in all bands where one is missing.

    A vector shorter than SHORTEST has no direction; all its bands are NaN too.
    """
    length = lengths(vectors)
    length[~(length >= SHORTEST)] = np.nan
    return np.divide(vectors, length).astype(np.float32)


def check_unit_length(vectors: np.ndarray, owner: str) -> None:
    """Raise if complete vectors (band, y, x) of a raster do not have length 1.

    Raises:
        ImageryError: the length of a vector differs from 1 by more than TOLERANCE.
    """
    length = lengths(vectors)
    length = length[np.isfinite(length) & (length > 0)]
    wrong = length[np.abs(length - 1) > TOLERANCE]
    if len(wrong):
        raise ImageryError(
            f"{owner} is said to hold vectors of unit length, and one of them has length "
            f"{wrong[0]:.4g}; remove `unit_length`, take all bands of the embedding, or decode its "
            "numbers first (AlphaEarth's 8-bit v is sign(v) (v / 127.5)^2)"
        )
