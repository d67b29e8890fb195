"""What lies around a map: coasts, borders and names of places, bundled with the package."""

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from spatioformer.geo.land.countries import borders, coastlines
from spatioformer.geo.land.store import load
from spatioformer.report.ground import places

Floats = NDArray[np.float64]

MARGIN = 1.0
"""Width of the surroundings that are shown, as a share of the map's longer side."""

MOST_NAMES = 400


def to_json(bounds: tuple[float, float, float, float]) -> dict[str, Any]:
    """GeoJSON of polygons (`kind` land), lines (`kind` coast or border) and places (`kind` place,
    `name`, `rank`).

    Places come with the most important first; their rank counts from 1.

    Args:
        bounds: of the map, (W, S, E, N) in degrees; W > E where it crosses the antimeridian.
    """
    west, south, east, north = bounds
    east = east + 360 if east < west else east
    around = MARGIN * max(east - west, north - south, 1)
    box = (west - around, max(-90, south - around), east + around, min(90, north + around))
    features = [
        *_land(box),
        *_lines("coast", coastlines(), box),
        *_lines("border", borders(), box),
        *_names(box),
    ]
    return {"type": "FeatureCollection", "features": features}


def _land(box: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    """Land inside a box: countries as they are, whose borders are drawn over them."""
    size = max(box[2] - box[0], box[3] - box[1])
    every = shapely.get_parts(load().shapes)
    rings = []
    for turn in (-360, 0, 360):
        inside = shapely.clip_by_rect(every, box[0] - turn, box[1], box[2] - turn, box[3])
        inside = shapely.get_parts(inside[~shapely.is_empty(inside)])
        for part in shapely.simplify(inside, size / 4000):
            lines = [part.exterior, *part.interiors] if part.geom_type == "Polygon" else []
            moved = [np.round(shapely.get_coordinates(line) + (turn, 0), 4) for line in lines]
            if moved:
                rings.append([line.tolist() for line in moved])
    if not rings:
        return []
    geometry = {"type": "MultiPolygon", "coordinates": rings}
    return [{"type": "Feature", "properties": {"kind": "land"}, "geometry": geometry}]


def _lines(
    kind: str, lines: tuple[Floats, ...], box: tuple[float, float, float, float]
) -> list[dict[str, Any]]:
    """Lines inside a box, also where the box counts other turns of the Earth."""
    west, south, east, north = box
    step = max(east - west, north - south) / 4000
    every = np.array([shapely.LineString(line) for line in lines], object)
    parts: list[Any] = []
    for turn in (-360, 0, 360):
        inside = shapely.clip_by_rect(every, west - turn, south, east - turn, north)
        simple = shapely.simplify(inside[~shapely.is_empty(inside)], step)
        for part in shapely.get_parts(simple):
            parts.append(np.round(shapely.get_coordinates(part) + (turn, 0), 4).tolist())
    if not parts:
        return []
    geometry = {"type": "MultiLineString", "coordinates": parts}
    return [{"type": "Feature", "properties": {"kind": kind}, "geometry": geometry}]


def _names(box: tuple[float, float, float, float]) -> list[dict[str, Any]]:
    names, place = places()
    lon = np.where(place[:, 0] < box[0], place[:, 0] + 360, place[:, 0])
    lon = np.where(lon > box[2], lon - 360, lon)
    inside = (lon >= box[0]) & (lon <= box[2]) & (place[:, 1] >= box[1]) & (place[:, 1] <= box[3])
    return [
        {
            "type": "Feature",
            "properties": {"kind": "place", "name": names[row], "rank": rank},
            "geometry": {"type": "Point", "coordinates": [float(lon[row]), float(place[row, 1])]},
        }
        for rank, row in enumerate(np.flatnonzero(inside)[:MOST_NAMES].tolist(), start=1)
    ]
