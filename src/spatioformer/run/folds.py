"""The ways to hold plots out that a run knows by name, and which plot falls into which fold."""

import warnings
from pathlib import Path

import numpy as np

from spatioformer.common.errors import EvaluationError
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import Stream, generator
from spatioformer.config.schema import RunConfig, SplitSection
from spatioformer.evaluation.knndm import KNNDM
from spatioformer.evaluation.splits import (
    DegenerateFolds,
    LeaveRegionOut,
    RandomKFold,
    SeededFolds,
    SpatialBlockKFold,
)
from spatioformer.geo.raster.stack import Stack

PREDICTION_POINTS = 2000
"""Pixels of the map that stand for all of them where folds are matched to it."""


def all_splits(config: RunConfig) -> list[SplitSection]:
    """The configured splits, then one a tile size of the R2 curve."""
    curve = [
        SplitSection(name=f"curve-{size:g}".replace(".", "-"), kind="tiles", size=size)
        for size in config.evaluate.curve_sizes
    ]
    return [*config.evaluate.splits, *curve]


def assign(
    split: SplitSection,
    config: RunConfig,
    coordinates: np.ndarray,
    imagery: Path,
    console: Console = SILENT,
) -> np.ndarray:
    """Fold of each plot, int (n,); what is dubious about the folds is said on the console.

    Repeated coordinates stay in one fold in any split.

    Args:
        coordinates: lon, lat (n, 2), degrees.
        imagery: the run's stack, whose pixels to predict are what kNNDM matches.

    Raises:
        EvaluationError: too few plots or tiles for the folds; names the split.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DegenerateFolds)
        try:
            folds = _splitter(split, config.seed, imagery).assign(coordinates)
        except EvaluationError as error:
            key = "splits" if split in config.evaluate.splits else "curve_sizes"
            raise EvaluationError(f"evaluate.{key}, {split.name}: {error}") from error
    for warning in caught:
        console.say(f"  {split.name}: {warning.message}")
    return folds


def _splitter(split: SplitSection, seed: int, imagery: Path) -> SeededFolds:
    if split.kind == "random":
        return RandomKFold(split.folds, seed=seed)
    if split.kind == "regions":
        return LeaveRegionOut(split.folds, seed=seed)
    if split.kind == "knndm":
        return KNNDM(split.folds, seed=seed, prediction_points=prediction_points(imagery, seed))
    return SpatialBlockKFold(split.folds, size=split.size, unit=split.unit, seed=seed)


def prediction_points(imagery: Path, seed: int) -> np.ndarray:
    """Lon, lat (m, 2) of pixels drawn evenly from those that a map will predict."""
    found = []
    with Stack(imagery) as stack:
        windows = list(stack.grid.windows(1024))
        # Counted first, so that memory does not grow with the raster.
        counts = [int(stack.read(window)[2].sum()) for window in windows]
        order = generator(seed, Stream.PREDICTION_POINTS).permutation(sum(counts))
        chosen = order[:PREDICTION_POINTS]
        ends = np.cumsum(counts)
        for window, count, end in zip(windows, counts, ends, strict=True):
            here = np.sort(chosen[(chosen >= end - count) & (chosen < end)]) - (end - count)
            if here.size:
                rows, cols = (index[here] for index in np.nonzero(stack.read(window)[2]))
                lonlat = stack.grid.lonlat(window.row_off + rows, window.col_off + cols)
                found.append(np.column_stack(lonlat))
    return np.concatenate(found)
