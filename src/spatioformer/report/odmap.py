"""The reporting protocol ODMAP, filled with what a run knows.

Zurell et al. 2020, "A standard protocol for reporting species distribution models" (Ecography
43:1261): Overview, Data, Model, Assessment, Prediction. What only a person can say stays empty.
"""

from spatioformer.report import facts
from spatioformer.report.findings import called, start, where
from spatioformer.report.results import Results

Row = tuple[str, str | None]


def odmap(results: Results) -> list[Row]:
    """Element of the protocol, and its text or None for the author to fill in."""
    return [
        *_overview(results),
        *_data(results),
        *_model(results),
        *_assessment(results),
        *_prediction(results),
    ]


def _overview(results: Results) -> list[Row]:
    imagery = dict(facts.imagery(results))
    return [
        ("Overview: authors and contact", None),
        ("Overview: objective", f"Map {results.config.target}"),
        ("Overview: focal taxon", results.config.target),
        ("Overview: location and extent", imagery["Region"]),
        ("Overview: grain", f"{results.grain}; map pixels {imagery['Pixel']}"),
        ("Overview: boundary", "rectangle of the region, less what the masks exclude"),
        ("Overview: assumptions on the system", None),
        ("Overview: software", _software(results)),
        ("Overview: code and data availability", None),
    ]


def _software(results: Results) -> str:
    record = results.provenance
    libraries = ", ".join(
        f"{name} {version}" for name, version in sorted(record["libraries"].items())
    )
    return f"spatioformer {record['spatioformer']}, Python {record['python']}, {libraries}"


def _data(results: Results) -> list[Row]:
    plots = dict(facts.plots(results))
    return [
        ("Data: biodiversity source", plots["Source"]),
        ("Data: sampling design", None),
        ("Data: sample size", f"{plots['Used']} plots of {plots['Rows read']} rows"),
        ("Data: time", plots["Dates"]),
        ("Data: cleaning", f"{plots['Rejected']} rows rejected, each with its reason"),
        ("Data: predictors", ", ".join(results.imagery["bands"])),
        ("Data: predictors' sources and dates", None),
        ("Data: partitioning", "; ".join(_ways(results))),
    ]


def _ways(results: Results) -> list[str]:
    return [f"{s.name}: {s.folds} folds {where(s)}" for s in results.config.evaluate.splits]


def _model(results: Results) -> list[Row]:
    names = ", ".join(start(called(name)) for name in results.models)
    return [
        ("Model: algorithms", names),
        ("Model: settings", _settings(results)),
        ("Model: why these variables", None),
        ("Model: spatial dependence", "location is a predictor; see the block-size curve"),
        ("Model: seed", str(results.provenance["seed"])),
    ]


def _settings(results: Results) -> str:
    """Of the model that made the map."""
    known = dict(facts.training(results))
    if not results.is_network:
        return ". ".join(f"{term}: {text}" for term, text in facts.model(results))
    return f"{known['Network']}. {known['Recipe']}. {known['Stopping']}"


def _assessment(results: Results) -> list[Row]:
    known = results.uncertainty
    intervals = None
    if known is not None:
        intervals = f"coverage of {known.level:.0%} intervals, by region and by dissimilarity"
    return [
        ("Assessment: statistics", "r, r2 = 1 − SSE/SST, RMSE, MAE, bias of pooled predictions"),
        ("Assessment: intervals", intervals or "none calibrated"),
        ("Assessment: plausibility checked by experts", None),
    ]


def _prediction(results: Results) -> list[Row]:
    share = results.map.get("inside_share")
    novel = "not measured" if share is None else f"{1 - share:.0%} of the mapped pixels lie outside"
    return [
        ("Prediction: output", f"expected species in one plot, {results.map['pixels']:,} pixels"),
        ("Prediction: novel environments", f"area of applicability: {novel}"),
        ("Prediction: scenarios", "none; imagery as of one time"),
        ("Prediction: intended and unsuitable uses", None),
    ]
