"""Explain the model that made the map: response curves and the effect of location.

This is the short form that every run makes for its report. `drivers` is the thorough one.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from spatioformer.analysis.curves import input_names, response_curve, some_plots
from spatioformer.analysis.importance import largest
from spatioformer.analysis.location import FILE, location_effect, write_effect
from spatioformer.common.files import write_json
from spatioformer.geo.chips import open_chips
from spatioformer.models.store import load

EXPLAINED = "explained.json"

CURVES = 8
"""Largest number of inputs with a curve: those with the largest permutation importance."""

PARTIAL_PLOTS = 100
"""Number of plots behind the partial dependence, which needs `STEPS` predictions a plot."""


def explain(run: str | Path, mapped: str, seed: int) -> dict[str, Any]:
    """Explain the model of a run folder; write explained.json and location_effect.tif there.

    No model is fitted. At most 400 plots and 3,000 places are used, so the time does not grow with
    the map.

    Args:
        run: the run folder, in which all stages up to the map have finished.
        mapped: name of the model that made the map.
        seed: of the sample of plots.

    Returns:
        The content of explained.json: `model`; `plots`, number of training plots in the sample;
        `curves`, input -> see `curves.Curve`; `left_out`, number of inputs without a curve;
        `location`, see `location.LocationEffect`, or None without a map.

    Raises:
        ModelError: the model cannot be opened.
        OutputError: a file cannot be written.
    """
    run = Path(run)
    store, model = open_chips(run / "chips"), load(run / "model")
    few, names = some_plots(store, seed), input_names(store)
    chosen = largest(_rises(run, mapped), names, CURVES)
    curves = {
        name: response_curve(model, few, name, partial_plots=PARTIAL_PLOTS).to_json()
        for name in names
        if name in chosen
    }
    out = run / FILE
    map_ = run / "map.tif"
    effect = location_effect(model, few, map_) if map_.exists() else None
    if effect is not None and effect.varies:
        write_effect(effect, model, out)
    else:  # that of an earlier model
        out.unlink(missing_ok=True)
    explained = {
        "model": mapped,
        "plots": len(few),
        "curves": curves,
        "left_out": len(names) - len(curves),
        "location": None if effect is None else effect.to_json(),
    }
    write_json(run / EXPLAINED, explained)
    return explained


def _rises(run: Path, mapped: str) -> dict[str, float]:
    """Group -> rise of the RMSE of the mapped model; empty where it was not evaluated."""
    path = run / "evaluation" / "importance.csv"
    if not path.exists():
        return {}
    table = pd.read_csv(path).query("model == @mapped")
    return dict(zip(table["group"].astype(str), table["rise"], strict=True))
