"""Bring tiles of vectors, or of other values, of several zones and lattices, onto one grid.

A target pixel is the mean of the valid source pixels in it, weighted by the area that they share
with it, over all tiles and zones. It has data if at least one source pixel in it has; between
source pixels ("bilinear"), if at least half of the weight lies on valid ones. A source pixel in
which a number is missing is missing as a whole. Where tiles of one zone overlap, the first
valid one counts; where zones overlap, both do. A mean of unit vectors is scaled to length 1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast, get_args

import numpy as np
from rasterio.windows import Window

from spatioformer.archives.embeddings.footprints import (
    Footprints,
    Method,
    footprints,
    may_meet,
    transformer,
)
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.areas import pixel_sides
from spatioformer.geo.raster.unit_length import SHORTEST

LARGEST = 512  # side of a part of a window that is computed at once, target pixels
MOST_VALUES = 5e7  # source values held at once; a read needs about 0.4 GB
MANY = 8  # source pixels along a side of a target pixel, from which each target pixel is summed
LONG = 32  # numbers of a vector from which that is faster
MOST = 200  # source pixels along a side of a target pixel

Box = tuple[int, int, int, int]
"""First row, first column, and the row and column after the last ones."""


class Tile(Protocol):
    """Vectors on a grid whose rows run from north to south."""

    @property
    def grid(self) -> Grid: ...

    def read(self, window: Window) -> np.ndarray:
        """Vectors of a window inside the tile: float32 (y, x, band), NaN where missing."""
        ...


@dataclass
class Zone:
    """Tiles that share one lattice of pixels.

    Attributes:
        origin: grid of the first tile; pixels are counted from its corner.
        tiles: the tiles, and their boxes on the lattice.
    """

    origin: Grid
    tiles: list[tuple[Tile, Box]] = field(default_factory=list)

    def add(self, tile: Tile) -> bool:
        """Add a tile if its pixels lie on the lattice; returns whether they do."""
        here, there = self.origin.transform, tile.grid.transform
        if tile.grid.crs != self.origin.crs or (there.a, there.e) != (here.a, here.e):
            return False
        col, row = (there.c - here.c) / here.a, (there.f - here.f) / here.e
        if max(abs(col - round(col)), abs(row - round(row))) > 1e-3:
            return False
        row, col = round(row), round(col)
        self.tiles.append((tile, (row, col, row + tile.grid.height, col + tile.grid.width)))
        return True

    @property
    def box(self) -> Box:
        """The box of all tiles."""
        rows, cols, last_rows, last_cols = zip(*(box for _, box in self.tiles), strict=True)
        return min(rows), min(cols), max(last_rows), max(last_cols)

    def read(self, box: Box, bands: int) -> np.ndarray | None:
        """Vectors in a box of the lattice: float32 (y, x, band); None if no tile meets it."""
        out = None
        for tile, extent in self.tiles:
            common = _common(box, extent)
            if common is None:
                continue
            row, col, last_row, last_col = common
            window = Window(col - extent[1], row - extent[0], last_col - col, last_row - row)
            values = tile.read(window)
            if out is None:
                out = np.full((box[2] - box[0], box[3] - box[1], bands), np.nan, np.float32)
            part = out[row - box[0] : last_row - box[0], col - box[1] : last_col - box[1]]
            empty = np.isnan(part[..., :1])
            np.copyto(part, values, where=empty)
        return out


class Mosaic:
    """Vectors of tiles on the target grid, read window by window.

    Args:
        tiles: in an order that does not change, for example by identifier.
        grid: target grid.
        bands: numbers of a vector.
        unit: whether vectors have unit length.
        resampling: of `footprints.Method`; None: average where target pixels are larger than the
            tiles', otherwise bilinear.
        least: share of a target pixel that must lie on valid source pixels; with "bilinear" and
            "smooth" it is half.

    Raises:
        ImageryError: another resampling, or target pixels more than MOST times as large.
    """

    def __init__(
        self,
        tiles: Sequence[Tile],
        grid: Grid,
        bands: int,
        *,
        unit: bool,
        resampling: str | None = None,
        least: float = 0.0,
    ):
        self.grid, self.bands, self.unit = grid, bands, unit
        self.zones: list[Zone] = []
        for tile in tiles:
            if not any(zone.add(tile) for zone in self.zones):
                self.zones.append(Zone(tile.grid))
                self.zones[-1].add(tile)
        self._to_zone = [transformer(grid, zone.origin) for zone in self.zones]
        self._ratios = [_pixel_size(grid) / _pixel_size(zone.origin, grid) for zone in self.zones]
        self._methods = [_method(resampling, ratio) for ratio in self._ratios]
        # Few large parts, because each opens the files anew and unpacks whole blocks of them.
        side = 0.9 * np.sqrt(MOST_VALUES / bands) / max([1.0, *self._ratios])
        self._side = max(1, min(LARGEST, int(side)))
        self._least = 0.5 if {"bilinear", "smooth"} & set(self._methods) else least

    def read(self, window: Window) -> np.ndarray:
        """Read a window of the grid: float32 (band, y, x), NaN in all bands where missing.

        The result of a pixel is the same, to the last bit, in every window.
        """
        out = np.empty((self.bands, window.height, window.width), np.float32)
        for part in parts_of(window, self._side):
            rows = slice(part.row_off - window.row_off, part.row_off - window.row_off + part.height)
            cols = slice(part.col_off - window.col_off, part.col_off - window.col_off + part.width)
            out[:, rows, cols] = np.moveaxis(self._block(part), 2, 0)
        return out

    def _block(self, window: Window) -> np.ndarray:
        """Vectors of a small window, (y, x, band)."""
        total = np.zeros((window.height, window.width, self.bands))
        weight = np.zeros((window.height, window.width))
        for i, zone in enumerate(self.zones):
            to_zone, lattice = self._to_zone[i], zone.origin.transform
            if not may_meet(window, self.grid, to_zone, lattice, zone.box):
                continue
            places = footprints(window, self.grid, to_zone, lattice, self._methods[i])
            zone_total, zone_weight = np.zeros_like(total), np.zeros_like(weight)
            many = self._ratios[i] >= MANY and self.bands >= LONG
            self._add(zone, places, many, zone_total, zone_weight)
            total += zone_total
            weight += zone_weight
        return self._mean(total, weight)

    def _add(
        self, zone: Zone, places: Footprints, many: bool, total: np.ndarray, weight: np.ndarray
    ) -> None:
        """Add the source pixels of one zone to the sums over a window.

        Args:
            many: whether each target pixel holds many source pixels, each a long vector.
        """
        box = places.box()
        box = None if box is None else _common(box, zone.box)
        if box is None:
            return
        large = (box[2] - box[0]) * (box[3] - box[1]) * self.bands > MOST_VALUES
        if large and weight.size > 1:
            for rows, cols in _quarters(*weight.shape):
                part = places.part(rows, cols)
                self._add(zone, part, many, total[rows, cols], weight[rows, cols])
            return
        values = zone.read(box, self.bands)
        if values is None:
            return
        valid = ~np.isnan(values).any(axis=2)
        np.copyto(values, 0.0, where=~valid[..., None])
        add = _add_by_target if many else _add_by_source
        add(places, values, valid, box, total, weight)

    def _mean(self, total: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """Means (y, x, band) from sums; NaN where nothing was added."""
        weight = np.where((weight > 0) & (weight >= self._least), weight, np.nan)
        mean = total / weight[..., None]
        if self.unit:
            length = np.zeros(weight.shape)
            for band in range(self.bands):  # in order, which numpy's sum over a last axis is not
                length += mean[..., band] ** 2
            length = np.sqrt(length)
            mean /= np.where(length >= SHORTEST, length, np.nan)[..., None]
        return mean.astype(np.float32)


def _add_by_source(
    places: Footprints,
    values: np.ndarray,
    valid: np.ndarray,
    box: Box,
    total: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Add the first source pixel of every footprint, then the second of every one, and so on."""
    height, width = valid.shape
    for row, col, share in places.terms():
        row, col = row - box[0], col - box[1]
        inside = (row >= 0) & (row < height) & (col >= 0) & (col < width) & (share > 0)
        row, col = np.where(inside, row, 0), np.where(inside, col, 0)
        share = np.where(inside & valid[row, col], share, 0.0)
        total += values[row, col] * share[..., None]
        weight += share


