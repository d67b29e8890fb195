"""STAC metadata of a map: an item and its collection, as JSON.

STAC 1.0.0 with the extensions projection 1.1.0, raster 1.1.0 and machine learning model 1.4.0.
Reproducible bytes: no timestamps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.warp import transform_geom

from spatioformer.common.files import write_json
from spatioformer.common.version import __version__
from spatioformer.geo.grid import LONLAT
from spatioformer.models.base import Model

STAC = "1.0.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
]
MODEL_EXTENSION = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
COG = "image/tiff; application=geotiff; profile=cloud-optimized"
JSON, GEOJSON = "application/json", "application/geo+json"
UP = ("collection", "parent", "root")
BEGIN, END = "start_datetime", "end_datetime"


def write_catalogue(
    out: Path, files: Mapping[Path, Sequence[str]], model: Model, model_id: str, year: int
) -> tuple[Path, Path]:
    """Write NAME.item.json and NAME.collection.json beside a map.

    Args:
        files: the map's files and the layers in each.
        model_id: hash of the model.
        year: year of the imagery.

    Raises:
        OutputError: they cannot be written.
    """
    item, collection = _item_path(out), out.with_name(f"{out.stem}.collection.json")
    entry = _map_item(out, files, model, model_id, year)
    description = (
        f"{_target(model)}, mapped by spatioformer {__version__}; the item says for which plot "
        "size, with which model and for which year"
    )
    _write_collection(collection, out.stem, description, {item: entry})
    return item, collection


def write_series(
    folder: Path, maps: dict[int, Path], trend: Path, model: Model, model_id: str
) -> Path:
    """Write an item beside each year's map and beside their trend, and FOLDER/collection.json.

    Args:
        maps: year -> map, one file with all layers.
        trend: raster written by `years.trend`.

    Raises:
        OutputError: they cannot be written.
    """
    items = {
        _item_path(path): _map_item(path, {path: ()}, model, model_id, year)
        for year, path in maps.items()
    }
    trend_item = _item(trend, {"trend": trend}, (min(maps), max(maps)), _trend_test(trend))
    trend_item["links"] = [
        {"rel": "derived_from", "href": f"./{path.name}", "type": GEOJSON} for path in items
    ]
    description = (
        f"{_target(model)}, mapped year by year by spatioformer {__version__}, and its trend; the "
        "items say for which plot size, with which model and for which year"
    )
    collection = folder / "collection.json"
    _write_collection(
        collection, folder.absolute().name, description, items | {_item_path(trend): trend_item}
    )
    return collection


def _item_path(raster: Path) -> Path:
    return raster.with_name(f"{raster.stem}.item.json")


def _target(model: Model) -> str:
    return model.facts.get("target", "plant species richness")


def _map_item(
    out: Path, files: Mapping[Path, Sequence[str]], model: Model, model_id: str, year: int
) -> dict[str, Any]:
    """STAC item of a map, without links; arguments as in `write_catalogue`."""
    assets = {"map" if len(files) == 1 else layers[0]: path for path, layers in files.items()}
    grain = {"spatioformer:grain": model.facts.get("grain", "plot size not stated")}
    item = _item(out, assets, (year, year), grain | _model(model, model_id))
    item["stac_extensions"].append(MODEL_EXTENSION)
    return item | {"id": f"{out.stem}-{year}"}


def _item(
    out: Path, assets: dict[str, Path], years: tuple[int, int], properties: dict[str, Any]
) -> dict[str, Any]:
    """STAC item of rasters on one grid, from the start of the first year to the end of the last."""
    with rasterio.open(next(iter(assets.values()))) as source:
        outline, bbox = _outline(source)
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


def _trend_test(trend: Path) -> dict[str, Any]:
    """Properties of the trend's test, from the raster's tags."""
    with rasterio.open(trend) as source:
        tags = source.tags()
    names = ("GRAIN", "FALSE_DISCOVERY_RATE", "P_THRESHOLD", "LEAST_YEARS", "AUTOCORRELATION")
    return {f"spatioformer:{name.lower()}": tags[name] for name in names if name in tags}


def _outline(source) -> tuple[dict[str, Any], list[float]]:
    """Outline of the raster in degrees, with 8 points a side, and its bounding box.

    Over the antimeridian, the outline is cut at 180 degrees, and the west of the box is larger than
    its east (RFC 7946, 3.1.9 and 5.2).
    """
    steps, h, w = 8, source.height, source.width
    along = [i / steps for i in range(steps)]
    corners = [
        *((t * w, 0) for t in along),
        *((w, t * h) for t in along),
        *((w - t * w, h) for t in along),
        *((0, h - t * h) for t in along),
        (0, 0),
    ]
    ring = [tuple(source.transform @ corner) for corner in corners]
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


def _model(model: Model, model_id: str) -> dict[str, Any]:
    """Properties of the machine learning model extension."""
    side, bands = model.patch, list(model.bands)
    return {
        "mlm:name": model.name,
        "mlm:architecture": model.architecture,
        "mlm:tasks": ["regression"],
        "mlm:framework": model.framework,
        **({"mlm:total_parameters": model.parameters} if model.parameters else {}),
        "mlm:hyperparameters": {"spatioformer:model_id": model_id},
        "mlm:input": [
            {
                "name": "chips of imagery",
                "bands": bands,
                "input": {
                    "shape": [-1, side, side, len(bands)],
                    "dim_order": ["batch", "height", "width", "bands"],
                    "data_type": "float32",
                },
            }
        ],
        "mlm:output": [
            {
                "name": _target(model),
                "tasks": ["regression"],
                "result": {"shape": [-1], "dim_order": ["batch"], "data_type": "float32"},
            }
        ],
    }


def _write_collection(
    path: Path, name: str, description: str, items: dict[Path, dict[str, Any]]
) -> None:
    """Write the items, each with a link to the collection, and the collection."""
    for file, item in items.items():
        up = [{"rel": rel, "href": f"./{path.name}", "type": JSON} for rel in UP]
        write_json(file, item | {"collection": name, "links": up + item["links"]})
    boxes = np.array([item["bbox"] for item in items.values()])
    boxes[:, 2] += 360 * (boxes[:, 2] < boxes[:, 0])  # over the antimeridian
    west, south = (float(edge) for edge in boxes[:, :2].min(0))
    east, north = (float(edge) for edge in boxes[:, 2:].max(0))
    if east > 180:
        west, east = (west, east - 360) if east - west < 360 else (-180.0, 180.0)
    times = [item["properties"] for item in items.values()]
    begin, end = (pick(t[k] for t in times) for pick, k in ((min, BEGIN), (max, END)))
    write_json(
        path,
        {
            "type": "Collection",
            "stac_version": STAC,
            "id": name,
            "description": description,
            "license": "proprietary",
            "extent": {
                "spatial": {"bbox": [[west, south, round(east, 6), north]]},
                "temporal": {"interval": [[begin, end]]},
            },
            "links": [{"rel": "item", "href": f"./{file.name}", "type": GEOJSON} for file in items],
        },
    )
