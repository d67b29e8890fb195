"""Small scenes on disk, as a catalogue would list them: GeoTIFFs, quality bands, items."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.warp import transform_bounds

from spatioformer.archives.collections import Band, Collection, QualityMask
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.remote.access import Access
from spatioformer.archives.source import Source
from spatioformer.config.archives import SourceSection

SCL = QualityMask(
    name="scl",
    keys=("scl",),
    kind="classes",
    classes={"no_data": 0, "shadow": 3, "vegetation": 4, "cloud": 9, "snow": 11},
    spoils=("no_data", "shadow", "cloud", "snow"),
    buffered=("shadow", "cloud"),
    nodata=0,
)
COLLECTION = Collection(
    name="toy",
    title="toy scenes",
    kind="scenes",
    catalogue="folder",
    endpoint="",
    id="toy",
    bands=(
        Band("blue", ("blue",), spyndex="B", scale=0.0001, nodata=0),
        Band("red", ("red",), spyndex="R", scale=0.0001, nodata=0),
        Band("nir", ("nir",), spyndex="N", scale=0.0001, nodata=0),
    ),
    masks=(SCL,),
    resolution=10.0,
    licence="CC0-1.0",
    attribution="Scenes made by a test.",
)
UTM55 = "EPSG:32755"
CORNER = Affine(10, 0, 500_000, 0, -10, 6_000_000)


def write_raster(
    path: Path, values: np.ndarray, crs: str = UTM55, transform: Affine = CORNER, **profile
) -> Path:
    """Write an array (y, x) or (band, y, x) as a tiled GeoTIFF."""
    values = values if values.ndim == 3 else values[None]
    count, height, width = values.shape
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"} | profile
    with rasterio.open(
        path, "w", driver="GTiff", count=count, height=height, width=width, crs=crs,
        transform=transform, dtype=values.dtype, **options,
    ) as target:  # fmt: skip
        target.write(values)
    return path


def write_scene(
    folder: Path,
    name: str,
    bands: Mapping[str, np.ndarray],
    when: str = "2021-06-15T00:10:00",
    crs: str = UTM55,
    transform: Affine = CORNER,
    scl: np.ndarray | None = None,
    properties: Mapping[str, object] | None = None,
) -> Item:
    """Write the bands (y, x) of a scene, and a quality band of any resolution over its area."""
    assets = {}
    for key, values in bands.items():
        path = write_raster(folder / f"{name}_{key}.tif", values, crs, transform)
        assets[key] = Asset(str(path))
    height, width = next(iter(bands.values())).shape
    if scl is not None:
        rows, cols = scl.shape
        own = transform @ Affine.scale(width / cols, height / rows)
        path = write_raster(folder / f"{name}_scl.tif", scl.astype(np.uint8), crs, own)
        assets["scl"] = Asset(str(path))
    left, top = transform @ (0, 0)
    right, bottom = transform @ (width, height)
    west, south, east, north = transform_bounds(
        crs, "EPSG:4326", min(left, right), min(bottom, top), max(left, right), max(bottom, top)
    )
    start = datetime.fromisoformat(when).replace(tzinfo=UTC)
    return Item(
        name, "toy", start, start, (west, south, east, north), assets,
        properties=dict(properties or {}), href=f"https://example.org/items/{name}",
    )  # fmt: skip


def source(
    items: Mapping[int, list[Item]] | list[Item], collection: Collection = COLLECTION, **section
) -> Source:
    """A source named "s" with its items by year; a list is that of 2021."""
    by_year = items if isinstance(items, Mapping) else {2021: items}
    values = {"name": "s", "collection": "toy", "years": tuple(sorted(by_year)), "min_clear": 1}
    return Source(
        SourceSection.model_validate(values | section),
        collection,
        Access(hosts=(), cache=Path("unused")),
        {year: tuple(several) for year, several in by_year.items()},
    )


def without_masks(collection: Collection = COLLECTION) -> Collection:
    return replace(collection, masks=())
