"""Small stores laid out byte by byte as those of AlphaEarth and TESSERA are."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from spatioformer.archives.collections import Band, Collection
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.remote import Access

ALPHAEARTH = Collection(
    "alphaearth",
    "AlphaEarth Foundations",
    "embedding",
    "index",
    "https://example.org/aef_index.parquet",
    "",
    tuple(Band(f"A{i:02d}", (f"A{i:02d}",), number=i + 1, nodata=-128) for i in range(64)),
    resolution=10.0,
    decode="alphaearth",
)
TESSERA = Collection(
    "tessera",
    "TESSERA",
    "embedding",
    "zarr",
    "https://example.org/zarr/v1",
    "",
    tuple(Band(f"T{i:03d}", (f"T{i:03d}",), number=i + 1) for i in range(128)),
    resolution=10.0,
    decode="tessera",
)


def local(folder: Path) -> Access:
    """Access to files of this computer only."""
    return Access((), folder / "cache", owner="imagery.sources[0]")


def unit_vectors(shape: tuple[int, int], seed: int) -> np.ndarray:
    """8-bit numbers (64, y, x) of random vectors of length 1 up to rounding."""
    vectors = np.random.default_rng(seed).normal(size=(64, *shape))
    vectors /= np.linalg.norm(vectors, axis=0)
    return np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5).astype(np.int8)


def decoded(raw: np.ndarray) -> np.ndarray:
    """The formula of the documents, in float64; NaN where a number is -128."""
    numbers = raw.astype(np.float64)
    return np.where(raw == -128, np.nan, np.sign(numbers) * (numbers / 127.5) ** 2)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (band, ...) scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=0)


def alphaearth_file(
    path: Path, raw: np.ndarray, epsg: int, west: float, north: float, *, south_up: bool = True
) -> None:
    """Write numbers (64, y, x), the first row northernmost, as a tile of AlphaEarth."""
    _, height, width = raw.shape
    transform = Affine(10, 0, west, 0, -10, north)
    if south_up:
        transform, raw = Affine(10, 0, west, 0, 10, north - 10 * height), raw[:, ::-1]
    profile = {
        "driver": "GTiff", "dtype": "int8", "count": 64, "nodata": -128, "height": height,
        "width": width, "crs": f"EPSG:{epsg}", "transform": transform, "tiled": True,
        "blockxsize": 16, "blockysize": 16, "compress": "deflate", "interleave": "pixel",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as file:
        file.write(raw)
        for band in range(64):
            file.set_band_description(band + 1, f"A{band:02d}")


def alphaearth_item(
    href: str, shape: tuple[int, int], epsg: int, west: float, north: float, year: int = 2020
) -> Item:
    """The item of a tile as a row of the index gives it."""
    edges = {
        "utm_west": west, "utm_south": north - 10 * shape[0],
        "utm_east": west + 10 * shape[1], "utm_north": north,
    }  # fmt: skip
    return Item(
        Path(href).stem,
        "alphaearth",
        datetime(year, 1, 1, tzinfo=UTC),
        datetime(year, 12, 31, tzinfo=UTC),
        (-180, -90, 180, 90),
        {f"A{band:02d}": Asset(href, band + 1) for band in range(64)},
        f"EPSG:{epsg}",
        properties=edges,
    )


ROOT: Mapping[str, Any] = {
    "geoemb:type": "pixel",
    "geoemb:dimensions": 128,
    "geoemb:model": "https://geotessera.org/model/1.0",
    "geoemb:source_data": ["sentinel-1", "sentinel-2"],
    "geoemb:data_type": "int8",
    "geoemb:spatial_layout": "utm_zones",
    "geoemb:quantization": {
        "method": "per_pixel_scale",
        "original_dtype": "float32",
        "quantized_dtype": "int8",
        "scale": {"type": "array", "array_name": "scales", "nodata": "NaN"},
    },
}


def tessera_vectors(shape: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings int8 (128, y, x), each with a number of 127, and scales float32 (y, x)."""
    rng = np.random.default_rng(seed)
    embeddings = rng.integers(-127, 127, (128, *shape)).astype(np.int8)
    embeddings[seed % 128] = 127
    return embeddings, rng.uniform(0.01, 0.1, shape).astype(np.float32)


def tessera_zone(
    store: Path,
    zone: int,
    west: float,
    north: float,
    data: Mapping[int, tuple[np.ndarray, np.ndarray]],
    years: tuple[int, ...] = (2019, 2020, 2021),
    root: Mapping[str, Any] = ROOT,
) -> None:
    """Write a zone with the data of some years; the other chunks are not there."""
    import zarr
    from zarr.codecs import BloscCodec

    zarr.open_group(store, mode="a", zarr_format=3).attrs.update(root)
    shape = next(iter(data.values()))[1].shape
    group = zarr.open_group(store, mode="a", zarr_format=3).create_group(f"utm{zone:02d}")
    coder = BloscCodec(cname="zstd", clevel=3)
    embeddings = group.create_array(
        "embeddings", shape=(len(years), 128, *shape), chunks=(1, 128, 8, 8),
        shards=(1, 128, 32, 32), dtype=np.int8, fill_value=0, compressors=coder,
        dimension_names=["time", "band", "y", "x"],
    )  # fmt: skip
    scales = group.create_array(
        "scales", shape=(len(years), *shape), chunks=(1, 8, 8), shards=(1, 32, 32),
        dtype=np.float32, fill_value=np.float32("inf"), compressors=coder,
        dimension_names=["time", "y", "x"],
    )  # fmt: skip
    time = group.create_array("time", shape=(len(years),), dtype=np.int32)
    time[:] = years
    for year, (numbers, scale) in data.items():
        embeddings[years.index(year)] = numbers
        scales[years.index(year)] = scale
    group.attrs.update(
        {
            "proj:code": f"EPSG:{32600 + zone}",
            "spatial:dimensions": ["y", "x"],
            "spatial:transform": [10.0, 0.0, west, 0.0, -10.0, north],
            "spatial:shape": list(shape),
            "spatial:registration": "pixel",
        }
    )
