"""Read the embeddings of a source on windows of the target grid."""

from collections.abc import Callable, Sequence

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.embeddings.source import EmbeddingSource
from spatioformer.archives.items import Item
from spatioformer.archives.mosaics import MosaicReader


class VectorReader(MosaicReader):
    """Reads a source of a collection of kind "embedding".

    A pixel without data has NaN in all bands.
    """

    def open(self, items: Sequence[Item]) -> Callable[[Window], np.ndarray]:
        """Open the embeddings of one year."""
        return EmbeddingSource(
            self.source.collection,
            items,
            self.grid,
            self.source.access,
            bands=[band.name for band in self.source.wanted],
            resampling=self.source.section.resampling,
        ).read
