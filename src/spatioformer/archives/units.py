"""Scale and offset of a band, which the collection, the catalogue and the file may state."""

from typing import NamedTuple

import numpy as np

from spatioformer.archives.collections import Band
from spatioformer.archives.items import Asset, Item
from spatioformer.common.errors import ImageryError


class Unit(NamedTuple):
    """value = raw * scale + offset."""

    scale: float
    offset: float


def stated_unit(owner: str, item: Item, band: Band, asset: Asset, own: Unit, dtype: str) -> Unit:
    """Scale and offset of a band, from the collection, the catalogue and the file.

    Args:
        owner: beginning of the message.
        own: that of the file; 1 and 0 where it states none.
        dtype: type of the file's numbers.

    Raises:
        ImageryError: they state different numbers, or the scale is for numbers of another type.
    """
    check_dtype(owner, item, band, dtype)
    stated = {"the collection": Unit(band.scale, band.offset)}
    if asset.scale is not None or asset.offset is not None:
        scale = 1.0 if asset.scale is None else asset.scale
        stated["the catalogue"] = Unit(scale, asset.offset or 0.0)
    if own != (1.0, 0.0):
        stated["the file"] = own
    stated = {who: unit for who, unit in stated.items() if unit != (1.0, 0.0)}
    first = next(iter(stated.items()), None)
    for who, unit in stated.items():
        if first is not None and not np.allclose(unit, first[1], rtol=1e-4, atol=1e-9):
            raise ImageryError(
                f"{owner}: of band {band.name} in {item.id}, {first[0]} states "
                f"scale {first[1].scale:g} and offset {first[1].offset:g}, and {who} states "
                f"{unit.scale:g} and {unit.offset:g}; give the right ones in a row of your own "
                "in `imagery.collections`"
            )
    if first is not None and not (np.isfinite(first[1]).all() and first[1].scale):
        raise ImageryError(
            f"{owner}: of band {band.name} in {item.id}, {first[0]} states scale "
            f"{first[1].scale:g} and offset {first[1].offset:g}, which give no values; give the "
            "right ones in a row of your own in `imagery.collections`"
        )
    return first[1] if first is not None else Unit(1.0, 0.0)


def check_dtype(owner: str, item: Item, band: Band, dtype: str) -> None:
    """Raise if the scale of a collection is for other numbers than those of a file.

    A copy of a scene may hold reflectances instead of digital numbers, or a picture of 8 bits.

    Raises:
        ImageryError: the file holds fractions, or fewer bits, where the collection scales integers.
    """
    dtype_of_file, described = np.dtype(dtype), np.dtype(band.dtype)
    if (band.scale, band.offset) == (1.0, 0.0) or described.kind == "f":
        return
    if dtype_of_file.kind == "f" or dtype_of_file.itemsize < described.itemsize:
        raise ImageryError(
            f"{owner}: band {band.name} of {item.id} holds numbers of the type {dtype}, and the "
            f"scale {band.scale:g} of the collection is for {band.dtype}; give the file's `dtype`, "
            "`scale` and `offset` in a row of your own in `imagery.collections`"
        )
