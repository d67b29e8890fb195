"""Look at a configuration written by hand: what it sets, what is found, what is wrong."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from spatioformer.common.errors import SpatioformerError
from spatioformer.config.evaluation import SplitSection
from spatioformer.config.fields import Section
from spatioformer.config.imagery import MaskSection
from spatioformer.config.schema import RunConfig
from spatioformer.evaluation.sizes import Tile
from spatioformer.geo.plots.recognise import Recognised
from spatioformer.geo.raster.checks import Trust
from spatioformer.models.resolved import TargetKind, open_tiles, resolved
from spatioformer.run.imagery import layer_of
from spatioformer.run.plot_table import read_with_covariates
from spatioformer.setup.choices import TO_THE_RANGE, shown_tile, tiles_of, where
from spatioformer.setup.coverage import apart, coverage_of
from spatioformer.setup.findings import Findings
from spatioformer.setup.layers import in_words, why_classes
from spatioformer.setup.problems import problems_with
from spatioformer.setup.rasters import RasterFacts, examine
from spatioformer.setup.sources import show_sources
from spatioformer.setup.spread import Spread
from spatioformer.setup.tables import TableFacts

ESSENTIAL = {
    "model": ("patch",),
    "train": ("validation_tile",),
    "evaluate": ("models", "splits", "curve_sizes"),
    "map": ("model",),
}
"""Keys that are shown also where the configuration does not set them."""


def examine_config(config: RunConfig) -> Findings:
    """What a configuration sets and leaves to defaults, and everything that is wrong with it."""
    findings = Findings()
    for problem in problems_with(config):
        findings.object(problem)
    findings.decide("out", _near(config.out), "folder of the results")
    findings.decide("target", config.target.name, _origin(config, "target"))
    table = _plots(config, findings)
    if config.imagery is not None:
        table = _rasters(config, table, findings)
    effective = config
    if table.lonlat is not None:
        try:
            effective = resolved(
                config, table.lonlat, target_kind=cast(TargetKind, table.recognised.target_kind)
            )
        except SpatioformerError as error:
            _object_once(findings, str(error))
    for name in ESSENTIAL:
        _section(config, effective, name, table, findings)
    return findings


def _near(path: str) -> str:
    """A path, relative where it lies below the working folder."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _origin(section: Section, key: str) -> str:
    """Whether a value is the default; a configuration may also state it."""
    default = type(section).model_fields[key].get_default(call_default_factory=True)
    return "default" if getattr(section, key) == default else "set"


def _plots(config: RunConfig, findings: Findings) -> TableFacts:
    """Read the plots as the run does."""
    section = config.plots
    findings.decide("plots.path", Path(section.path).name, "set")
    for name, column in (section.columns or {}).items():
        findings.decide(f"plots.columns.{name}", column, "set")
    if section.crs is None and section.columns:
        findings.decide("plots.crs", "EPSG:4326", "default; a geometry has its own")
    for key in type(section).model_fields:
        if key not in ("path", "columns") and _origin(section, key) == "set":
            findings.decide(f"plots.{key}", _shown(getattr(section, key)), "set")
    try:
        intake = read_with_covariates(config)
    except SpatioformerError as error:
        _object_once(findings, str(error))
        return TableFacts(Recognised())
    plots = pd.DataFrame(intake.table.drop(columns="geometry"))
    for note in intake.summary["notes"]:
        findings.decide("plots", "note", note)
    reasons = intake.rejected["reason"]
    if len(reasons):
        rows = f"{len(reasons):,} of {len(plots) + len(reasons):,}"
        findings.decide("rows left out", rows, f"most of them because: {reasons.mode()[0]}")
    if config.model.covariates == "auto":
        names = ", ".join(intake.summary["covariates"]) or "none"
        findings.decide("covariates", names, "all usable columns (model.covariates: auto)")
    kind = intake.summary.get("target_kind", "count")
    findings.decide("target.kind", kind, "of the values of the richness")
    spread = Spread.of(plots[["lon", "lat"]].to_numpy(np.float64))
    findings.decide("plots", f"{len(plots):,} at {spread.sites:,} sites", where(spread))
    return TableFacts(
        Recognised(target_kind=kind),
        plots,
        len(plots) + len(reasons),
        len(reasons),
        spread=spread,
    )


def _object_once(findings: Findings, problem: str) -> None:
    """Add a problem, unless a check has found it already, with its key before it."""
    if not any(earlier.endswith(problem) for earlier in findings.problems):
        findings.object(problem)


