"""STAC items of rasters that we write: STAC 1.0.0, extensions projection 1.1.0 and raster 1.1.0.

Reproducible bytes: no timestamps.
"""

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.warp import transform_geom
from rasterio.windows import Window

from spatioformer.common.version import __version__
from spatioformer.geo.grid import LONLAT

STAC = "1.0.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
GEOJSON = "application/geo+json"
BEGIN, END = "start_datetime", "end_datetime"


def raster_item(
    out: Path,
    assets: dict[str, Path],
    years: tuple[int, int],
    properties: dict[str, Any],
    *,
    of_values: bool = False,
) -> dict[str, Any]:
    """STAC item of rasters on one grid, from the start of the first year to the end of the last.

    Args:
        out: raster after which the item is called.
        assets: file of each asset, beside the item.
        years: first and last year.
        properties: further properties.
        of_values: geometry and box are those of the pixels with values in the first band, not of
            the raster.

    Returns:
        The item as JSON, without links.
    """
    with rasterio.open(next(iter(assets.values()))) as source:
        window = _of_values(source) if of_values else None
        outline, bbox = _outline(source, window)
        epsg = CRS.from_user_input(source.crs).to_epsg()
        place: dict[str, Any] = {
            "proj:epsg": epsg,
            "proj:shape": list(source.shape),
            "proj:transform": list(source.transform)[:6],
        }
        if epsg is None:
            place["proj:wkt2"] = CRS.from_user_input(source.crs).to_wkt()
    first, last = years
    return {
        "type": "Feature",
        "stac_version": STAC,
        "stac_extensions": [*EXTENSIONS],
        "id": out.stem,
        "geometry": outline,
        "bbox": bbox,
        "properties": {
            "datetime": None,
            BEGIN: f"{first}-01-01T00:00:00Z",
            END: f"{last}-12-31T23:59:59Z",
            "spatioformer:version": __version__,
            **place,
            **properties,
        },
        "assets": {
            name: {
                "href": f"./{path.name}",
                "type": COG,
                "roles": ["data"],
                "raster:bands": _bands(path),
            }
            for name, path in assets.items()
        },
        "links": [],
    }


def _of_values(source) -> Window | None:
    """Smallest window with all values of the first band; None if it has no value."""
    rows, cols = np.zeros(source.height, bool), np.zeros(source.width, bool)
    for _, window in source.block_windows(1):
        valid = source.read_masks(1, window=window) > 0
        (top, bottom), (left, right) = window.toranges()
        rows[top:bottom] |= valid.any(axis=1)
        cols[left:right] |= valid.any(axis=0)
    if not rows.any():
        return None
    (top, bottom), (left, right) = (np.flatnonzero(known)[[0, -1]] for known in (rows, cols))
    return Window(int(left), int(top), int(right - left) + 1, int(bottom - top) + 1)


def _outline(source, window: Window | None = None) -> tuple[dict[str, Any], list[float]]:
    """Outline of the raster in degrees, with 8 points a side, and its bounding box.

    With `window`, that of a part of the raster.

    Over the antimeridian, the outline is cut at 180 degrees, and the west of the box is larger than
    its east (RFC 7946, 3.1.9 and 5.2).
    """
    whole = Window(0, 0, source.width, source.height)
    part = whole if window is None else window
    transform = source.window_transform(part)
    steps, h, w = 8, part.height, part.width
    along = [i / steps for i in range(steps)]
    corners = [
        *((t * w, 0) for t in along),
        *((w, t * h) for t in along),
        *((w - t * w, h) for t in along),
        *((0, h - t * h) for t in along),
        (0, 0),
    ]
    ring = [tuple(transform @ corner) for corner in corners]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    degrees = transform_geom(source.crs, LONLAT.to_wkt(), geometry)
    lons, lats = np.array(degrees["coordinates"][0])[:, :2].T
    lons = np.unwrap(lons, period=360)
    lons -= 360 * np.floor((lons.min() + 180) / 360)  # the west lies in [-180, 180)
    if abs(lons[-1] - lons[0]) > 1:  # round a pole
        pole = 90.0 if lats.mean() > 0 else -90.0
        south, north = min(lats.min(), pole), max(lats.max(), pole)
        lons = np.array([-180.0, -180.0, 180.0, 180.0, -180.0])
        lats = np.array([north, south, south, north, north])
    elif np.ptp(lons) >= 360 - 1e-9:
        lons = np.clip(lons, -180, 180) if lons.min() < -180 + 1e-9 else lons - lons.min() - 180
    rings = [_ring(lons, lats)]
    if lons.max() > 180 + 1e-9:
        rings = [_cut(lons, lats, 180.0, east=False), _cut(lons - 360, lats, -180.0, east=True)]
    west, east = float(lons.min()), float(lons.max())
    box = [west, float(lats.min()), east - 360 if len(rings) > 1 else east, float(lats.max())]
    coordinates = [[ring] for ring in rings]
    outline: dict[str, Any] = {"type": "Polygon", "coordinates": coordinates[0]}
    if len(rings) > 1:
        outline = {"type": "MultiPolygon", "coordinates": coordinates}
    return outline, [round(v, 6) for v in box]


def _ring(lons: np.ndarray, lats: np.ndarray) -> list[list[float]]:
    return [[round(float(x), 6), round(float(y), 6)] for x, y in zip(lons, lats, strict=True)]


def _cut(lons: np.ndarray, lats: np.ndarray, meridian: float, east: bool) -> list[list[float]]:
    """The part of a closed ring east or west of a meridian (Sutherland & Hodgman 1974)."""
    inside = (lons >= meridian) if east else (lons <= meridian)
    part: list[tuple[float, float]] = []
    for i in range(len(lons) - 1):
        if inside[i]:
            part.append((lons[i], lats[i]))
        if inside[i] != inside[i + 1]:
            share = (meridian - lons[i]) / (lons[i + 1] - lons[i])
            part.append((meridian, lats[i] + share * (lats[i + 1] - lats[i])))
    closed = np.array([*part, part[0]])
    return _ring(closed[:, 0], closed[:, 1])


def _bands(path: Path) -> list[dict[str, Any]]:
    with rasterio.open(path) as source:
        return [
            {
                "name": source.descriptions[i],
                "data_type": source.dtypes[i],
                "nodata": "nan" if source.dtypes[i] == "float32" else source.nodata,
                "scale": source.scales[i],
                "offset": source.offsets[i],
                **({"unit": source.units[i]} if source.units[i] else {}),
            }
            for i in range(source.count)
        ]
