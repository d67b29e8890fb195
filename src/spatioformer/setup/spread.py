"""How plots lie in space: their extent, and the distance between neighbouring sites."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from spatioformer.common.earth import KM_PER_DEGREE, MEAN_RADIUS_KM, arc, arc_of, on_sphere

Floats = NDArray[np.float64]

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
        west, east = arc_of(places[:, 0])
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

    def __str__(self) -> str:
        return f"{shown_km(self.width_km)} x {shown_km(self.height_km)}"


def shown_km(km: float) -> str:
    """A length in words: metres below 1 km, three digits at most."""
    if km < 0.9995:
        return f"{1000 * km:.0f} m"
    return f"{km:.1f} km" if km < 9.95 else f"{km:,.0f} km"
