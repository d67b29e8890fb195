"""Assign plots to the folds of each configured split."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
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
"""Number of pixels in the sample of the map that kNNDM matches the folds to."""


def all_splits(config: RunConfig) -> list[SplitSection]:
    """The configured splits, then one split for each tile size of the curve of r2."""
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
    """Assign plots to folds: int (n,).

    Plots with the same coordinates are in the same fold. Warnings about the folds go to the
    console.

    Args:
        coordinates: lon, lat (n, 2), degrees.
        imagery: the run's stack; kNNDM matches the folds to its valid pixels.

    Raises:
        EvaluationError: there are too few plots or tiles for the folds; the message names the
            split.
    """
    with (
        warnings.catch_warnings(record=True) as caught,
        _named(split, config),
    ):
        warnings.simplefilter("always", DegenerateFolds)
        folds = _splitter(split, config.seed, imagery).assign(coordinates)
    for warning in caught:
        console.say(f"  {split.name}: {warning.message}")
    return folds


def check_split(split: SplitSection, config: RunConfig, coordinates: np.ndarray) -> None:
    """Raise if the plots are too few for a split, as far as that shows without the imagery.

    Args:
        coordinates: lon, lat (n, 2), degrees.

    Raises:
        EvaluationError: as `assign`.
    """
    with warnings.catch_warnings(), _named(split, config):
        warnings.simplefilter("ignore", DegenerateFolds)  # `assign` prints them
        if split.kind == "knndm":
            KNNDM(split.folds, seed=config.seed).require_sites(coordinates)
        else:
            _splitter(split, config.seed, Path()).assign(coordinates)


@contextmanager
def _named(split: SplitSection, config: RunConfig) -> Iterator[None]:
    """Name the split in errors."""
    try:
        yield
    except EvaluationError as error:
        key = "splits" if split in config.evaluate.splits else "curve_sizes"
        raise EvaluationError(f"evaluate.{key}, {split.name}: {error}") from error


def _splitter(split: SplitSection, seed: int, imagery: Path) -> SeededFolds:
    if split.kind == "random":
        return RandomKFold(split.folds, seed=seed)
    if split.kind == "regions":
        return LeaveRegionOut(split.folds, seed=seed)
    if split.kind == "knndm":
        return KNNDM(split.folds, seed=seed, prediction_points=prediction_points(imagery, seed))
    return SpatialBlockKFold(split.folds, size=split.size, unit=split.unit, seed=seed)


def prediction_points(imagery: Path, seed: int) -> np.ndarray:
    """Lon, lat (m, 2), degrees, of a uniform random sample of the pixels that a map predicts."""
    points = []
    with Stack(imagery) as stack:
        windows = list(stack.grid.windows(1024))
        # Pixels are counted first, so that memory does not grow with the raster.
        counts = [int(stack.read(window)[2].sum()) for window in windows]
        order = generator(seed, Stream.PREDICTION_POINTS).permutation(sum(counts))
        chosen = order[:PREDICTION_POINTS]
        ends = np.cumsum(counts)
        for window, count, end in zip(windows, counts, ends, strict=True):
            selected = np.sort(chosen[(chosen >= end - count) & (chosen < end)]) - (end - count)
            if selected.size:
                rows, cols = (index[selected] for index in np.nonzero(stack.read(window)[2]))
                lonlat = stack.grid.lonlat(window.row_off + rows, window.col_off + cols)
                points.append(np.column_stack(lonlat))
    return np.concatenate(points)