def _add_by_target(
    places: Footprints,
    values: np.ndarray,
    valid: np.ndarray,
    box: Box,
    total: np.ndarray,
    weight: np.ndarray,
) -> None:
    """Add all source pixels of one footprint after another."""
    for place in np.ndindex(weight.shape):
        rows, cols, shares = places.weights(*place)
        rows, cols = rows - box[0], cols - box[1]
        inside_rows = (rows >= 0) & (rows < valid.shape[0])
        inside_cols = (cols >= 0) & (cols < valid.shape[1])
        if not (inside_rows.any() and inside_cols.any()):
            continue
        part = np.ix_(rows[inside_rows], cols[inside_cols])
        share = shares[np.ix_(inside_rows, inside_cols)] * valid[part]
        products = (values[part] * share[..., None]).reshape(-1, values.shape[2])
        total[place] += np.add.reduce(products, axis=0)
        weight[place] += np.add.reduce(share.reshape(-1, 1), axis=0)[0]


def _method(resampling: str | None, ratio: float) -> Method:
    """Check a resampling, or choose it by the size of target pixels in source pixels."""
    if resampling not in (None, *get_args(Method)):
        raise ImageryError(
            f"`resampling: {resampling}` is not for embeddings, whose vectors are averaged; choose "
            "average, bilinear or nearest"
        )
    if ratio > MOST:
        raise ImageryError(
            f"a pixel of the grid is {ratio:,.0f} times as wide as one of the collection, and all "
            f"of those in it would be read; choose a grid with pixels at most {MOST} times as wide"
        )
    if resampling is None:
        return "average" if ratio > 1.001 else "bilinear"
    return cast(Method, resampling)


