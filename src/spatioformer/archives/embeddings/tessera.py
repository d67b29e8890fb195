"""Tiles of TESSERA: one Zarr store for all years, with a group for each UTM zone.

    utm31/embeddings   int8 (time, 128, y, x)
    utm31/scales       float32 (time, y, x); value = embedding * scale
    utm31/time         years

A scale that is NaN marks water, and an infinite one land that is not computed yet; neither has
data. All zones have the coordinate reference system of their northern half, so northings south of
the equator are negative. The attributes of a group place it (`proj:code`, `spatial:transform`,
`spatial:shape`), and those of the root say how numbers were made 8-bit (`geoemb:quantization`).
Vectors of TESSERA do not have unit length.

Source: github.com/ucam-eo/geotessera (docs/architecture.rst, geotessera/zarr.py, store.py), and
github.com/geo-embeddings/embeddings-zarr-convention.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.archives.items import Asset, Item
from spatioformer.archives.remote import Access, NotFound, read_bytes
from spatioformer.common.errors import ImageryError
from spatioformer.geo.grid import Grid

BANDS = 128
DOCUMENT = 2**26
"""Largest document of the store, bytes; that of the root may repeat those of all groups."""

SEAM = 0.1
"""Degrees by which tiles of a zone may reach into the next one. A tile of 0.1 degrees belongs to
the zone of its centre."""

STATED: Mapping[str, object] = {
    "geoemb:type": "pixel",
    "geoemb:dimensions": BANDS,
    "geoemb:data_type": "int8",
    "geoemb:spatial_layout": "utm_zones",
}
"""What the root of a store must say, for its numbers to mean what is read from them."""

Region = tuple[float, float, float, float]


def zones_of(region: Region) -> list[int]:
    """Numbers of the UTM zones that may hold tiles of a region.

    Args:
        region: W, E, S, N in degrees; W > E where it crosses the antimeridian.
    """
    west, east = region[0] - SEAM, region[1] + SEAM
    if west > east:
        east += 360
    first, last = (int(np.floor((lon + 180) / 6)) for lon in (west, east))
    return sorted({zone % 60 + 1 for zone in range(first, min(last, first + 59) + 1)})


def tessera_items(
    endpoint: str,
    collection: str,
    bands: Sequence[str],
    region: Region,
    year: int,
    access: Access,
) -> list[Item]:
    """One item for each zone of a region that the store has.

    Args:
        endpoint: address or path of the store.
        collection: name in the table of collections.
        bands: names of the 128 bands.

    Raises:
        ImageryError: the store is not laid out as described above, or does not hold the year.
        RemoteError: it cannot be read.
    """
    root = _document(endpoint, access)
    if root is None:
        raise ImageryError(
            f"{access.owner}: {endpoint} holds no Zarr store (no zarr.json); correct `endpoint`"
        )
    _check_root(root, f"{access.owner}: {endpoint}")
    return sorted(_items(endpoint, collection, bands, region, year, access), key=lambda i: i.id)


def _items(
    endpoint: str,
    collection: str,
    bands: Sequence[str],
    region: Region,
    year: int,
    access: Access,
) -> Iterator[Item]:
    for zone in zones_of(region):
        href = f"{endpoint.rstrip('/')}/utm{zone:02d}"
        attributes = _document(href, access)
        if attributes is None:
            continue  # a zone of open sea has no group
        grid = _grid(attributes, zone, f"{access.owner}: {href}")
        tile = TesseraZone(href, grid, year, access)
        if year not in tile.years:
            raise ImageryError(
                f"{access.owner}: {href} holds no year {year}, but "
                f"{', '.join(map(str, tile.years))}; change `years`"
            )
        yield Item(
            f"utm{zone:02d}-{year}",
            collection,
            datetime(year, 1, 1, tzinfo=UTC),
            datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC),
            _bbox(grid, zone),
            {name: Asset(href, number) for number, name in enumerate(bands, start=1)},
            grid.crs.to_string(),
            tuple(grid.transform[:6]),
            grid.shape,
            {"year": year},
            href,
        )


class TesseraZone:
    """One zone and year of the store, as vectors on a grid.

    Args:
        href: address or path of the group.
        grid: the zone's grid.
    """

    def __init__(self, href: str, grid: Grid, year: int, access: Access):
        self.href, self.grid, self.year, self._access = href, grid, year, access

    @classmethod
    def of(cls, item: Item, access: Access) -> "TesseraZone":
        """The zone of an item of `tessera_items`."""
        asset = next(iter(item.assets.values()))
        assert item.crs is not None
        assert item.transform is not None
        assert item.shape is not None
        grid = Grid(CRS.from_user_input(item.crs), Affine(*item.transform[:6]), *item.shape)
        return cls(asset.href, grid, item.start.year, access)

    @cached_property
    def years(self) -> list[int]:
        """Years of the time axis, also those without data yet."""
        return [int(year) for year in self._array("time")[:]]

    @cached_property
    def _arrays(self) -> tuple[Any, Any]:
        """The arrays of embeddings and scales, which must have the grid's size."""
        embeddings, scales = self._array("embeddings"), self._array("scales")
        size = (len(self.years), *self.grid.shape)
        if embeddings.shape != (size[0], BANDS, *size[1:]) or scales.shape != size:
            raise ImageryError(
                f"{self._access.owner}: {self.href} states {size[0]} years of {size[1]} x "
                f"{size[2]} pixels, and holds embeddings of shape {embeddings.shape} and scales of "
                f"shape {scales.shape}; it is not read, because its places would be wrong"
            )
        if embeddings.dtype != np.int8 or scales.dtype != np.float32:
            raise ImageryError(
                f"{self._access.owner}: {self.href} holds embeddings of {embeddings.dtype} and "
                f"scales of {scales.dtype}, not int8 and float32; it is not read"
            )
        return embeddings, scales

    def read(self, window: Window) -> np.ndarray:
        """Vectors of a window inside the zone: float32 (y, x, band), NaN where missing.

        Raises:
            RemoteError: a file of the store cannot be read.
        """
        embeddings, scales = self._arrays
        time = self.years.index(self.year)
        rows = slice(window.row_off, window.row_off + window.height)
        cols = slice(window.col_off, window.col_off + window.width)
        scale = np.asarray(scales[time, rows, cols])
        valid = np.isfinite(scale)
        if not valid.any():
            return np.full((*scale.shape, BANDS), np.nan, np.float32)
        raw = np.moveaxis(np.asarray(embeddings[time, :, rows, cols]), 0, 2)
        # A vector has a number of 127 or -127; only zeros are a chunk that the store lacks.
        valid &= raw.any(axis=2)
        return raw * np.where(valid, scale, np.float32(np.nan))[..., None]

    def _array(self, name: str) -> Any:
        try:
            import zarr
            from zarr.errors import ArrayNotFoundError

            from spatioformer.archives.embeddings.zarr_files import ZarrFiles
        except ImportError as error:
            raise ImageryError(
                f"{self._access.owner}: TESSERA lies in a Zarr store, and the package zarr is not "
                "installed; pip install 'spatioformer[zarr]'"
            ) from error
        try:
            return zarr.open_array(
                ZarrFiles(self.href, self._access), path=name, mode="r", zarr_format=3
            )
        except ArrayNotFoundError as error:
            raise ImageryError(
                f"{self._access.owner}: {self.href} has no array {name!r}, which a zone of TESSERA "
                "has; correct `endpoint`"
            ) from error

    def __getstate__(self) -> dict[str, Any]:
        """Without open arrays; another process opens its own."""
        kept = ("href", "grid", "year", "_access")
        return {name: value for name, value in self.__dict__.items() if name in kept}


