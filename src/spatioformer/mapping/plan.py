"""How a raster is cut into tiles, and how many of them may be in memory at once."""

import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.features import rasterize
from rasterio.windows import Window

from spatioformer.common.errors import OutputError
from spatioformer.geo.grid import Grid
from spatioformer.mapping.source import Source

UNIT = 256  # the smallest tile's side, and a block of the map
OVERHEAD = 1.1  # pixels read and computed for each pixel kept, at most, where memory allows
MOST_UNITS = 8
FEWEST = 16  # tiles, so that the workers have something to share
MIB = 2**20
# Beside its tile a worker holds chips or activations of one batch.
WORKING = 192 * MIB
SMALLEST_CACHE = 32 * MIB
MASK_SIDE = 4096  # pixels of the mask read at once


@dataclass(frozen=True)
class Plan:
    """A grid cut into tiles of `rows` x `cols` pixels, each read with `halo` pixels around it.

    Tiles are numbered row by row from the north-west; those at the edges are smaller, none is lost.
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
            area: geometry in the grid's CRS (`Source.area`); tiles it does not touch are left out.
            shard: (i, n): every n-th tile from the i-th, so that land is shared evenly.
        """
        tiles = np.arange(self.count, dtype=np.int64)
        if area is not None:
            shape = (self.down, self.across)
            transform = self.grid.transform @ Affine.scale(self.cols, self.rows)
            # all_touched may miss a tile whose corner alone is touched; a pixel more is harmless.
            a, b, _, d, e, _ = self.grid.transform[:6]
            near = area.buffer(2 * max(np.hypot(a, d), np.hypot(b, e)))
            touched = rasterize([near], shape, transform=transform, all_touched=True, dtype="uint8")
            tiles = tiles[touched.ravel() > 0]
        if shard is not None:
            part, parts = shard
            tiles = tiles[tiles % parts == part - 1]
        return tiles

    def on_land(self, source: Source, tiles: np.ndarray) -> Iterator[int]:
        """The tiles in which the imagery's own mask wants a pixel, in order.

        The mask is read in coarse pieces and nothing else is: a tile of sea costs no more.
        """
        if not source.has_cheap_mask or not len(tiles):
            yield from tiles.tolist()
            return
        together = max(1, MASK_SIDE // self.cols)
        place = tiles // self.across * self.across + tiles % self.across // together * together
        firsts, starts = np.unique(place, return_index=True)
        for first, members in zip(firsts, np.split(tiles, starts[1:]), strict=True):
            start = self.window(first)
            width = min(together * self.cols, self.grid.width - start.col_off)
            mask = source.mask(Window(start.col_off, start.row_off, width, start.height))
            edges = np.arange(0, width, self.cols)
            wanted = np.logical_or.reduceat(mask.any(axis=0), edges)
            yield from members[wanted[members - first]].tolist()


@dataclass(frozen=True)
class Budget:
    """How a memory limit is spent.

    Attributes:
        units: side of a tile, in units.
        waiting: tiles read ahead beside those being computed.
        cache: bytes of GDAL's block cache.
    """

    units: int
    waiting: int
    cache: int


def make_plan(
    source: Source, halo: int, layers: int, unit: int, memory: int, workers: int,
    fixed: tuple[int, int] | None = None,
) -> tuple[Plan, Budget]:  # fmt: skip
    """Tiles as large as is useful and as the memory allows.

    Args:
        unit: side of the smallest tile; sides are multiples of it.
        layers: float32 layers that a tile's result holds.
        memory: bytes of resident memory, what the process holds now included.
        fixed: (rows, cols) of the tiles of a run that is being continued.

    Raises:
        OutputError: the memory does not hold the smallest tile for each worker.
    """
    grid = source.grid
    free = memory - resident() - workers * WORKING
    useful = _useful(halo, unit, grid)
    choices = [fixed[0] // unit] if fixed else range(useful, 0, -1)
    for units in choices:
        side = units * unit
        tile = tile_bytes(source, side, halo, layers)
        for waiting in range(workers + 1, 0, -1):
            cache = free - (workers + waiting + 1) * tile
            if cache >= SMALLEST_CACHE:
                enough = _row_bytes(source, side, halo)
                budget = Budget(units, waiting, int(min(cache, max(enough, SMALLEST_CACHE))))
                return Plan(grid, side, side, halo), budget
    needed = memory - free + (workers + 2) * tile + SMALLEST_CACHE
    raise OutputError(
        f"--memory {shown(memory)} is below what {workers} worker{'s' * (workers > 1)} with the "
        f"smallest tile of {side} x {side} pixels need{'s' * (workers == 1)}; give --memory "
        f"{shown(needed)}" + (" or fewer --workers" if workers > 1 else "")
    )


def _useful(halo: int, unit: int, grid: Grid) -> int:
    """Units a side beyond which a larger tile saves little, or leaves some worker idle.

    It depends on no resource: the same tiles everywhere, unless memory is short.
    """
    smallest = next(
        (n for n in range(1, MOST_UNITS) if (1 + 2 * halo / (n * unit)) ** 2 <= OVERHEAD),
        MOST_UNITS,
    )
    shared = int(np.sqrt(grid.height * grid.width / FEWEST) / unit)
    return max(1, min(smallest, shared))


def tile_bytes(source: Source, side: int, halo: int, layers: int) -> int:
    """Bytes one tile takes between its reading and its writing."""
    bands = len(source.bands)
    # As read, as float32, as float32 with the edges; two masks; lon, lat and their making.
    pixel = source.value_bytes + 8 * bands + 3 + 5 * 8
    return (side + 2 * halo) ** 2 * pixel + side**2 * layers * 4 * 3


def _row_bytes(source: Source, side: int, halo: int) -> int:
    """Bytes of the file's blocks under a row of tiles: with these cached, none is read twice."""
    rows, cols = source.block
    width = -(-source.grid.width // cols) * cols
    return width * (side + 2 * halo + 2 * rows) * (source.value_bytes + 1)


def resident() -> int:
    """Bytes of memory this process holds now."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def shown(count: int) -> str:
    """Bytes as a person writes them, rounded up."""
    for size, name, digits in ((10**9, "GB", 1), (10**6, "MB", 0)):
        if count >= size:
            return f"{np.ceil(count / size * 10**digits) / 10**digits:.{digits}f}{name}"
    return f"{count}"
