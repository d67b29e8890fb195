"""What a table of imported plots keeps of its archive: origins, licences, completeness, effort.

The facts go with the table into its file (as attributes of the frame) and from there into the
summary of a run, its report, its citations and the metadata of its map.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.files import hash_file
from spatioformer.geo.plots.archives.nested import species_area
from spatioformer.geo.plots.archives.origins import Origin
from spatioformer.geo.plots.archives.survey import NO, NOT_STATED, YES, Survey

MOST_ORIGINS = 5000
"""Data sets of an archive that are kept; a table of more keeps those with most plots."""

_TEXTS = ("format", "source", "sha256", "bibtex")
_OF_NAMES = ("names", "taxa", "synonyms_joined", "spellings_joined")


def facts_of(survey: Survey, table: pd.DataFrame, path: Path) -> dict[str, Any]:
    """Facts of an import, ready for JSON.

    Args:
        table: the plots that are kept.
        path: the archive.
    """
    facts: dict[str, Any] = {
        "format": survey.format,
        "source": path.name,
        "sha256": hash_file(path) if path.is_file() else "",
        "reference": survey.reference.to_json(),
        "origins": [origin.to_json() for origin in survey.origins.values()],
        "bibtex": survey.bibtex,
        "records": {key: int(count) for key, count in sorted(survey.counts.items())},
    }
    return with_table(facts, table)


def with_table(facts: Mapping[str, Any], table: pd.DataFrame) -> dict[str, Any]:
    """The facts with the numbers of the plots of a table: by origin, completeness, area, place."""
    known = {origin["key"]: dict(origin) for origin in facts["origins"]}
    counts: dict[str, int] = {}
    if "origin" in table:
        counts = {str(k): int(n) for k, n in table["origin"].value_counts().items() if k}
    named = [known.get(key, Origin(key, key).to_json()) | {"plots": n} for key, n in counts.items()]
    stated = table["list_complete"] if "list_complete" in table else pd.Series([], dtype="str")
    scopes = table["scope"] if "scope" in table else pd.Series([], dtype="str")
    return {
        **facts,
        "plots": len(table),
        "origins": named[:MOST_ORIGINS],
        "completeness": {k: int((stated == k).sum()) for k in (YES, NO, NOT_STATED)},
        "scopes": {str(k): int(n) for k, n in scopes.value_counts().items() if k},
        "species_area": species_area(
            table["area_m2"].to_numpy(np.float64), table["richness"].to_numpy(np.float64)
        ),
        "duration_h": _spread(table, "duration_h"),
        "coordinate_uncertainty_m": _spread(table, "coordinate_uncertainty_m"),
        "coordinate_rounding_m": _steps(table),
    }


def checked(value: object) -> dict[str, Any] | None:
    """Facts that a file holds, if they have the form of facts; None for anything else."""
    if not isinstance(value, dict) or not isinstance(value.get("origins"), list):
        return None
    origins = [value.get("reference"), *value["origins"]]
    if not all(_is_origin(origin) for origin in origins):
        return None
    if not all(isinstance(value.get(name), str) for name in _TEXTS):
        return None
    notes = value.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return None
    names, nested = value.get("names", {}), value.get("nested", {})
    if not _has_counts(names, _OF_NAMES) or not _has_counts(nested, ("plots_joined",)):
        return None
    if nested and not _has_counts(nested.get("areas"), nested.get("areas") or ()):
        return None
    return value


def _has_counts(value: object, keys: Iterable[str]) -> bool:
    """Whether a value is a dictionary, empty or with whole numbers under some keys."""
    if not isinstance(value, dict):
        return False
    return not value or all(isinstance(value.get(key), int) for key in keys)


def _is_origin(origin: object) -> bool:
    fields = Origin().to_json()
    return isinstance(origin, dict) and all(isinstance(origin.get(name), str) for name in fields)


def _spread(table: pd.DataFrame, name: str) -> dict[str, float] | None:
    """Number of plots that state a value, and its least, median and largest; None without any."""
    values = table[name].dropna().to_numpy(np.float64) if name in table else np.zeros(0)
    if not len(values):
        return None
    return {
        "known": len(values),
        "min": float(values.min()),
        "median": float(np.median(values)),
        "max": float(values.max()),
    }


def _steps(table: pd.DataFrame) -> dict[str, int]:
    """Step of rounding in metres -> number of plots."""
    if "coordinate_rounding_m" not in table:
        return {}
    counts = table["coordinate_rounding_m"].dropna().value_counts()
    return {f"{step:g}": int(n) for step, n in counts.items()}
