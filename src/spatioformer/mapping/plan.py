"""Plan of a map run: tiles of the raster, and how many of them fit into memory at once."""

import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.windows import Window

from spatioformer.common.errors import OutputError
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.burning import burned
from spatioformer.mapping.source import Source

UNIT = 256  # side of the smallest tile and of a block of the map, pixels
OVERHEAD = 1.1  # largest ratio of pixels read to pixels kept, if memory allows
MOST_UNITS = 8  # largest side of a tile, in units
FEWEST = 16  # smallest number of tiles, so that several workers have work
MIB = 2**20
# Beside its tile, each worker holds the chips or activations of one batch.
WORKING = 192 * MIB
SMALLEST_CACHE = 32 * MIB
MASK_SIDE = 4096  # pixels of the mask read at once


@dataclass(frozen=True)
class Plan:
    """A grid divided into tiles of `rows` x `cols` pixels, each read with `halo` pixels around it.

    Tiles are numbered row by row from the north-west. Tiles at the east and south edges are
    smaller.
    """

    grid: Grid
    rows: int
    cols: int
    halo: int

    @property
    def across(self) -> int:
        return -(-self.grid.width // self.cols)

    @property
    def down(self) -> int:
        return -(-self.grid.height // self.rows)

    @property
    def count(self) -> int:
        return self.across * self.down

    def window(self, tile: int) -> Window:
        """Pixels of a tile, without halo."""
        row, col = divmod(int(tile), self.across)
        row, col = row * self.rows, col * self.cols
        height, width = self.grid.height - row, self.grid.width - col
        return Window(col, row, min(self.cols, width), min(self.rows, height))

    def tiles(self, area=None, shard: tuple[int, int] | None = None) -> np.ndarray:
        """Numbers (int64, ascending) of the tiles to compute.

        Args:
            area: geometry in the grid's CRS (`Source.area`); tiles that it does not touch are
                omitted.
            shard: (i, n): every n-th tile from the i-th, so that shards have similar areas of land.
        """
        tiles = np.arange(self.count, dtype=np.int64)
        if area is not None:
            shape = (self.down, self.across)
            transform = self.grid.transform @ Affine.scale(self.cols, self.rows)
            # all_touched may miss a tile that is touched only at a corner; a margin avoids this.
            a, b, _, d, e, _ = self.grid.transform[:6]
            near = area.buffer(2 * max(np.hypot(a, d), np.hypot(b, e)))
            touched = burned([near], shape, transform, all_touched=True)
            tiles = tiles[touched.ravel()]
        if shard is not None:
            part, parts = shard
            tiles = tiles[tiles % parts == part - 1]
        return tiles

    def on_land(self, source: Source, tiles: np.ndarray) -> Iterator[int]:
        """Yield the tiles in which the imagery's mask has a valid pixel, in order.

        Only the mask is read, in coarse pieces, so that tiles of sea cost little.
        """
        if not source.has_cheap_mask or not len(tiles):
            yield from tiles.tolist()
            return
        tiles_at_once = max(1, MASK_SIDE // self.cols)
        first_tile = (
            tiles // self.across * self.across
            + tiles % self.across // tiles_at_once * tiles_at_once
        )
        firsts, starts = np.unique(first_tile, return_index=True)
        for first, members in zip(firsts, np.split(tiles, starts[1:]), strict=True):
            start = self.window(first)
            width = min(tiles_at_once * self.cols, self.grid.width - start.col_off)
            mask = source.mask(Window(start.col_off, start.row_off, width, start.height))
            edges = np.arange(0, width, self.cols)
            wanted = np.logical_or.reduceat(mask.any(axis=0), edges)
            yield from members[wanted[members - first]].tolist()


@dataclass(frozen=True)
class Budget:
    """Division of the memory limit.

    Attributes:
        units: side of a tile, in units of the smallest tile.
        waiting: number of tiles read ahead, in addition to those being computed.
        cache: size of GDAL's block cache, bytes.
    """

    units: int
    waiting: int
    cache: int


def make_plan(
    source: Source, halo: int, layers: int, unit: int, memory: int, workers: int,
    fixed: tuple[int, int] | None = None,
) -> tuple[Plan, Budget]:  # fmt: skip
    """Choose the largest useful tiles that fit the memory.

    Args:
        source: imagery to map.
        halo: margin read around each tile, pixels.
        unit: side of the smallest tile, pixels; all sides are multiples of it.
        layers: number of float32 layers of the result.
        memory: limit of resident memory, bytes, including what the process holds now.
        workers: tiles computed at once.
        fixed: (rows, cols) of the tiles of a run that is resumed.

    Raises:
        OutputError: the memory is too small for one smallest tile a worker.
    """
    grid = source.grid
    free = memory - resident() - workers * WORKING
    largest = _useful_units(halo, unit, grid)
    choices = [fixed[0] // unit] if fixed else range(largest, 0, -1)
    for units in choices:
        side = units * unit
        tile = tile_bytes(source, side, halo, layers)
        for waiting in range(workers + 1, 0, -1):
            cache = free - (workers + waiting + 1) * tile
            if cache >= SMALLEST_CACHE:
                useful_cache = _row_bytes(source, side, halo)
                cache = int(min(cache, max(useful_cache, SMALLEST_CACHE)))
                budget = Budget(units, waiting, cache)
                return Plan(grid, side, side, halo), budget
    needed = memory - free + (workers + 2) * tile + SMALLEST_CACHE
    raise OutputError(
        f"--memory {shown(memory)} is below what {workers} worker{'s' * (workers > 1)} with the "
        f"smallest tile of {side} x {side} pixels need{'s' * (workers == 1)}; give --memory "
        f"{shown(needed)}" + (" or fewer --workers" if workers > 1 else "")
    )


def _useful_units(halo: int, unit: int, grid: Grid) -> int:
    """Side of a tile, in units, beyond which a larger tile saves little or leaves workers idle.

    The side does not depend on resources, so tiles are the same everywhere unless memory is short.
    """
    smallest = next(
        (n for n in range(1, MOST_UNITS) if (1 + 2 * halo / (n * unit)) ** 2 <= OVERHEAD),
        MOST_UNITS,
    )
    shared = int(np.sqrt(grid.height * grid.width / FEWEST) / unit)
    return max(1, min(smallest, shared))


def tile_bytes(source: Source, side: int, halo: int, layers: int) -> int:
    """Memory of one tile from reading to writing, bytes."""
    bands = len(source.bands)
    # Raw values, float32, float32 with margin; two masks; lon, lat and their temporary arrays.
    pixel = source.value_bytes + 8 * bands + 3 + 5 * 8
    return (side + 2 * halo) ** 2 * pixel + side**2 * layers * 4 * 3


def _row_bytes(source: Source, side: int, halo: int) -> int:
    """Bytes of the file's blocks under a row of tiles; such a cache avoids repeated reads."""
    rows, cols = source.block
    width = -(-source.grid.width // cols) * cols
    return width * (side + 2 * halo + 2 * rows) * (source.value_bytes + 1)


def resident() -> int:
    """Resident memory of this process, bytes."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shown(count: float) -> str:
    """Format a number of bytes for messages, rounded up, such as 2.1GB."""
    for size, name, digits in ((10**9, "GB", 1), (10**6, "MB", 0)):
        if count >= size:
            return f"{np.ceil(count / size * 10**digits) / 10**digits:.{digits}f}{name}"
    return f"{count}"
