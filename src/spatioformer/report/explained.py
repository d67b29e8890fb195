"""Panel of the page that explains the mapped model: importance, response curves, location.

The run makes the numbers: `evaluation/importance.csv`, `explained.json`, `location_effect.tif`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.files import read_json
from spatioformer.report import maps, response
from spatioformer.report.bands import read_band
from spatioformer.report.findings import amount, decimal, title, where
from spatioformer.report.picture import Picture, picture
from spatioformer.report.results import Results

GROUPS = 12
"""Largest number of groups of inputs in the figure of importance."""

MODELS = 6
"""Largest number of models in it: the mapped one, and those with the highest r2."""

EVERY_BAND = "imagery"  # group of all bands, see `analysis.importance`
LOCATION = "location"


def explained(results: Results) -> dict[str, Any] | None:
    """Sentences and pictures; None in runs that do not have the numbers, such as older ones."""
    rises, content = _rises(results), _content(results)
    if rises.empty and content is None:
        return None
    location = content["location"] if content else None
    return {
        "importance": _importance(results, rises),
        "curves": _curves(results, content),
        "location": _location(results, content, location),
    }


def _content(results: Results) -> dict[str, Any] | None:
    """Content of explained.json if it is of the mapped model, else None."""
    path = results.folder / "explained.json"
    content = read_json(path) if path.exists() else None
    return content if content and content["model"] == results.mapped else None


def _rises(results: Results) -> pd.DataFrame:
    """Rows of evaluation/importance.csv; none where there is no such file."""
    path = results.folder / "evaluation" / "importance.csv"
    return pd.read_csv(path) if path.exists() else pd.DataFrame()


def _importance(results: Results, rises: pd.DataFrame) -> dict[str, Any] | None:
    if rises.empty:
        return None
    table = rises.pivot(index="group", columns="model", values="rise")
    models = [name for name in results.models if name in table]
    mapped = results.mapped if results.mapped in table else models[0]
    shown = [mapped, *(name for name in models if name != mapped)][:MODELS]
    order = table[mapped].sort_values(ascending=False, kind="stable").index
    groups = _shown([str(group) for group in order])
    first = rises[rises["model"] == mapped].set_index("group")
    split = next(s for s in results.config.evaluate.splits if s.name == first["split"].iloc[0])
    labels = {EVERY_BAND: "all bands together" if results.has_imagery else "all covariates"}
    values = {title(name): table.loc[groups, name].to_numpy() for name in shown}
    figure = response.draw_rises(
        [labels.get(group, group) for group in groups], values, title(mapped), results.unit
    )
    left = len(table) - len(groups)
    return {
        "sentence": _importance_sentence(results, mapped, first, where(split)),
        "picture": picture(
            results,
            "explained-importance",
            figure,
            f"Permutation importance of {len(groups)} inputs for {len(shown)} models; "
            f"{title(mapped)} depends most on {labels.get(groups[0], groups[0])}.",
            f"Permutation importance {where(split)} (bars: {title(mapped)}; markers: the other "
            "models): increase of the RMSE when one input is shuffled among the held-out plots of "
            "a fold. The models are those of the evaluation, fitted without these plots; the model "
            "of the map has seen all plots, so its errors there say nothing. Inputs that resemble "
            f"each other share their importance.{_left_out(left, 'inputs')}",
            table.loc[groups, shown].reset_index(),
        ),
    }


def _shown(order: list[str]) -> list[str]:
    """The first groups of an order; all bands together and location are always among them."""
    kept = [group for group in order if group in (EVERY_BAND, LOCATION)]
    others = [group for group in order if group not in kept][: GROUPS - len(kept)]
    return [group for group in order if group in (*kept, *others)]


def _importance_sentence(results: Results, mapped: str, first: pd.DataFrame, held_out: str) -> str:
    bands = "the imagery" if results.has_imagery else "all covariates"
    rmse, plots = float(first["rmse"].iloc[0]), int(first["plots"].iloc[0])
    every = len(results.observed)
    sample = f"(a sample of {plots:,} plots)" if plots < every else f"({plots:,} plots)"
    size = amount(rmse, results.unit)
    parts = [f"The RMSE of {title(mapped)} {held_out} is {size} {sample}."]
    for group, name in ((EVERY_BAND, bands), (LOCATION, "the location")):
        rise = float(first["rise"][group])
        if abs(rise) <= 0.01 * rmse:
            parts.append(f"Shuffling {name} among these plots changes it by less than 1%.")
        else:
            verb = "raises" if rise > 0 else "lowers"
            misled = "" if rise > 0 else ": this input misleads the model there"
            size = amount(abs(rise), results.unit)
            parts.append(f"Shuffling {name} among these plots {verb} it by {size}{misled}.")
    return " ".join(parts)


def _curves(results: Results, content: dict[str, Any] | None) -> Picture | None:
    curves = content["curves"] if content else {}
    drawn = {name: curve for name, curve in curves.items() if len(curve["value"]) > 1}
    if content is None or not drawn:
        return None
    sizes = {name: float(np.ptp(curve["local"])) for name, curve in drawn.items()}
    drawn = dict(sorted(drawn.items(), key=lambda item: -sizes[item[0]]))
    most = next(iter(drawn))
    chosen = " Inputs with the largest importance are shown." if content["left_out"] else ""
    return picture(
        results,
        "explained-curves",
        response.draw_curves(drawn, results.unit),
        f"Response curves of {len(drawn)} inputs; the prediction changes most with {most}, by "
        f"{amount(sizes[most], results.unit)}.",
        f"How the prediction of {title(results.mapped)} changes with each input, from its 5th to "
        f"its 95th percentile at {content['plots']:,} training plots. Solid: accumulated local "
        "effect (Apley & Zhu 2020), which compares each plot only with slightly different ones. "
        "Dashed: partial dependence, which gives all plots the same value; where inputs are "
        "correlated it uses combinations that do not exist, and the solid line is the one to read. "
        f"Ticks: ends of the intervals.{chosen}{_left_out(content['left_out'], 'inputs')}",
        table_of(drawn),
    )


def table_of(curves: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Response curves as one table: input, value, accumulated local effect, partial dependence."""
    parts = [
        pd.DataFrame({"input": name} | {key: curve[key] for key in ("value", "local", "partial")})
        for name, curve in curves.items()
    ]
    return pd.concat(parts)


