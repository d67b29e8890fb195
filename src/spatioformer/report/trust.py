"""Panel of the page on calibrated intervals and the area of applicability."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from spatioformer.models.uncertainty import Uncertainty
from spatioformer.report import charts, maps
from spatioformer.report.findings import amount
from spatioformer.report.picture import HALF, Picture, picture, pixels
from spatioformer.report.results import Results

KINDS = {
    "constant": "the same margin everywhere",
    "dissimilarity": "margin increases with the dissimilarity",
    "spread": "margin proportional to the model's standard deviation",
    "counts": "quantiles of negative binomial counts",
    "quantiles": "the model's own quantiles",
    "region": "one margin for each region",
}

MOST_DECIMALS = 4
"""Of the degrees that name a region: a ten-thousandth is about 10 m."""


def trust(results: Results) -> dict[str, Any] | None:
    """Sentences, tables and pictures; None where no intervals were calibrated."""
    uncertainty = results.uncertainty
    if uncertainty is None:
        return None
    kind = uncertainty.kind(results.has_spread)
    facts = uncertainty.facts["kinds"]
    groups = facts[kind].get("groups", ())
    return {
        "sentence": _sentence(results, uncertainty, kind),
        "level": f"{uncertainty.level:.0%}",
        "kinds": [
            (KINDS[name], name == kind, *_score_cells(calibrated["scores"], results.unit))
            for name, calibrated in facts.items()
        ],
        "groups": [
            (
                label,
                f"{group['n']:,}",
                f"{group['coverage']:.3f}",
                _size(group["width"], results.unit),
            )
            for label, group in zip(_group_labels(groups), groups, strict=True)
        ],
        "calibration": _calibration(results, facts[kind]["calibration"]),
        "error": _error(results, uncertainty),
        "map": _applicability_map(results, uncertainty),
    }


def _sentence(results: Results, uncertainty: Uncertainty, kind: str) -> str:
    scores = uncertainty.facts["kinds"][kind]["scores"]
    text = (
        f"The intervals should hold {uncertainty.level:.0%} of new plots. They held "
        f"{scores['coverage']:.1%} of {scores['n']:,} held-out plots (split "
        f"{uncertainty.facts['split']}); those of each fold were calibrated on the other folds. "
        f"Their mean width is {amount(scores['width'], results.unit, 1)}."
    )
    share = results.map.get("inside_share")
    if share is None:
        return text
    return (
        f"{text} {share:.0%} of the mapped pixels lie inside the area of applicability. "
        f"{_outside(results, uncertainty, kind)}"
    )


def _outside(results: Results, uncertainty: Uncertainty, kind: str) -> str:
    """What the intervals outside the area of applicability rest on."""
    evidence, widening = uncertainty.facts.get("outside"), uncertainty.widening.get(kind)
    if evidence is None or widening is None:  # of a version that did not widen intervals
        return "For the other pixels, no held-out plot shows how large the error is."
    plots, harder = evidence["plots"], evidence["harder"]
    text = (
        f"For the other pixels, intervals are wider: {widening.step:.2f} times just outside the "
        "area, and more with the dissimilarity. "
    )
    if not plots:
        text += (
            "No held-out plot lies outside, so the coverage there is unknown, not "
            f"{uncertainty.level:.0%}; the factor rests on virtual floras"
        )
        text += f" and {harder:,} predictions of harder folds." if harder else " alone."
        return text
    text += (
        f"The factor rests on {plots:,} held-out {'plot' if plots == 1 else 'plots'} outside, "
        f"{harder:,} predictions of harder folds, and virtual floras with a weight of "
        f"{evidence['prior_plots']} plots."
    )
    return text + _extrapolated(results, evidence["farthest"])


def _extrapolated(results: Results, farthest: float) -> str:
    """The share of mapped pixels that are more dissimilar than all held-out plots."""
    if results.dissimilarity is None:
        return ""
    di = results.dissimilarity.values
    share = np.mean(di[np.isfinite(di)] > farthest)
    if share == 0:
        return ""
    return (
        f" {max(share, 0.001):.1%} of the mapped pixels are more dissimilar than all of these; "
        "their factor is extrapolated."
    )


def _score_cells(scores: dict[str, float], unit: str) -> list[str]:
    sizes = (_size(scores[name], unit) for name in ("width", "interval_score", "crps"))
    return [f"{scores['coverage']:.3f}", *sizes]


def _size(value: float, unit: str) -> str:
    """A value of the target without its unit."""
    return amount(value, unit, 2).split()[0]


def region_places(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Centres of the regions among groups of plots, with just enough decimals to differ."""
    regions = [group for group in groups if group["by"] == "region"]
    places: list[str] = []
    for decimals in range(MOST_DECIMALS + 1):
        places = [
            f"{maps.degrees(round(r['lon'], decimals), 'E', 'W')}, "
            f"{maps.degrees(round(r['lat'], decimals), 'N', 'S')}"
            for r in regions
        ]
        if len(set(places)) == len(places):
            break
    return places


def _group_labels(groups: Sequence[dict[str, Any]]) -> list[str]:
    """Names of groups of plots."""
    places = iter(region_places(groups))
    return [
        f"region around {next(places)}" if group["by"] == "region" else _group_label(group)
        for group in groups
    ]


def _group_label(group: dict[str, Any]) -> str:
    """Name of a group of plots by dissimilarity or by the area of applicability."""
    if group["by"] == "dissimilarity":
        return f"dissimilarity {group['low']:.2f} to {group['high']:.2f}"
    return f"{'inside' if group['inside'] else 'outside'} the area of applicability"


def _calibration(results: Results, curve: dict[str, list[float]] | None) -> Picture | None:
    if not curve:
        return None
    return picture(
        results,
        "calibration",
        charts.draw_calibration(curve["level"], curve["coverage"]),
        "Coverage of held-out plots against nominal coverage.",
        "Coverage of held-out plots against nominal coverage. Below the line the intervals are too "
        "narrow; above it they are too wide.",
        {"nominal": curve["level"], "coverage": curve["coverage"]},
    )


def _error(results: Results, uncertainty: Uncertainty) -> Picture:
    plots = results.intervals
    drawing = charts.draw_error_by_dissimilarity(
        plots["di"].to_numpy(),
        (plots["predicted"] - plots["observed"]).abs().to_numpy(),
        uncertainty.curve,
        uncertainty.area.threshold_,
        results.unit,
    )
    return picture(
        results,
        "error-by-dissimilarity",
        drawing,
        "Error of held-out plots against their dissimilarity.",
        "Error of each held-out plot against its dissimilarity to the plots of the other folds. "
        "Line: expected error (RMSE). Dashed line: end of the area of applicability.",
        plots[["plot_id", "di", "observed", "predicted"]],
    )


def _applicability_map(results: Results, uncertainty: Uncertainty) -> Picture | None:
    if results.dissimilarity is None:
        return None
    di, threshold = results.dissimilarity, uncertainty.area.threshold_
    drawing = maps.draw_map(
        di.values,
        di.frame,
        limits=(0.0, max(maps.robust_limits(di.values)[1], threshold)),
        label="dissimilarity index",
        colours="cividis",
        width=HALF,
        outside=results.outside,
    )
    share = results.map.get("inside_share")
    inside = "" if share is None else f"; {share:.0%} of the mapped pixels lie inside"
    return picture(
        results,
        "dissimilarity",
        drawing,
        "Map of the dissimilarity index; hatched outside the area of applicability.",
        f"Dissimilarity of each pixel to the plots. Hatched: outside the area of applicability "
        f"(above {threshold:.2f}){inside}.",
        pixels(di, "dissimilarity index"),
    )
