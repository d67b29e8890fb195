"""Places, days, efforts and completeness of visits, from the terms of Darwin Core and Humboldt.

Sources: Darwin Core quick reference guide, https://dwc.tdwg.org/terms/ (Event, Location); Humboldt
Extension for Ecological Inventories, https://eco.tdwg.org/ (TDWG 2024), and its vocabulary of
taxonCompletenessReported.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import repeat

from spatioformer.geo.plots.archives.effort import area_m2, hours
from spatioformer.geo.plots.archives.survey import NO, YES
from spatioformer.geo.plots.source import quoted

PLACE_TERMS = (
    *("decimalLongitude", "decimalLatitude", "geodeticDatum", "coordinateUncertaintyInMeters"),
    *("eventDate", "year", "month", "day", "samplingProtocol"),
    *("sampleSizeValue", "sampleSizeUnit", "samplingEffort", "datasetName"),
    *("country", "dataGeneralizations"),
)
HUMBOLDT_TERMS = (
    *("isTaxonomicScopeFullyReported", "taxonCompletenessReported", "targetTaxonomicScope"),
    *("targetGrowthFormScope", "totalAreaSampledValue", "totalAreaSampledUnit"),
    *("eventDurationValue", "eventDurationUnit", "samplingEffortValue", "samplingEffortUnit"),
    *("protocolNames", "isAbsenceReported"),
)
VISIT_TERMS = (*PLACE_TERMS, *HUMBOLDT_TERMS)
"""Terms of which a visit reads the cells."""

_CLOCK = re.compile(r" +\d{1,2}:\d{2}.*", re.DOTALL)
_TRUE = frozenset({"true", "yes", "1", "t"})
_FALSE = frozenset({"false", "no", "0", "f"})
_COMPLETE = {"reportedcomplete": YES, "complete": YES, "reportedincomplete": NO, "incomplete": NO}


def visit_fields(cells: Mapping[str, str], remarks: Counter[str]) -> dict[str, str]:
    """Fields of `survey.VISIT` from the terms of one visit; '' where nothing is stated.

    Args:
        cells: terms of VISIT_TERMS -> text; a term may be absent.
        remarks: counts what could not be used, for the report.
    """
    area, duration, complete, scope, remark = _effort(*map(cells.get, _EFFORT_TERMS, repeat("")))
    if remark:
        remarks[remark] += 1
    cell = cells.get
    if generalised := cell("dataGeneralizations", ""):
        remarks[f"generalised {generalised}"] += 1
    return {
        "lon": cell("decimalLongitude", ""),
        "lat": cell("decimalLatitude", ""),
        "datum": cell("geodeticDatum", ""),
        "country": cell("country", ""),
        "coordinate_uncertainty_m": cell("coordinateUncertaintyInMeters", ""),
        "date": day_of(*map(cell, _DAY_TERMS, repeat(""))),
        "protocol": cell("samplingProtocol", "") or cell("protocolNames", ""),
        "area_m2": area,
        "duration_h": duration,
        "programme": cell("datasetName", ""),
        "list_complete": complete,
        "scope": scope,
    }


def area_of(cells: Mapping[str, str]) -> str:
    """Square metres of one visit, as text; '' where no area is stated."""
    return _effort(*map(cells.get, _EFFORT_TERMS, repeat("")))[0]


_DAY_TERMS = ("eventDate", "year", "month", "day")
_EFFORT_TERMS = (
    *("sampleSizeValue", "sampleSizeUnit", "totalAreaSampledValue", "totalAreaSampledUnit"),
    *("eventDurationValue", "eventDurationUnit", "samplingEffortValue", "samplingEffortUnit"),
    *("samplingEffort", "isTaxonomicScopeFullyReported", "taxonCompletenessReported"),
    *("targetTaxonomicScope", "targetGrowthFormScope"),
)


@lru_cache(maxsize=100_000)  # visits of one survey share most of them
def _effort(
    size: str,
    size_unit: str,
    total: str,
    total_unit: str,
    duration: str,
    duration_unit: str,
    effort: str,
    effort_unit: str,
    effort_text: str,
    whole: str,
    assessed: str,
    taxa: str,
    forms: str,
) -> tuple[str, str, str, str, str]:
    """Area, duration, completeness and scope of terms, and a remark on what cannot be used."""
    area, remark = _first_area(((size, size_unit), (total, total_unit)))
    lasted = _first_hours(
        ((duration, duration_unit), (effort, effort_unit), (size, size_unit), (effort_text, ""))
    )
    scope = " | ".join(filter(None, (taxa, forms)))
    return area, lasted, completeness(whole, assessed), scope, remark


@lru_cache(maxsize=100_000)
def day_of(date: str, year: str, month: str, day: str) -> str:
    """eventDate without a time of day, else year, month and day; '' if neither is stated.

    A time of day follows a T or a blank.
    """
    if date:
        return date if "/" in date else _CLOCK.sub("", date.split("T")[0])
    if not year:
        return ""
    known = (year, month, day)[: 3 if month and day else 2 if month else 1]
    return "-".join([known[0], *(part.zfill(2) for part in known[1:])])


def completeness(whole: str, assessed: str) -> str:
    """YES or NO if Humboldt terms state it, else ''.

    A contradiction of the two terms is NO, since then the list cannot be relied on.

    Args:
        whole: isTaxonomicScopeFullyReported.
        assessed: taxonCompletenessReported.
    """
    judged = _COMPLETE.get("".join(assessed.lower().replace("_", " ").split()), "")
    stated = YES if whole.lower() in _TRUE else NO if whole.lower() in _FALSE else ""
    return NO if NO in (stated, judged) else stated or judged


def _first_area(values: Iterable[tuple[str, str]]) -> tuple[str, str]:
    areas, remark = [], ""
    for value, unit in values:
        if not value:
            continue
        area = area_m2(value, unit)
        if area is not None:
            areas.append(area)
        elif hours(value, unit) is None:
            remark = f"size {value} {unit}".strip()
    if len(set(areas)) > 1:
        remark = "areas that differ"
    return f"{areas[0]:.12g}" if areas else "", remark


def _first_hours(values: Iterable[tuple[str, str]]) -> str:
    for value, unit in values:
        if value and (duration := hours(value, unit)) is not None:
            return f"{duration:.12g}"
    return ""


def visit_notes(remarks: Counter[str]) -> list[str]:
    """Sentences on sizes that are no areas, areas that differ, and places made less exact."""
    notes = []
    count, example = _beginning_with("size ", remarks)
    if count:
        notes.append(
            f"the sample size of {count:,} visits is no area, such as {example!r}, so their area "
            f"is unknown"
        )
    count, example = _beginning_with("generalised ", remarks)
    if count:
        notes.append(
            f"{count:,} visits state dataGeneralizations, such as {quoted(example)}, so their "
            f"places may be less exact than they are written"
        )
    if count := remarks["areas that differ"]:
        notes.append(f"{count:,} visits state two areas that differ; sampleSizeValue counts")
    if count := remarks["records of several areas"]:
        notes.append(f"{count:,} visits have records of several areas; the largest one counts")
    return notes


def _beginning_with(kind: str, remarks: Counter[str]) -> tuple[int, str]:
    """Number of visits with remarks of a kind, and the text of the most frequent one."""
    counts = {key.removeprefix(kind): n for key, n in remarks.items() if key.startswith(kind)}
    return sum(counts.values()), max(counts, key=lambda text: counts[text], default="")
