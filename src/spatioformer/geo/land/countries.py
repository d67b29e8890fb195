"""Land, coasts and borders, and the country of a place, from the bundled outlines.

The outlines are those of Natural Earth 4.1 at 1:50 million, and islands that it lacks at 1:10
million. Longitudes lie in [-180, 180]; shapes are cut at the antimeridian.
"""

from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from shapely.geometry.base import BaseGeometry

from spatioformer.common.earth import MEAN_RADIUS_KM, arc, unit_vectors
from spatioformer.geo.land.store import STEP, load

Floats = NDArray[np.float64]

ACCURACY_KM = 10.0
"""Distance from the bundled coast within which a place counts to its country, km.

Half of the coast of 1:10 million lies within 1.3 km of the bundled one, 95 % within 9.2 km
(`python -m benchmarks.natural_earth`)."""

SPACING = 0.02
"""Largest distance of points along the coast, degrees; distances to it err by 1.1 km at most."""


@cache
def land() -> BaseGeometry:
    """All land, polygons in degrees of lon and lat; lakes count as land."""
    return shapely.union_all(load().shapes)


def outline_of(countries: Iterable[str]) -> BaseGeometry:
    """The land of some countries without the borders between them; names as in `countries_of`."""
    wanted = set(countries)
    held = load()
    shapes = [s for name, s in zip(held.names, held.shapes, strict=True) if name in wanted]
    return shapely.union_all(shapes)


def countries_of(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.object_]:
    """English names (n,) of the countries of places in degrees; '' in the sea.

    A place on a border gets the country that comes first by name. Territories that lie apart, such
    as Greenland, have names of their own.
    """
    lon, lat = np.asarray(lon, np.float64).ravel(), np.asarray(lat, np.float64).ravel()
    lon = (lon + 180) % 360 - 180
    names = np.full(len(lon), "", object)
    held = load()
    for name, shape in zip(held.names, held.shapes, strict=True):
        west, south, east, north = shape.bounds
        near = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north) & (names == "")
        if east == 180:  # 180 degrees are -180 here
            near |= (lon == -180) & (lat >= south) & (lat <= north) & (names == "")
        rows = np.flatnonzero(near)
        if len(rows):
            shapely.prepare(shape)
            x, y = lon[rows], lat[rows]
            held_here = shapely.intersects_xy(shape, x, y)
            held_here |= shapely.intersects_xy(shape, np.where(x == -180, 180, x), y)
            names[rows[held_here]] = name
    return names


def nearest_countries(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray[np.object_], Floats]:
    """Names (n,) of the countries whose coast or border is nearest, and its distance (n,), km."""
    tree, owners = _shore()
    chords, nearest = tree.query(unit_vectors(np.ravel(lon), np.ravel(lat)))
    names = np.array(load().names, object)[owners[nearest]]
    return names, arc(chords * MEAN_RADIUS_KM, MEAN_RADIUS_KM)


@cache
def _shore():
    """A tree of points along all outlines, and the number of each point's country."""
    from scipy.spatial import KDTree

    lines = shapely.segmentize(shapely.boundary(load().shapes), SPACING)
    points, owners = shapely.get_coordinates(lines, return_index=True)
    return KDTree(unit_vectors(*points.T)), owners


@cache
def coastlines() -> tuple[Floats, ...]:
    """Coasts as lines (k, 2) of lon and lat, degrees; shores of inland seas are among them."""
    return tuple(line for line, is_border in _lines() if not is_border)


@cache
def borders() -> tuple[Floats, ...]:
    """Borders between countries as lines (k, 2) of lon and lat, degrees, each once."""
    return tuple(line for line, is_border in _lines() if is_border)


def _lines() -> Iterator[tuple[Floats, bool]]:
    """Lines of all rings, divided where a coast becomes a border; cuts at 180 degrees left out."""
    rings = [
        (number, np.round(shapely.get_coordinates(ring) / STEP).astype(np.int64))
        for number, shape in enumerate(load().shapes)
        for ring in shapely.get_rings(shapely.get_parts(shape))
    ]
    keys = [_edges(ring) for _, ring in rings]
    owner = np.repeat([number for number, _ in rings], [len(k) for k in keys])
    _, first, which, counts = np.unique(
        np.concatenate(keys), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    which = which.ravel()
    shared, lower = counts[which] > 1, owner[first[which]] == owner
    start = 0
    for (_, ring), edges in zip(rings, keys, strict=True):
        here = slice(start, start + len(edges))
        start += len(edges)
        cut = _is_cut(ring)
        # 0: left out; 1: coast; 2: border, drawn by the country that comes first.
        kind = np.where(cut | (shared[here] & ~lower[here]), 0, 1 + shared[here])
        ends = np.flatnonzero(np.diff(kind)) + 1
        for i, j in zip([0, *ends], [*ends, len(kind)], strict=True):
            if kind[i]:
                line: Floats = ring[i : j + 1] * np.float64(STEP)
                yield line, bool(kind[i] == 2)


def _edges(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges (k, 4) of a ring, the same whichever way it goes."""
    a, b = ring[:-1], ring[1:]
    swapped = (a[:, 0] > b[:, 0]) | ((a[:, 0] == b[:, 0]) & (a[:, 1] > b[:, 1]))
    return np.where(swapped[:, None], np.hstack([b, a]), np.hstack([a, b]))


def _is_cut(ring: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether edges lie along the antimeridian or the South Pole, where no coast is."""
    edge, pole = round(180 / STEP), round(-90 / STEP)
    a, b = ring[:-1], ring[1:]
    meridian = (np.abs(a[:, 0]) == edge) & (a[:, 0] == b[:, 0])
    return meridian | ((a[:, 1] == pole) & (b[:, 1] == pole))
