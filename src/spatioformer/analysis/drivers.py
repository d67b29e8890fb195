"""Drivers of a run's predictions: bands, location, pixels of the chip. See docs/evaluation.md.

- Permutation importance (Breiman 2001; Fisher et al. 2019, JMLR 20:177): how much larger the error
  of held-out plots becomes when a group of inputs is shuffled among them. Models are fitted anew on
  the folds of the map-like split, so the importance is that for predictions far from the plots.
- Partial dependence (Friedman 2001, Ann. Stat. 29:1189): the mean prediction with one band set to
  a value in every pixel of every chip. For correlated bands it uses chips that do not exist.
- Location sensitivity: how much predictions change when only the coordinates are moved.
- Attention: pixels of the chip that the network attends to, by rollout (Abnar & Zuidema 2020).
"""

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

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

Floats = NDArray[np.float64]

REPEATS = 5
"""Number of shuffles of a group in a fold, over which the error is averaged."""

PLOTS = 400
"""Largest number of plots over which dependence, sensitivity and attention are averaged."""

STEPS = 11
"""Number of values of a band, from its 5th to its 95th percentile."""

DISTANCES = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""Kilometres by which coordinates are moved."""

LOCATION = "location"


def drivers(
    run: str | Path, *, model: str | None = None, console: Console = SILENT
) -> dict[str, Any]:
    """Compute all drivers of a finished run, and write them to drivers.json in its folder.

    Args:
        run: the run's folder.
        model: name of the model for permutation importance; None: the model that made the map. All
            other results are of the model that made the map.

    Returns:
        A dict of `model`, `split`; `rmse` of unshuffled held-out predictions, species;
        `importance`: rows of group, rise (of the RMSE, species) and sd over folds; `dependence`:
        band -> value, prediction (species); `sensitivity`: km, change (mean absolute, species);
        `attention`: [y][x] shares, or None.

    Raises:
        OutputError: the folder is not a finished run.
    """
    run = Path(run)
    for name in ("config.resolved.yaml", "chips", "model", "evaluation/predictions.parquet"):
        if not (run / name).exists():
            raise OutputError(
                f"{run} is not a finished run: {name} is missing; give the folder of a finished run"
            )
    store, bundle = open_chips(run / "chips"), load(run / "model")
    config = with_chosen_model(load_config(run / "config.resolved.yaml"), run)
    config = resolved_with(config, store)
    model = model or config.map.model
    split = config.evaluate.map_like.name
    folds = _folds(pd.read_parquet(run / "evaluation" / "predictions.parquet"), split, store)
    rmse, importance = permutation_importance(model, config, store, folds, console=console)
    some = generator(config.seed, Stream.DRIVERS_PLOTS).permutation(len(store))[:PLOTS]
    few = _take(store, np.sort(some))
    results = {
        "model": model,
        "split": split,
        "rmse": rmse,
        "importance": importance,
        "dependence": {band: partial_dependence(bundle, few, band) for band in store.bands},
        "sensitivity": location_sensitivity(bundle, few, seed=config.seed),
        "attention": attention_map(bundle, few),
    }
    write_json(run / "drivers.json", results)
    return results


def _folds(predictions: pd.DataFrame, split: str, store: ChipStore) -> NDArray[np.int64]:
    """Fold of each plot of the store in the evaluation, (n,)."""
    once = predictions[predictions["split"] == split].drop_duplicates("plot_id")
    return once.set_index("plot_id")["fold"].loc[store.table["plot_id"]].to_numpy()


def _take(store: ChipStore, rows: NDArray) -> ChipStore:
    """Copy some plots of a store into memory."""
    chips, lon, lat = (np.array(a[rows]) for a in (store.chips, store.lon, store.lat))
    return ChipStore(chips, lon, lat, store.table.iloc[rows].reset_index(drop=True), store.bands)


def _squared_error(model: Model, store: ChipStore) -> float:
    predicted = np.asarray(model.predict_rows(store, np.arange(len(store))), np.float64)
    return float(np.mean((predicted - store.richness) ** 2))


def permutation_importance(
    model: str,
    config: RunConfig,
    store: ChipStore,
    folds: NDArray[np.int64],
    groups: Mapping[str, list[str]] | None = None,
    *,
    console: Console = SILENT,
) -> tuple[float, list[dict[str, Any]]]:
    """Permutation importance: rise of the held-out RMSE when inputs are shuffled within a fold.

    Args:
        folds: (n,) fold of each plot; a model is fitted without each fold.
        groups: name -> bands that are shuffled together; None: each band alone, and all of them as
            "imagery". Longitude and latitude are always one group, "location".

    Returns:
        RMSE of the unshuffled predictions, species; and rows of group, rise and sd (over folds,
        species), the largest rise first.
    """
    if groups is None:
        groups = {band: [band] for band in store.bands} | {"imagery": list(store.bands)}
    names = [*groups, LOCATION]
    rng = generator(config.seed, Stream.IMPORTANCE_SHUFFLES)
    plain: list[tuple[int, float]] = []
    rises: dict[str, list[float]] = {name: [] for name in names}
    for fold in console.track(list(np.unique(folds)), "drivers"):
        estimator = make(model, config.model, config.train, config.seed)
        fitted = estimator.fit(store, np.flatnonzero(folds != fold))
        test = _take(store, np.flatnonzero(folds == fold))
        squared = _squared_error(fitted, test)
        plain.append((len(test), squared))
        for name in names:
            stores = (_shuffled(test, groups.get(name), rng) for _ in range(REPEATS))
            shuffled = np.mean([_squared_error(fitted, other) for other in stores])
            rises[name].append(np.sqrt(shuffled) - np.sqrt(squared))
    sizes = np.array([size for size, _ in plain])
    rmse = float(np.sqrt(np.average([squared for _, squared in plain], weights=sizes)))
    rows = [
        {
            "group": name,
            "rise": float(np.average(values, weights=sizes)),
            "sd": float(np.std(values, ddof=1)),
        }
        for name, values in rises.items()
    ]
    return rmse, sorted(rows, key=lambda row: -row["rise"])


def _shuffled(store: ChipStore, bands: list[str] | None, rng: np.random.Generator) -> ChipStore:
    """Copy of the store with these bands permuted among its plots (None: the coordinates)."""
    order = rng.permutation(len(store))
    if bands is None:
        return replace(store, lon=store.lon[order], lat=store.lat[order])
    chips, columns = store.chips.copy(), [store.bands.index(band) for band in bands]
    chips[..., columns] = chips[order][..., columns]
    return replace(store, chips=chips)


def partial_dependence(bundle: Model, store: ChipStore, band: str) -> dict[str, list[float]]:
    """Partial dependence on a band: mean prediction (species) at each of `STEPS` values."""
    column = store.bands.index(band)
    values = np.quantile(store.chips[..., column], np.linspace(0.05, 0.95, STEPS))
    means = []
    for value in values:
        chips = store.chips.copy()
        chips[..., column] = value
        means.append(float(bundle.predict(chips, store.lon, store.lat).mean()))
    return {"value": values.tolist(), "prediction": means}


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
