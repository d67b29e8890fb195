"""What the sources of a configuration would read, as far as the table of collections says."""

import pandas as pd

from spatioformer.archives.opening import sources_of
from spatioformer.common.errors import SpatioformerError
from spatioformer.config.archives import span
from spatioformer.config.schema import RunConfig
from spatioformer.run.check_sources import DatedPlots
from spatioformer.run.sources import grid_of_sources
from spatioformer.setup.findings import Findings


def show_sources(config: RunConfig, plots: pd.DataFrame, findings: Findings) -> None:
    """Lines on each source, the grid, the map's year, and how the plots' dates fit.

    Problems are those of `run.check`; here a source with one is left out.

    Args:
        plots: the checked plot table; empty where it cannot be read.
    """
    section = config.imagery
    assert section is not None  # the caller knows
    for number, part in enumerate(section.sources):
        try:
            source = sources_of(section.model_copy(update={"sources": (part,)}))[0]
            names = source.band_names
        except SpatioformerError:
            continue
        collection = source.collection
        how = "as published" if source.composite == "none" else source.composite
        if part.years is None:
            words = f"{collection.title}; {len(names)} bands, the same in all years"
        else:
            words = f"{collection.title}; {len(names)} bands a year, {span(part.every_year)}, {how}"
        if collection.licence:
            words += f"; licence {collection.licence}"
        if not collection.verified:
            words += "; its address was not opened by the authors"
        findings.decide(f"imagery.sources.{number}", part.name, words)
        if collection.note:
            findings.decide(f"imagery.sources.{number}", "note", collection.note)
    if section.map_year is not None:
        findings.decide("imagery.year", str(section.map_year), "year of the map")
    if section.grid is None and not section.layers:
        try:
            grid = grid_of_sources(section)
        except SpatioformerError:
            return
        pixels = f"{grid.height:,} x {grid.width:,} pixels of {abs(grid.transform.a):g} m"
        findings.decide("imagery.grid", grid.crs.to_string(), f"UTM zone of the region; {pixels}")
    if "date" in plots and section.years:
        dated = DatedPlots.of(plots, section)
        used = dated.plots - len(dated.refused)
        findings.decide("plots by year", f"{used:,} of {dated.plots:,}", str(dated))
