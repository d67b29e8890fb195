"""From plots, rasters and the answers of a user to a draft of the configuration."""

import os
import re
import unicodedata
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from spatioformer.common.errors import ConfigError
from spatioformer.config.file import apply_change, build_config
from spatioformer.config.messages import message, shown
from spatioformer.config.schema import PlotsSection, RunConfig
from spatioformer.config.yaml_text import parse_yaml
from spatioformer.geo.crs import known_crs
from spatioformer.setup.choices import choose
from spatioformer.setup.coverage import apart, coverage_of, measured_bands
from spatioformer.setup.draft import Draft
from spatioformer.setup.layers import examine_rasters, layer_names, pieces_of_one
from spatioformer.setup.problems import problems_with
from spatioformer.setup.rasters import RasterFacts
from spatioformer.setup.tables import READING, TableFacts, examine_table

MOST_LOST = 0.1  # of the rows, as `plots.max_rejected` has it without a setting

FILES = r"plots|imagery|imagery\.layers|imagery\.layers\.\d+"
"""Keys that state the files, as a regular expression."""

GENERIC = ("plot", "plots", "site", "sites", "data", "table", "richness")
"""Names of files that say little; the name of their folder is put before them."""


@dataclass(frozen=True)
class Request:
    """What the user gives.

    Attributes:
        plots: the plot table.
        rasters: rasters, or `pip:NAME`; may be empty.
        out: the configuration to write; its folder is where relative paths start.
        crs: CRS of all files that do not show theirs.
        changes: `a.b=c` assignments: answers to questions, or settings for the file.
    """

    plots: Path
    rasters: tuple[str, ...] = ()
    out: Path = Path("run.yaml")
    crs: str | None = None
    changes: tuple[str, ...] = ()


def plan(request: Request) -> Draft:
    """Look at all files and draft a configuration; nothing is written.

    Raises:
        ConfigError: an answer is no assignment, or states what a configuration cannot hold.
    """
    draft = Draft()
    if request.crs is not None:
        known_crs(request.crs, "--crs")
    answers = _answers(request)
    _head(draft, request)
    for path in {path for path in request.rasters if request.rasters.count(path) > 1}:
        draft.findings.object(f"the raster {path} is given twice; give it once")
    path = _relative(request.plots, request.out.parent)
    draft.put("plots.path", path)
    table = examine_table(request.plots, answers["plots"], request.crs, draft.findings)
    _plots(draft, table, answers["plots"])
    rasters: list[RasterFacts] = []
    measured: tuple[str, ...] = ()
    if request.rasters:
        rasters = examine_rasters(
            request.rasters, answers["imagery"]["layers"], request.crs, table.lonlat, draft
        )
        _offer_crs(draft, rasters)
        table, measured = _covered(draft, table, rasters, answers["plots"])
    if table.spread is not None and all(facts.grid is not None for facts in rasters):
        choose(draft, table, rasters, measured)
    if not draft.findings.questions and not draft.findings.problems:
        _check(draft, request)
    return draft


def _answers(request: Request) -> dict[str, Any]:
    """Settings of the plots and the layers that the user states."""
    names = layer_names(request.rasters)
    answers: dict[str, Any] = {
        "plots": {},
        "imagery": {
            "layers": [
                {"name": name, "path": _relative(path, request.out.parent)}
                for name, path in zip(names, request.rasters, strict=True)
            ]
        },
    }
    for change in request.changes:
        if re.match(rf"({FILES}|({FILES})\.(path|name))\s*=", change):
            raise ConfigError(
                f"--set {shown(change)}: init takes files as arguments and names layers after "
                "them; change the configuration after it is written"
            )
        if change.startswith(("plots.", "imagery.")):
            apply_change(answers, change)
        elif "=" not in change:
            apply_change({}, change)  # says what an assignment is
    try:
        PlotsSection.model_validate(answers["plots"] | {"path": ""})
    except ValidationError as error:
        raise ConfigError(message(error, PlotsSection, "--set plots")) from None
    return answers


def _relative(path: Path | str, folder: Path) -> str:
    """The path as the configuration in `folder` states it: absolute only if it was given so."""
    if isinstance(path, str) and path.startswith("pip:"):
        return path
    path = Path(path)
    absolute, start = path.absolute(), folder.absolute()
    if absolute.is_relative_to(start):
        return str(absolute.relative_to(start))
    if path.is_absolute():
        return str(path)
    return os.path.relpath(absolute, start)


def _head(draft: Draft, request: Request) -> None:
    """Name, folder and title, from the name of the plots' file."""
    stem = request.plots.name.removesuffix(".gz")
    stem = stem.removesuffix(Path(stem).suffix)
    folder = request.plots.absolute().parent.name
    if stem.casefold() in GENERIC and folder:
        stem = f"{folder}-{stem}"
    plain = unicodedata.normalize("NFKD", stem).encode("ascii", "ignore").decode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", plain).strip("._-")[:60] or "plots"
    draft.put("name", name)
    draft.decide("out", f"runs/{name}", "folder of the results, below where you start the run")
    draft.put("title", f"Plant species richness ({name})", "heading of the report")