def _location(
    results: Results, content: dict[str, Any] | None, effect: dict[str, Any] | None
) -> dict[str, Any]:
    """A sentence, and the map of the effect where there is one."""
    if content is None:
        return {"sentence": "", "picture": None}
    name = title(results.mapped)
    if not results.uses_location:
        text = f"Location is not an input of {name}, so there is no map of its effect."
        return {"sentence": text, "picture": None}
    if effect is None:
        return {"sentence": "There is no map, so there is no map of the effect of location.",
                "picture": None}  # fmt: skip
    if not effect["varies"]:
        text = (
            f"Location is an input of {name}, but for the mean imagery of the plots its prediction "
            f"is the same everywhere: {amount(effect['mean'], results.unit, 1)}."
        )
        return {"sentence": text, "picture": None}
    low, high = (_signed(effect[key], results.unit) for key in ("min", "max"))
    text = (
        f"With the mean imagery of the plots everywhere, {name} predicts "
        f"{amount(effect['mean'], results.unit, 1)} on average. The location alone changes that by "
        f"{low} to {high} (standard deviation over the map {amount(effect['sd'], results.unit)})."
    )
    return {"sentence": text, "picture": _location_map(results, effect, low, high)}


def _location_map(results: Results, effect: dict[str, Any], low: str, high: str) -> Picture | None:
    path = results.folder / "location_effect.tif"
    if not path.exists():
        return None
    band = read_band(path)
    drawing = maps.draw_map(
        band.values,
        band.frame,
        limits=maps.symmetric_limits(band.values),
        label=f"effect of location, {results.unit}",
        colours=maps.DIFFERENCE,
        width=response.WIDTH,
    )
    lon, lat = band.lonlat
    finite = np.isfinite(band.values)
    return picture(
        results,
        "explained-location",
        drawing,
        f"Map of the effect of location on the prediction, from {low} to {high}.",
        "Effect of location: prediction of the same mean imagery at each place, minus its mean "
        f"over the map. Red: the place raises the prediction; blue: it lowers it. "
        f"{effect['places']:,} places on a coarse grid; file: location_effect.tif. Real imagery "
        "may change the effect where imagery and location interact.",
        {"lon": lon[finite], "lat": lat[finite], "effect": band.values[finite]},
    )


def _signed(value: float, unit: str) -> str:
    """An amount with its sign."""
    return ("+" if decimal(value) != "0.00" and value > 0 else "") + amount(value, unit)


def _left_out(count: int, what: str) -> str:
    return f" {count:,} more {what} are not shown." if count > 0 else ""
