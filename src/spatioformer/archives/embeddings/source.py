"""Vectors of a collection on the target grid."""

from collections.abc import Sequence

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.collections import Collection
from spatioformer.archives.embeddings import alphaearth, tessera
from spatioformer.archives.embeddings.mosaic import Mosaic, Tile
from spatioformer.archives.items import Item
from spatioformer.archives.remote import Access
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid


class EmbeddingSource:
    """The embeddings of one year on a grid, read window by window.

    Args:
        collection: of kind "embedding".
        items: its items of one year, in an order that does not change.
        grid: target grid.
        access: how files are read.
        bands: names of the bands that are returned; None: all. All are read, because the length of
            a vector depends on all.
        resampling: "average", "bilinear" or "nearest"; None: average where target pixels are
            larger, otherwise bilinear.

    Raises:
        ImageryError: items of several years, an unknown encoding or band, or a resampling that is
            not for vectors.
        RemoteError: a file has to be opened for its place, and cannot be read.
    """

    def __init__(
        self,
        collection: Collection,
        items: Sequence[Item],
        grid: Grid,
        access: Access,
        *,
        bands: Sequence[str] | None = None,
        resampling: str | None = None,
    ):
        years = sorted({item.start.year for item in items})
        if len(years) > 1:
            raise ImageryError(
                f"{access.owner}: the items are of the years {', '.join(map(str, years))}, and "
                "embeddings of several years are not averaged; read one year after another"
            )
        names = [band.name for band in collection.bands]
        self.bands = tuple(names if bands is None else bands)
        self.grid = grid
        unknown = [name for name in self.bands if name not in names]
        if unknown:
            raise ImageryError(
                f"{access.owner}: {collection.name} has no band {unknown[0]!r}; its bands are "
                f"{names[0]} to {names[-1]}"
            )
        self._chosen = [names.index(name) for name in self.bands]
        tiles, count = _tiles(collection, items, access)
        if len(names) != count:
            raise ImageryError(
                f"{access.owner}: {collection.name} is listed with {len(names)} bands, and its "
                f"vectors have {count}; list all in order"
            )
        unit = collection.decode == "alphaearth"
        self._mosaic = Mosaic(tiles, grid, count, unit=unit, resampling=resampling)

    def read(self, window: Window) -> np.ndarray:
        """Read a window of the grid: float32 (band, y, x), NaN in all bands where missing.

        The result of a pixel is the same, to the last bit, in every window.

        Raises:
            RemoteError, ImageryError: a file cannot be read, or is not what the catalogue says.
        """
        values = self._mosaic.read(window)
        return values if len(self._chosen) == len(values) else values[self._chosen]


def _tiles(collection: Collection, items: Sequence[Item], access: Access) -> tuple[list[Tile], int]:
    """Tiles, and the number of bands of a vector."""
    if collection.decode == "alphaearth":
        resolution = collection.resolution
        return [alphaearth.AlphaEarthTile(i, access, resolution) for i in items], alphaearth.BANDS
    if collection.decode == "tessera":
        return [tessera.TesseraZone.of(item, access) for item in items], tessera.BANDS
    raise ImageryError(
        f"{access.owner}: {collection.name} is of kind embedding, and its `decode: "
        f"{collection.decode}` is none of alphaearth and tessera; correct its row in the table of "
        "collections"
    )
