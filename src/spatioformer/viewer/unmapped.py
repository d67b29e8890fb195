"""Why a place has no prediction: masked land, sea, outside the outline, or no imagery there.

The imagery's internal mask says which pixels the run predicts. A pixel that has data and lies
inside the outline, but is not to be predicted, is excluded by a mask raster of the configuration.
"""

from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from numpy.typing import NDArray
from rasterio.errors import RasterioError
from rasterio.windows import Window

from spatioformer.common.errors import ImageryError, SpatioformerError
from spatioformer.config.imagery import ImagerySection
from spatioformer.geo.grid import Grid
from spatioformer.geo.land.store import load
from spatioformer.geo.outline import Outline
from spatioformer.geo.raster.layers import unreadable
from spatioformer.run.outline import outline_on, places_in
from spatioformer.viewer.layers import Text
from spatioformer.viewer.rasters import TILE, WITHOUT_OVERVIEWS, Raster, Rasters, opened, stamp_of
from spatioformer.viewer.texts import text

Reason = Literal["outside", "sea", "masked", "outline", "no-data", "chip", "unknown"]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

READ = 512
"""Largest side of the part of the imagery that is read for a tile, pixels."""


class Unmapped:
    """What a run knows of pixels without a prediction.

    Args:
        folder: of the run.
        section: its imagery in the configuration; None: it has none.
        rasters: the threads that read.

    Attributes:
        names: of the mask rasters of its imagery; empty where it has none.
    """

    def __init__(self, folder: Path, section: ImagerySection | None, rasters: Rasters):
        self._folder, self._section, self._rasters = folder, section, rasters
        masks = () if section is None else section.masks
        self.names = [getattr(mask, "title", None) or str(mask.name) for mask in masks]

    @property
    def title(self) -> str | None:
        """The names of the masks; None where no land is masked."""
        return ", ".join(self.names) if self.names and self._raster is not None else None

    @cached_property
    def _raster(self) -> Raster | None:
        """The run's imagery, of which only the mask and the presence of data are read."""
        path = self._folder / "imagery.tif"
        if not path.is_file():
            return None
        try:
            with opened(path) as dataset:
                grid = Grid.of(dataset, str(path))
        except ImageryError:  # the catalogue has a note on it
            return None
        return Raster(path, grid, {}, (0.0, 0.0, 0.0, 0.0), {}, 0, 0, stamp_of(path))

    @cached_property
    def _outline(self) -> Outline | None:
        """Land that the run maps; None: no limit.

        Raises:
            SpatioformerError: its file cannot be read any more.
        """
        raster = self._raster
        if self._section is None or raster is None:
            return None
        return outline_on(self._section, raster.grid, places_in(self._folder / "plots.parquet"))

    def tile(self, z: int, x: int, y: int, lacking: Bools) -> Bools | None:
        """Which pixels (256, 256) of a tile are masked land. Call it in the rasters' pool.

        None where there is none: also where the tile shows more of a raster without overviews than
        can be read at once.

        Args:
            lacking: pixels without a prediction, (256, 256).

        Raises:
            ImageryError: the imagery is damaged, or was replaced.
        """
        raster = self._raster
        if not self.names or raster is None or not lacking.any():
            return None
        down, across = np.nonzero(lacking)
        lon, lat = _lonlat(z, x, y)
        excluded = self._excluded(raster, lon[across], lat[down])
        if not excluded.any():
            return None
        masked = np.zeros((TILE, TILE), bool)
        masked[down[excluded], across[excluded]] = True
        return masked

    def _excluded(self, raster: Raster, lon: Floats, lat: Floats) -> Bools:
        """Whether a place (n,), degrees, is land that a mask raster excludes."""
        rows, cols = raster.grid.pixel(lon, lat)
        excluded = np.array(raster.grid.holds(rows, cols))
        excluded[excluded] = _on_land(lon[excluded], lat[excluded])
        if not excluded.any():
            return excluded
        states = _states(self._rasters, raster, rows[excluded], cols[excluded])
        if states is None:
            return np.zeros_like(excluded)
        complete, predicted = states
        excluded[excluded] = complete & ~predicted
        try:
            outline = self._outline
        except SpatioformerError:  # then nobody can say what excluded a pixel
            return np.zeros_like(excluded)
        return excluded if outline is None else excluded & outline.holds(lon, lat)

    def reason(self, lon: float, lat: float) -> tuple[Reason, Text]:
        """Why a place inside the map has no prediction. Call it in the rasters' pool.

        Raises:
            ImageryError: the imagery is damaged, or was replaced.
        """
        kind = self._reason(lon, lat)
        title, outline = self.title or "", None
        if kind == "outline":
            assert self._outline is not None
            outline = self._outline.title
        return kind, text(*(one.format(masks=title, outline=outline) for one in SENTENCES[kind]))

    def _reason(self, lon: float, lat: float) -> Reason:
        raster, place = self._raster, (np.array([lon]), np.array([lat]))
        if not _on_land(*place)[0]:
            return "sea"
        if raster is None:
            return "unknown"
        rows, cols = raster.grid.pixel(*place)
        if not np.asarray(raster.grid.holds(rows, cols)).all():
            return "no-data"
        states = _states(self._rasters, raster, rows, cols)
        assert states is not None, "one pixel can be read"
        complete, predicted = (bool(state[0]) for state in states)
        if not complete or predicted:
            return "chip" if complete else "no-data"
        try:
            outline = self._outline
        except SpatioformerError:
            return "unknown"
        if outline is not None and not outline.holds(*place).all():
            return "outline"
        return "masked" if self.names else "unknown"


