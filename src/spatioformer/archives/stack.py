"""All sources of a configuration as one stack on one grid, read window by window and year by year.

Nothing is read from a file before a window is. The values of a pixel depend neither on the window
nor on where it is computed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from spatioformer.archives.items import Bounds, Item
from spatioformer.archives.mosaics import MosaicReader
from spatioformer.archives.predictors.reader import PredictorReader
from spatioformer.archives.scenes import SceneReader
from spatioformer.archives.source import Source
from spatioformer.archives.vectors import VectorReader
from spatioformer.archives.yearly import FailedItems, days, read_year
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import hash_value
from spatioformer.config.archives import STATIC
from spatioformer.geo.grid import LONLAT, Grid

MARGIN = 0.02
"""Degrees by which a window is enlarged before the boxes of items are compared with it."""


@dataclass(frozen=True)
class SourceStack:
    """A lazy stack of bands, by year.

    Attributes:
        sources: with the items of each year.
        grid: the target grid.
        failed: ids of items that could not be read and are left out, by source name.
    """

    sources: tuple[Source, ...]
    grid: Grid
    failed: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @property
    def bands(self) -> list[str]:
        """Names of the bands, in order."""
        return [name for source in self.sources for name in source.band_names]

    @property
    def years(self) -> tuple[int, ...]:
        """The years that every source with years has, in order; STATIC if none has any."""
        dated = [set(source.items) for source in self.sources if STATIC not in source.items]
        return tuple(sorted(set.intersection(*dated))) if dated else (STATIC,)

    def read(self, window: Window, year: int, halo: int = 0) -> np.ndarray:
        """Read a window: float32 (band, y + 2 halo, x + 2 halo), NaN where there is no data.

        Args:
            window: a window of the grid.
            year: one of `years`.
            halo: pixels added on each side; those beyond the grid hold NaN.

        Raises:
            ImageryError: a file cannot be read, or the year is not among `years`.
            FailedItems: a file cannot be read that the configuration allows to leave out; see
                `without`.
        """
        if year not in self.years:
            raise ImageryError(
                f"there is no imagery of {year}; the sources have "
                f"{', '.join(map(str, self.years)) or 'no year in common'}"
            )
        top, left = max(0, window.row_off - halo), max(0, window.col_off - halo)
        bottom = min(self.grid.height, window.row_off + window.height + halo)
        right = min(self.grid.width, window.col_off + window.width + halo)
        shape = (len(self.bands), window.height + 2 * halo, window.width + 2 * halo)
        out = np.full(shape, np.nan, np.float32)
        inner = Window(left, top, right - left, bottom - top)
        row, col = top - (window.row_off - halo), left - (window.col_off - halo)
        place = (slice(row, row + inner.height), slice(col, col + inner.width))
        out[:, *place] = np.concatenate(
            [self._read(number, inner, year) for number in range(len(self.sources))]
        )
        return out

    def _read(self, number: int, window: Window, year: int) -> np.ndarray:
        reader, source = self._readers[number], self.sources[number]
        try:
            if not isinstance(reader, SceneReader):
                return reader.read(source.of_year(year), window)
            return read_year(reader, self._touching(number, window, year), window)
        except FailedItems as error:
            if source.section.on_error == "stop":
                raise ImageryError(_left_out(str(error))) from error
            raise

    @cached_property
    def _readers(self) -> list[SceneReader | MosaicReader]:
        return [_reader(source)(source, self.grid) for source in self.sources]

    def __getstate__(self) -> dict[str, Any]:
        return {"sources": self.sources, "grid": self.grid, "failed": self.failed}

    def without(self, reasons: Mapping[str, str]) -> "SourceStack":
        """The same stack without items that cannot be read.

        Args:
            reasons: of `FailedItems`.
        """
        gone = frozenset(reasons)
        failed = {
            s.section.name: self.failed.get(s.section.name, frozenset()) | (gone & _ids(s))
            for s in self.sources
        }
        sources = tuple(source.without(gone) for source in self.sources)
        return replace(self, sources=sources, failed={k: v for k, v in failed.items() if v})

    def items(self, window: Window, year: int) -> list[tuple[str, Item]]:
        """Items of a year that touch a window, with the name of their source."""
        return [
            (source.section.name, item)
            for number, source in enumerate(self.sources)
            for item in self._touching(number, window, year)
        ]

    def key(self, window: Window, year: int) -> str:
        """Hash of all that the values of a window depend on, but the files' contents."""
        return hash_value(
            [
                [self.grid.crs.to_wkt(), list(self.grid.transform[:6]), list(self.grid.shape)],
                [window.col_off, window.row_off, window.width, window.height],
                [
                    [
                        source.section.model_dump(mode="json", exclude={"years", "on_error"}),
                        [str(source.collection), year],
                        self._made_of(number, window, year),
                    ]
                    for number, source in enumerate(self.sources)
                ],
            ]
        )

    def _made_of(self, number: int, window: Window, year: int) -> Any:
        """What the key of a window says of the items of a source."""
        of_files = self.sources[number].collection.is_of_files
        if of_files and (number, year) in self._known_keys:
            return self._known_keys[number, year]
        listed = [
            [item.id, {k: str(a) for k, a in item.assets.items()}]
            for item in self._touching(number, window, year)
        ]
        if not of_files:
            return listed
        # All windows have all tiles, which may be thousands.
        self._known_keys[number, year] = hash_value(listed)
        return self._known_keys[number, year]

    @cached_property
    def _known_keys(self) -> dict[tuple[int, int], str]:
        return {}

    def most_days(self, year: int) -> int:
        """Largest number of observations that one place may have in a year."""
        return max(
            (len(days(s.of_year(year))) for s in self.sources if not s.collection.is_of_files),
            default=0,
        )

    def provenance(self, year: int) -> list[dict[str, Any]]:
        """The items of a year: source, collection, id, address and time, for JSON."""
        return [
            {
                "source": source.section.name,
                "collection": source.collection.name,
                "id": item.id,
                "href": item.href,
                "datetime": item.start.isoformat(),
                "assets": {name: asset.href for name, asset in sorted(item.assets.items())},
            }
            for source in self.sources
            for item in source.of_year(year)
        ]

    def _touching(self, number: int, window: Window, year: int) -> list[Item]:
        items = self.sources[number].of_year(year)
        if self.sources[number].collection.is_of_files:  # a margin around the window is read too
            return list(items)
        place = self._degrees(window)
        if not np.isfinite(place).all():  # the window reaches beyond the projection
            return list(items)
        return [items[i] for i in np.flatnonzero(_meets(self._boxes(number, year), place))]

    def _boxes(self, number: int, year: int) -> np.ndarray:
        if (number, year) not in self._known_boxes:
            boxes = [item.bbox for item in self.sources[number].of_year(year)]
            self._known_boxes[number, year] = np.array(boxes, float).reshape(-1, 4)
        return self._known_boxes[number, year]

    @cached_property
    def _known_boxes(self) -> dict[tuple[int, int], np.ndarray]:
        return {}

    def _degrees(self, window: Window) -> Bounds:
        """(W, S, E, N) of a window in degrees; W > E where it crosses the antimeridian."""
        left, top = self.grid.transform @ (window.col_off, window.row_off)
        right, bottom = self.grid.transform @ (
            window.col_off + window.width,
            window.row_off + window.height,
        )
        box = (min(left, right), min(bottom, top), max(left, right), max(bottom, top))
        west, south, east, north = transform_bounds(
            self.grid.crs.to_wkt(), LONLAT.to_wkt(), *box, densify_pts=21
        )
        return west, south, east, north


def _reader(source: Source) -> type[SceneReader | MosaicReader]:
    if source.collection.is_of_files:
        return PredictorReader
    return VectorReader if source.collection.kind == "embedding" else SceneReader


def _ids(source: Source) -> frozenset[str]:
    return frozenset(item.id for items in source.items.values() for item in items)


def _left_out(message: str) -> str:
    return f"{message}; `on_error: skip` leaves such items out and says so"


def _meets(boxes: np.ndarray, window: Bounds) -> np.ndarray:
    """Whether boxes (n, 4) = W, S, E, N touch a box, round the Earth: bool (n,)."""
    west, south, east, north = window
    width = (east - west) % 360 if east - west < 360 else 360.0
    widths = (boxes[:, 2] - boxes[:, 0]) % 360
    widths[(boxes[:, 2] - boxes[:, 0]) >= 360] = 360
    # From the west of either to the west of the other, going east.
    gap = (boxes[:, 0] - west + MARGIN) % 360
    back = (west - boxes[:, 0] + MARGIN) % 360
    across = (gap <= width + 2 * MARGIN) | (back <= widths + 2 * MARGIN)
    return across & (boxes[:, 1] <= north + MARGIN) & (boxes[:, 3] >= south - MARGIN)
