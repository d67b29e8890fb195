"""How much a source would read, before a byte of imagery is read.

The numbers are estimates: a file's blocks are taken to be 512 x 512 pixels, and where the catalogue
does not state the length of a file, its pixels are counted without compression.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from spatioformer.archives.catalogues.query import boxes_of
from spatioformer.archives.collections import Band, QualityMask
from spatioformer.archives.items import Bounds, Item
from spatioformer.config.fields import Region

BLOCK = 512
"""Side of a block of a file, pixels."""
DEGREE = 111_320.0
"""Length of a degree at the equator, m."""


@dataclass(frozen=True)
class Amount:
    """What is read.

    Attributes:
        pixels: pixels of all bands and dates.
        bytes: their bytes.
        exact: whether the catalogue states the length of every file.
    """

    pixels: float = 0.0
    bytes: float = 0.0
    exact: bool = True

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.pixels + other.pixels, self.bytes + other.bytes, self.exact and other.exact
        )


class Places:
    """Plots in any CRS.

    Args:
        lon, lat: degrees, float64 (n,).
    """

    def __init__(self, lon: np.ndarray, lat: np.ndarray):
        self._known: dict[str | None, tuple[np.ndarray, np.ndarray]] = {None: (lon, lat)}

    @classmethod
    def joined(cls, several: Iterable["Places"]) -> "Places":
        """All plots of several groups."""
        groups = [places.at(None) for places in several]
        lon, lat = (np.concatenate([np.empty(0), *(g[i] for g in groups)]) for i in (0, 1))
        return cls(lon, lat)

    def __len__(self) -> int:
        return len(self._known[None][0])

    def at(self, crs: str | None) -> tuple[np.ndarray, np.ndarray]:
        """x and y in a CRS; None: degrees."""
        if crs not in self._known and crs is not None:
            self._known[crs] = _from_degrees(crs).transform(*self._known[None])
        return self._known[crs]


def amounts(
    items: Iterable[Item],
    parts: Sequence[Band | QualityMask],
    region: Region,
    plots: Places | None = None,
    resolution: float = 30.0,
) -> tuple[Amount, Amount]:
    """Estimate what is read for a region, and for the plots alone.

    Args:
        parts: bands and quality bands that are read.
        region: (W, E, S, N), degrees.
        plots: None: no plots, so their amount is zero.
        resolution: size of a pixel, m, where the catalogue states none.
    """
    whole, near = Amount(), Amount()
    for item in items:
        shape = _Shape(item, resolution)
        share = shape.share(region)
        blocks: dict[float, int] = {}
        files: set[str] = set()
        counted: set[tuple[str, int, str | None]] = set()
        for part in parts:
            asset = item.assets.get(part.name)
            if asset is None or (asset.href, asset.number, asset.member) in counted:
                continue  # several bands follow from one, as slope does from elevation
            counted.add((asset.href, asset.number, asset.member))
            pixel = asset.pixel or shape.pixel
            pixels = shape.area / pixel**2
            size = 0 if asset.size is not None and asset.href in files else asset.size
            files.add(asset.href)
            whole += _amount(size, part, pixels, share)
            if plots is not None:
                if pixel not in blocks:
                    blocks[pixel] = shape.blocks(plots, pixel * BLOCK)
                near += _amount(size, part, pixels, min(1.0, blocks[pixel] * BLOCK**2 / pixels))
    return whole, near


def _amount(size: int | None, part: Band | QualityMask, pixels: float, share: float) -> Amount:
    """A share of a file; size: its length, 0 where another band of it has been counted."""
    if size is not None:
        return Amount(pixels * share, size * share)
    return Amount(pixels * share, pixels * share * _bytes_of(part), exact=False)


def _bytes_of(part: Band | QualityMask) -> int:
    """Bytes of a pixel."""
    if isinstance(part, Band):
        return int(np.dtype(part.dtype).itemsize)
    return 2 if part.kind == "bits" else 1


class _Shape:
    """The grid of an item's pixels: by the catalogue, or by its bounds in degrees.

    Attributes:
        area: of the file, in squares of the unit of `pixel`.
        pixel: size of a pixel in units of the CRS.
    """

    def __init__(self, item: Item, resolution: float):
        self._bbox = item.bbox
        has_grid = item.crs is not None and item.transform is not None and item.shape is not None
        try:
            self._crs = item.crs if has_grid and _from_degrees(str(item.crs)) else None
        except ProjError:
            self._crs = None
        if self._crs is not None:
            assert item.transform is not None
            assert item.shape is not None
            a, _, left, _, e, top = item.transform[:6]
            right, bottom = left + a * item.shape[1], top + e * item.shape[0]
            self._boxes = [(min(left, right), min(top, bottom), max(left, right), max(top, bottom))]
            self.pixel = abs(a)
        else:
            west, south, east, north = item.bbox
            self._boxes = list(boxes_of((west, east, south, north)))
            middle = np.cos(np.radians((south + north) / 2))
            self.pixel = resolution / DEGREE / max(float(np.sqrt(middle)), 0.1)
        self.area = sum(_area(box) for box in self._boxes) or self.pixel**2

    def share(self, region: Region) -> float:
        """Share of the file that lies in a region, 0 to 1."""
        # Clipped to the item first: a meridian is no straight line in a CRS.
        clipped = [
            _overlap(box, part)
            for box in boxes_of(region)
            for part in boxes_of((self._bbox[0], self._bbox[2], self._bbox[1], self._bbox[3]))
        ]
        others = [_in_crs(box, self._crs) for box in clipped if _area(box) > 0]
        inside = sum(_area(_overlap(box, other)) for box in self._boxes for other in others)
        return min(1.0, inside / self.area)

    def blocks(self, plots: Places, side: float) -> int:
        """How many blocks of the file hold a plot.

        Args:
            side: of a block, in units of the CRS.
        """
        x, y = plots.at(self._crs)
        count = 0
        for left, bottom, right, top in self._boxes:
            inside = (x >= left) & (x < right) & (y > bottom) & (y <= top)
            cells = (x[inside] - left) // side + 1j * ((top - y[inside]) // side)
            count += len(np.unique(cells))
        return count


def _area(box: Bounds) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _overlap(one: Bounds, other: Bounds) -> Bounds:
    return (
        max(one[0], other[0]),
        max(one[1], other[1]),
        min(one[2], other[2]),
        min(one[3], other[3]),
    )


@cache
def _from_degrees(crs: str) -> Transformer:
    return Transformer.from_crs("EPSG:4326", CRS.from_user_input(crs), always_xy=True)


@lru_cache(maxsize=4096)  # tiles are observed again and again
def _in_crs(box: Bounds, crs: str | None) -> Bounds:
    """Bounds in degrees as bounds in a CRS; None: degrees."""
    if crs is None:
        return box
    bounds: Bounds = _from_degrees(crs).transform_bounds(*box)
    return bounds