OUTSIDE = text("This place lies outside the map.", "Este lugar está fuera del mapa.")

SENTENCES: dict[Reason, tuple[str, str]] = {
    "sea": (
        "This is sea, by the coast of Natural Earth.",
        "Esto es mar, según la costa de Natural Earth.",
    ),
    "masked": (
        "Masked: {masks}. The run leaves such land out of its map.",
        "Enmascarado: {masks}. La ejecución deja esa tierra fuera de su mapa.",
    ),
    "outline": (
        "This place lies outside the outline of the map ({outline}).",
        "Este lugar está fuera del contorno del mapa ({outline}).",
    ),
    "no-data": ("The imagery has no data here.", "Las imágenes no tienen datos aquí."),
    "chip": (
        "The square of pixels that the model looks at is not complete here.",
        "El cuadrado de píxeles que el modelo mira no está completo aquí.",
    ),
    "unknown": (
        "The run does not say why there is no prediction here.",
        "La ejecución no dice por qué no hay predicción aquí.",
    ),
}
"""Sentences in English and Spanish."""


def _states(
    rasters: Rasters, raster: Raster, rows: NDArray, cols: NDArray
) -> tuple[Bools, Bools] | None:
    """Whether all bands have data at pixels (n,), and whether the run predicts them; or None."""
    dataset = rasters.dataset(raster)
    top, left = int(rows.min()), int(cols.min())
    height, width = int(rows.max()) - top + 1, int(cols.max()) - left + 1
    if max(height, width) > WITHOUT_OVERVIEWS and not dataset.overviews(1):
        return None
    shape = min(height, READ), min(width, READ)
    window = Window(left, top, width, height)
    complete = np.ones(shape, bool)
    try:
        for band in dataset.indexes:
            complete &= np.isfinite(dataset.read(band, window=window, out_shape=shape))
        predicted = dataset.dataset_mask(window=window, out_shape=shape) > 0
    except RasterioError as error:
        raise unreadable(raster.path, error) from error
    at = (rows - top) * shape[0] // height, (cols - left) * shape[1] // width
    return complete[at], predicted[at]


def _lonlat(z: int, x: int, y: int) -> tuple[Floats, Floats]:
    """Longitudes (256,) and latitudes (256,) of the middles of a tile's pixels, degrees."""
    steps = (np.arange(TILE) + 0.5) / TILE
    lon = (x + steps) / 2**z * 360 - 180
    return lon, np.degrees(np.arctan(np.sinh(np.pi * (1 - 2 * (y + steps) / 2**z))))


def _on_land(lon: Floats, lat: Floats) -> Bools:
    """Which places (n,), degrees, lie on land of the bundled outlines."""
    if not len(lon):
        return np.zeros(0, bool)
    lon = np.where(lon == 180, 180.0, (lon + 180) % 360 - 180)
    box = float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max())
    edge = 1e-6 + max(box[2] - box[0], box[3] - box[1]) / TILE
    box = box[0] - edge, box[1] - edge, box[2] + edge, box[3] + edge
    tree, out = _tree(), np.zeros(len(lon), bool)
    for part in shapely.clip_by_rect(tree.geometries[tree.query(shapely.box(*box))], *box):
        rest = np.flatnonzero(~out)
        shapely.prepare(part)
        out[rest] = shapely.intersects_xy(part, lon[rest], lat[rest])
    return out


@cache
def _tree() -> shapely.STRtree:
    return shapely.STRtree(shapely.get_parts(load().shapes))
