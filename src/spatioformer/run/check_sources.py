"""Check the sources of a run without any network: names, years, bands, indices, cache, dates."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spatioformer.common.errors import ConfigError, PlotError, SpatioformerError
from spatioformer.config.archives import span
from spatioformer.config.fields import is_address
from spatioformer.config.imagery import ImagerySection
from spatioformer.config.schema import RunConfig
from spatioformer.run.problems import Problem

if TYPE_CHECKING:
    import pandas as pd

    from spatioformer.archives.source import Source


def source_problems(config: RunConfig) -> Iterator[Problem]:
    """What is wrong with the sources of a run; each with its key."""
    from spatioformer.archives.opening import sources_of
    from spatioformer.archives.remote.block_cache import BlockCache

    section = config.imagery
    assert section is not None  # the caller knows
    opened: list[Source] = []
    for number, part in enumerate(section.sources):
        key = f"imagery.sources.{number}"
        try:
            alone = section.model_copy(update={"sources": (part,)})
            source = sources_of(alone)[0]
        except SpatioformerError as error:
            yield key, error
            continue
        opened.append(source)
        for problem in _wrong_with(source):
            yield key, problem
    if config.map.years is not None:
        yield from _too_few_years(config.map.every_year)
    remote = [source for source in opened if is_address(source.collection.endpoint)]
    if remote:
        access = remote[0].access
        try:
            BlockCache(access.cache, int(access.limit_gb * 1e9)).check_disk(access.owner)
        except SpatioformerError as error:
            yield "imagery.cache", error


def _wrong_with(source: "Source") -> Iterator[SpatioformerError]:
    part, collection, owner = source.section, source.collection, source.owner
    first, last = collection.years or (0, None)
    outside = [y for y in part.every_year if y < first or (last is not None and y > last)]
    if outside:
        known = f"from {first} on" if last is None else f"{first} to {last}"
        yield ConfigError(
            f"{owner}: {collection.name} has the years {known}, and `years` holds "
            f"{span(outside)}; correct `years`"
        )
    yearly = collection.kind != "scenes"
    if yearly and source.composite != "none":
        yield ConfigError(
            f"{owner}: {collection.name} has one image a year, so there is nothing to composite; "
            f"leave `composite: {source.composite}` out"
        )
    if not yearly and source.composite == "none":
        yield ConfigError(
            f"{owner}: {collection.name} has many scenes a year, of which `composite: none` makes "
            "no image; choose geomedian, median, mean or percentiles"
        )
    for name in ("season", "deviations", "count"):
        if yearly and getattr(part, name):
            yield ConfigError(
                f"{owner}: {collection.name} has one image a year, so `{name}` means nothing; "
                "leave it out"
            )
    try:
        assert source.read is not None
        for mask in source.masks:
            source.spoils(mask)
    except SpatioformerError as error:
        yield error
    endpoint = collection.endpoint
    if not is_address(endpoint) and not Path(endpoint).exists():
        yield ConfigError(f"{owner}: {endpoint} does not exist; correct `endpoint`")


def _too_few_years(years: tuple[int, ...]) -> Iterator[Problem]:
    from spatioformer.analysis.trends import FEWEST_YEARS, MOST_YEARS

    if not FEWEST_YEARS <= len(years) <= MOST_YEARS:
        yield (
            "map.years",
            ConfigError(
                f"a trend needs {FEWEST_YEARS} to {MOST_YEARS} years and `map.years` has "
                f"{len(years)}; give that many, or leave it out and choose `imagery.year`"
            ),
        )


@dataclass(frozen=True)
class DatedPlots:
    """How the dates of a plot table fit the years of the sources.

    Attributes:
        plots: number of plots.
        of_year: number of plots by year of their imagery.
        apart: number of plots by distance in years from their imagery; "no date" for some.
        refused: reason for which each plot without imagery gets none.
    """

    plots: int
    of_year: dict[int, int]
    apart: dict[str, int]
    refused: list[str]

    @classmethod
    def of(cls, table: "pd.DataFrame", section: ImagerySection) -> "DatedPlots":
        """Those of a checked plot table."""
        from spatioformer.geo.yearly import years_of_plots
        from spatioformer.run.sources import season_of

        years, reason = years_of_plots(
            table["date"], section.years, section.max_years, season_of(section)
        )
        kept = years[reason == ""]
        apart = kept["years_apart"].abs()
        named = {str(int(k)): int(n) for k, n in apart.value_counts().sort_index().items()}
        if unknown := int(apart.isna().sum()):
            named["no date"] = unknown
        counts = kept["composite_year"].value_counts().sort_index()
        return cls(
            len(table),
            {int(year): int(n) for year, n in counts.items()},
            named,
            reason[reason != ""].tolist(),
        )

    def __str__(self) -> str:
        listed = ", ".join(f"{year}: {n:,}" for year, n in self.of_year.items())
        far = ", ".join(f"{years}: {n:,}" for years, n in self.apart.items())
        return f"have imagery of their year ({listed or 'none'}); years apart {far or 'none'}"


def date_problems(config: RunConfig, table: "pd.DataFrame", rejected: int) -> Iterator[Problem]:
    """What is wrong with the dates of the plots.

    Args:
        table: checked plots.
        rejected: number of rows that were rejected before.
    """
    from spatioformer.geo.yearly import require_years

    section = config.imagery
    assert section is not None
    dated = DatedPlots.of(table, section)
    if not dated.of_year:
        try:
            require_years(np.array(dated.refused, object), section.years)
        except SpatioformerError as error:
            yield "imagery.sources", error
        return
    lost = len(dated.refused)
    share = (lost + rejected) / max(len(table) + rejected, 1)
    if lost and share > config.plots.max_rejected:
        reasons, counts = np.unique(dated.refused, return_counts=True)
        yield (
            "imagery.sources",
            PlotError(
                f"{lost:,} of {len(table):,} plots have no imagery of their year (most often: "
                f"{reasons[counts.argmax()]}), so {share:.0%} of the rows would be rejected, more "
                f"than the {config.plots.max_rejected:.0%} of plots.max_rejected; give more years, "
                "raise `max_years`, or raise that limit"
            ),
        )
