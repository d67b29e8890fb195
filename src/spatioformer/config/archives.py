"""Sections of a configuration for imagery in archives: sources, their composites, the cache."""

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from spatioformer.config.fields import (
    LONGEST_NAME,
    AllDifferent,
    ClassOf,
    NotEmpty,
    Positive,
    Section,
    Share,
    Whole,
    is_address,
    name_of,
)
from spatioformer.config.messages import shown

Composite = Literal["geomedian", "median", "mean", "percentiles", "count", "none"]

STATIC = 0
"""The year under which the items of sources without years are kept: terrain, climate, soil."""


def _ascending(years: tuple[int, ...]) -> tuple[int, ...]:
    if any(late <= early for early, late in pairwise(years)):
        raise ValueError("years rise; give the first and the last, or every year in order")
    return years


def _several(years: Any) -> Any:
    return (years,) if isinstance(years, int) and not isinstance(years, bool) else years


Year = Annotated[int, Field(ge=1972, le=2100)]  # the first Landsat
Years = Annotated[tuple[Year, ...], NotEmpty, AfterValidator(_ascending)]
"""First and last year, or every year in order."""
YearOrYears = Annotated[Years, BeforeValidator(_several)]
"""As `Years`; one year may stand alone."""


class SourceSection(Section):
    """A collection of an archive, and how the observations of a year become bands.

    Attributes:
        name: prefix of the bands' names where two sources share some.
        collection: name in the table of collections (docs/imagery.md), or of one of
            `collections` in the configuration.
        kind, endpoint: kind and address (or path) of the catalogue; None: those of the table.
        id: name of the collection in that catalogue; None: that of the table.
        years: first and last year, or every year in order; composites are made for these. One
            year may stand alone. None: of collections without years, such as terrain.
        choose: options of the collection, such as scenario, model and period of a future climate;
            an option that is left out has the first value of the table.
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
        max_years: largest distance of a plot's year from the year of its composite; of several
            sources the smallest counts.
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
        Literal[
            "stac-api",
            "stac-static",
            "stac-geoparquet",
            "index",
            "folder",
            "zarr",
            "files",
            "vrt",
        ]
        | None
    ) = None
    endpoint: str | None = None
    id: str | None = None
    years: YearOrYears | None = None
    choose: dict[str, str] = Field(default_factory=dict)
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
    resampling: Literal["nearest", "bilinear", "average"] | None = None

    @field_validator("season")
    @classmethod
    def _days_of_the_calendar(cls, season: tuple[str, str] | None) -> tuple[str, str] | None:
        for day in season or ():
            if not _is_day(day):
                raise ValueError(
                    f"{shown(day)} is not a day written MM-DD; give the first and the last day, "
                    'such as ["10-01", "03-31"]'
                )
        return season

    @field_validator("hosts")
    @classmethod
    def _names_of_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if not _HOST.fullmatch(host):
                raise ValueError(
                    f"{shown(host)} is not the name of a host; give one such as data.example.org, "
                    "or *.example.org for all below it"
                )
        return hosts

    @field_validator("endpoint")
    @classmethod
    def _readable_address(cls, endpoint: str | None) -> str | None:
        kinds = ("https://", "http://")
        if endpoint is not None and is_address(endpoint) and not endpoint.startswith(kinds):
            raise ValueError("an address begins with https:// or http://; give that one")
        return endpoint

    @model_validator(mode="after")
    def _fits_together(self) -> "SourceSection":
        default = type(self).model_fields["percentiles"].default
        if self.percentiles != default and self.composite != "percentiles":
            raise ValueError("`percentiles` belong to `composite: percentiles`; set that too")
        if self.deviations and self.composite not in (None, "geomedian"):
            raise ValueError(
                f"`deviations` are those of the geometric median, and `composite` is "
                f"{self.composite}; set `composite: geomedian`, or leave `deviations` out"
            )
        if self.kind is not None and self.endpoint is None:
            raise ValueError(
                f"`kind: {self.kind}` needs `endpoint`, the address or path of that catalogue; add "
                "it, or leave `kind` out"
            )
        return self

    @model_serializer(mode="wrap")
    def _options_where_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without `choose` where there are none, so that records of old runs still hold."""
        values: dict[str, Any] = handler(self)
        return {k: v for k, v in values.items() if k != "choose" or v}

    @property
    def every_year(self) -> tuple[int, ...]:
        """The years one by one; two years are a first and a last one. None without years: ()."""
        return () if self.years is None else every_year(self.years)

    @property
    def searched(self) -> tuple[int, ...]:
        """The years that are searched: STATIC alone where there are none."""
        return (STATIC,) if self.years is None else self.every_year


class CacheSection(Section):
    """Files of archives that were read once and are kept.

    Attributes:
        path: folder; None: the user's cache folder.
        gb: size above which the files used longest ago are removed, GB.
    """

    path: str | None = None
    gb: Positive = 20.0


class MaskSourceSection(Section):
    """A land cover collection of an archive; pixels of the excluded classes are not predicted.

    Attributes:
        collection: name in the table of collections, of kind "classes".
        exclude: names or codes of classes; see `archives.legends`.
        name: name in messages; None: that of the collection.
        kind, endpoint, id, hosts: as of a source.
        years: those that may be used; None: all of the collection. The one nearest to the year of
            the map is.
        resampling: how classes come onto the grid; None: the most frequent one.
    """

    collection: str
    exclude: Annotated[tuple[ClassOf, ...], NotEmpty]
    name: (
        Annotated[
            str, name_of("[A-Za-z][A-Za-z0-9_-]*", "letters, digits, _ and -, a letter first,")
        ]
        | None
    ) = None
    kind: Literal["stac-api", "stac-static", "stac-geoparquet", "folder"] | None = None
    endpoint: str | None = None
    id: str | None = None
    years: YearOrYears | None = None
    hosts: tuple[str, ...] = ()
    resampling: Literal["nearest", "mode"] | None = None

    def source(self, year: int) -> SourceSection:
        """The source that reads a year of it."""
        keys = ("collection", "kind", "endpoint", "id", "hosts")
        return SourceSection(
            name=self.title,
            years=(year,),
            resampling="nearest" if self.resampling == "nearest" else None,
            **{key: getattr(self, key) for key in keys},
        )

    @property
    def title(self) -> str:
        """Name in messages and files."""
        if self.name is not None:
            return self.name
        name = re.sub("[^A-Za-z0-9_-]", "_", self.collection)[: LONGEST_NAME - 5]
        return name if name[:1].isalpha() and name.isascii() else f"mask_{name}"


_HOST = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?")
_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def _is_day(text: str) -> bool:
    """Whether text is a day MM-DD of every year; the 29th of February is not."""
    if not re.fullmatch("[0-9]{2}-[0-9]{2}", text):
        return False
    month, day = int(text[:2]), int(text[3:])
    return 1 <= month <= 12 and 1 <= day <= _DAYS[month - 1]


def every_year(years: Iterable[int]) -> tuple[int, ...]:
    """Years one by one; two years are a first and a last one."""
    years = tuple(years)
    return tuple(range(years[0], years[1] + 1)) if len(years) == 2 else years


def span(years: Iterable[int]) -> str:
    """Ascending years in words: "2015 to 2023", or one by one."""
    years = tuple(years)
    if len(years) > 2 and years == tuple(range(years[0], years[-1] + 1)):
        return f"{years[0]} to {years[-1]}"
    return ", ".join(map(str, years))
