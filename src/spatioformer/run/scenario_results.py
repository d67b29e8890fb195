"""What a scenario's map says against today's: difference, picture, table by region, notes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatioformer.analysis.scenarios.change import BANDS, Maps, write_change
from spatioformer.analysis.scenarios.regions import region_table
from spatioformer.common.errors import ImageryError
from spatioformer.common.files import writing
from spatioformer.common.progress import Console
from spatioformer.common.tables import write_csv
from spatioformer.evaluation.correlation import ErrorCorrelation
from spatioformer.evaluation.verdict import USE
from spatioformer.models.target import amount
from spatioformer.models.uncertainty import Uncertainty
from spatioformer.report.scenario import draw_scenario
from spatioformer.run.scenario_map import MAP, Today

CHANGE, PICTURE, REGIONS = "change.tif", "change.png", "regions.csv"

ASSUMPTIONS = (
    "The model's relation of richness to its predictors holds in the scenario too; no plot of the "
    "scenario tests it.",
    "Errors of the two maps are taken to be independent. Those of one model at one place are "
    "correlated positively, so the interval of the difference is too wide rather than too narrow.",
    "Intervals of means of regions (lower, upper) take the errors of all pixels of a region to be "
    "the same, plot noise apart. lower_local and upper_local take them to be correlated over the "
    "distance that held-out plots show; a wrong response to a new climate is common to much larger "
    "areas, and these intervals do not hold it.",
    "Outside the area of applicability the interval of the difference is not calibrated.",
)
"""What the difference and its interval rest on."""


@dataclass(frozen=True)
class Regions:
    """Polygons of the table; without a file, the whole map is one region.

    Attributes:
        path: vector file.
        name: field with the polygons' names.
    """

    path: Path | None = None
    name: str | None = None


def compare(
    today: Today,
    folder: Path,
    name: str,
    uncertainty: Uncertainty,
    regions: Regions,
    console: Console,
) -> dict[str, Any]:
    """Write change.tif, the picture and the table; returns the summary."""
    change = folder / CHANGE
    with Maps(today.map, folder / MAP) as maps:
        totals = write_change(maps, change, uncertainty.level, name, console)
        unit, virtual = maps.unit, "VIRTUAL" in maps.tags
    if not totals["pixels"]:
        change.unlink()
        raise ImageryError(
            f"no pixel has a value in both {today.map} and {folder / MAP}; give rasters of the "
            "same region"
        )
    stated = uncertainty.facts.get("correlation")
    correlation = None if stated is None else ErrorCorrelation(**stated)
    table = region_table(change, regions.path, correlation, name=regions.name, console=console)
    with writing(folder / REGIONS) as part:
        write_csv(table, part, float_format="%.6g")
    numbers = {band: number for number, band in enumerate(BANDS, start=1)}
    limits = draw_scenario(
        change,
        numbers,
        folder / PICTURE,
        name=name,
        unit=unit,
        threshold=float(uncertainty.area.threshold_),
        virtual=virtual,
    )
    notes = _notes(totals, today, correlation is None)
    for note in notes:
        console.say(f"note: {note}")
    return {
        "scenario": name,
        "today": str(today.map),
        "model": str(today.model),
        "verdict_of_today": today.verdict,
        "level": uncertainty.level,
        "threshold": float(uncertainty.area.threshold_),
        "unit": unit,
        "totals": totals,
        "notes": notes,
        "assumptions": list(ASSUMPTIONS),
        "alt": _alt(name, totals, unit, limits),
    }


def _notes(totals: dict[str, Any], today: Today, without_correlation: bool) -> list[str]:
    """What the reader of the result has to know, a sentence each."""
    notes = []
    if not totals["changed"]:
        notes.append(
            "the scenario's map equals today's at every pixel: the rasters are the same, or the "
            "model uses none of the bands that differ"
        )
    for key, other in (("only_today", "the scenario"), ("only_scenario", "today's map")):
        if totals[key]:
            notes.append(f"{totals[key]:,} pixels have no value in {other}, and no difference")
    if totals["changed"] and not totals["rise"] and not totals["fall"]:
        notes.append(
            "no pixel's difference is larger than its interval, so none can be told from 0"
        )
    if totals["outside"]:
        notes.append(
            f"{totals['outside']:.0%} of the pixels are outside the area of applicability in the "
            "scenario; do not trust the difference there"
        )
    if today.verdict is not None and today.verdict != USE:
        notes.append(f"the verdict on today's map is: {today.verdict}; it holds here too")
    if without_correlation:
        notes.append(
            "the correlation of the model's errors is not known, so means of regions have no "
            "interval; evaluate the model again"
        )
    return notes


def _alt(name: str, totals: dict[str, Any], unit: str, limits: dict[str, Any]) -> str:
    """Alternative text of the picture."""
    kind = "proportion" if unit == "proportion" else None
    today, scenario, change = (
        amount(totals[key], 1, kind) for key in ("today", "scenario", "change")
    )
    largest = amount(limits["change"][1], 1, kind)
    return (
        f"Four maps. Today, mean {today}; the scenario {name}, mean {scenario}; their difference, "
        f"mean {change}, in colours from red (-{largest}) through white to blue (+{largest}), "
        f"hatched over the {totals['outside']:.0%} of the pixels outside the area of "
        "applicability; and the scenario's dissimilarity to the training plots."
    )
