"""Nested plots and the relation of species to area.

Plots are nested if they have the same parent, place and day, and several areas. With the rule
`largest`, one plot is left of each nest: the largest, with the species of all smaller ones, since
surveys of nested plots often list only what is new in the larger one.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.geo.plots.archives.richness import Lists

NestedRule = Literal["largest", "all"]
NESTED: tuple[NestedRule, ...] = ("largest", "all")

_FEWEST = 3  # plots, and different areas, from which a relation is fitted
_CLASSES = 8  # most classes of area that are shown


@dataclass(frozen=True)
class Nests:
    """What became of nested plots.

    Attributes:
        kept: visits (n,) that are left.
        codes: code of the visit (n,) whose list takes that of each visit.
        summary: numbers of nests and plots, and the areas that were joined.
        notes: sentences for the report.
    """

    kept: NDArray[np.bool_]
    codes: NDArray[np.int64]
    summary: dict[str, Any]
    notes: list[str]


def join_nested(visits: pd.DataFrame, area: NDArray[np.float64], rule: NestedRule) -> Nests:
    """Find nested plots, and join their lists by a rule.

    Args:
        visits: text columns parent, lon, lat, date.
        area: square metres (n,); NaN unknown.
    """
    count = len(visits)
    codes, kept = np.arange(count), np.ones(count, dtype=bool)
    joined: dict[str, int] = {}
    nests = unclear = 0
    rows = np.flatnonzero((visits["parent"] != "").to_numpy() & np.isfinite(area))
    groups = visits.iloc[rows].groupby(["parent", "lon", "lat", "date"], sort=False).indices
    for local in groups.values():
        members = rows[local]
        sizes = area[members]
        if len(np.unique(sizes)) < 2:
            continue
        nests += 1
        if rule == "all":
            continue
        largest = members[sizes == sizes.max()]
        if len(largest) > 1:
            unclear += 1
            continue
        smaller = members[members != largest[0]]
        codes[smaller], kept[smaller] = largest[0], False
        name = " + ".join(f"{size:g}" for size in np.unique(sizes))
        joined[name] = joined.get(name, 0) + 1
    summary = {"rule": rule, "nests": nests, "plots_joined": int((~kept).sum()), "areas": joined}
    return Nests(kept, codes, summary, [*_notes(summary, unclear), *_unsized(visits, area)])


def _notes(summary: dict[str, Any], unclear: int) -> list[str]:
    if not summary["nests"]:
        return []
    if summary["rule"] == "all":
        return [
            f"{summary['nests']:,} places have nested plots of several areas; all of them are kept"
        ]
    notes = []
    if summary["areas"]:
        most = max(summary["areas"], key=lambda name: summary["areas"][name])
        notes.append(
            f"{summary['plots_joined']:,} smaller plots were joined with the largest one of their "
            f"nest, most often {most} m2 ({summary['areas'][most]:,} places); --nested all keeps "
            f"them"
        )
    if unclear:
        notes.append(f"{unclear:,} nests have several largest plots; all of their plots are kept")
    return notes


def _unsized(visits: pd.DataFrame, area: NDArray[np.float64]) -> list[str]:
    """A sentence on nests with plots of an unknown area, which are joined with no other."""
    nested = visits[visits["parent"] != ""].assign(
        is_known=np.isfinite(area)[visits["parent"] != ""]
    )
    nests = nested.groupby(["parent", "lon", "lat", "date"], sort=False)["is_known"]
    count = int(((nests.transform("size") > 1) & ~nested["is_known"]).sum())
    if not count:
        return []
    return [
        f"{count:,} plots that hold others, or lie beside them in one parent, state no area and "
        f"are not joined with them"
    ]


def added_by_smaller(lists: Lists, joined: Lists, kept: NDArray[np.bool_]) -> int:
    """Number of kept visits that got species from smaller plots of their nest."""
    before = lists.richness(len(kept))[kept]
    return int((joined.richness(len(kept))[kept] > before).sum())


def species_area(area: NDArray[np.float64], richness: NDArray[np.float64]) -> dict[str, Any]:
    """How richness grows with area: classes of area, and the exponent of Arrhenius's power law.

    Returns:
        classes: from, to (square metres), plots, median richness; exponent: slope of log richness
        on log area over the plots with both above 0, or None; plots: their number; unknown: number
        of plots without an area.
    """
    known = np.isfinite(area) & (area > 0) & np.isfinite(richness)
    classes = [
        {
            "from": low,
            "to": high,
            "plots": int(own.sum()),
            "median": float(np.median(richness[own])),
        }
        for low, high, own in _classes(area, known)
    ]
    both = known & (richness > 0)
    exponent = None
    if both.sum() >= _FEWEST and len(np.unique(area[both])) >= _FEWEST:
        x, y = np.log(area[both]), np.log(richness[both])
        exponent = float(np.cov(x, y, bias=True)[0, 1] / x.var())
    return {
        "classes": classes,
        "exponent": exponent,
        "plots": int(both.sum()),
        "unknown": int((~np.isfinite(area)).sum()),
    }


def _classes(
    area: NDArray[np.float64], known: NDArray[np.bool_]
) -> list[tuple[float, float, NDArray[np.bool_]]]:
    """Each area by itself if there are few, else classes with edges at powers of ten."""
    sizes = np.unique(area[known])
    if len(sizes) <= _CLASSES:
        return [(float(size), float(size), known & (area == size)) for size in sizes]
    decade = np.full(len(area), np.nan)
    decade[known] = np.floor(np.log10(area[known]) + 1e-9)
    found = []
    for power in np.unique(decade[known]):
        own = decade == power
        found.append((float(area[own].min()), float(area[own].max()), own))
    return found
