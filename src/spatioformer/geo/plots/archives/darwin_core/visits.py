"""Places, days, efforts and completeness of visits, from the terms of Darwin Core and Humboldt.

Sources: Darwin Core quick reference guide, https://dwc.tdwg.org/terms/ (Event, Location); Humboldt
Extension for Ecological Inventories, https://eco.tdwg.org/ (TDWG 2024), and its vocabulary of
taxonCompletenessReported.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from spatioformer.geo.plots.archives.effort import area_m2, hours
from spatioformer.geo.plots.archives.survey import NO, YES

PLACE_TERMS = (
    *("decimalLongitude", "decimalLatitude", "geodeticDatum", "coordinateUncertaintyInMeters"),
    *("eventDate", "year", "month", "day", "samplingProtocol"),
    *("sampleSizeValue", "sampleSizeUnit", "samplingEffort", "datasetName"),
)
HUMBOLDT_TERMS = (
    *("isTaxonomicScopeFullyReported", "taxonCompletenessReported", "targetTaxonomicScope"),
    *("targetGrowthFormScope", "totalAreaSampledValue", "totalAreaSampledUnit"),
    *("eventDurationValue", "eventDurationUnit", "samplingEffortValue", "samplingEffortUnit"),
    *("protocolNames", "isAbsenceReported"),
)
VISIT_TERMS = (*PLACE_TERMS, *HUMBOLDT_TERMS)
"""Terms of which a visit reads the cells."""

_TRUE = frozenset({"true", "yes", "1", "t"})
_FALSE = frozenset({"false", "no", "0", "f"})
_COMPLETE = {"reportedcomplete": YES, "complete": YES, "reportedincomplete": NO, "incomplete": NO}


def visit_fields(cells: Mapping[str, str], remarks: Counter[str]) -> dict[str, str]:
    """Fields of `survey.VISIT` from the terms of one visit; '' where nothing is stated.

    Args:
        cells: terms of VISIT_TERMS -> text; absent terms may lack.
        remarks: counts what could not be used, for the report.
    """
    get = cells.get
    area = _first_area(
        (
            (get("sampleSizeValue", ""), get("sampleSizeUnit", "")),
            (get("totalAreaSampledValue", ""), get("totalAreaSampledUnit", "")),
        ),
        remarks,
    )
    duration = _first_hours(
        (
            (get("eventDurationValue", ""), get("eventDurationUnit", "")),
            (get("samplingEffortValue", ""), get("samplingEffortUnit", "")),
            (get("sampleSizeValue", ""), get("sampleSizeUnit", "")),
            (get("samplingEffort", ""), ""),
        )
    )
    scope = " | ".join(
        filter(None, (get("targetTaxonomicScope", ""), get("targetGrowthFormScope", "")))
    )
    return {
        "lon": get("decimalLongitude", ""),
        "lat": get("decimalLatitude", ""),
        "datum": get("geodeticDatum", ""),
        "coordinate_uncertainty_m": get("coordinateUncertaintyInMeters", ""),
        "date": day_of(cells),
        "protocol": get("samplingProtocol", "") or get("protocolNames", ""),
        "area_m2": area,
        "duration_h": duration,
        "programme": get("datasetName", ""),
        "list_complete": completeness(cells),
        "scope": scope,
    }


def day_of(cells: Mapping[str, str]) -> str:
    """eventDate without a time of day, else year, month and day; '' if neither is stated."""
    text = cells.get("eventDate", "")
    if text:
        return text if "/" in text else text.split("T")[0]
    parts = [cells.get(name, "") for name in ("year", "month", "day")]
    if not parts[0]:
        return ""
    known = parts[: 3 if all(parts) else 2 if parts[1] else 1]
    return "-".join([known[0], *(part.zfill(2) for part in known[1:])])


def completeness(cells: Mapping[str, str]) -> str:
    """YES or NO if Humboldt terms state it, else ''.

    A contradiction of the two terms is NO, since then the list cannot be relied on.
    """
    whole = cells.get("isTaxonomicScopeFullyReported", "").lower()
    assessed = _COMPLETE.get(
        "".join(cells.get("taxonCompletenessReported", "").lower().replace("_", " ").split()), ""
    )
    stated = YES if whole in _TRUE else NO if whole in _FALSE else ""
    if NO in (stated, assessed):
        return NO
    return stated or assessed


def _first_area(values: Iterable[tuple[str, str]], remarks: Counter[str]) -> str:
    areas = []
    for value, unit in values:
        if not value:
            continue
        area = area_m2(value, unit)
        if area is not None:
            areas.append(area)
        elif hours(value, unit) is None:
            remarks[f"size {value} {unit}".strip()] += 1
    if len(set(areas)) > 1:
        remarks["areas that differ"] += 1
    return f"{areas[0]:.12g}" if areas else ""


def _first_hours(values: Iterable[tuple[str, str]]) -> str:
    for value, unit in values:
        if value and (duration := hours(value, unit)) is not None:
            return f"{duration:.12g}"
    return ""


def size_notes(remarks: Counter[str]) -> list[str]:
    """Sentences on sizes that are no areas, and on areas that contradict each other."""
    notes = []
    odd = {key: n for key, n in remarks.items() if key.startswith("size ")}
    if odd:
        example = max(odd, key=lambda key: odd[key]).removeprefix("size ")
        notes.append(
            f"the sample size of {sum(odd.values()):,} visits is no area, such as {example!r}, so "
            f"their area is unknown"
        )
    if count := remarks["areas that differ"]:
        notes.append(f"{count:,} visits state two areas that differ; sampleSizeValue counts")
    return notes


def rows_of(cells: dict[str, Sequence[str]], terms: Sequence[str]) -> Iterable[tuple[str, ...]]:
    """Rows of some columns."""
    return zip(*(cells[term] for term in terms), strict=True)
