"""Assign plots to the folds of each configured split."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.common.errors import EvaluationError
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import Stream, generator
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.knndm import KNNDM
from spatioformer.evaluation.splits import (
    DegenerateFolds,
    LeaveRegionOut,
    RandomKFold,
    SeededFolds,
    SpatialBlockKFold,
)
from spatioformer.evaluation.units import sites
from spatioformer.geo.raster.stack import Stack

GROUP = "group"
"""Column of a plot table whose plots with one value stay in one fold."""

FOLD = "fold"
"""Column of a plot table that holds the folds of a split by a column."""

PREDICTION_POINTS = 2000
"""Number of pixels in the sample of the map that kNNDM matches the folds to."""


def all_splits(config: RunConfig) -> list[SplitSection]:
    """The configured splits, then one split for each tile size of the curve of r2.

    A split of the curve has as many folds as the first split by tiles. At the side of that split
    its folds are the same, and so are its predictions.

    Args:
        config: with its sizes resolved (`models.resolved`).
    """
    folds = next((split.folds for split in config.evaluate.splits if split.kind == "tiles"), 5)
    curve = [
        SplitSection(
            name=f"curve-{size:g}".replace(".", "-"),
            kind="tiles",
            size=size,
            unit=config.evaluate.curve_unit,
            folds=folds,
        )
        for size in config.evaluate.curve_sizes or ()
    ]
    return [*config.evaluate.splits, *curve]


def assign(
    split: SplitSection,
    config: RunConfig,
    plots: pd.DataFrame,
    imagery: Path,
    console: Console = SILENT,
) -> np.ndarray:
    """Assign plots to folds: int (n,).

    Plots with the same coordinates are in the same fold, and so are those of one group. Warnings
    about the folds go to the console.

    Args:
        split: with its size resolved (`models.resolved`).
        plots: columns lon and lat (degrees), `fold` for a split by a column, and `group` if the run
            has one.
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
        folds = _folds(split, config.seed, plots, imagery)
    for warning in caught:
        console.say(f"  {split.name}: {warning.message}")
    return folds


def check_split(split: SplitSection, config: RunConfig, plots: pd.DataFrame) -> None:
    """Raise if the plots are too few for a split, as far as that shows without the imagery.

    Args:
        split, plots: as for `assign`.

    Raises:
        EvaluationError: as `assign`.
    """
    with warnings.catch_warnings(), _named(split, config):
        warnings.simplefilter("ignore", DegenerateFolds)  # `assign` prints them
        if split.kind == "knndm":
            sites_of = plots[["lon", "lat"]].to_numpy(np.float64)
            KNNDM(split.folds, seed=config.seed).require_parts(sites_of)
        elif split.kind == "regions":  # k-means itself takes a second, and fails on nothing else
            LeaveRegionOut(split.folds, seed=config.seed).require_sites(
                plots[["lon", "lat"]].to_numpy(np.float64)
            )
        else:
            _folds(split, config.seed, plots, Path())


@contextmanager
def _named(split: SplitSection, config: RunConfig) -> Iterator[None]:
    """Name the split in errors."""
    try:
        yield
    except EvaluationError as error:
        key = "splits" if split in config.evaluate.splits else "curve_sizes"
        raise EvaluationError(f"evaluate.{key}, {split.name}: {error}") from error


def _folds(split: SplitSection, seed: int, plots: pd.DataFrame, imagery: Path) -> np.ndarray:
    lonlat = plots[["lon", "lat"]].to_numpy(np.float64)
    groups = plots[GROUP].to_numpy() if GROUP in plots else None
    if split.kind == "column":
        folds = LeaveRegionOut().assign(lonlat, plots[FOLD].to_numpy())
        if groups is not None:
            _require_whole(groups, folds, split)
        return folds
    if split.kind == "regions":
        folds = LeaveRegionOut(split.folds, seed=seed).assign(lonlat)
        return folds if groups is None else _with_whole_groups(folds, sites(lonlat, groups))
    return _splitter(split, seed, imagery).assign(lonlat, groups)


def _splitter(split: SplitSection, seed: int, imagery: Path) -> SeededFolds:
    if split.kind == "random":
        return RandomKFold(split.folds, seed=seed)
    if split.kind == "knndm":
        return KNNDM(split.folds, seed=seed, prediction_points=prediction_points(imagery, seed))
    assert split.size is not None
    return SpatialBlockKFold(split.folds, size=split.size, unit=split.unit, seed=seed)


def _require_whole(groups: np.ndarray, folds: np.ndarray, split: SplitSection) -> None:
    """Raise if a group lies in several folds of a column."""
    of_group = pd.Series(folds).groupby(groups).nunique()
    if (of_group > 1).any():
        raise EvaluationError(
            f"the plots of the group {of_group.idxmax()!r} (plots.group) lie in {of_group.max()} "
            f"folds of the column {split.column!r}; correct the column, or leave `plots.group` out"
        )


def _with_whole_groups(folds: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Move each unit (n,) of plots to the fold that most of its plots are in."""
    table = pd.crosstab(unit, folds)
    moved = table.columns.to_numpy()[table.to_numpy().argmax(axis=1)][unit]
    return np.unique(moved, return_inverse=True)[1]


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
