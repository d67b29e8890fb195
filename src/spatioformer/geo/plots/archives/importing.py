"""Import the plots of an archive: one checked table, with where it comes from.

    archive -> survey (by a reader of its format) -> names counted -> nested plots joined -> checks

The table has the columns of every plot table and those of OF_IMPORT. What is known of the archive
(origins, licences, completeness, effort) goes with the table into its file, so that a run that
reads it can cite it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from spatioformer.common.errors import PlotError
from spatioformer.common.files import writing
from spatioformer.common.licences import spdx
from spatioformer.geo.plots.archives import coordinates
from spatioformer.geo.plots.archives.checks import (
    check_presence,
    first_days,
    leave_out_others,
    numbers_of,
    require_coordinates,
)
from spatioformer.geo.plots.archives.countries import check_countries
from spatioformer.geo.plots.archives.facts import facts_of
from spatioformer.geo.plots.archives.nested import (
    NestedRule,
    added_by_smaller,
    join_nested,
)
from spatioformer.geo.plots.archives.origins import Origin, parse_doi
from spatioformer.geo.plots.archives.reading import read_survey
from spatioformer.geo.plots.archives.richness import Lists, TaxaRule, count_names
from spatioformer.geo.plots.archives.survey import Survey
from spatioformer.geo.plots.cells import FIELDS
from spatioformer.geo.plots.covariates import OF_IMPORT
from spatioformer.geo.plots.source import Row, Source
from spatioformer.geo.plots.table import PlotIntake, read_plots, write_rejected

_NUMBERS = ("coordinate_uncertainty_m", "coordinate_rounding_m", "duration_h")


@dataclass(frozen=True)
class ImportOptions:
    """How plots are imported.

    Attributes:
        accept_incomplete: keep single records that no survey made, as plots with incomplete lists.
        taxa: rule of names, see `richness`.
        nested: rule of nested plots, see `nested`.
        doi, licence, citation: of the archive as a whole, where it does not state them.
        address: from where the archive was fetched; "" if it was not.
        settings: of the section `plots` of a configuration, for tables: columns, crs, layer, ...
        region: W, E, S, N in degrees; plots outside it are rejected.
        max_rejected: largest share of visits, 0 to 1, that may be rejected.
    """

    accept_incomplete: bool = False
    taxa: TaxaRule = "species"
    nested: NestedRule = "largest"
    doi: str | None = None
    licence: str | None = None
    citation: str | None = None
    address: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    region: Sequence[float] | None = None
    max_rejected: float = 0.1


def import_plots(path: str | Path, options: ImportOptions = ImportOptions()) -> PlotIntake:
    """Import the plots of an archive or a table.

    Args:
        path: a zip archive, a folder, or a table; `reading.read_survey` finds the format.

    Raises:
        PlotError: the archive is damaged, hostile, holds no plots with lists, or only single
            records that `accept_incomplete` does not accept.
        TooManyRejected: a larger share of visits than `max_rejected` was rejected.
    """
    path = Path(path)
    survey = read_survey(path, options.settings)
    survey.reference = _with_given(survey.reference, options)
    kept, notes = check_presence(survey, path.name, options.accept_incomplete)
    notes += leave_out_others(survey, kept, path.name)
    visits, ranges = first_days(survey.visits)
    notes += ranges
    require_coordinates(visits, path.name)
    if survey.crs in (None, "EPSG:4326"):
        visits, moved = coordinates.to_wgs84(visits)
        lon, lat = (numbers_of(visits[axis])[0] for axis in ("lon", "lat"))
        notes += [*moved, *check_countries(visits, lon, lat, path.name)]
    area, unread = numbers_of(visits["area_m2"])
    lists = count_names(survey.records, options.taxa) if survey.records is not None else None
    nests = join_nested(visits, area, options.nested)
    if lists is not None:
        visits["richness"], more = _counted(lists, nests.codes, nests.kept, len(visits))
        notes += [*lists.notes, *more]
    kept &= nests.kept
    notes += [*nests.notes, *unread]
    columns = {name: name for name in FIELDS if name in visits and (visits[name] != "").any()}
    columns |= {"lon": "lon", "lat": "lat", "richness": "richness"}
    extras, more = _extras(visits, survey.crs)
    visits = visits.drop(columns=list(extras), errors="ignore").join(extras)
    notes += more
    covariates = {
        name: "number" if name in _NUMBERS else "class"
        for name in OF_IMPORT
        if (visits[name] != "").any()
    }
    settings = survey.settings
    intake = read_plots(
        _SurveySource(path, survey, visits, kept),
        columns=columns,
        crs=options.settings.get("crs") or survey.crs,
        decimal=options.settings.get("decimal") or settings.get("decimal"),
        date_order=options.settings.get("date_order") or settings.get("date_order"),
        covariates=covariates,
        kind="count" if lists is not None else "auto",
        region=options.region,
        max_rejected=options.max_rejected,
    )
    facts = facts_of(survey, intake.table, path)
    facts["source"] = options.address or path.name
    facts["names"] = lists.summary if lists is not None else {}
    facts["nested"] = nests.summary
    intake.summary["notes"][:0] = [f"format: {survey.format}", *survey.notes, *notes]
    intake.summary["notes"] += _place_notes(intake.table)
    facts["notes"] = list(intake.summary["notes"])
    intake.summary["imported"] = facts
    return intake


def write_import(intake: PlotIntake, out: str | Path) -> Path | None:
    """Write the table as GeoParquet with its origin, and rejected visits as CSV beside it.

    Returns:
        Path of the rejected visits; None if there are none.

    Raises:
        OutputError: a file cannot be written.
    """
    out = Path(out)
    table = intake.table.copy()
    table.attrs = {"imported": intake.summary["imported"]}
    with writing(out) as part:
        table.to_parquet(part, index=False)
    if intake.rejected.empty:
        return None
    return write_rejected(intake.rejected, out.parent, f"{out.stem}.rejected.csv")


class _SurveySource(Source):
    """The visits of a survey as a table for the checks of the intake."""

    def __init__(self, path: Path, survey: Survey, visits: pd.DataFrame, kept: np.ndarray):
        self.path = path
        self._lines = visits["line"].to_numpy()[kept].tolist()
        self._frame = visits.drop(columns="line")[kept].reset_index(drop=True)
        self.header = [str(name) for name in self._frame.columns]
        rows = np.cumsum(kept) - 1
        self.faults = {int(rows[i]): why for i, why in survey.rejected.items() if kept[i]}

    def rows(self, positions: Sequence[int]) -> Iterator[Row]:
        columns = [self._frame.iloc[:, i].tolist() for i in positions]
        for row, line in enumerate(self._lines):
            yield Row(line, [column[row] for column in columns], "")


def _with_given(origin: Origin, options: ImportOptions) -> Origin:
    """The origin with what the user states, which counts."""
    doi = origin.doi
    if options.doi is not None:
        try:
            doi = parse_doi(options.doi)
        except ValueError:
            raise PlotError(
                f"--doi {options.doi!r} is no DOI; give one such as 10.15468/dl.abc123"
            ) from None
    return replace(
        origin,
        doi=doi,
        licence=spdx(options.licence) if options.licence else origin.licence,
        citation=options.citation or origin.citation,
    )


def _counted(
    lists: Lists, codes: np.ndarray, kept: np.ndarray, count: int
) -> tuple[list[str], list[str]]:
    """Richness of each visit as text, with the lists of nested plots joined; notes."""
    joined = lists.joined(codes)
    added = added_by_smaller(lists, joined, kept) if not kept.all() else 0
    notes = []
    if added:
        notes.append(
            f"at {added:,} places the smaller plots hold species that the largest one does not list"
        )
    return [str(n) for n in joined.richness(count).tolist()], notes


def _extras(visits: pd.DataFrame, crs: object) -> tuple[pd.DataFrame, list[str]]:
    """Columns of OF_IMPORT as text, cells that are no numbers blank; notes."""
    is_degrees = crs in (None, "EPSG:4326")
    x, y = (numbers_of(visits[name])[0] for name in ("lon", "lat"))
    steps = coordinates.rounding(x, y, is_degrees)
    metres = coordinates.step_metres(steps, is_degrees)
    flags = coordinates.placeholders(x, y) if is_degrees else [""] * len(visits)
    extras = visits.reindex(columns=list(OF_IMPORT), fill_value="")
    extras["coordinate_rounding_m"] = ["" if np.isnan(m) else f"{m:.0f}" for m in metres]
    extras["coordinate_flag"] = flags
    notes = coordinates.rounding_notes(steps, is_degrees)
    notes += coordinates.placeholder_notes(flags)
    for name in ("coordinate_uncertainty_m", "duration_h"):
        values, _ = numbers_of(extras[name])
        extras[name] = [
            text if np.isfinite(v) and v > 0 else ""
            for text, v in zip(extras[name], values.tolist(), strict=True)
        ]
    return extras, notes


def _place_notes(table: pd.DataFrame) -> list[str]:
    """A sentence on the stated uncertainty of coordinates."""
    if "coordinate_uncertainty_m" not in table:
        return []
    stated = table["coordinate_uncertainty_m"].dropna()
    if stated.empty:
        return []
    return [
        f"coordinates of {len(stated):,} of {len(table):,} plots state an uncertainty: median "
        f"{stated.median():,.4g} m, at most {stated.max():,.4g} m"
    ]
