"""Panel of the page that shows the results of `spatioformer drivers`: all of one model.

In files of versions before 0.2, only the importance is of the model that the file names; the rest
is of the model that made the map. Where these are two models, the panel shows the importance only.
"""

from typing import Any

import numpy as np
import pandas as pd

from spatioformer.report import charts, response
from spatioformer.report.explained import table_of
from spatioformer.report.findings import amount, title
from spatioformer.report.picture import Picture, picture
from spatioformer.report.results import Results

PANELS = 16
"""Largest number of response curves in the figure."""


def drivers(results: Results) -> dict[str, Any] | None:
    """Sentence and pictures; None where `spatioformer drivers` has not run."""
    measured = results.drivers
    if measured is None:
        return None
    return {"sentence": _sentence(results, measured), "pictures": _pictures(results, measured)}


def _sentence(results: Results, measured: dict[str, Any]) -> str:
    unit = results.unit
    rises = {row["group"]: row["rise"] for row in measured["importance"]}
    return (
        f"The RMSE of {title(measured['model'])} on held-out plots is "
        f"{amount(measured['rmse'], unit)} (split {measured['split']}). Shuffling the imagery "
        f"among the held-out plots changes the RMSE by {amount(rises['imagery'], unit)}; "
        f"shuffling the location changes it by {amount(rises['location'], unit)}. A negative "
        "change means that the input misleads the model."
    ) + _of_two_models(results)


def _of_two_models(results: Results) -> str:
    """What the panel leaves out because it is of another model; empty if nothing is."""
    measured = results.drivers
    if measured is None or _is_of_one_model(results, measured):
        return ""
    return (
        f" Curves and location sensitivity of {title(measured['model'])} were not measured, and "
        "those of another model are not shown; run `spatioformer drivers` again to measure them."
    )


def _is_of_one_model(results: Results, measured: dict[str, Any]) -> bool:
    return "curves" in measured or measured["model"] == results.mapped


def _pictures(results: Results, measured: dict[str, Any]) -> list[Picture]:
    rows = measured["importance"]
    groups, rises, deviations = ([row[name] for row in rows] for name in ("group", "rise", "sd"))
    importance = picture(
        results,
        "importance",
        charts.draw_importance(groups, rises, deviations, results.unit),
        f"Permutation importance of bands and location for {title(measured['model'])}.",
        f"Permutation importance for {title(measured['model'])}: increase of the held-out RMSE "
        "when one input is shuffled among the plots of a fold. Lines: standard deviation over "
        "folds. Correlated inputs share their importance.",
        {"input": groups, "increase": rises, "sd": deviations},
    )
    if not _is_of_one_model(results, measured):
        return [importance]
    return [importance, *_of_the_fitted_model(results, measured)]


def _of_the_fitted_model(results: Results, measured: dict[str, Any]) -> list[Picture]:
    """Pictures of the model fitted to all plots."""
    sensitivity, model = measured["sensitivity"], title(measured["model"])
    panels = [
        picture(
            results,
            "location-sensitivity",
            charts.draw_sensitivity(sensitivity["km"], sensitivity["change"], results.unit),
            "Change of the prediction against the distance by which the coordinates are moved.",
            f"Location sensitivity of {model}: mean absolute change of the prediction when only "
            "the coordinates are moved.",
            sensitivity,
        ),
        _curves(results, measured, model),
    ]
    if measured["attention"] is not None:
        panels.append(
            picture(
                results,
                "attention",
                charts.draw_attention(np.array(measured["attention"])),
                "Attention on each pixel of the chip.",
                "Share of the network's attention on each pixel of the chip (attention rollout, "
                "mean over plots).",
                pd.DataFrame(measured["attention"]),
            )
        )
    return panels


def _curves(results: Results, measured: dict[str, Any], model: str) -> Picture:
    if "curves" in measured:
        return picture(
            results,
            "dependence",
            response.draw_curves(_most_varying(measured["curves"]), results.unit),
            f"Response curves of {model} for each input.",
            f"Response curves of {model}. Solid: accumulated local effect. Dashed: partial "
            "dependence, which uses combinations of inputs that do not exist where they are "
            "correlated. The values run from the 5th to the 95th percentile. Of more than "
            f"{PANELS} inputs, those with the largest range of the effect are shown.",
            table_of(measured["curves"]),
        )
    curves = {b: (c["value"], c["prediction"]) for b, c in measured["dependence"].items()}
    return picture(
        results,
        "dependence",
        charts.draw_dependence(curves, results.unit),
        "Partial dependence of the prediction on each band.",
        f"Partial dependence of {model}: mean prediction when one band has the same value at all "
        "plots. The values run from the band's 5th to its 95th percentile.",
        pd.concat(
            [
                pd.DataFrame({"band": band, "value": value, "prediction": prediction})
                for band, (value, prediction) in curves.items()
            ]
        ),
    )


def _most_varying(curves: dict[str, Any]) -> dict[str, Any]:
    """The curves with the largest ranges, at most `PANELS`, in their order."""
    order = sorted(curves, key=lambda name: -np.ptp(curves[name]["local"] or [0.0]))
    return {name: curve for name, curve in curves.items() if name in order[:PANELS]}
