"""Read terrain, climate, soil and shares of land cover on windows of the target grid."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.collections import Band
from spatioformer.archives.embeddings.footprints import middle_of
from spatioformer.archives.embeddings.mosaic import Mosaic, parts_of
from spatioformer.archives.items import Item
from spatioformer.archives.mosaics import MosaicReader
from spatioformer.archives.placement import ENOUGH
from spatioformer.archives.predictors.tiles import ItemTile
from spatioformer.geo import terrain

OPENED = 8  # files whose headers are read at once
PART = 512  # side of a part of a window of which terrain is computed at once, pixels


class PredictorReader(MosaicReader):
    """Reads a source whose files lie at addresses of a form.

    A pixel is the mean of the source's pixels in it, weighted by area, over all tiles; these must
    cover half of it. Where it is not larger than they are, it is interpolated between the four
    nearest. Elevation is the mean of the surface interpolated between the pixels, so that slopes
    get no steps. A source pixel in which one of the bands is missing is missing in all. Slope and
    the like are computed on the target grid.
    """

    def open(self, items: Sequence[Item]) -> Callable[[Window], np.ndarray]:
        """Open the tiles; the headers of several are read at once."""
        bands = self._measured
        of_terrain = any(band.derive for band in self.source.collection.bands)
        resampling = self.source.section.resampling or ("smooth" if of_terrain else None)
        tiles = [ItemTile(item, bands, self.source) for item in items]
        with ThreadPoolExecutor(OPENED) as pool:
            list(pool.map(lambda tile: tile.grid, tiles))
        mosaic = Mosaic(
            self._near(tiles),
            self.grid,
            len(bands),
            unit=False,
            resampling=resampling,
            least=ENOUGH,
        )
        border = margin(self.source.wanted)
        return partial(self._read_terrain, mosaic, border) if border else mosaic.read

    def _read_terrain(self, mosaic: Mosaic, border: int, window: Window) -> np.ndarray:
        """A window in parts, so that the margins of large ones need little memory."""
        shape = (len(self.source.wanted), window.height, window.width)
        out = np.empty(shape, np.float32)
        for part in parts_of(window, PART):
            row, col = part.row_off - window.row_off, part.col_off - window.col_off
            place = slice(row, row + part.height), slice(col, col + part.width)
            out[:, *place] = self._with_terrain(mosaic, part, border)
        return out

    def _with_terrain(self, mosaic: Mosaic, window: Window, border: int) -> np.ndarray:
        """The wanted bands of a window, of which some follow from elevation around it."""
        wide = Window(
            window.col_off - border,
            window.row_off - border,
            window.width + 2 * border,
            window.height + 2 * border,
        )
        values = mosaic.read(wide)
        inner = (slice(border, border + window.height), slice(border, border + window.width))
        measured = {band.name: values[number, *inner] for number, band in enumerate(self._measured)}
        derived = self._derived(values[self._elevation], wide, border)
        return np.stack(
            [
                derived[band.derive] if band.derive else measured[band.name]
                for band in self.source.wanted
            ]
        )

    @property
    def _measured(self) -> list[Band]:
        """The bands of files: the wanted ones, and the elevation from which others follow."""
        wanted = self.source.wanted
        stored = [band for band in wanted if band.derive is None]
        base = self._base
        return [*stored, base] if base is not None and base not in stored else stored

    @property
    def _base(self) -> Band | None:
        """The band of elevation that the wanted bands need; None: they need none."""
        derived = next((band for band in self.source.wanted if band.derive), None)
        if derived is None:
            return None
        bands = self.source.collection.bands
        return next(band for band in bands if not band.derive and band.keys == derived.keys)

    @property
    def _elevation(self) -> int:
        base = self._base
        assert base is not None
        return self._measured.index(base)

    def _derived(self, elevation: np.ndarray, window: Window, border: int) -> dict:
        """What follows from the elevation of a window with a margin, without the margin."""
        wanted = {band.derive for band in self.source.wanted if band.derive}
        height = elevation.astype(np.float64)
        lengths = terrain.steps(self.grid, window)
        ring = slice(border - 1, -(border - 1) or None)  # one pixel more on each side
        near = height[ring, ring]
        inner = slice(border, -border)
        east, north = terrain.gradient(near, lengths[..., inner, inner])
        sine, cosine = terrain.aspect(east, north)
        derived = {
            "slope": terrain.slope(east, north),
            "aspect_sin": sine,
            "aspect_cos": cosine,
            "relief": terrain.relief(near),
        }
        if "wetness" in wanted:
            derived["wetness"] = terrain.wetness(height, lengths)
        return derived

    def _near(self, tiles: Sequence[ItemTile]) -> list[ItemTile]:
        """Tiles in degrees on the turns on which they lie within 180 degrees of the grid."""
        middle = middle_of(self.grid)
        near = []
        for tile in tiles:
            if not tile.grid.crs.is_geographic:
                near.append(tile)
                continue
            left, _, right, _ = tile.grid.bounds
            for turns in (-1, 0, 1):
                if left + 360 * turns < middle + 180 and right + 360 * turns > middle - 180:
                    near.append(tile.turned(turns) if turns else tile)
        return near


def margin(bands: Sequence[Band]) -> int:
    """Pixels round a window on which the values in it depend."""
    if any(band.derive == "wetness" for band in bands):
        return terrain.REACH + 1
    return 1 if any(band.derive for band in bands) else 0
