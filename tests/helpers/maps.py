"""Models that give themselves away, and rasters of every kind to map."""

import contextlib
import resource
from pathlib import Path

import numpy as np
import rasterio
import torch
from affine import Affine
from sklearn.ensemble import RandomForestRegressor

from spatioformer.models.network import NetworkModel
from spatioformer.models.stack import StackModel
from spatioformer.models.stacking import Reach
from spatioformer.models.tabular import TabularModel
from spatioformer.nn import PaperSpatioformer
from tests.helpers.landscape import NORTH, WEST, write_raster

BANDS = ["a", "b"]


class Echo(torch.nn.Module):
    """A model that answers with its centre pixel's own coordinates: lon * 10 - lat."""

    def __init__(self, patch: int = 3, dropout: float = 0.0):
        super().__init__()
        self.config = {"patch": patch, "dropout": dropout}
        self.anchor = torch.nn.Parameter(torch.zeros(1))

    def forward(self, chips, lon, lat):
        half = self.config["patch"] // 2
        return (lon[:, half, half] * 10 - lat[:, half, half]).float() + chips[:, half, half, 0] * 0


class Mirror(Echo):
    """Answers with its centre pixel's first band, and counts how often it saw each value."""

    def __init__(self, pixels: int, patch: int = 1):
        super().__init__(patch)
        self.seen = np.zeros(pixels, int)

    def forward(self, chips, lon, lat):
        half = self.config["patch"] // 2
        values = chips[:, half, half, 0]
        np.add.at(self.seen, values.numpy().astype(int), 1)
        return values.clone()


def echo(patch: int = 3) -> NetworkModel:
    return NetworkModel(Echo(patch), BANDS)


def small(dropout: float = 0.2) -> NetworkModel:
    torch.manual_seed(0)
    network = PaperSpatioformer(
        patch=3, bands=2, width=8, heads=2, layers=1, mlp_hidden=8, head_hidden=8,
        dropout=dropout, location_weight=1.0,
    )  # fmt: skip
    network.head[1].bias.data += 5  # all means positive: nothing is set to 0
    return NetworkModel(network, BANDS, None, {"name": "small", "grain": "plots of 400 m2"})


def stacked() -> StackModel:
    """The small network and a small forest, each of which counts in a part of the noise's land."""
    rng = np.random.default_rng(0)
    table, richness = rng.normal(size=(50, 8)), rng.normal(20, 5, 50)
    forest = RandomForestRegressor(5, random_state=0).fit(table, richness)
    parts = {"network": small(0.0), "forest": TabularModel(forest, BANDS, 3)}
    known = np.array([[WEST + 2.0, NORTH - 3.0]])
    shares = np.array([[1.0, 0.0], [0.25, 0.75]])
    return StackModel(parts, shares, Reach(1e5, 4e5), known, {"name": "stacked"})


KINDS = {
    "degrees": ("EPSG:4326", Affine(0.1, 0, 140, 0, -0.1, -20)),
    "non-square pixels": ("EPSG:4326", Affine(0.1, 0, 140, 0, -0.03, -20)),
    "south-up": ("EPSG:4326", Affine(0.1, 0, 140, 0, 0.1, -30)),
    "rotated": ("EPSG:32755", Affine(80, 60, 5e5, 60, -80, 6e6)),
    "projected": ("EPSG:32755", Affine(30, 0, 5e5, 0, -30, 6e6)),
    "antimeridian": ("EPSG:4326", Affine(0.1, 0, 178, 0, -0.1, -20)),
    "antimeridian, projected": ("EPSG:32701", Affine(9000, 0, 1e5, 0, -9000, 8e6)),
}
"""Name -> (CRS, transform)."""

LAYOUTS = {
    "strips": {},
    "one row a strip, pixels together": {"interleave": "pixel", "blockysize": 1},
    "tiles": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "deflate"},
}


def numbered(path: Path, shape: tuple[int, int], kind: str = "degrees", **options) -> Path:
    """A raster whose first band is the number of each pixel, row by row."""
    crs, transform = KINDS[kind]
    first = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    data = np.stack([first, np.ones(shape, np.float32)])
    return write_raster(path, data, crs=crs, transform=transform, names=tuple(BANDS), **options)


def noise(path: Path, shape: tuple[int, int], **options) -> Path:
    """Two bands of noise."""
    data = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    return write_raster(path, data, names=tuple(BANDS), **options)


def mask(path: Path, wanted: np.ndarray) -> Path:
    """Write a raster's internal mask."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as target:
        target.write_mask(wanted.astype(np.uint8) * 255)
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as source:
        return source.read()


@contextlib.contextmanager
def disk_of(size: int):
    """No file grows beyond `size` bytes in this block: to a program, a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
