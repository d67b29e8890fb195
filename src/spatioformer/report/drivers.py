"""What `spatioformer drivers` found -> the page's panel."""

from typing import Any

import numpy as np

from spatioformer.report import charts
from spatioformer.report.findings import called, decimal, start
from spatioformer.report.pictures import Picture, picture
from spatioformer.report.results import Results


def drivers(results: Results) -> dict[str, Any] | None:
    """Sentence and pictures; None where the drivers were not asked for."""
    if results.drivers is None:
        return None
    return {"sentence": _sentence(results.drivers), "pictures": _pictures(results, results.drivers)}


def _sentence(found: dict[str, Any]) -> str:
    rises = {row["group"]: row["rise"] for row in found["importance"]}
    return (
        f"{start(called(found['model']))} errs by {decimal(found['rmse'])} species (RMSE, split "
        f"{found['split']}). With the imagery shuffled among held-out plots the error changes by "
        f"{decimal(rises['imagery'])} species, with their places shuffled by "
        f"{decimal(rises['location'])}. A change below 0 means that the input misleads there."
    )


def _pictures(results: Results, found: dict[str, Any]) -> list[Picture]:
    rows = found["importance"]
    columns = ([row[name] for row in rows] for name in ("group", "rise", "sd"))
    curves = {b: (c["value"], c["prediction"]) for b, c in found["dependence"].items()}
    made = [
        picture(
            results,
            charts.draw_importance(*columns),
            "Permutation importance of bands and location.",
            "Rise of the held-out RMSE when an input is shuffled among the plots of a fold; lines: "
            "standard deviation over folds. Inputs that go together share their importance.",
        ),
        picture(
            results,
            charts.draw_sensitivity(found["sensitivity"]["km"], found["sensitivity"]["change"]),
            "Change of the prediction against the distance by which its place is moved.",
            "Location sensitivity of the mapped model: mean absolute change of the prediction when "
            "the coordinates alone are moved.",
        ),
        picture(
            results,
            charts.draw_dependence(curves),
            "Partial dependence of the prediction on each band.",
            "Partial dependence of the mapped model: mean prediction with one band set to a value "
            "everywhere, from its 5th to its 95th percentile.",
        ),
    ]
    if found["attention"] is not None:
        made.append(
            picture(
                results,
                charts.draw_attention(np.array(found["attention"])),
                "Attention on each pixel of the chip.",
                "Where in its chip the network looks (attention rollout, mean over plots).",
            )
        )
    return made
