"""Chips of land without plots, on which a network can be taught what a better model says."""

from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.common.errors import ImageryError
from spatioformer.common.progress import SILENT, Console
from spatioformer.geo.chips import TILE, cut_chips
from spatioformer.geo.raster.stack import Stack

PIXELS = 20_000
MOST_TILES = 400  # of a raster that has more: reading all of it would take as long as its map


def cut_unlabelled(
    stack_path: Path,
    patch: int,
    folder: Path,
    *,
    count: int = PIXELS,
    seed: int = 0,
    console: Console = SILENT,
) -> int:
    """Cut chips around pixels drawn at random among those to predict; a chip store of their own.

    Args:
        patch: P, odd.
        count: chips at most; where a chip would hold nodata there is none.

    Returns:
        How many chips there are.

    Raises:
        ImageryError: no pixel of the imagery is to be predicted, or none has a whole chip.
        ModelError: P is even.
        OutputError: the store cannot be written.
    """
    with Stack(stack_path) as stack:
        rows, cols = draw_pixels(stack, count, seed)
        if not len(rows):
            raise ImageryError(
                f"{stack_path} has no pixel to predict among those looked at; give imagery with "
                "fewer gaps, or exclude fewer classes in `imagery.masks`"
            )
        lon, lat = stack.grid.lonlat(rows, cols)
    lost = cut_chips(
        stack_path, pd.DataFrame({"lon": lon, "lat": lat}), patch, folder, console=console
    )
    return len(rows) - len(lost)


def draw_pixels(stack: Stack, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns (n,) of at most `count` pixels to predict, each as likely as any other.

    Of a raster of more than MOST_TILES tiles, so many tiles drawn at random are looked at.
    """
    rng = np.random.default_rng(seed)
    windows = list(stack.grid.windows(TILE))
    tiles = rng.permutation(len(windows))[:MOST_TILES]
    # Each pixel draws a lot; the lowest win, whichever tile they come from.
    lots, places = np.empty(0), np.empty((2, 0), np.int64)
    for tile in np.sort(tiles):
        window = windows[tile]
        found = np.stack(np.nonzero(stack.read(window)[2]))
        found += np.array([[window.row_off], [window.col_off]])
        lots = np.concatenate([lots, rng.random(found.shape[1])])
        places = np.concatenate([places, found], axis=1)
        lowest = np.sort(np.argsort(lots)[:count])
        lots, places = lots[lowest], places[:, lowest]
    return places[0], places[1]
