"""Train the model of the map on all plots."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from spatioformer.common.cache import Arrays
from spatioformer.common.earth import arc_of
from spatioformer.common.files import read_json, set_aside
from spatioformer.config.learning import LOGS
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.sizes import splittable
from spatioformer.geo.chips import ChipStore, open_chips
from spatioformer.geo.covariates import AREA
from spatioformer.models.base import Model
from spatioformer.models.capabilities import FitContext
from spatioformer.models.registry import make
from spatioformer.models.resolved import resolved_with, with_chosen_model
from spatioformer.models.target import amount
from spatioformer.run.context import RunContext
from spatioformer.training import distributed
from spatioformer.training.checkpoint import is_intact


def train_model(run: RunContext, checkpoint: Path, out: Path) -> str:
    """Train the model of the map on all plots; write model/, and of a network training.csv.

    Args:
        checkpoint: file or folder of the training's checkpoint.
        out: folder of the results.

    Returns:
        One line that says what was trained.
    """
    _set_aside_damaged(run, checkpoint)
    distributed.call_to_train(str(checkpoint))
    model, store = join_training(run, checkpoint, out)
    config = with_chosen_model(run.config, run.folder)
    model.facts = facts_of(config, model, store, read_json(run.folder / "plots.json"))
    model.save(out / "model")
    if not model.histories:
        for old in out.glob(LOGS):  # a network's, which was there before
            old.unlink()
        return f"{config.map.model} on {len(store):,} plots"
    history = model.histories[0]
    rmse = model.facts.get("teacher_rmse", history.best_rmse)
    best = amount(rmse, 2, store.target_kind)
    against = " against its teacher" if "teacher" in model.facts else ""
    return f"{len(history.rows)} epochs, best {history.best_epoch}, validation RMSE {best}{against}"


def _set_aside_damaged(run: RunContext, checkpoint: Path) -> None:
    """Rename a damaged checkpoint, so that the training begins anew."""
    damaged = []
    for path in sorted(checkpoint.parent.glob(f"{checkpoint.stem}*")):
        if path.is_dir():
            damaged += Arrays(path).set_aside_damaged()
        elif path.suffix == checkpoint.suffix and not is_intact(path):
            set_aside(path)
            damaged.append(path)
    for path in damaged:
        run.console.say(f"  {path} is damaged; kept as {path.name}.damaged, and computed again")


def join_training(run: RunContext, checkpoint: Path, out: Path) -> tuple[Model, ChipStore]:
    """Train the model of the map on all plots.

    Several processes may train together; only the first one writes files.

    Args:
        checkpoint: file or folder of the training's checkpoint.
        out: folder of the network's log.

    Returns:
        The model, and the chip store of all plots.
    """
    store = open_chips(run.folder / "chips")
    config = resolved_with(with_chosen_model(run.config, run.folder), store)
    wanted = config.train.validation_tile
    assert wanted is not None  # of a resolved configuration
    if (side := splittable(store.coordinates, wanted)) < wanted:
        run.console.say(
            f"  all plots lie in one validation tile of {wanted:.3g} degrees; tiles of {side:.3g} "
            "degrees are used"
        )
    estimator = make(config.map.model, config.model, config.train, config.seed)
    context = FitContext(checkpoint, run.resume, out / "training.csv", run.console)
    return estimator.fit(store, np.arange(len(store)), context=context), store


def plot_facts(store: ChipStore) -> dict[str, Any]:
    """Grain, number and extent (W, E, S, N in degrees; W > E across 180) of the training plots."""
    area = store.table["area_m2"]
    area = area[np.isfinite(area)]
    if area.empty:
        grain = "plot size not stated"
    elif area.min() == area.max():
        grain = f"plots of {area.iloc[0]:g} m2"
    else:
        grain = f"plots of {area.min():g} to {area.max():g} m2, median {area.median():g}"
    lon, lat = store.coordinates.T
    west, east = arc_of(lon)
    return {
        "grain": grain,
        "plots": len(store),
        "region": [round(float(v), 4) for v in (west, east, lat.min(), lat.max())],
    }


def _mapped_area(store: ChipStore) -> float | None:
    """Area of the plots that a map predicts, m2, where it is a covariate; None where it is none."""
    areas = [
        c.usual for c in store.encoding.covariates if c.name == AREA and AREA not in store.bands
    ]
    return float(areas[0]) if areas else None


def facts_of(
    config: RunConfig, model: Model, store: ChipStore, plots: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """Facts of the model, for the model card and the tags of the map.

    Args:
        plots: summary of the plots, which names the archive that they were imported from.
    """
    facts = {
        "name": f"{config.map.model} ({config.name})",
        "target": config.target.name,
        **plot_facts(store),
        "seed": config.seed,
    }
    facts |= model.facts
    if store.encoding.covariates:
        facts["covariates"] = store.encoding.to_json()
    if config.imagery is not None and (area := _mapped_area(store)) is not None:
        facts["grain"] = f"plots of {area:g} m2"
    if store.target_kind != "count":
        facts["target_kind"] = store.target_kind
    if doi := plots.get("imported", {}).get("reference", {}).get("doi"):
        facts["plots_doi"] = doi
    if config.truth is not None:
        facts["virtual"] = "trained on a virtual (simulated) flora: not a map of real plants"
    return facts
