"""Look at a plot table: what its columns are, where its plots lie, and which rows are lost."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.errors import SpatioformerError
from spatioformer.geo.plots.checks import parse_crs
from spatioformer.geo.plots.files import open_source
from spatioformer.geo.plots.recognise import Decision, Recognised, recognise
from spatioformer.geo.plots.source import GEOMETRY_X, GEOMETRY_Y
from spatioformer.geo.plots.table import FIELDS, TooManyRejected, read_plots
from spatioformer.setup.findings import Findings
from spatioformer.setup.spread import Spread

READING = ("separator", "layer", "decimal")
"""Settings of `plots` that change how a file is read, and that `init` takes as they are given."""


@dataclass(frozen=True)
class TableFacts:
    """What is known of a plot table.

    Attributes:
        recognised: its columns, the CRS and the order of dates.
        table: the rows that can be used; empty where questions are open.
        rows, rejected: numbers of rows read and rejected.
        why_rejected: the reason that rejects most rows; "" if none is.
        spread: how the plots lie; None without a table.
    """

    recognised: Recognised
    table: pd.DataFrame = field(default_factory=pd.DataFrame)
    rows: int = 0
    rejected: int = 0
    why_rejected: str = ""
    spread: Spread | None = None

    @property
    def lonlat(self) -> NDArray[np.float64] | None:
        """lon, lat (n, 2) of the plots, degrees."""
        if self.table.empty:
            return None
        return self.table[["lon", "lat"]].to_numpy(np.float64)

    @property
    def columns(self) -> dict[str, str]:
        """Names of ours -> columns of the file, as a configuration states them."""
        columns = self.recognised.columns
        return {k: v for k, v in columns.items() if v not in (GEOMETRY_X, GEOMETRY_Y)}


def examine_table(
    path: str | Path,
    given: Mapping[str, Any],
    crs: str | None,
    findings: Findings,
    region: tuple[float, float, float, float] | None = None,
) -> TableFacts:
    """Recognise a plot table and read it; what is found goes to `findings`.

    Args:
        given: settings of the section `plots` that the user states.
        crs: CRS of coordinates that do not show theirs.
        region: W, E, S, N in degrees; plots outside it are rejected.
    """
    reading = {key: given[key] for key in READING if given.get(key) is not None}
    species = given.get("species")
    named = {k: v for k, v in reading.items() if k in ("separator", "layer")}
    try:
        source = open_source(path, **named)
        columns = dict(given.get("columns") or {})
        recognised = recognise(
            source,
            crs=given.get("crs"),
            columns=columns,
            decimal=given.get("decimal"),
            counted=species is not None,
        )
        recognised = _dated(_placed(recognised, given, crs), given)
    except SpatioformerError as error:
        findings.object(str(error))
        return TableFacts(Recognised())
    findings.decisions += [replace(d, what=_key(d.what)) for d in recognised.decisions]
    findings.questions += [replace(q, key=f"plots.{q.key}") for q in recognised.questions]
    for problem in recognised.problems:
        findings.object(problem)
    if recognised.questions or recognised.problems:
        return TableFacts(recognised)
    settings = {
        "columns": recognised.columns,
        "crs": recognised.crs,
        "date_order": recognised.date_order,
        "kind": recognised.target_kind,
        "species": species,
        "region": region,
        **reading,
    }
    return _read(path, recognised, settings, findings)


def _placed(recognised: Recognised, given: Mapping[str, Any], crs: str | None) -> Recognised:
    """The same with a CRS that the user states for all files that do not show theirs.

    Degrees are not read as coordinates of a projection: then the CRS is that of the rasters.
    """
    if crs is None or given.get("crs") is not None:
        return recognised
    is_open = any(q.key == "crs" for q in recognised.questions)
    if recognised.crs is None and not is_open:
        return recognised  # of the geometry, of a zone column, or without coordinates
    stated = parse_crs(crs)
    shows = None if recognised.crs is None else parse_crs(recognised.crs)
    if shows is not None and shows.is_geographic and not stated.is_geographic:
        return recognised
    return replace(
        recognised,
        crs=crs,
        questions=[q for q in recognised.questions if q.key != "crs"],
        decisions=[
            *(d for d in recognised.decisions if d.what != "crs"),
            Decision("crs", crs, "given by --crs"),
        ],
    )


def _key(what: str) -> str:
    """Setting that a decision on a table is about."""
    if what == "target":
        return what
    return f"plots.columns.{what}" if what in FIELDS else f"plots.{what}"


def _dated(recognised: Recognised, given: Mapping[str, Any]) -> Recognised:
    """The same with the order of dates that the user states."""
    order = given.get("date_order")
    if order is None:
        return recognised
    kept = [q for q in recognised.questions if q.key != "date_order"]
    lines = [d for d in recognised.decisions if d.what != "date_order"]
    return replace(
        recognised,
        date_order=order,
        questions=kept,
        decisions=[*lines, Decision("date_order", order, "given")],
    )


def _read(
    path: str | Path, recognised: Recognised, settings: dict[str, Any], findings: Findings
) -> TableFacts:
    try:
        intake = read_plots(path, max_rejected=1.0, **settings)
    except TooManyRejected as error:
        findings.object(f"{Path(path).name}: {error}")
        return TableFacts(recognised)
    except SpatioformerError as error:
        findings.object(str(error))
        return TableFacts(recognised)

    reasons = intake.rejected["reason"]
    return TableFacts(
        recognised,
        pd.DataFrame(intake.table.drop(columns="geometry")),
        len(intake.table) + len(intake.rejected),
        len(intake.rejected),
        str(reasons.mode()[0]) if len(reasons) else "",
        Spread.of(intake.table[["lon", "lat"]].to_numpy(np.float64)),
    )
