"""Training of the model that makes the map, on all plots."""

from pathlib import Path
from typing import Any

import numpy as np

from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.base import Model
from spatioformer.models.capabilities import FitContext
from spatioformer.models.registry import make
from spatioformer.run.context import RunContext


def join_training(run: RunContext, checkpoint: Path) -> tuple[Model, ChipStore]:
    """Train on all plots; of the processes that do so together the first one writes files."""
    config, store = run.config, open_chips(run.folder / "chips")
    estimator = make(config.map.model, config.model, config.train, config.seed)
    context = FitContext(checkpoint, run.resume, run.folder / "training.csv", run.console)
    return estimator.fit(store, np.arange(len(store)), context=context), store


def plot_facts(store: ChipStore) -> dict[str, Any]:
    """Grain, number and extent (W, E, S, N, degrees) of the plots that a model is trained on."""
    area = store.table["area_m2"]
    known = area[np.isfinite(area)]
    if known.empty:
        grain = "plot size not stated"
    elif known.min() == known.max():
        grain = f"plots of {known.iloc[0]:g} m2"
    else:
        grain = f"plots of {known.min():g} to {known.max():g} m2, median {known.median():g}"
    lon, lat = store.coordinates.T
    return {
        "grain": grain,
        "plots": len(store),
        "region": [round(float(v), 4) for v in (lon.min(), lon.max(), lat.min(), lat.max())],
    }


def facts_of(config: RunConfig, model: Model, store: ChipStore) -> dict[str, Any]:
    """What the model card and the map's tags say."""
    facts = {
        "name": f"{config.map.model} ({config.name})",
        "target": config.target,
        **plot_facts(store),
        "seed": config.seed,
    }
    facts |= model.facts
    if config.truth is not None:
        facts["virtual"] = "trained on a virtual (simulated) flora: not a map of real plants"
    return facts
