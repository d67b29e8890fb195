"""Where an item lies: bounds and footprints, across the antimeridian too."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import shapely

from spatioformer.archives.catalogues.query import RawItem
from spatioformer.archives.items import Bounds

SLACK = 0.01
"""Degrees by which a footprint may reach beyond a bbox that was rounded."""
HALF = 180.0
"""Degrees: an outline wider than this is one that crosses the antimeridian, drawn the wrong way."""


def bounds_of(raw: RawItem) -> Bounds:
    """Bounds (W, S, E, N) of an item, W > E across the antimeridian.

    A bbox that leaves out part of the footprint is enlarged by it, since what lies outside the
    bounds is never read.

    Raises:
        ValueError, TypeError: it has no place, or its bbox lies apart from its footprint.
    """
    return _bounds(raw, _shape(raw))


def _bounds(raw: RawItem, shape: Any) -> Bounds:
    """Bounds of an item with this footprint, or None."""
    box, drawn = raw.get("bbox"), _drawn(shape)
    if not box or (
        drawn is not None and tuple(box[: len(box) // 2]) == tuple(box[len(box) // 2 :])
    ):
        box = None if shape is None else shape.bounds
    stated = _stated(box, shape)
    if drawn is None or _holds(stated, drawn):
        return stated
    if stated[0] > stated[2]:
        return drawn  # east and west are exchanged, since the footprint lies on one side
    (west, south, east, north), (left, low, right, high) = stated, drawn
    if max(west, left) > min(east, right) or max(south, low) > min(north, high):
        raise ValueError(
            f"the bbox {list(stated)} of {str(raw.get('id'))[:60]} lies apart from its footprint, "
            f"{[round(x, 4) for x in drawn]}"
        )
    return min(west, left), min(south, low), max(east, right), max(north, high)


def _shape(raw: RawItem) -> Any:
    """The footprint as it is written; None without any.

    Raises:
        ValueError: it is no GeoJSON.
    """
    if not raw.get("geometry"):
        return None
    try:
        return shapely.from_geojson(json.dumps(raw["geometry"]))
    except shapely.errors.ShapelyError as error:
        raise ValueError(f"the geometry of {str(raw.get('id'))[:60]} is no GeoJSON") from error


def _drawn(shape: Any) -> Bounds | None:
    """Bounds of a footprint with an area that keeps away from the antimeridian; None for others."""
    if shape is None:
        return None
    west, south, east, north = shape.bounds
    if not (-HALF < west < east < HALF and south < north and east - west < HALF):
        return None
    return west, south, east, north


def _holds(box: Bounds, other: Bounds) -> bool:
    """Whether a box, W > E across the antimeridian, holds another one but for a little."""
    west, south, east, north = box
    shift = 360.0 * (other[0] < west - SLACK) if west > east else 0.0
    return (
        west - SLACK <= other[0] + shift
        and other[2] + shift <= east + 360 * (west > east) + SLACK
        and south - SLACK <= other[1]
        and other[3] <= north + SLACK
    )


def _stated(box: Any, shape: Any) -> Bounds:
    """Bounds of a bbox in degrees; the footprint decides where the bbox is drawn the wrong way.

    Raises:
        ValueError, TypeError: it is none.
    """
    west, south, east, north = (float(x) for x in _flat(box))
    if not (-90 <= south <= north <= 90 and max(abs(west), abs(east)) <= 360):
        raise ValueError(f"bbox {box} is not in degrees")
    if 0 <= west <= east and west < HALF < east:
        return west, south, east - 360, north
    if west < -HALF and east < 0:
        return west + 360, south, east, north
    if east - west > HALF and shape is not None:
        lon: np.ndarray = shapely.get_coordinates(shape)[:, 0]
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
    geometry = _shape(raw)
    west, south, east, north = _bounds(raw, geometry)
    box = shapely.box(west, south, east + 360 * (west > east), north)
    if geometry is None:
        return box
    if west > east:
        geometry = shapely.transform(geometry, _eastward)
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    # A point or a line says less than the bounds.
    return geometry if shapely.area(geometry) > 0 else box


def _eastward(xy: np.ndarray) -> np.ndarray:
    return np.column_stack([np.where(xy[:, 0] < 0, xy[:, 0] + 360, xy[:, 0]), xy[:, 1]])


def _flat(box: Any) -> tuple[Any, ...]:
    """The four numbers of a box that may have heights."""
    return tuple(box) if len(box) == 4 else (box[0], box[1], box[3], box[4])
