"""A served folder with one cloud-optimised GeoTIFF, and retries without long delays."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine

from spatioformer.archives import remote
from spatioformer.archives.remote import retries
from tests.helpers.servers import FileServer


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Hardly any delay between attempts, and counts from 0."""
    monkeypatch.setattr(retries, "FIRST_DELAY", 0.001)
    remote.reset_counters()


@pytest.fixture
def access(served: FileServer, tmp_path: Path) -> remote.Access:
    return served.access(tmp_path / "cache", owner="imagery.sources[0]")


def write_raster(path: Path, *, seed: int = 0, size: int = 256, bands: int = 3, **profile) -> Path:
    """A tiled GeoTIFF of random numbers, which hardly compress."""
    values = np.random.default_rng(seed).integers(0, 4000, (bands, size, size)).astype("uint16")
    profile = {
        "driver": "GTiff",
        "dtype": "uint16",
        "count": bands,
        "width": size,
        "height": size,
        "crs": "EPSG:32755",
        "transform": Affine(10, 0, 500_000, 0, -10, 6_000_000),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "deflate",
    } | profile
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(values)
    return path


@pytest.fixture
def raster(served: FileServer) -> Path:
    """The file a.tif of the served folder."""
    return write_raster(served.folder / "a.tif")