def _pixel_size(grid: Grid, near: Grid | None = None) -> float:
    """Side of a pixel in the middle of a grid, m.

    Args:
        near: another grid; pixels in degrees are measured at the latitude of its middle.
    """
    row = grid.height / 2 - 1
    if near is not None and grid.crs.is_geographic:
        _, lat = near.lonlat(np.array([near.height / 2 - 0.5]), np.array([near.width / 2 - 0.5]))
        row = float((lat[0] - grid.transform.f) / grid.transform.e - 0.5)
    along_row, along_column = pixel_sides(grid, row, grid.width / 2 - 1)
    return float(np.sqrt(along_row * along_column))


def _common(box: Box, other: Box) -> Box | None:
    row, col = max(box[0], other[0]), max(box[1], other[1])
    last_row, last_col = min(box[2], other[2]), min(box[3], other[3])
    return (row, col, last_row, last_col) if row < last_row and col < last_col else None


def parts_of(window: Window, side: int) -> Iterator[Window]:
    """Squares of a window, row by row; those at its edges are smaller."""
    for row in range(0, window.height, side):
        for col in range(0, window.width, side):
            yield Window(
                window.col_off + col,
                window.row_off + row,
                min(side, window.width - col),
                min(side, window.height - row),
            )


def _quarters(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    """The four parts, or two, into which an array is cut in the middle."""
    rows = (slice(0, height // 2), slice(height // 2, height)) if height > 1 else (slice(None),)
    cols = (slice(0, width // 2), slice(width // 2, width)) if width > 1 else (slice(None),)
    for row in rows:
        for col in cols:
            yield row, col
