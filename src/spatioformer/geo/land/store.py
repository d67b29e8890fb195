"""The bundled outlines of countries: polygons in whole steps of longitude and latitude.

The file holds differences of neighbouring vertices, because these are small and compress well.
`benchmarks/natural_earth.py` makes it from Natural Earth.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray

from spatioformer.common.files import writing

FILE = Path(__file__).with_name("countries.npz")
SHA256 = "22a6bde06540c0102bdb3811d5d5ccf4fc1c5c7203c25bbdfd5334fb606fef17"
"""Of the file. Fingerprints count code, so a new file makes stages run again by this line."""

STEP = 0.002
"""Step of the coordinates, degrees: 220 m."""


@dataclass(frozen=True)
class Countries:
    """Names of countries, ascending, and the outline of each: a MultiPolygon."""

    names: list[str]
    shapes: list[shapely.MultiPolygon]


def pack(countries: Countries, out: Path) -> None:
    """Write countries whose coordinates are whole numbers of steps."""
    polygons = [list(shapely.get_parts(shape)) for shape in countries.shapes]
    rings = [
        [np.round(shapely.get_coordinates(ring)[:-1]) for ring in shapely.get_rings(polygon)]
        for parts in polygons
        for polygon in parts
    ]
    lines = [line.astype(np.int32) for of_polygon in rings for line in of_polygon]
    first = np.array([line[0] for line in lines])
    steps = np.concatenate([np.diff(line, axis=0) for line in lines])
    wide = np.abs(steps).max(axis=1) > 32767
    with writing(out) as part, open(part, "wb") as stream:
        np.savez_compressed(
            stream,
            names=np.array(countries.names),
            polygons=np.array([len(parts) for parts in polygons], np.int16),
            rings=np.array([len(of_polygon) for of_polygon in rings], np.int16),
            vertices=np.array([len(line) for line in lines], np.int32),
            first=first,
            lon=np.where(wide, 0, steps[:, 0]).astype(np.int16),
            lat=np.where(wide, 0, steps[:, 1]).astype(np.int16),
            wide=np.flatnonzero(wide).astype(np.int32),
            wide_steps=steps[wide].astype(np.int32),
        )


@cache
def load() -> Countries:
    """The bundled countries, lon and lat in degrees."""
    with np.load(FILE, allow_pickle=False) as held:
        data = {name: held[name] for name in held.files}
    steps = np.column_stack([data["lon"], data["lat"]]).astype(np.int64)
    steps[data["wide"]] = data["wide_steps"]
    lines = _lines(data["first"], steps, data["vertices"])
    rings = [shapely.LinearRing(line * STEP) for line in lines]
    ends = np.cumsum(data["rings"])
    polygons = [
        shapely.Polygon(rings[end - count], rings[end - count + 1 : end])
        for end, count in zip(ends, data["rings"], strict=True)
    ]
    last = np.cumsum(data["polygons"])
    shapes = [
        shapely.MultiPolygon(polygons[end - count : end])
        for end, count in zip(last, data["polygons"], strict=True)
    ]
    return Countries([str(name) for name in data["names"]], shapes)


def _lines(
    first: NDArray[np.int32], steps: NDArray[np.int64], vertices: NDArray[np.int32]
) -> list[NDArray[np.int64]]:
    ends = np.cumsum(vertices - 1)
    return [
        start
        + np.concatenate([np.zeros((1, 2), np.int64), np.cumsum(steps[e - n + 1 : e], axis=0)])
        for start, e, n in zip(first, ends, vertices, strict=True)
    ]