def _rasters(config: RunConfig, table: TableFacts, findings: Findings) -> TableFacts:
    """Look at the layers as `init` does; returns the plots that lie on all of them."""
    section = config.imagery
    assert section is not None  # the caller knows
    trust, rasters = Trust(section.trust, section.folder), []
    for i, layer in enumerate(section.layers):
        facts = examine(layer_of(layer, trust), table.lonlat)
        rasters.append(facts)
        if facts.error is not None:
            if not any(p.startswith(f"imagery.layers.{i}:") for p in findings.problems):
                findings.object(str(facts.error))
        elif facts.grid is not None:
            stated = layer.model_dump(exclude_none=True)
            findings.decide(
                f"imagery.layers.{i}", layer.name, in_words(facts, stated, table.lonlat)
            )
            for note in _doubts(facts, stated):
                findings.decide(f"imagery.layers.{i}", "look", note)
    for i, mask in enumerate(section.masks):
        findings.decide(
            f"imagery.masks.{i}",
            mask.name if isinstance(mask, MaskSection) else mask.title,
            f"no prediction in the classes {_shown(mask.exclude)}",
        )
    for key in ("region", "grid"):
        if (value := getattr(section, key)) is not None:
            findings.decide(f"imagery.{key}", _shown(value), "set")
    if (file := section.outline_file) is not None:
        name = Path(file).name
        findings.decide("imagery.outline", name, f"mapped inside {name}")
    elif section.outline is not None:
        why = "mapped in the countries of the plots" if section.has_outline else "all is mapped"
        findings.decide("imagery.outline", section.outline, why)
    if section.sources:
        show_sources(config, table.table, findings)
        if not section.layers:
            return table
    return _check_coverage(config, table, rasters, findings)


def _doubts(facts: RasterFacts, stated: dict[str, Any]) -> Iterator[str]:
    """What a look at the values makes doubtful; a run only remarks it."""
    if facts.states_classes or (facts.few and "categorical" not in stated):
        yield f"{why_classes(facts)}; set `categorical: true` for classes"
    if facts.suspect is not None and "nodata" not in stated:
        value, share = facts.suspect
        yield (
            f"{100 * share:.2g} % of the values are {value:.8g}, which looks like missing data; if "
            f"it is, set `nodata: {value:.8g}`"
        )


def _check_coverage(
    config: RunConfig, table: TableFacts, rasters: list[RasterFacts], findings: Findings
) -> TableFacts:
    coverage = coverage_of(table, rasters)
    if coverage is None:
        return table
    allowed = config.plots.max_rejected
    if not coverage.inside.any():
        findings.object(apart(table, rasters, coverage.names))
    elif coverage.lost > allowed and not _states_bands(config, rasters):
        findings.object(
            f"imagery.layers: {coverage}, so the run would reject {coverage.lost:.0%} of the rows, "
            f"more than the {allowed:.0%} of plots.max_rejected; raise it, or give rasters that "
            "hold more plots"
        )
    return coverage.table(table)


def _states_bands(config: RunConfig, rasters: list[RasterFacts]) -> bool:
    """Whether the table states the values of all bands, so that plots need no raster."""
    bands = {band for facts in rasters for band in facts.bands}
    chosen = config.model.covariates
    return config.model.patch == 1 and chosen != "auto" and bands <= set(chosen)


def _section(
    config: RunConfig, effective: RunConfig, name: str, table: TableFacts, findings: Findings
) -> None:
    """Lines of a section: what is set, and the essential defaults.

    Args:
        effective: the configuration with the sizes that the plots decide.
    """
    section: Section = getattr(config, name)
    for key in type(section).model_fields:
        origin = _origin(section, key)
        if origin == "default" and key not in ESSENTIAL[name]:
            continue
        value = getattr(getattr(effective, name), key)
        if key == "splits":
            for split in value:
                words = _split(split, table, origin, split.name in open_tiles(config))
                findings.decide(f"split {split.name}", split.kind, words)
        else:
            if value != getattr(section, key):
                origin = "from the extent of the plots"
            unit = f" {effective.evaluate.curve_unit}" if key == "curve_sizes" else ""
            findings.decide(f"{name}.{key}", _shown(value) + unit, origin)


def _split(split: SplitSection, table: TableFacts, origin: str, is_open: bool) -> str:
    """A split in words, with the number of tiles that the plots make.

    Args:
        is_open: whether the configuration leaves the size of its tiles to the plots.
    """
    words = origin if split.kind == "column" else f"{origin}; {split.folds} folds"
    if split.column is not None:
        words += f"; a fold for each value of column {split.column}"
    if split.kind == "tiles" and split.size is not None:
        tile = Tile(split.size, split.unit)
        words += f"; tiles of {shown_tile(tile)}" + " or more" * is_open
        if table.lonlat is not None:
            words += f", in which the plots make {tiles_of(table.lonlat, tile):,}"
        words += f"; {TO_THE_RANGE}" * is_open
    return words


def _shown(value: Any) -> str:
    """A value of a configuration in words."""
    if isinstance(value, Section):
        value = value.model_dump(exclude_none=True)
    if isinstance(value, dict):
        return ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "null" if value is None else str(value)
