"""Sections of a configuration that describe imagery in archives: sources, their composites, cache."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from spatioformer.config.fields import (
    AllDifferent,
    NotEmpty,
    Positive,
    Section,
    Share,
    Whole,
    name_of,
)

Year = Annotated[int, Field(ge=1972, le=2100)]  # the first Landsat
Composite = Literal["geomedian", "median", "mean", "percentiles", "count", "none"]


class SourceSection(Section):
    """A collection of an archive, and how the observations of a year become bands.

    Attributes:
        name: prefix of the bands' names where two sources share some.
        collection: name in the table of collections (docs/imagery.md), or of one of
            `collections` in the configuration.
        kind, endpoint: kind and address (or path) of the catalogue; None: those of the table.
        id: name of the collection in that catalogue; None: that of the table.
        years: first and last year, or every year; composites are made for these.
        season: first and last day of the season as MM-DD; the last may lie in the next year, and
            the season then counts for the year of its first day. None: the whole year.
        bands: names of bands; None: all of the collection's.
        indices: spectral indices by their names in spyndex, such as NDVI.
        composite: how dates become one value. "none" only where the archive's are annual.
        percentiles: which ones, with `composite: percentiles`.
        deviations: whether the geometric median also gives its three deviations.
        count: whether the number of clear observations becomes a band too.
        min_clear: fewest clear observations of a pixel; with fewer it holds no data.
        max_cloud: largest share of cloud that a scene's catalogue may state; None: any.
        spoils: classes of the quality band that are not clear; None: those of the table.
        buffer: pixels round clouds and their shadows that are not clear either.
        max_years: largest distance of a plot's year from the year of its composite.
        offset: whether the offset of the values is decided by dark pixels ("auto"), by the
            catalogue ("metadata"), or never subtracted ("none").
        on_error: whether a scene that cannot be read is left out, with a message, or ends the run.
        hosts: hosts from which files may come besides those of the table.
        resampling: how scenes come onto the grid; None: average where pixels become larger,
            otherwise bilinear, and classes nearest.
    """

    name: Annotated[
        str, name_of("[A-Za-z][A-Za-z0-9_-]*", "letters, digits, _ and -, a letter first,")
    ]
    collection: str
    kind: (
        Literal["stac-api", "stac-static", "stac-geoparquet", "index", "folder", "zarr"] | None
    ) = None
    endpoint: str | None = None
    id: str | None = None
    years: Annotated[tuple[Year, ...], NotEmpty]
    season: tuple[str, str] | None = None
    bands: Annotated[tuple[str, ...], NotEmpty, AllDifferent] | None = None
    indices: Annotated[tuple[str, ...], AllDifferent] = ()
    composite: Composite | None = None  # None: geomedian of scenes, none of annual collections
    percentiles: Annotated[
        tuple[Annotated[float, Field(ge=0, le=100)], ...], NotEmpty, AllDifferent
    ] = (10.0, 50.0, 90.0)
    deviations: bool = False
    count: bool = False
    min_clear: Whole = 3
    max_cloud: Share | None = None
    spoils: Annotated[tuple[str, ...], AllDifferent] | None = None
    buffer: Annotated[int, Field(ge=0, le=100)] = 0
    max_years: Annotated[int, Field(ge=0, le=100)] = 1
    offset: Literal["auto", "metadata", "none"] = "auto"
    on_error: Literal["skip", "stop"] = "stop"
    hosts: tuple[str, ...] = ()
    resampling: Literal["nearest", "bilinear", "cubic", "average"] | None = None

    @property
    def every_year(self) -> tuple[int, ...]:
        """The years one by one; two years are a first and a last one."""
        if len(self.years) == 2:
            return tuple(range(self.years[0], self.years[1] + 1))
        return self.years


class CacheSection(Section):
    """Files of archives that were read once and are kept."""

    path: str | None = None  # None: the user's cache folder
    gb: Positive = 20.0
