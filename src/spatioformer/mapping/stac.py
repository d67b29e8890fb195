"""A map's entry in a catalogue: a STAC item and the collection it belongs to, as JSON.

STAC 1.0.0 with the extensions projection 1.1.0, raster 1.1.0 and machine learning model 1.4.0.
Nothing in them depends on when they were written.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rasterio
from pyproj import CRS
from rasterio.warp import transform_geom

from spatioformer import __version__
from spatioformer.bundle import TrainedModel
from spatioformer.files import write_json
from spatioformer.geo.grid import LONLAT

STAC = "1.0.0"
EXTENSIONS = [
    "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
    "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    "https://stac-extensions.github.io/mlm/v1.4.0/schema.json",
]
COG = "image/tiff; application=geotiff; profile=cloud-optimized"


def write_catalogue(
    out: Path, files: dict[Path, Sequence[str]], bundle: TrainedModel, model_id: str, year: int
) -> tuple[Path, Path]:
    """Write NAME.item.json and NAME.collection.json beside a map.

    Args:
        files: the map's files and the layers in each.
        model_id: identity of the model.
        year: the imagery's year, which the map holds for.

    Raises:
        OutputError: they cannot be written.
    """
    item, collection = (out.with_name(f"{out.stem}.{w}.json") for w in ("item", "collection"))
    entry = _item(out, files, bundle, model_id, year)
    entry["links"] = _links(collection, "collection", "parent", "root")
    write_json(item, entry)
    write_json(collection, _collection(out, entry, bundle, item))
    return item, collection


def _item(out: Path, files, bundle: TrainedModel, model_id: str, year: int) -> dict[str, Any]:
    first = next(iter(files))
    with rasterio.open(first) as source:
        outline = _outline(source)
        lons, lats = zip(*outline["coordinates"][0], strict=True)
        epsg = CRS.from_user_input(source.crs).to_epsg()
        place = {
            "proj:epsg": epsg,
            "proj:shape": list(source.shape),
            "proj:transform": list(source.transform)[:6],
        }
        if epsg is None:
            place["proj:wkt2"] = CRS.from_user_input(source.crs).to_wkt()
    return {
        "type": "Feature",
        "stac_version": STAC,
        "stac_extensions": EXTENSIONS,
        "id": f"{out.stem}-{year}",
        "collection": out.stem,
        "geometry": outline,
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": {
            "datetime": None,
            "start_datetime": f"{year}-01-01T00:00:00Z",
            "end_datetime": f"{year}-12-31T23:59:59Z",
            "spatioformer:grain": bundle.facts.get("grain", "plot size not stated"),
            "spatioformer:version": __version__,
            **place,
            **_model(bundle, model_id),
        },
        "assets": {
            "map" if len(files) == 1 else layers[0]: {
                "href": f"./{path.name}",
                "type": COG,
                "roles": ["data"],
                "raster:bands": _bands(path),
            }
            for path, layers in files.items()
        },
    }


def _outline(source) -> dict[str, Any]:
    """The raster's outline in degrees, a GeoJSON polygon; its edges bend with the projection."""
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
    rounded = [[round(x, 6), round(y, 6)] for x, y in degrees["coordinates"][0]]
    return {"type": "Polygon", "coordinates": [rounded]}


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


def _model(bundle: TrainedModel, model_id: str) -> dict[str, Any]:
    """What the machine learning model extension asks for."""
    side, bands = bundle.patch, list(bundle.bands)
    return {
        "mlm:name": bundle.name,
        "mlm:architecture": bundle.architecture,
        "mlm:tasks": ["regression"],
        "mlm:framework": bundle.framework,
        **({"mlm:total_parameters": bundle.parameters} if bundle.parameters else {}),
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
                "name": bundle.facts.get("target", "plant species richness"),
                "tasks": ["regression"],
                "result": {"shape": [-1], "dim_order": ["batch"], "data_type": "float32"},
            }
        ],
    }


def _collection(
    out: Path, item: dict[str, Any], bundle: TrainedModel, path: Path
) -> dict[str, Any]:
    properties = item["properties"]
    target = bundle.facts.get("target", "plant species richness")
    return {
        "type": "Collection",
        "stac_version": STAC,
        "id": item["collection"],
        "description": f"{target}, mapped by spatioformer {__version__}; the item says for which "
        "plot size, with which model and for which year",
        "license": "proprietary",
        "extent": {
            "spatial": {"bbox": [item["bbox"]]},
            "temporal": {"interval": [[properties["start_datetime"], properties["end_datetime"]]]},
        },
        "links": [{"rel": "item", "href": f"./{path.name}", "type": "application/geo+json"}],
    }


def _links(path: Path, *relations: str) -> list[dict[str, str]]:
    return [
        {"rel": name, "href": f"./{path.name}", "type": "application/json"} for name in relations
    ]
