"""Readers of sources whose items make one mosaic, instead of observations of many days."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.items import Item
from spatioformer.archives.remote import NotCached, RemoteError, Unreachable
from spatioformer.archives.source import Source
from spatioformer.archives.yearly import FailedItems
from spatioformer.geo.grid import Grid


@dataclass
class MosaicReader(ABC):
    """Reads windows of the mosaic of all items of a year, and opens each mosaic once.

    Args:
        source: what to read, and how.
        grid: the target grid.
    """

    source: Source
    grid: Grid
    _mosaics: dict[tuple[str, ...], Callable[[Window], np.ndarray]] = field(
        default_factory=dict, repr=False
    )
    _opening: Lock = field(default_factory=Lock, repr=False)

    def read(self, items: Sequence[Item], window: Window) -> np.ndarray:
        """Values of a window: float32 (band, y, x), NaN where there are none.

        Args:
            items: all of the year, so that tiles always come in one order.

        Raises:
            FailedItems: an item cannot be read.
            ImageryError: none can be read, or they are not what the collection says.
        """
        key = tuple(item.id for item in items)
        with _blamed(items):
            with self._opening:
                if key not in self._mosaics:
                    self._mosaics[key] = self.open(items)
            return self._mosaics[key](window)

    @abstractmethod
    def open(self, items: Sequence[Item]) -> Callable[[Window], np.ndarray]:
        """Open the mosaic of some items: a function from a window to its values."""


@contextmanager
def _blamed(items: Iterable[Item]) -> Iterator[None]:
    """Turn the error of a file that cannot be read into that of the items that hold it.

    Raises:
        FailedItems: some items hold the file.
        ImageryError: none can be read, because the network or the cache does not give them.
    """
    try:
        yield
    except (Unreachable, NotCached):  # no other item could be read either
        raise
    except RemoteError as error:
        holders = [
            item.id
            for item in items
            if any(asset.href == error.href for asset in item.assets.values())
        ]
        if not holders:
            raise
        raise FailedItems({name: str(error) for name in holders}) from error
