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


def stated_unit(owner: str, item: Item, band: Band, asset: Asset, own: Unit) -> Unit:
    """Scale and offset of a band, from the collection, the catalogue and the file.

    Args:
        owner: beginning of the message.
        own: that of the file; 1 and 0 where it states none.

    Raises:
        ImageryError: they state different numbers.
    """
    stated = {"the collection": Unit(band.scale, band.offset)}
    if asset.scale is not None or asset.offset is not None:
        stated["the catalogue"] = Unit(asset.scale or 1.0, asset.offset or 0.0)
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
    return first[1] if first is not None else Unit(1.0, 0.0)
