"""List what the sources of a configuration would read: items, dates, sizes; no imagery is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from spatioformer.archives.collections import Band, QualityMask
from spatioformer.archives.items import Item
from spatioformer.archives.opening import sources_of
from spatioformer.archives.plan import Places, amounts
from spatioformer.archives.search import cloud_of, empty_message, look_up
from spatioformer.archives.source import Source
from spatioformer.common.errors import ConfigError
from spatioformer.common.progress import SILENT, Console
from spatioformer.config.archives import STATIC
from spatioformer.config.fields import Region
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.schema import RunConfig
from spatioformer.geo.yearly import years_of_plots
from spatioformer.run.plot_table import read_with_covariates
from spatioformer.run.sources import grid_of_sources, season_of

MGRS = re.compile(r"(?:^|[_.])T?(\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?=[_.]|$)")
"""Tile in the names of Sentinel-2 and HLS: S2B_55GEN_..., HLS.S30.T55GEN...."""
PATH_ROW = re.compile(r"^L[CTEO]0[4-9]_[A-Z0-9]{4}_(\d{6})_")
"""Path and row in the names of Landsat's products."""


@dataclass(frozen=True)
class YearListing:
    """What a source would read for a year.

    Attributes:
        year: STATIC for a source without years.
        items, tiles: their numbers; a tile is a place that is observed again and again.
        first, last: dates of the first and the last item, YYYY-MM-DD; None without items.
        cloud: median share of cloud that the catalogue states, 0 to 1.
        megapixels, bytes: of all bands for the region.
        plots: number of plots whose imagery is of this year.
        plot_megapixels, plot_bytes: for the blocks that hold these plots.
        exact: whether the catalogue states the length of every file; otherwise bytes are counted
            without compression.
        older: items left out since the catalogue has a newer processing of the same scene.
        cloudy: items left out since they have more cloud than `max_cloud`.
        lacking: items left out since they lack a band.
        empty: what there is instead, where there are no items.
    """

    year: int
    items: int
    tiles: int
    first: str | None
    last: str | None
    cloud: float | None
    megapixels: float
    bytes: float
    plots: int
    plot_megapixels: float
    plot_bytes: float
    exact: bool
    older: int = 0
    cloudy: int = 0
    lacking: int = 0
    empty: str | None = None


@dataclass(frozen=True)
class SourceListing:
    """What a source would read, and what is known about its collection.

    Attributes:
        about: what each band is, with its unit, where the table says so.
    """

    name: str
    collection: str
    title: str
    endpoint: str
    verified: bool
    bands: tuple[str, ...]
    licence: str
    attribution: str
    citation: str
    note: str
    years: tuple[YearListing, ...]
    about: tuple[str, ...] = ()

    @property
    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def list_sources(
    config: RunConfig, *, offline: bool = False, console: Console = SILENT
) -> list[SourceListing]:
    """Search the catalogues of all sources for all their years.

    Raises:
        ConfigError: the configuration has no sources, or one of them is wrong.
        ImageryError: a catalogue cannot be read.
        PlotError: the plot table cannot be read.
    """
    section = config.imagery
    if section is None or not section.sources:
        raise ConfigError(
            "the configuration has no `imagery.sources`, so there is nothing to search; "
            "docs/imagery.md describes them"
        )
    sources = sources_of(section, offline=offline)
    region = grid_of_sources(section).region  # that for which a run searches
    plots = _plots_by_year(config, section)
    everywhere = Places.joined(plots.values())
    listings = []
    for source in sources:
        years = source.section.searched
        tracked = console.track(years, f"search {source.section.name}", len(years))
        found = tuple(
            _year(source, region, year, everywhere if year == STATIC else plots.get(year))
            for year in tracked
        )
        listings.append(_listing(source, found))
    return listings


def _listing(source: Source, years: tuple[YearListing, ...]) -> SourceListing:
    collection = source.collection
    return SourceListing(
        name=source.section.name,
        collection=collection.name,
        title=collection.title,
        endpoint=collection.endpoint,
        verified=collection.verified,
        bands=tuple(band.name for band in source.read),
        licence=collection.licence,
        attribution=collection.attribution,
        citation=collection.citation,
        note=collection.note,
        years=years,
        about=tuple(
            f"{band.name}: {band.title}" + (f", {band.unit}" if band.unit else "")
            for band in source.read
            if band.title
        ),
    )


def _plots_by_year(config: RunConfig, section: ImagerySection) -> Mapping[int, Places]:
    """Plots by the year of their imagery."""
    table = read_with_covariates(config).table
    if "date" not in table:
        table = table.assign(date=np.datetime64("NaT"))
    season = season_of(section)
    years, _ = years_of_plots(table["date"], section.years, section.max_years, season)
    chosen = years["composite_year"]
    if section.is_static:
        chosen = chosen.fillna(STATIC)
    return {
        int(year): Places(
            table.loc[chosen == year, "lon"].to_numpy(np.float64),
            table.loc[chosen == year, "lat"].to_numpy(np.float64),
        )
        for year in chosen.dropna().unique()
    }


def _year(source: Source, region: Region, year: int, plots: Places | None) -> YearListing:
    section, collection = source.section, source.collection
    found = look_up(section, collection, region, year, source.access)
    items = found.items
    parts: Sequence[Band | QualityMask] = (*source.read, *source.masks)
    whole, near = amounts(items, parts, region, plots, collection.resolution)
    clouds = [cloud for item in items if (cloud := cloud_of(item)) is not None]
    empty = None
    if not items:
        empty = empty_message(section, collection, region, year, source.access, found)
    return YearListing(
        year=year,
        items=len(items),
        tiles=len({tile_of(item) for item in items}),
        first=f"{items[0].start:%Y-%m-%d}" if items else None,
        last=f"{items[-1].start:%Y-%m-%d}" if items else None,
        cloud=float(np.median(clouds)) if clouds else None,
        megapixels=whole.pixels / 1e6,
        bytes=whole.bytes,
        plots=len(plots.at(None)[0]) if plots is not None else 0,
        plot_megapixels=near.pixels / 1e6,
        plot_bytes=near.bytes,
        exact=whole.exact,
        older=found.older,
        cloudy=found.cloudy,
        lacking=len(found.lacking),
        empty=empty,
    )


def tile_of(item: Item) -> object:
    """What marks the place of an item: its tile in the catalogue or its name, or its bounds."""
    properties = item.properties
    for key in ("grid:code", "s2:mgrs_tile", "odc:region_code"):
        if properties.get(key):
            return properties[key]
    if properties.get("landsat:wrs_path"):
        return properties["landsat:wrs_path"], properties.get("landsat:wrs_row")
    for pattern in (MGRS, PATH_ROW):
        if match := pattern.search(item.id):
            return match[1]
    return tuple(round(side, 1) for side in item.bbox)
