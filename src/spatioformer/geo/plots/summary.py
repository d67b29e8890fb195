"""Summary of a plot intake: counts, ranges, and notes on decisions made without the user."""

from typing import Any

import geopandas
import pandas as pd

from spatioformer.geo.plots.source import Source
from spatioformer.geo.plots.verdicts import Verdicts, is_missing


def summarise(table: geopandas.GeoDataFrame, verdicts: Verdicts, source: Source) -> dict[str, Any]:
    """Counts and ranges of a plot table and its rejected rows, ready for JSON."""
    sharing = table["location"].duplicated(keep=False)
    dates = table["date"].dropna()
    kinds = pd.Series(verdicts.kind[~verdicts.good]).value_counts()
    programmes = table["programme"][table["programme"] != ""].value_counts()
    return {
        "source_file": source.path.name,
        "read": len(verdicts.kind),
        "kept": len(table),
        "rejected": int((~verdicts.good).sum()),
        "rejected_by_kind": {kind: int(count) for kind, count in kinds.items()},
        "locations": int(table["location"].nunique()),
        "repeated_locations": int(table["location"].duplicated().sum()),
        "plots_sharing_a_location": int(sharing.sum()),
        "bounds": [float(bound) for bound in table.total_bounds[[0, 2, 1, 3]]],
        "richness": _spread(table["richness"]),
        "area_m2": _spread(table["area_m2"].dropna()),
        "dates": {
            "known": len(dates),
            "first": str(dates.min().date()) if len(dates) else None,
            "last": str(dates.max().date()) if len(dates) else None,
        },
        "programmes": {name: int(count) for name, count in programmes.items()},
    }


def _spread(values: pd.Series) -> dict[str, float | int | None]:
    known = len(values) > 0
    return {
        "known": len(values),
        **{
            name: float(getattr(values, name)()) if known else None
            for name in ("min", "median", "max")
        },
    }


def intake_notes(source: Source, kept: pd.DataFrame, renamed: int) -> list[str]:
    """Sentences for the report on decisions made without the user."""
    notes = list(source.notes)
    if source.encoding == "cp1252":
        notes.append(f"{source.path.name} is not UTF-8 and was read as Windows-1252 (latin-1)")
    unnamed = int(is_missing(kept["plot_id"]).sum())
    if unnamed:
        notes.append(f"{unnamed} plots without plot_id are named by their source line")
    if renamed:
        notes.append(f"{renamed} repeats of a plot_id were given a suffix (-2, -3, ...)")
    return notes
