"""Sections of a configuration that describe rasters: layers, masks, and the grid of the imagery."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from spatioformer.config.archives import (
    STATIC,
    CacheSection,
    MaskSourceSection,
    SourceSection,
    Year,
    span,
)
from spatioformer.config.fields import (
    ClassOf,
    Code,
    NotEmpty,
    Positive,
    Region,
    Section,
    Share,
    Size,
    is_address,
    name_of,
)
from spatioformer.config.messages import shown


class RasterSection(Section):
    """A raster file and the interpretation of its values; see `geo.raster.layers.Layer`.

    Attributes:
        path: file that GDAL reads, or "pip:NAME" for a raster in an installed Python package.
        name: prefix of the names of its bands.
        bands: numbers of the bands to read, from 1; None: all.
        band_names: names of these bands; None: NAME, or NAME_1, NAME_2, ...
        resampling: how pixels come onto the grid; None: bilinear, or mode for classes.
        scale, offset: value = number x scale + offset; None: those of the file.
        nodata: number that means no data; None: that of the file.
        crs: CRS of a file that states none.
        bounds: (W, E, S, N) of a file without georeferencing, in units of `crs`.
        variable: variable of a NetCDF file with several.
        reduce: how the time steps of a variable become one value.
        min_share: share of the steps that a pixel needs; None: all for a sum, one otherwise.
        categorical: whether numbers are codes of classes; None: no, but a raster with a colour
            table is refused.
        classes: codes of the classes, each a band of 0 and 1; None: those that occur.
        unit_length: whether the bands are an embedding whose vectors have length 1.
    """

    path: str
    name: Annotated[
        str, name_of("[A-Za-z][A-Za-z0-9_-]*", "letters, digits, _ and -, a letter first,")
    ]
    bands: tuple[Size, ...] | None = None
    band_names: tuple[str, ...] | None = None
    resampling: Literal["nearest", "bilinear", "cubic", "average", "mode"] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: Annotated[float, Field(allow_inf_nan=True)] | None = None
    crs: str | None = None
    bounds: Region | None = None
    variable: str | None = None
    reduce: Literal["mean", "sum", "min", "max"] | None = None
    min_share: Share | None = None
    categorical: bool | None = None
    classes: tuple[Code, ...] | None = None
    unit_length: bool = False

    @field_validator("bounds")
    @classmethod
    def _ordered(cls, bounds: Region | None) -> Region | None:
        if bounds is not None:
            west, east, south, north = bounds
            if not (west < east and south < north):
                raise ValueError("it must be [W, E, S, N] with W < E and S < N")
        return bounds


class MaskSection(RasterSection):
    """A class raster; pixels of the excluded classes are not predicted.

    Attributes:
        exclude: codes of classes, or with `legend` their names.
        legend: name of the legend of the raster's codes, such as "esa-worldcover".
    """

    exclude: tuple[ClassOf, ...]
    legend: str | None = None

    @model_validator(mode="after")
    def _names_have_a_legend(self) -> "MaskSection":
        names = [name for name in self.exclude if isinstance(name, str)]
        if names and self.legend is None:
            raise ValueError(
                f"`exclude` names the class {shown(names[0])}; add `legend`, such as "
                "esa-worldcover, which says what code it has, or give the code"
            )
        return self

    @model_serializer(mode="wrap")
    def _legend_where_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        return {k: v for k, v in values.items() if k != "legend" or v is not None}


def _kind_of_mask(mask: Any) -> str:
    """The class of a mask, which becomes a part of the place of its errors."""
    if isinstance(mask, Section):
        return type(mask).__name__
    of_archive = isinstance(mask, dict) and "collection" in mask
    return "MaskSourceSection" if of_archive else "MaskSection"


AnyMask = Annotated[
    Annotated[MaskSection, Tag("MaskSection")]
    | Annotated[MaskSourceSection, Tag("MaskSourceSection")],
    Discriminator(_kind_of_mask),
]


class GridSection(Section):
    """The grid of the imagery; without it, the grid of the first layer.

    Attributes:
        crs: such as "EPSG:3577".
        resolution: side of a pixel, in units of the CRS.
    """

    crs: str
    resolution: Positive


ZONE = 6
"""Width of a UTM zone, degrees: the widest region for which one is chosen."""

EXAMPLE = 'grid: {crs: "EPSG:3577", resolution: 30}'
REGION = "[W, E, S, N] in degrees with W < E and S < N, for example [112, 154, -44, -10]"


class ImagerySection(Section):
    """Rasters of the imagery, collections of archives, and where to predict.

    Attributes:
        layers: rasters on this computer.
        sources: collections of archives, whose composites are the bands after those of `layers`.
        collections: path of a YAML file with more rows of the table of collections.
        cache: where files of archives are kept.
        year: year of the map's composites; None: the last one that all sources have.
        region: (W, E, S, N), degrees; of sources W > E crosses the antimeridian. A configuration
            may name a file of polygons instead, which becomes `region_file`.
        region_file: polygons, to whose extent the first layer is clipped, and their outline.
        outline: land outside it is not predicted: "auto" (the countries of the plots), a file of
            polygons, or "none"; None: "none", unless there is a `region_file`.
        grid: None: that of the first layer; without layers, pixels of the first collection's size
            in the UTM zone of the region.
        masks: class rasters, or land cover of archives; excluded classes are not predicted.
        trust: whether a VRT may read rasters of any folder, and rasters may exceed 1e11 pixels.
    """

    layers: Annotated[tuple[RasterSection, ...], NotEmpty] = ()
    sources: tuple[SourceSection, ...] = ()
    collections: str | None = None
    cache: CacheSection = CacheSection()
    year: Year | None = None
    region: Region | None = None
    region_file: str | None = None
    outline: str | None = None
    grid: GridSection | None = None
    masks: tuple[AnyMask, ...] = ()
    trust: bool = False
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Folder of the configuration, in which sources of a VRT may lie; None: not known."""
        return self._folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImagerySection) and dict(self) == dict(other)

    @property
    def years(self) -> tuple[int, ...]:
        """The years that all sources with years have, ascending; none without such sources."""
        common = [set(source.every_year) for source in self.sources if source.years is not None]
        return tuple(sorted(set.intersection(*common))) if common else ()

    @property
    def is_static(self) -> bool:
        """Whether there are sources, and none of them has years."""
        return bool(self.sources) and all(source.years is None for source in self.sources)

    @property
    def map_year(self) -> int | None:
        """Year of the map's composites; None without sources that have years."""
        return self.year if self.year is not None or not self.years else self.years[-1]

    @property
    def stack_year(self) -> int:
        """The year under which the map's composites are read: `map_year`, else STATIC."""
        return STATIC if self.map_year is None else self.map_year

    @property
    def mask_sources(self) -> tuple[MaskSourceSection, ...]:
        """The masks that are collections of archives."""
        return tuple(mask for mask in self.masks if isinstance(mask, MaskSourceSection))

    @property
    def mask_paths(self) -> list[str]:
        """What the masks read on this computer: rasters, and catalogues of land cover."""
        places = [
            mask.path if isinstance(mask, MaskSection) else mask.endpoint or "https://"
            for mask in self.masks
        ]
        return [place for place in places if not is_address(place)]

    @property
    def outline_file(self) -> str | None:
        """The file of polygons outside which nothing is predicted; None: there is none."""
        return self.outline if self.outline not in (None, "auto", "none") else self.region_file

    @property
    def has_outline(self) -> bool:
        """Whether the pixels to predict depend on an outline, and so on the plots."""
        return self.outline == "auto" or self.outline_file is not None

    @property
    def max_years(self) -> int:
        """Largest distance of a plot's year from the year of its composite."""
        dated = [source.max_years for source in self.sources if source.years is not None]
        return min(dated, default=0)

    @property
    def of_pixels(self) -> dict[str, Any]:
        """What the pixels of the map's stack depend on.

        That is neither the cache, nor years and `max_years` of sources: only the map's year.
        """
        values = self.model_dump(mode="json")
        if self.sources:
            del values["cache"]
            values["year"] = self.map_year
        for source in values.get("sources", ()):
            del source["max_years"], source["years"]
        return values

    @property
    def chips(self) -> dict[str, Any]:
        """What the chips of a year depend on: neither the masks nor the map's year."""
        return {k: v for k, v in self.of_pixels.items() if k not in ("year", "masks", "outline")}

    @property
    def search(self) -> dict[str, Any]:
        """What the answer of the catalogues depends on."""
        place = {"region": self.region, "grid": self.grid}
        asked = [source.model_dump(include=_ASKED) for source in self.sources]
        return {"sources": asked, "collections": self.collections, **place}

    @model_validator(mode="before")
    @classmethod
    def _region_of_file(cls, data: Any) -> Any:
        """A `region` that is text is the path of a file."""
        if isinstance(data, dict) and isinstance(data.get("region"), str):
            if "region_file" in data:
                raise ValueError("`region` and `region_file` both name a file; leave one out")
            return data | {"region": None, "region_file": data["region"]}
        return data

    @field_validator("outline")
    @classmethod
    def _outline_is_named(cls, outline: str | None) -> str | None:
        if outline is not None and not outline.strip():
            raise ValueError("it must be auto, none, or a file of polygons")
        return outline

    @field_validator("region")
    @classmethod
    def _ordered(cls, region: Region | None, info: ValidationInfo) -> Region | None:
        if region is not None:
            west, east, south, north = region
            of_archives = bool(info.data.get("sources")) and not info.data.get("layers")
            ordered = west < east or (of_archives and west > east)  # across the antimeridian
            on_earth = min(west, east) >= -180 and max(west, east) <= 180 and south < north
            if not (ordered and on_earth and south >= -90 and north <= 90):
                raise ValueError(f"it must be {REGION}")
        return region

    @field_validator("sources")
    @classmethod
    def _names_once(cls, sources: tuple[SourceSection, ...]) -> tuple[SourceSection, ...]:
        names = [source.name for source in sources]
        if repeated := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"the name {repeated!r} repeats; give each source a name of its own")
        return sources

    @model_validator(mode="after")
    def _one_outline(self) -> "ImagerySection":
        if self.region_file is None:
            return self
        if self.outline is not None:
            raise ValueError(
                f"`region` is the file {shown(self.region_file)}, which is the outline too, and "
                f"`outline` is {shown(self.outline)}; leave one out, or give `region: [W, E, S, N]`"
            )
        if self.sources or self.grid is not None:
            raise ValueError(
                f"`region` is the file {shown(self.region_file)}, and with `sources` or `grid` it "
                "must be [W, E, S, N] in degrees; give that, and the file as `outline`"
            )
        return self

    @model_validator(mode="after")
    def _has_a_place(self) -> "ImagerySection":
        if not self.layers and not self.sources:
            raise ValueError("it needs `layers`, your rasters, or `sources`, those of archives")
        if self.sources and not self.layers and self.region is None:
            raise ValueError(
                "`sources` alone have no extent; give `region: [W, E, S, N]` in degrees, and for a "
                f"grid of your own {EXAMPLE}"
            )
        if self.grid is not None and self.region is None:
            raise ValueError("with `grid`, give `region: [W, E, S, N]` too: it sets the extent")
        if self.grid is None and self.region is not None and not self.layers:
            width = (self.region[1] - self.region[0]) % 360 or 360
            if width > ZONE:
                raise ValueError(
                    f"the region is {width:g} degrees wide, and a UTM zone has {ZONE}; choose a "
                    f"CRS for it and a resolution, for example {EXAMPLE}"
                )
        return self

    @model_validator(mode="after")
    def _years_of_sources(self) -> "ImagerySection":
        if not self.sources:
            for key in ("year",) if self.mask_sources else ("collections", "year"):
                if getattr(self, key) is not None:
                    raise ValueError(f"`{key}` belongs to `sources`, and there are none; remove it")
            return self
        if self.is_static:
            if self.year is not None:
                raise ValueError(
                    f"`year` is {self.year}, and none of the sources has years; remove it"
                )
            return self
        if not self.years:
            spans = ", ".join(
                f"{s.name}: {s.years[0]} to {s.years[-1]}" for s in self.sources if s.years
            )
            raise ValueError(
                f"the sources have no year in common ({spans}); give them years that overlap"
            )
        if self.year is not None and self.year not in self.years:
            raise ValueError(
                f"`year` is {self.year}, and the sources have {span(self.years)} in common; "
                "choose one of these"
            )
        return self

    @model_serializer(mode="wrap")
    def _without_archives(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Without sources as before there were any, so that records of old runs still hold."""
        values: dict[str, Any] = handler(self)
        for key in ("region_file", "outline"):
            if values.get(key, "") is None:
                del values[key]
        if not self.sources and not self.mask_sources:
            return {k: v for k, v in values.items() if k not in _OF_SOURCES}
        return values if self.layers else {k: v for k, v in values.items() if k != "layers"}


_OF_SOURCES = ("sources", "collections", "cache", "year")
_ASKED = {
    *("name", "collection", "kind", "endpoint", "id", "years", "choose", "season"),
    *("bands", "indices", "max_cloud", "spoils"),
}