def _document(href: str, access: Access) -> dict[str, Any] | None:
    """Attributes of a group; None if there is no such group."""
    address = f"{href.rstrip('/')}/zarr.json"
    try:
        document = json.loads(read_bytes(address, access, limit=DOCUMENT))
        attributes = document["attributes"]
        if document["zarr_format"] == 3 and isinstance(attributes, dict):
            return attributes
    except NotFound:
        return None
    except (ValueError, KeyError, TypeError):
        pass
    raise ImageryError(
        f"{access.owner}: {address} is no document of a Zarr group of format 3; correct `endpoint`"
    )


def _check_root(attributes: Mapping[str, Any], owner: str) -> None:
    stated: dict[str, object] = {name: attributes.get(name) for name in STATED}
    wanted = dict(STATED)
    quantization = attributes.get("geoemb:quantization")
    if isinstance(quantization, dict):
        scale = quantization.get("scale")
        stated["method of geoemb:quantization"] = quantization.get("method")
        stated["array of geoemb:quantization"] = (
            scale.get("array_name") if isinstance(scale, dict) else None
        )
    wanted["method of geoemb:quantization"] = "per_pixel_scale"
    wanted["array of geoemb:quantization"] = "scales"
    for name, value in wanted.items():
        if stated.get(name) != value:
            raise ImageryError(
                f"{owner} states {stated.get(name)!r} for {name}, and only {value!r} is known "
                "here; the store is not read, because its numbers may mean something else"
            )


def _grid(attributes: Mapping[str, Any], zone: int, owner: str) -> Grid:
    """The grid of a zone from the attributes of its group."""
    transform: Any = attributes.get("spatial:transform")
    shape: Any = attributes.get("spatial:shape")
    places = (attributes.get("proj:code"), attributes.get("spatial:registration", "pixel"))
    numbers = isinstance(transform, list) and isinstance(shape, list)
    if places != (f"EPSG:{32600 + zone}", "pixel") or not (
        numbers and len(transform) >= 6 and len(shape) == 2
    ):
        raise ImageryError(
            f"{owner} is not placed as a zone of TESSERA (proj:code EPSG:{32600 + zone}, "
            f"spatial:registration pixel, spatial:transform, spatial:shape), but by {places[0]} "
            f"and {places[1]}; it is not read"
        )
    a, b, c, d, e, f = map(float, transform[:6])
    if b or d or a <= 0 or e >= 0:
        raise ImageryError(
            f"{owner} has a turned or mirrored grid ({transform}), and a zone of TESSERA has not; "
            "it is not read"
        )
    return Grid(CRS.from_epsg(32600 + zone), Affine(a, b, c, d, e, f), int(shape[0]), int(shape[1]))


def _bbox(grid: Grid, zone: int) -> tuple[float, float, float, float]:
    """(W, S, E, N) of the tiles of a zone; its grid reaches beyond, without data."""
    edges = np.array([grid.height - 0.5, -0.5])
    south, north = grid.lonlat(edges, np.full(2, grid.width / 2))[1]
    west = zone * 6.0 - 186
    return west - SEAM, float(south), west + 6 + SEAM, float(north)
