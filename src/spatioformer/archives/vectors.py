"""Read the embeddings of a source on windows of the target grid."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.embeddings.source import EmbeddingSource
from spatioformer.archives.items import Item
from spatioformer.archives.remote import NotCached, RemoteError, Unreachable
from spatioformer.archives.source import Source
from spatioformer.archives.yearly import FailedItems
from spatioformer.geo.grid import Grid


@contextmanager
def blamed(items: Iterable[Item]) -> Iterator[None]:
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


@dataclass
class VectorReader:
    """Reads the embeddings of a source, a year at a time.

    Args:
        source: of a collection of kind "embedding".
        grid: the target grid.
    """

    source: Source
    grid: Grid
    _years: dict[tuple[str, ...], EmbeddingSource] = field(default_factory=dict, repr=False)
    _opening: Lock = field(default_factory=Lock, repr=False)

    def read(self, items: Sequence[Item], window: Window) -> np.ndarray:
        """Vectors of a window: float32 (band, y, x), NaN in all bands where there is none.

        Args:
            items: all of the year, so that tiles always come in one order.

        Raises:
            FailedItems: an item cannot be read.
            ImageryError: none can be read, or they are not what the collection says.
        """
        with blamed(items):
            return self._opened(items).read(window)

    def _opened(self, items: Sequence[Item]) -> EmbeddingSource:
        key = tuple(item.id for item in items)
        with self._opening:
            if key not in self._years:
                self._years[key] = EmbeddingSource(
                    self.source.collection,
                    items,
                    self.grid,
                    self.source.access,
                    bands=[band.name for band in self.source.wanted],
                    resampling=self.source.section.resampling,
                )
            return self._years[key]
