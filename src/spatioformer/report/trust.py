"""Results -> how far to trust the map, and where: intervals, area of applicability."""

from typing import Any

from spatioformer.report import charts, maps
from spatioformer.report.findings import decimal
from spatioformer.report.pictures import HALF, Picture, frame_of, picture
from spatioformer.report.results import Results

KINDS = {
    "constant": "one margin for all",
    "dissimilarity": "margin grows with the dissimilarity",
    "spread": "margin in proportion to the model's spread",
    "counts": "quantiles of negative binomial counts",
    "quantiles": "the model's own quantiles",
    "region": "one margin a region",
}


def trust(results: Results) -> dict[str, Any] | None:
    """What the page says of intervals and applicability; None where nothing was calibrated."""
    known = results.uncertainty
    if known is None:
        return None
    kind = known.kind(results.has_spread)
    return {
        "sentence": _sentence(results, kind),
        "level": f"{known.level:.0%}",
        "kinds": [
            (KINDS[name], name == kind, *_score_cells(said["scores"]))
            for name, said in known.facts["kinds"].items()
        ],
        "groups": [
            (
                _group_label(group),
                f"{group['n']:,}",
                f"{group['coverage']:.3f}",
                decimal(group["width"], 2),
            )
            for group in known.facts["kinds"][kind].get("groups", ())
        ],
        "calibration": _calibration(results, kind),
        "error": _error(results),
        "map": _applicability_map(results),
    }


def _sentence(results: Results, kind: str) -> str:
    known = results.uncertainty
    scores = known.facts["kinds"][kind]["scores"]
    text = (
        f"Meant to hold {known.level:.0%} of new plots, the intervals held "
        f"{scores['coverage']:.1%} of {scores['n']:,} held-out plots (split "
        f"{known.facts['split']}), each calibrated on the other folds; they are "
        f"{decimal(scores['width'], 1)} species wide on average."
    )
    share = results.map.get("inside_share")
    if share is None:
        return text
    return (
        f"{text} {share:.0%} of the mapped pixels lie inside the area of applicability; on the "
        "rest, no held-out plot tells how wrong the map is."
    )


def _score_cells(scores: dict[str, float]) -> list[str]:
    return [
        f"{scores['coverage']:.3f}",
        *(decimal(scores[name], 2) for name in ("width", "interval_score", "crps")),
    ]


def _group_label(group: dict[str, Any]) -> str:
    """What tells a group of plots, in words."""
    if group["by"] == "region":
        lon, lat = round(group["lon"]), round(group["lat"])
        return f"region around {maps.degrees(lon, 'E', 'W')}, {maps.degrees(lat, 'N', 'S')}"
    if group["by"] == "dissimilarity":
        return f"dissimilarity {group['low']:.2f} to {group['high']:.2f}"
    return "inside the area" if group["inside"] else "outside the area"


def _calibration(results: Results, kind: str) -> Picture | None:
    curve = results.uncertainty.facts["kinds"][kind]["calibration"]
    if not curve:
        return None
    return picture(
        results,
        charts.draw_calibration(curve["level"], curve["coverage"]),
        "Coverage reached against coverage meant.",
        "Coverage of held-out plots against the coverage meant. Below the line, intervals are too "
        "narrow; above it, too wide.",
    )


def _error(results: Results) -> Picture:
    known, plots = results.uncertainty, results.intervals
    drawing = charts.draw_error_by_dissimilarity(
        plots["di"].to_numpy(),
        (plots["predicted"] - plots["observed"]).abs().to_numpy(),
        known.curve,
        known.area.threshold_,
    )
    return picture(
        results,
        drawing,
        "Error of held-out plots against their dissimilarity.",
        "Error of each held-out plot against its dissimilarity to the plots of other folds; the "
        "line is the error to be expected (RMSE), the dashed line the end of the area of "
        "applicability.",
    )


def _applicability_map(results: Results) -> Picture | None:
    if results.dissimilarity is None:
        return None
    di, threshold = results.dissimilarity, results.uncertainty.area.threshold_
    drawing = maps.draw_map(
        di.values,
        frame_of(di),
        limits=(0.0, max(maps.robust_limits(di.values)[1], threshold)),
        label="dissimilarity index",
        colours="cividis",
        width=HALF,
    )
    maps.hatch_above(drawing, di.values, threshold)
    share = results.map.get("inside_share")
    inside = "" if share is None else f"; {share:.0%} of the mapped pixels lie inside"
    return picture(
        results,
        drawing,
        "Map of the dissimilarity index; hatched outside the area of applicability.",
        f"Dissimilarity of each pixel to the plots. Hatched: outside the area of applicability "
        f"(above {threshold:.2f}){inside}.",
    )
