"""Items of a catalogue as every later step sees them, whatever kind of catalogue they came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Asset:
    """One band in a file.

    Attributes:
        href: address (http, https) or absolute path of the file, unsigned.
        number: number of the band in the file, from 1; a Zarr array has its band axis there.
        nodata: raw value without data as the catalogue states it; None: as the file or the
            collection states.
        scale, offset: value = raw * scale + offset as the catalogue states them; None: not stated.
        pixel: size of a pixel in units of the CRS as the catalogue states it.
        size: length of the file, bytes, as the catalogue states it.
        member: name of the raster in a zip archive, or of the variable in a NetCDF file; such a
            file is fetched whole.
    """

    href: str
    number: int = 1
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None
    pixel: float | None = None
    size: int | None = None
    member: str | None = None


@dataclass(frozen=True)
class Item:
    """A scene or tile of a collection: one place, one date or year, a file for each band.

    Attributes:
        id: identifier in the catalogue.
        collection: name in our table of collections.
        start, end: time of the observation, with time zone UTC; equal for a scene.
        bbox: (W, S, E, N), degrees; W > E where it crosses the antimeridian.
        assets: file of each band, by the collection's name of the band or mask.
        crs, transform, shape: grid of the pixels where the catalogue states it (`proj:*`): CRS as
            text, the first six numbers of an affine transform, (rows, columns).
        properties: what later steps and the provenance use, as in the catalogue.
        href: address of the item itself, for the provenance.
    """

    id: str
    collection: str
    start: datetime
    end: datetime
    bbox: Bounds
    assets: Mapping[str, Asset]
    crs: str | None = None
    transform: tuple[float, ...] | None = None
    shape: tuple[int, int] | None = None
    properties: Mapping[str, object] = field(default_factory=dict)
    href: str | None = None
