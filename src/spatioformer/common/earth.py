"""The Earth's size in this package, and points on a sphere from longitude and latitude.

Three figures of the Earth are in use, each where a result must agree with another program or with
a source. No two of them may be mixed in one distance.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MEAN_RADIUS_KM = 6371.0088
"""Mean radius R1 of the GRS80 and WGS84 ellipsoids, km (Moritz 2000, J. Geodesy 74:128)."""

S2_RADIUS_M = 6_371_010.0
"""Radius of the sphere of the S2 geometry library, m. R's sf and CAST measure on it, and our
evaluation gives their numbers."""

WGS84_SEMI_MAJOR_KM = 6378.137
"""Semi-major axis of the WGS84 ellipsoid, km (NGA.STND.0036, 2014)."""

WGS84_ECCENTRICITY2 = 0.00669437999014
"""First eccentricity squared of the WGS84 ellipsoid (NGA.STND.0036, 2014)."""

KM_PER_DEGREE = 111.195
"""A degree of latitude on the sphere of the mean radius, km, rounded to metres."""

S2_KM_PER_DEGREE = S2_RADIUS_M / 1000 * np.pi / 180
"""A degree of latitude on the sphere of S2, km."""


def unit_vectors(lon: ArrayLike, lat: ArrayLike) -> Floats:
    """Points (..., 3) of the unit sphere from degrees.

    x points through (0 E, 0 N), y through (90 E, 0 N), z through the North Pole. The networks have
    the same in torch, with gradients (`nn.geolocation.unit_vector`).
    """
    return _unit_vectors(np.radians(np.asarray(lon)), np.radians(np.asarray(lat)))


def on_sphere(lonlat: Floats, radius: float = MEAN_RADIUS_KM) -> Floats:
    """Points (n, 3) of a sphere, in the unit of its radius, from lon and lat (n, 2) in degrees."""
    # Keep the columns strided: numpy may round the cosine of a contiguous array differently, and
    # scores must stay the same to the last digit.
    return radius * _unit_vectors(*np.radians(lonlat).T)


def _unit_vectors(lon: Floats, lat: Floats) -> Floats:
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord(arc: float, radius: float) -> float:
    """Straight line through the sphere under a great-circle distance, both in the radius's unit.

    An arc beyond half the circumference counts as half the circumference.
    """
    return 2 * radius * float(np.sin(min(arc / radius, np.pi) / 2))


def arc(straight: ArrayLike, radius: float) -> Floats:
    """Great-circle distance over a straight line through the sphere; the inverse of `chord`."""
    angles: Floats = np.arcsin(np.minimum(1, np.asarray(straight) / (2 * radius)))
    return 2 * radius * angles


def arc_of(lon: np.ndarray) -> tuple[float, float]:
    """Western and eastern end, degrees, of the shortest arc that holds all longitudes."""
    ordered = np.unique(lon)
    gaps = np.diff(np.append(ordered, ordered[0] + 360))
    last = int(np.argmax(gaps))
    return float(ordered[(last + 1) % len(ordered)]), float(ordered[last])
