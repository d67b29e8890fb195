"""Panel of the page that shows the results of `spatioformer drivers`."""

from typing import Any

import numpy as np
import pandas as pd

from spatioformer.report import charts
from spatioformer.report.findings import amount, title
from spatioformer.report.picture import Picture, picture
from spatioformer.report.results import Results


def drivers(results: Results) -> dict[str, Any] | None:
    """Sentence and pictures; None where `spatioformer drivers` has not run."""
    measured = results.drivers
    if measured is None:
        return None
    return {"sentence": _sentence(measured, results.unit), "pictures": _pictures(results, measured)}


def _sentence(measured: dict[str, Any], unit: str) -> str:
    rises = {row["group"]: row["rise"] for row in measured["importance"]}
    return (
        f"The RMSE of {title(measured['model'])} on held-out plots is "
        f"{amount(measured['rmse'], unit)} (split {measured['split']}). Shuffling the imagery "
        f"among the held-out plots changes the RMSE by {amount(rises['imagery'], unit)}; "
        f"shuffling the location changes it by {amount(rises['location'], unit)}. A negative "
        "change means that the input misleads the model."
    )


def _pictures(results: Results, measured: dict[str, Any]) -> list[Picture]:
    rows = measured["importance"]
    groups, rises, deviations = ([row[name] for row in rows] for name in ("group", "rise", "sd"))
    curves = {b: (c["value"], c["prediction"]) for b, c in measured["dependence"].items()}
    sensitivity = measured["sensitivity"]
    panels = [
        picture(
            results,
            "importance",
            charts.draw_importance(groups, rises, deviations, results.unit),
            "Permutation importance of bands and location.",
            "Permutation importance: increase of the held-out RMSE when one input is shuffled "
            "among the plots of a fold. Lines: standard deviation over folds. Correlated inputs "
            "share their importance.",
            {"input": groups, "increase": rises, "sd": deviations},
        ),
        picture(
            results,
            "location-sensitivity",
            charts.draw_sensitivity(sensitivity["km"], sensitivity["change"], results.unit),
            "Change of the prediction against the distance by which the coordinates are moved.",
            "Location sensitivity of the model that made the map: mean absolute change of the "
            "prediction when only the coordinates are moved.",
            sensitivity,
        ),
        picture(
            results,
            "dependence",
            charts.draw_dependence(curves, results.unit),
            "Partial dependence of the prediction on each band.",
            "Partial dependence of the model that made the map: mean prediction when one band has "
            "the same value at all plots. The values run from the band's 5th to its 95th "
            "percentile.",
            pd.concat(
                [
                    pd.DataFrame({"band": band, "value": value, "prediction": prediction})
                    for band, (value, prediction) in curves.items()
                ]
            ),
        ),
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
