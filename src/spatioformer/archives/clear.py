"""Which pixels of a scene are clear, from the codes of its quality band."""

from collections.abc import Collection as Names

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.collections import QualityMask
from spatioformer.common.errors import ConfigError

NO_DATA = ("fill", "no_data", "nodata")
"""Classes outside the scene, by the names of our table: they are never clear."""

_BITS = 63


def halo_of(buffer: int) -> int:
    """Pixels round a window whose codes `is_clear` needs, so that the window's result is final."""
    return buffer


def is_clear(
    codes: NDArray[np.generic], mask: QualityMask, spoils: Names[str], buffer: int = 0
) -> NDArray[np.bool_]:
    """Find the pixels that no class spoils.

    Codes stay codes: they come onto the target grid by nearest neighbour, never by a mean. `buffer`
    counts pixels of the grid of `codes`. So on a grid of 10 m, with a quality band of 20 m,
    `buffer: 6` is 60 m.

    Args:
        codes: (y, x) integers, or floats with NaN where there is no code.
        mask: the quality band; "bits": a pixel belongs to each class whose bit is set; "classes":
            to the class of its value.
        spoils: names of the classes that are not clear. Pixels without data never are.
        buffer: a pixel is not clear either if the centre of a pixel of a class that is in `spoils`
            and in `mask.buffered` lies at most so many pixels from its own. The outermost
            `halo_of(buffer)` pixels of the result do not know what lies outside.

    Returns:
        (y, x), True where clear.

    Raises:
        ConfigError: if the quality band has no class of a name.
    """
    strange = [name for name in spoils if name not in mask.classes]
    if strange:
        raise ConfigError(
            f"quality band {mask.name} has no class {strange[0]!r}; "
            f"its classes are {', '.join(mask.classes)}"
        )
    present = np.isfinite(codes)
    if mask.nodata is not None:
        present &= codes != mask.nodata
    whole = np.where(present, codes, 0).astype(np.int64)
    missing = {name for name in NO_DATA if name in mask.classes}
    clear: NDArray[np.bool_] = present & ~_belongs(whole, mask, {*spoils, *missing})
    widened = set(spoils) & set(mask.buffered)
    if buffer and widened:
        clear &= ~_near(present & _belongs(whole, mask, widened), buffer)
    return clear


def _belongs(codes: NDArray[np.int64], mask: QualityMask, names: Names[str]) -> NDArray[np.bool_]:
    """Whether each code belongs to one of the classes."""
    values = [mask.classes[name] for name in sorted(names)]
    if mask.kind == "classes":
        return np.isin(codes, values)
    if any(not 0 <= value < _BITS for value in values):
        raise ConfigError(
            f"quality band {mask.name} has the bits {sorted(values)}; bits are 0 to {_BITS - 1}"
        )
    together: NDArray[np.bool_] = codes & sum(1 << value for value in set(values)) != 0
    return together


def _near(pixels: NDArray[np.bool_], distance: int) -> NDArray[np.bool_]:
    """Dilate by a disc: pixels whose centre is at most `distance` from that of a marked one."""
    from scipy.ndimage import distance_transform_edt

    if not pixels.any():  # without a marked pixel the transform is undefined
        return pixels
    near: NDArray[np.bool_] = distance_transform_edt(~pixels) <= distance
    return near
