"""Sections of a configuration that describe rasters: layers, masks, and the grid of the imagery."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from spatioformer.config.fields import (
    Code,
    NotEmpty,
    Positive,
    Region,
    Section,
    Share,
    Size,
    name_of,
)


class RasterSection(Section):
    """A raster file and the interpretation of its values; see `geo.raster.layers.Layer`."""

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
    """A class raster; pixels of the excluded classes are not predicted."""

    exclude: tuple[Code, ...]


class GridSection(Section):
    """The grid of the imagery; without it, the grid of the first layer."""

    crs: str
    resolution: Positive


class ImagerySection(Section):
    """Rasters of the imagery, and where to predict."""

    layers: Annotated[tuple[RasterSection, ...], NotEmpty]
    region: Region | None = None
    grid: GridSection | None = None
    masks: tuple[MaskSection, ...] = ()
    trust: bool = False
    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """Folder of the configuration, in which sources of a VRT may lie; None: not known."""
        return self._folder

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ImagerySection) and dict(self) == dict(other)

    @field_validator("region")
    @classmethod
    def _ordered(cls, region: Region | None) -> Region | None:
        if region is not None:
            west, east, south, north = region
            if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
                raise ValueError(
                    "it must be [W, E, S, N] in degrees with W < E and S < N, for example "
                    "[112, 154, -44, -10]"
                )
        return region

    @model_validator(mode="after")
    def _grid_has_region(self) -> "ImagerySection":
        if self.grid is not None and self.region is None:
            raise ValueError("with `grid`, give `region: [W, E, S, N]` too: it sets the extent")
        return self