def _plots(draft: Draft, table: TableFacts, given: dict[str, Any]) -> None:
    """The section of the plots, and the target."""
    recognised = table.recognised
    for key in READING:
        if given.get(key) is not None:
            draft.put(f"plots.{key}", given[key])
    if table.columns:
        draft.put("plots.columns", dict(table.columns), "our names: the columns of the file")
    if recognised.crs is not None:
        why = [d.why for d in recognised.decisions if d.what == "crs"]
        draft.put("plots.crs", recognised.crs, why[0] if why else "")
    if recognised.date_order not in (None, "year-first"):
        draft.put("plots.date_order", recognised.date_order)
    if given.get("max_rejected") is not None:
        draft.put("plots.max_rejected", given["max_rejected"])
    column = table.columns.get("richness")
    target = "plant species richness"
    if recognised.target_kind == "count":
        draft.put("target", target, f"column {column!r}" if column else "")
    else:
        draft.put("target", {"name": target, "kind": recognised.target_kind})
    lost = table.rejected / max(1, table.rows)
    if lost > _allowed(given):
        draft.findings.ask(
            "plots.max_rejected",
            (_share(lost),),
            f"{table.rejected:,} of {table.rows:,} rows cannot be used, most of them because: "
            f"{table.why_rejected}; correct the table, or allow their loss",
        )
    elif table.rejected:
        draft.findings.decide(
            "rows left out",
            f"{table.rejected:,} of {table.rows:,}",
            f"most of them because: {table.why_rejected}; the run lists them in rejected.csv",
        )


def _offer_crs(draft: Draft, rasters: Sequence[RasterFacts]) -> None:
    """Add the CRSs of the rasters to the candidates for that of the plots."""
    codes = [facts.grid.crs.to_authority() for facts in rasters if facts.grid is not None]
    names = [":".join(code) for code in codes if code is not None]
    for i, question in enumerate(draft.findings.questions):
        if question.key == "plots.crs":
            candidates = tuple(dict.fromkeys((*question.candidates, *names)))
            draft.findings.questions[i] = replace(question, candidates=candidates)


def _allowed(given: dict[str, Any]) -> float:
    share = given.get("max_rejected")
    return float(share) if isinstance(share, int | float) else MOST_LOST


def _share(lost: float) -> str:
    """A share to allow, a little above `lost`."""
    return f"{min(1.0, np.ceil(100 * lost + 1) / 100):g}"


def _covered(
    draft: Draft, table: TableFacts, rasters: Sequence[RasterFacts], given: dict[str, Any]
) -> tuple[TableFacts, tuple[str, ...]]:
    """The plots on all rasters; refuses where there are none, and asks where they are few.

    If the table holds the values of all bands, all plots stay, and the names of the bands are given
    too.
    """
    coverage = coverage_of(table, rasters)
    if coverage is None:
        return table, ()
    bands = measured_bands(table, rasters)
    if not coverage.inside.any():
        problem = pieces_of_one(rasters) or apart(table, rasters, coverage.names)
        draft.findings.object(problem)
    elif coverage.kept < 1:
        draft.findings.object(f"{coverage}; check the files and their nodata values")
    elif coverage.lost > _allowed(given) and bands and given.get("max_rejected") is None:
        draft.findings.decide(
            "table columns",
            ", ".join(bands),
            f"{coverage}; the table states the values of all bands, so all plots are used",
        )
        return table, bands
    elif coverage.lost > _allowed(given) >= table.rejected / max(1, table.rows):
        draft.findings.ask(
            "plots.max_rejected",
            (_share(coverage.lost),),
            f"{coverage}; allow the loss of the others for a map from these, give rasters that "
            "hold more plots, or leave the rasters out for a run of the table alone",
        )
    return coverage.table(table), ()


def _check(draft: Draft, request: Request) -> None:
    """Lay the user's settings over the draft, and check it as a run would."""
    for change in request.changes:
        apply_change(draft.values, change)
        key = change.partition("=")[0].strip()
        draft.comments[key] = "given by --set"
    config = as_config(draft, request)
    if not any(change.startswith("model.covariates") for change in request.changes):
        # Columns that were found need no check, which would read the table once more.
        model = config.model.model_copy(update={"covariates": {}})
        config = config.model_copy(update={"model": model})
    for problem in problems_with(config):
        draft.findings.object(problem)


def as_config(draft: Draft, request: Request) -> RunConfig:
    """The draft as a run reads it from its file.

    Raises:
        ConfigError: a setting cannot be.
    """
    values = parse_yaml(draft.text(()))
    if values != draft.values:
        raise RuntimeError("the configuration reads back differently: a defect of Spatioformer")
    return build_config(deepcopy(values), str(request.out), request.out.parent)
