"""What lies around a map: land and sea, and names of cities. Both from Natural Earth.

The land is that of all countries (`geo.land`), lakes included; `places.csv` holds names of cities.
Natural Earth (naturalearthdata.com) is in the public domain.
"""

import csv
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from affine import Affine
from numpy.typing import NDArray
from shapely import affinity

from spatioformer.geo.land.store import load
from spatioformer.geo.raster.burning import burned

HERE = Path(__file__).parent
SOURCE = "Coast and names: Natural Earth (public domain)."
FINEST = 0.02  # degrees, about the accuracy of the outlines of land
LEAST_EXTENT = 2.0  # degrees of longitude or latitude; below, the outlines are too coarse
MOST = 1500  # pixels of the raster of land along its longer side

Floats = NDArray[np.float64]


def land(lon: Floats, lat: Floats) -> NDArray[np.bool_] | None:
    """Whether each place [y, x], degrees, is land; None where the region is too small to say."""
    lon = np.unwrap(np.unwrap(lon, axis=1, period=360), axis=0, period=360)
    extent = max(np.ptp(lon), np.ptp(lat))
    if not extent >= LEAST_EXTENT:
        return None
    step = max(FINEST, extent / MOST)
    west, north = lon.min() - step, lat.max() + step
    across, down = (int(np.ceil(np.ptp(v) / step)) + 3 for v in (lon, lat))
    transform = Affine(step, 0, west, 0, -step, north)
    is_land = np.zeros((down, across), bool)
    for shift in (-360, 0, 360):  # over the antimeridian, or longitudes of 0 to 360
        shapes = [
            affinity.translate(part, shift) if shift else part
            for part, (least, south, most, top) in _parts()
            if least + shift <= west + across * step
            and most + shift >= west
            and south <= north
            and top >= north - down * step
        ]
        if shapes:
            is_land |= burned(shapes, is_land.shape, transform)
    rows = ((north - lat) / step).astype(int)
    cols = ((lon - west) / step).astype(int)
    return is_land[rows, cols]


@cache
def _parts() -> list[tuple[shapely.Polygon, tuple[float, ...]]]:
    """Polygons of the land of all countries, and the west, south, east and north of each."""
    parts = shapely.get_parts(load().shapes)
    return list(zip(parts, map(tuple, shapely.bounds(parts).tolist()), strict=True))


@cache
def places() -> tuple[tuple[str, ...], Floats]:
    """Names of cities, the more important ones first, and their lon, lat (n, 2) in degrees."""
    text = (HERE / "places.csv").read_text(encoding="utf-8").splitlines()
    rows = list(csv.DictReader(line for line in text if not line.startswith("#")))
    place = np.array([[float(row["lon"]), float(row["lat"])] for row in rows])
    return tuple(row["name"] for row in rows), place
