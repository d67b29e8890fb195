"""Zonal statistics of one or two polygons that a user draws."""

import csv
import io
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from scipy.special import ndtri
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from spatioformer.analysis.zonal import QUANTILES, summarise
from spatioformer.analysis.zonal_difference import difference
from spatioformer.common.errors import PlotError
from spatioformer.geo.vector import zones
from spatioformer.viewer.rasters import Raster
from spatioformer.viewer.run import ViewedRun

MOST_VERTICES = 100_000
MOST_PIXELS = 20_000_000
"""Largest number of pixels of a polygon; more would take many seconds."""

COLUMNS = ("mean", "lower", "upper", "sd", "area_km2", "mapped_km2", "pixels", "share_applies")


def polygons_of(geometries: list[Any]) -> gpd.GeoDataFrame:
    """Polygons of GeoJSON geometries, in degrees.

    Raises:
        PlotError: not one or two polygons, a place not on Earth, or too many vertices.
    """
    if not 1 <= len(geometries) <= 2:
        raise PlotError(f"give one or two polygons, not {len(geometries)}")
    vertices = sum(_vertices(geometry) for geometry in geometries)
    if vertices > MOST_VERTICES:
        raise PlotError(
            f"the polygons have {vertices:,} vertices, more than {MOST_VERTICES:,}; simplify them, "
            "or use `spatioformer zonal`"
        )
    shapes = [_polygon(geometry, number) for number, geometry in enumerate(geometries, start=1)]
    return gpd.GeoDataFrame(geometry=shapes, crs="EPSG:4326")


def _vertices(geometry: Any) -> int:
    """Number of vertices of a GeoJSON polygon, counted before anything is made of them."""
    parts = geometry.get("coordinates") if isinstance(geometry, dict) else None
    if isinstance(parts, list) and geometry.get("type") == "MultiPolygon":
        parts = [ring for part in parts if isinstance(part, list) for ring in part]
    return sum(len(ring) for ring in parts or () if isinstance(ring, list))


def _polygon(geometry: Any, number: int) -> BaseGeometry:
    what = geometry.get("type") if isinstance(geometry, dict) else None
    if what not in ("Polygon", "MultiPolygon"):
        raise PlotError(f"geometry {number} is no GeoJSON Polygon or MultiPolygon; draw a polygon")
    try:
        polygon = shape(geometry)
        places = shapely.get_coordinates(polygon)
    except Exception as error:  # shapely raises whatever the content leads to
        raise PlotError(
            f"polygon {number} has coordinates that make no polygon; draw it again"
        ) from error
    if polygon.is_empty:
        raise PlotError(f"polygon {number} is empty; draw it again")
    on_earth = (np.abs(places) <= (540, 90)).all() and np.isfinite(places).all()
    if not on_earth:
        raise PlotError(
            f"polygon {number} has a vertex that is not on Earth; give longitude and latitude in "
            "degrees"
        )
    return polygon


def zonal(run: ViewedRun, geometries: list[Any], year: int | None) -> dict[str, Any]:
    """Content of `zonal.json`.

    Args:
        geometries: one or two GeoJSON polygons.
        year: of the map; None: the run's own map.

    Raises:
        PlotError: polygons that cannot be used.
        ImageryError: the map cannot be read.
    """
    polygons = polygons_of(geometries)
    raster = run.map_of(year)
    assert raster is not None  # the caller has checked the year
    _check_size(polygons, raster)
    has_interval = {"lower", "upper"} <= raster.bands.keys()
    correlation = run.correlation if has_interval else None
    table = summarise(raster.path, polygons, correlation)
    table["share_applies"] = np.nan
    if "inside" in raster.bands:
        bands = {"mean": raster.bands["inside"]}
        table["share_applies"] = summarise(raster.path, polygons, bands=bands)["mean"]
    if correlation is None:
        table = table.assign(lower=np.nan, upper=np.nan, half_width=np.nan)
    # The interval of a mean is symmetric and normal but for its cut at 0.
    table["sd"] = table["half_width"] / ndtri((1 + run.level) / 2)
    apart = None
    if len(polygons) == 2 and correlation is not None:
        apart = difference(raster.path, table, correlation)
    elif len(polygons) == 2:
        apart = {"mean": float(table["mean"].iloc[0] - table["mean"].iloc[1])}
    return {
        "zones": [_zone(row) for row in table.to_dict("records")],
        "difference": apart,
        "note": " ".join(_notes(polygons, table, correlation is None)) or None,
    }


def _zone(row: dict[Any, Any]) -> dict[str, Any]:
    quantiles = [f"q{round(100 * q):02d}" for q in QUANTILES]
    zone = {name: float(row[name]) for name in (*COLUMNS, *quantiles)}
    return zone | {"pixels": int(row["pixels"]), "taken": str(row["taken"])}


def _check_size(polygons: gpd.GeoDataFrame, raster: Raster) -> None:
    for number, on_pixels in enumerate(zones.on_pixels(polygons.geometry, raster.grid), start=1):
        frame = shapely.box(0, 0, raster.grid.width, raster.grid.height)
        pixels = shapely.area(shapely.intersection(on_pixels, frame))
        if pixels > MOST_PIXELS:
            raise PlotError(
                f"polygon {number} has {pixels:,.0f} pixels, more than {MOST_PIXELS:,}; draw a "
                "smaller one, or use `spatioformer zonal`"
            )


def _notes(polygons: gpd.GeoDataFrame, table: gpd.GeoDataFrame, no_interval: bool) -> list[str]:
    notes = []
    for number, polygon in enumerate(polygons.geometry, start=1):
        if not polygon.is_valid:
            notes.append(
                f"Polygon {number} crosses or touches itself; its parts count once each, and holes "
                "stay holes."
            )
        if not table["pixels"].iloc[number - 1]:
            notes.append(f"Polygon {number} holds no predicted pixel: it lies outside the map.")
        elif table["taken"].iloc[number - 1] == "nearest":
            notes.append(f"Polygon {number} is smaller than a pixel; it has the pixel around it.")
    if no_interval:
        notes.append("The correlation of the map's errors is not known, so means have no interval.")
    return notes


def to_csv(answer: dict[str, Any]) -> str:
    """The answer of `zonal` as CSV: a row a polygon, and one of the difference."""
    quantiles = [f"q{round(100 * q):02d}" for q in QUANTILES]
    columns = ["zone", *COLUMNS, *quantiles]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, columns, restval="", extrasaction="ignore")
    writer.writeheader()
    rows = [{"zone": str(n), **zone} for n, zone in enumerate(answer["zones"], start=1)]
    if answer["difference"] is not None:
        rows.append({"zone": "1 less 2", **answer["difference"]})
    for row in rows:
        writer.writerow({key: _cell(value) for key, value in row.items()})
    return stream.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.6g}" if np.isfinite(value) else ""
    return value
