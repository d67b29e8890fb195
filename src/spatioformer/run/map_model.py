"""The model that makes the map, trained on all plots, and what is told of it."""

from pathlib import Path
from typing import Any

import numpy as np

from spatioformer.config.schema import RunConfig
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.models.registry import Model, NetworkModel, Stack, make
from spatioformer.run.context import RunContext
from spatioformer.training.loop import History


def join_training(run: RunContext, checkpoint: Path) -> tuple[Model, ChipStore, History | None]:
    """Train on all plots; of the processes that do so together the first one writes files.

    Returns:
        The trained model, the chips, and of a network the first member's history, else None.
    """
    config, store = run.config, open_chips(run.folder / "chips")
    model, rows = make(config.map.model, config, config.seed), np.arange(len(store))
    how = {"checkpoint": checkpoint, "resume": run.resume, "console": run.console}
    if isinstance(model, NetworkModel):
        return model, store, model.fit(store, rows, log=run.folder / "training.csv", **how)
    model.fit(store, rows, **(how if isinstance(model, Stack) else {}))
    return model, store, None


def facts_of(
    config: RunConfig, model: Model, store: ChipStore, history: History | None
) -> dict[str, Any]:
    """What the model card and the map's tags say."""
    area = store.table["area_m2"]
    known = area[np.isfinite(area)]
    if known.empty:
        grain = "plot size not stated"
    elif known.min() == known.max():
        grain = f"plots of {known.iloc[0]:g} m2"
    else:
        grain = f"plots of {known.min():g} to {known.max():g} m2, median {known.median():g}"
    lon, lat = store.coordinates.T
    facts = {
        "name": f"{config.map.model} ({config.name})",
        "target": config.target,
        "grain": grain,
        "plots": len(store),
        "region": [round(float(v), 4) for v in (lon.min(), lon.max(), lat.min(), lat.max())],
        "seed": config.seed,
    }
    if history is not None:
        facts |= model.facts(len(store), history)
    if config.truth is not None:
        facts["virtual"] = "trained on a virtual (simulated) flora: not a map of real plants"
    return facts
