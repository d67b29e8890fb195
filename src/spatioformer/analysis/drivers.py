"""Drivers of a model's predictions: bands, location, pixels of the chip. See docs/evaluation.md.

- Permutation importance (`importance.py`): models are fitted anew on the folds of the map-like
  split, so the importance is that for predictions far from the plots.
- Response curves (`curves.py`): accumulated local effects and partial dependence.
- Location sensitivity: how much predictions change when only the coordinates are moved.
- Attention: pixels of the chip that the network attends to, by rollout (Abnar & Zuidema 2020).

All are of one model: the one that made the map, or the one that the user names.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.analysis.curves import input_names, response_curve, some_plots
from spatioformer.analysis.importance import (
    groups_of,
    pooled_rises,
    shuffled_errors,
    shuffles,
    taken,
)
from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.common.errors import OutputError
from spatioformer.common.files import write_json
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import Stream, generator
from spatioformer.config.file import load_config
from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.base import Model, OutsideExtent
from spatioformer.models.registry import make
from spatioformer.models.resolved import resolved_with, with_chosen_model
from spatioformer.models.store import load

REPEATS = 5
"""Number of shuffles of a group in a fold, over which the error is averaged."""

DISTANCES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Kilometres by which coordinates are moved."""


def drivers(
    run: str | Path, *, model: str | None = None, console: Console = SILENT
) -> dict[str, Any]:
    """Compute all drivers of one model, and write them to drivers.json in the run's folder.

    Args:
        run: the folder of a finished run.
        model: name of the model; None: the model that made the map. Another model is fitted to all
            plots first, so that all results are of the same model.

    Returns:
        A dict of `model`, `split`; `rmse` of unshuffled held-out predictions, species;
        `importance`: rows of group, rise (of the RMSE, species) and sd over folds; `curves`: input
        -> see `curves.Curve`; `sensitivity`: km, change (mean absolute, species); `attention`:
        [y][x] shares, or None.

    Raises:
        OutputError: the folder is not a finished run.
        ModelError: the plots or chips do not fit the named model.
    """
    run = Path(run)
    for name in ("config.resolved.yaml", "chips", "model", "evaluation/predictions.parquet"):
        if not (run / name).exists():
            raise OutputError(
                f"{run} is not a finished run: {name} is missing; give the folder of a finished run"
            )
    store = open_chips(run / "chips")
    config = with_chosen_model(load_config(run / "config.resolved.yaml"), run)
    config = resolved_with(config, store)
    model = model or config.map.model
    split = config.evaluate.map_like.name
    folds = _folds(pd.read_parquet(run / "evaluation" / "predictions.parquet"), split, store)
    if model == config.map.model:
        fitted = load(run / "model")
    else:
        estimator = make(model, config.model, config.train, config.seed)
        fitted = estimator.fit(store, np.arange(len(store)))
    rmse, importance = permutation_importance(model, config, store, folds, console=console)
    few = some_plots(store, config.seed)
    results = {
        "model": model,
        "split": split,
        "rmse": rmse,
        "importance": importance,
        "curves": {n: response_curve(fitted, few, n).to_json() for n in input_names(store)},
        "sensitivity": location_sensitivity(fitted, few, seed=config.seed),
        "attention": attention_map(fitted, few),
    }
    write_json(run / "drivers.json", results)
    return results


def _folds(predictions: pd.DataFrame, split: str, store: ChipStore) -> NDArray[np.int64]:
    """Fold of each plot of the store in the evaluation, (n,)."""
    once = predictions[predictions["split"] == split].drop_duplicates("plot_id")
    return once.set_index("plot_id")["fold"].loc[store.table["plot_id"]].to_numpy()


def permutation_importance(
    model: str,
    config: RunConfig,
    store: ChipStore,
    folds: NDArray[np.int64],
    *,
    console: Console = SILENT,
) -> tuple[float, list[dict[str, Any]]]:
    """Permutation importance: rise of the held-out RMSE when inputs are shuffled within a fold.

    Args:
        folds: (n,) fold of each plot; a model is fitted without each fold.

    Returns:
        RMSE of the unshuffled predictions, species; and rows of group, rise and sd (over folds,
        species), the largest rise first. The groups are those of `importance.groups_of`.
    """
    groups, rng = groups_of(store), shuffles(config.seed)
    errors = []
    for fold in console.track(list(np.unique(folds)), "drivers"):
        estimator = make(model, config.model, config.train, config.seed)
        fitted = estimator.fit(store, np.flatnonzero(folds != fold))
        test = taken(store, np.flatnonzero(folds == fold))
        errors.append((len(test), shuffled_errors(fitted, test, groups, rng, REPEATS)))
    return pooled_rises([group.name for group in groups], errors)


def location_sensitivity(
    bundle: Model, store: ChipStore, seed: int = 0, distances: tuple[float, ...] = DISTANCES
) -> dict[str, list[float]]:
    """Mean absolute change of the prediction, species, when coordinates move by each distance, km.

    Each plot moves in a random direction, the same for all distances; its chip stays the same.
    """
    angle = generator(seed, Stream.SENSITIVITY_DIRECTIONS).uniform(0, 2 * np.pi, (len(store), 1, 1))
    here = bundle.predict(store.chips, store.lon, store.lat)
    changes = []
    for km in distances:
        north = km / KM_PER_DEGREE * np.cos(angle)
        east = km / KM_PER_DEGREE * np.sin(angle) / np.cos(np.radians(store.lat))
        lat = np.clip(store.lat + north, -90, 90)
        with warnings.catch_warnings():  # places outside the extent are intended here
            warnings.simplefilter("ignore", OutsideExtent)
            there = bundle.predict(store.chips, store.lon + east, lat)
        changes.append(float(np.abs(there - here).mean()))
    return {"km": list(distances), "change": changes}


def attention_map(model: Model, store: ChipStore) -> list[list[float]] | None:
    """Share of attention on each pixel of the chip, mean over plots: [y][x], sum 1.

    None for chips of one pixel, and for models without one token a pixel.
    """
    if model.attends is None:
        return None
    shares = model.attends.attention(store.chips, store.lon, store.lat)
    return None if shares is None else shares.tolist()
