"""Where an item lies: bounds and footprints, across the antimeridian too."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import shapely

from spatioformer.archives.catalogues.query import RawItem
from spatioformer.archives.items import Bounds

HALF = 180.0
"""Degrees: an outline wider than this is one that crosses the antimeridian, drawn the wrong way."""


def bounds_of(raw: RawItem) -> Bounds:
    """Bounds (W, S, E, N) of an item, W > E across the antimeridian.

    Raises:
        ValueError, TypeError: it has no place.
    """
    box = raw.get("bbox")
    if not box and raw.get("geometry"):
        box = shapely.from_geojson(_text(raw["geometry"])).bounds
    west, south, east, north = (float(x) for x in _flat(box))
    if not (-90 <= south <= north <= 90 and max(abs(west), abs(east)) <= 360):
        raise ValueError(f"bbox {box} is not in degrees")
    if 0 <= west <= east and west < HALF < east:
        return west, south, east - 360, north
    if west < -HALF and east < 0:
        return west + 360, south, east, north
    if east - west > HALF and raw.get("geometry"):
        lon = _longitudes(raw["geometry"])
        # A scene at the antimeridian, neither half the globe nor all of it.
        if 90 < np.abs(lon).min(initial=HALF) < HALF:
            return float(lon[lon > 0].min()), south, float(lon[lon < 0].max()), north
    return west, south, east, north


def touching(raws: Sequence[RawItem], boxes: Iterable[Bounds]) -> np.ndarray:
    """Which items have a footprint that shares an area with one of the boxes: bool (n,)."""
    area = shapely.union_all([shapely.box(*box) for box in boxes])
    outlines = np.array([_outline(raw) for raw in raws], dtype=object)
    shapely.prepare(area)
    # Across the antimeridian an outline reaches beyond 180 degrees, the boxes never do.
    hit: np.ndarray = np.zeros(len(raws), bool)
    for turn in (0, -360, 360):
        moved = shapely.transform(outlines, partial(np.add, (turn, 0)))
        hit |= shapely.intersects(area, moved) & ~shapely.touches(area, moved)
    return hit


def _outline(raw: RawItem) -> Any:
    """The footprint, perhaps beyond 180 degrees; the bounds of an item that has none."""
    west, south, east, north = bounds_of(raw)
    box = shapely.box(west, south, east + 360 * (west > east), north)
    if not raw.get("geometry"):
        return box
    geometry = shapely.from_geojson(_text(raw["geometry"]))
    if west > east:
        geometry = shapely.transform(geometry, _eastward)
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    # A point or a line says less than the bounds.
    return geometry if shapely.area(geometry) > 0 else box


def _eastward(xy: np.ndarray) -> np.ndarray:
    return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])


def _longitudes(geometry: Any) -> np.ndarray:
    lon: np.ndarray = shapely.get_coordinates(shapely.from_geojson(_text(geometry)))[:, 0]
    return lon


def _text(geometry: Any) -> str:
    import json

    return json.dumps(geometry)


def _flat(box: Any) -> tuple[Any, ...]:
    """The four numbers of a box that may have heights."""
    return tuple(box) if len(box) == 4 else (box[0], box[1], box[3], box[4])
