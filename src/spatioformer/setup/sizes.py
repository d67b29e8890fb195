"""Sizes of tiles from the extent and the spacing of the plots.

The rule of thumb: a tile's side is a twelfth of the extent of the plots, so that a square extent
has about 144 tiles. It is at least twice the median distance between neighbouring sites, so that a
tile holds several of them, and at most 5 degrees, beyond which the richness of neighbouring plots
is hardly correlated. It is then made smaller until the plots lie in enough tiles.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from spatioformer.common.earth import KM_PER_DEGREE, MEAN_RADIUS_KM, arc, on_sphere
from spatioformer.evaluation.splits import SpatialBlockKFold

Floats = NDArray[np.float64]

TILES_ALONG = 12  # of the side of a square extent
NEIGHBOURS = 2.0  # a tile's side, in median distances between neighbouring sites
LARGEST_KM = 5 * KM_PER_DEGREE
LEAST_DEGREES = 0.5  # smaller tiles are given in km
FAR_NORTH = 60.0  # degrees of latitude from which a degree of longitude is less than half as long
TILES_A_FOLD = 4
ROUND = np.array([1, 2, 3, 5, 10])
FINENESS = 1e-6  # degrees, about 0.1 m, within which plots share a site


@dataclass(frozen=True)
class Spread:
    """How plots lie in space.

    Attributes:
        sites: number of distinct places.
        width_km, height_km: extent from west to east and from south to north.
        spacing_km: median distance of a site to its nearest neighbour; 0 of a single site.
        lat: middle latitude, degrees.
        region: W, E, S, N of the plots in degrees; W > E across the antimeridian.
    """

    sites: int
    width_km: float
    height_km: float
    spacing_km: float
    lat: float
    region: tuple[float, float, float, float]

    @classmethod
    def of(cls, lonlat: Floats) -> "Spread":
        """Spread of plots at lon, lat (n, 2), degrees, n > 0."""
        places: Floats = np.unique(np.round(lonlat / FINENESS) * FINENESS, axis=0)
        west, east = _arc_of(places[:, 0])
        south, north = places[:, 1].min(), places[:, 1].max()
        lat = float(south + north) / 2
        spacing = 0.0
        if len(places) > 1:
            points = on_sphere(places)
            nearest = np.asarray(KDTree(points).query(points, k=2)[0])[:, 1]
            spacing = float(arc(np.median(nearest), MEAN_RADIUS_KM))
        width = (east - west) % 360 * KM_PER_DEGREE * float(np.cos(np.radians(lat)))
        height = float(north - south) * KM_PER_DEGREE
        region = (west, east, float(south), float(north))
        return cls(len(places), width, height, spacing, lat, region)

    @property
    def crosses_180(self) -> bool:
        return self.region[0] > self.region[1]

    @property
    def side_km(self) -> float:
        """Side of a square like the extent; of a long strip, a third of its length."""
        longest = max(self.width_km, self.height_km)
        return max(float(np.sqrt(self.width_km * self.height_km)), longest / 3)

    def __str__(self) -> str:
        return f"{shown_km(self.width_km)} x {shown_km(self.height_km)}"


def _arc_of(lon: Floats) -> tuple[float, float]:
    """Western and eastern end, degrees, of the shortest arc that holds all longitudes."""
    ordered = np.unique(lon)
    gaps = np.diff(np.append(ordered, ordered[0] + 360))
    last = int(np.argmax(gaps))
    return float(ordered[(last + 1) % len(ordered)]), float(ordered[last])


@dataclass(frozen=True)
class Size:
    """Side of a tile, as a configuration gives it."""

    value: float
    unit: Literal["degrees", "km"]

    @property
    def km(self) -> float:
        return self.value * (KM_PER_DEGREE if self.unit == "degrees" else 1)

    @property
    def degrees(self) -> float:
        """Side in degrees of latitude, to two digits."""
        degrees = self.value / (1 if self.unit == "degrees" else KM_PER_DEGREE)
        return float(f"{degrees:.2g}")

    def __str__(self) -> str:
        return f"{self.value:g} {self.unit}" if self.value != 1 else f"1 {self.unit.rstrip('s')}"

    def times(self, factor: float) -> "Size":
        """A tile `factor` times as large."""
        return Size(float(f"{self.value * factor:.6g}"), self.unit)

    def tiles(self, lonlat: Floats) -> int:
        """Number of such tiles in which plots at lon, lat (n, 2) lie."""
        folds = SpatialBlockKFold(2, size=self.value, unit=self.unit)
        return int(folds.tiles(lonlat).max()) + 1


def size_of(km: float, lat: float) -> Size:
    """A round size near `km`: in degrees if it is large and the place far from the poles."""
    degrees = km / KM_PER_DEGREE
    if degrees >= LEAST_DEGREES and abs(lat) < FAR_NORTH:
        return Size(_round(degrees), "degrees")
    return Size(_round(km), "km")


def _round(value: float) -> float:
    """The nearest of 1, 2, 3, 5, 10 times a power of ten, by the ratio."""
    power = 10.0 ** np.floor(np.log10(value))
    nearest = ROUND[np.argmin(np.abs(np.log(ROUND * power / value)))]
    return float(f"{nearest * power:.6g}")


def tile_size(lonlat: Floats, spread: Spread, folds: int) -> Size | None:
    """Side of the tiles for `folds` folds; None if the plots lie in fewer than two tiles a fold.

    Args:
        lonlat: lon, lat (n, 2), degrees.
    """
    if spread.side_km <= 0:
        return None
    km = min(max(spread.side_km / TILES_ALONG, NEIGHBOURS * spread.spacing_km), LARGEST_KM)
    size = size_of(km, spread.lat)
    for _ in range(12):
        if size.tiles(lonlat) >= TILES_A_FOLD * folds:
            return size
        smaller = size_of(size.km / 2, spread.lat)
        if smaller.tiles(lonlat) == spread.sites or smaller.km < spread.spacing_km / 2:
            break
        size = smaller
    return size if size.tiles(lonlat) >= 2 * folds else None


def curve_sizes(lonlat: Floats, size: Size, folds: int) -> Sequence[Size]:
    """Sizes from half to eight times `size` in which the plots make two tiles a fold or more."""
    candidates = [size.times(factor) for factor in (0.5, 1, 2, 4, 8)]
    return [s for s in candidates if s.tiles(lonlat) >= 2 * folds]


def shown_km(km: float) -> str:
    """A length in words: metres below 1 km, three digits at most."""
    if km < 0.9995:
        return f"{1000 * km:.0f} m"
    return f"{km:.1f} km" if km < 9.95 else f"{km:,.0f} km"
