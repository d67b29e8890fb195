"""The reporting protocol ODMAP, filled in from the results of a run.

Zurell et al. 2020, "A standard protocol for reporting species distribution models" (Ecography
43:1261): Overview, Data, Model, Assessment, Prediction. Elements that only the author knows stay
empty.
"""

from spatioformer.report import facts
from spatioformer.report.findings import start, title, where
from spatioformer.report.maps import degrees
from spatioformer.report.results import Results

Row = tuple[str, str | None]


def odmap(results: Results) -> list[Row]:
    """Elements of the protocol with their texts; None where the author has to fill in the text."""
    return [
        *_overview(results),
        *_data(results),
        *_model(results),
        *_assessment(results),
        *_prediction(results),
    ]


def _overview(results: Results) -> list[Row]:
    imagery = dict(facts.imagery(results)) if results.has_imagery else {}
    grain = f"{results.grain}; map pixels {imagery['Pixel']}" if imagery else results.grain
    return [
        ("Overview: authors and contact", None),
        (
            "Overview: objective",
            f"{'Map' if results.has_imagery else 'Predict'} {results.config.target.name}",
        ),
        ("Overview: focal taxon", results.config.target.name),
        ("Overview: location and extent", imagery.get("Region", _plots_extent(results))),
        ("Overview: grain", grain),
        (
            "Overview: boundary",
            "rectangle of the region, without the masked pixels" if imagery else None,
        ),
        ("Overview: assumptions on the system", None),
        ("Overview: software", _software(results)),
        ("Overview: code and data availability", None),
    ]


def _plots_extent(results: Results) -> str:
    lon, lat = results.observed["lon"], results.observed["lat"]
    return (
        f"{degrees(lon.min(), 'E', 'W')} to {degrees(lon.max(), 'E', 'W')}, "
        f"{degrees(lat.min(), 'N', 'S')} to {degrees(lat.max(), 'N', 'S')}"
    )


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
        ("Data: partitioning", "; ".join(_splits(results))),
    ]


def _splits(results: Results) -> list[str]:
    return [f"{s.name}: {s.folds} folds {where(s)}" for s in results.config.evaluate.splits]


def _model(results: Results) -> list[Row]:
    names = ", ".join(start(title(name)) for name in results.models)
    return [
        ("Model: algorithms", names),
        ("Model: settings", _settings(results)),
        ("Model: reasons for the predictors", None),
        ("Model: spatial dependence", _location(results)),
        ("Model: seed", str(results.provenance["seed"])),
    ]


def _location(results: Results) -> str:
    role = "is" if results.uses_location else "is not"
    return f"location {role} a predictor; see the scores by size of the held-out tiles"


def _settings(results: Results) -> str:
    """Settings of the model that made the map."""
    training = dict(facts.training(results))
    if not results.is_network:
        return ". ".join(f"{term}: {text}" for term, text in facts.model(results))
    return f"{training['Network']}. {training['Recipe']}. Stopping {training['Stopping']}"


def _assessment(results: Results) -> list[Row]:
    uncertainty, intervals = results.uncertainty, "none calibrated"
    if uncertainty is not None:
        intervals = f"coverage of {uncertainty.level:.0%} intervals, by region and dissimilarity"
    return [
        ("Assessment: statistics", "r, r2 = 1 − SSE/SST, RMSE, MAE, bias of pooled predictions"),
        ("Assessment: intervals", intervals),
        ("Assessment: plausibility checked by experts", None),
    ]


def _prediction(results: Results) -> list[Row]:
    share = results.map.get("inside_share")
    output = f"expected {results.unit} in one plot"
    if results.has_imagery:
        output += f", {results.map['pixels']:,} pixels"
    novel = "not measured" if share is None else f"{1 - share:.0%} of the mapped pixels lie outside"
    return [
        ("Prediction: output", output),
        ("Prediction: novel environments", f"area of applicability: {novel}"),
        (
            "Prediction: scenarios",
            "none; the imagery is of one time" if results.has_imagery else None,
        ),
        ("Prediction: intended and unsuitable uses", None),
    ]
