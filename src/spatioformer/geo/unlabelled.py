"""Chips around pixels without plots, on which a student network learns a teacher's predictions."""

from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.cutting import TILE, cut_chips
from spatioformer.geo.raster.stack import Stack

PIXELS = 20_000
MOST_TILES = 400  # tiles read of a larger raster; reading all would take as long as mapping it


def cut_unlabelled(
    stack_path: Path,
    patch: int,
    folder: Path,
    *,
    count: int = PIXELS,
    seed: int = 0,
    console: Console = SILENT,
) -> int:
    """Cut chips around random pixels among those to predict, into a chip store.

    Args:
        stack_path: imagery stack.
        patch: P, side of a chip in pixels, odd.
        folder: folder of the chip store.
        count: largest number of chips; pixels whose chip holds nodata are skipped.
        seed: random seed for the sample of pixels.

    Returns:
        The number of chips.

    Raises:
        ImageryError: the sampled tiles have no pixel to predict, or no pixel has a complete chip.
        ModelError: P is even.
        OutputError: the store cannot be written.
    """
    with Stack(stack_path) as stack:
        rows, cols = draw_pixels(stack, count, seed)
        if not len(rows):
            raise ImageryError(
                f"{stack_path} has no pixel to predict in the sampled tiles; give imagery with "
                "fewer gaps, or exclude fewer classes in `imagery.masks`"
            )
        lon, lat = stack.grid.lonlat(rows, cols)
    lost = cut_chips(
        stack_path, pd.DataFrame({"lon": lon, "lat": lat}), patch, folder, console=console
    )
    return len(rows) - len(lost)


def draw_pixels(stack: Stack, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns, (n,), of at most `count` random pixels to predict, all equally likely.

    If the raster has more than MOST_TILES tiles, only a random sample of MOST_TILES is read.
    """
    rng = np.random.default_rng(seed)
    windows = list(stack.grid.windows(TILE))
    tiles = rng.permutation(len(windows))[:MOST_TILES]
    # Each pixel gets a random number, and the smallest numbers of all tiles are kept.
    numbers, places = np.empty(0), np.empty((2, 0), np.int64)
    for tile in np.sort(tiles):
        window = windows[tile]
        in_tile = np.stack(np.nonzero(stack.read(window)[2]))
        in_tile += np.array([[window.row_off], [window.col_off]])
        numbers = np.concatenate([numbers, rng.random(in_tile.shape[1])])
        places = np.concatenate([places, in_tile], axis=1)
        lowest = np.sort(np.argsort(numbers)[:count])
        numbers, places = numbers[lowest], places[:, lowest]
    return places[0], places[1]
