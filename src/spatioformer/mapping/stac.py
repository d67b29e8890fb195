"""STAC metadata of a map: an item and its collection, as JSON.

STAC 1.0.0 with the extensions projection 1.1.0, raster 1.1.0 and machine learning model 1.4.0.
Reproducible bytes: no timestamps.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from spatioformer.common.files import write_json
from spatioformer.common.version import __version__
from spatioformer.geo.stac import BEGIN, END, GEOJSON, STAC, raster_item
from spatioformer.models.base import Model

MODEL_EXTENSION = "https://stac-extensions.github.io/mlm/v1.4.0/schema.json"
JSON = "application/json"
UP = ("collection", "parent", "root")


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
    _write_collection(collection, out.stem, description, {item: entry}, _licence(model))
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
    trend_item = raster_item(trend, {"trend": trend}, (min(maps), max(maps)), _trend_test(trend))
    trend_item["links"] = [
        {"rel": "derived_from", "href": f"./{path.name}", "type": GEOJSON} for path in items
    ]
    description = (
        f"{_target(model)}, mapped year by year by spatioformer {__version__}, and its trend; the "
        "items say for which plot size, with which model and for which year"
    )
    collection = folder / "collection.json"
    _write_collection(
        collection,
        folder.absolute().name,
        description,
        items | {_item_path(trend): trend_item},
        _licence(model),
    )
    return collection


def _item_path(raster: Path) -> Path:
    return raster.with_name(f"{raster.stem}.item.json")


def _licence(model: Model) -> str:
    """Licence of the map, from the configuration of the model's run; STAC's word for none."""
    return model.facts.get("licence") or "proprietary"


def _target(model: Model) -> str:
    return model.facts.get("target", "plant species richness")


def _map_item(
    out: Path, files: Mapping[Path, Sequence[str]], model: Model, model_id: str, year: int
) -> dict[str, Any]:
    """STAC item of a map, without links; arguments as in `write_catalogue`."""
    assets = {"map" if len(files) == 1 else layers[0]: path for path, layers in files.items()}
    with rasterio.open(next(iter(files))) as source:
        grain = {"spatioformer:grain": source.tags()["GRAIN"]}
    item = raster_item(out, assets, (year, year), grain | _model(model, model_id), of_values=True)
    item["stac_extensions"].append(MODEL_EXTENSION)
    if doi := model.facts.get("plots_doi"):
        href = f"https://doi.org/{doi}"
        item["links"].append({"rel": "derived_from", "href": href, "title": "plots of the model"})
    return item | {"id": f"{out.stem}-{year}"}


def _trend_test(trend: Path) -> dict[str, Any]:
    """Properties of the trend's test, from the raster's tags."""
    with rasterio.open(trend) as source:
        tags = source.tags()
    names = ("GRAIN", "FALSE_DISCOVERY_RATE", "P_THRESHOLD", "LEAST_YEARS", "AUTOCORRELATION")
    return {f"spatioformer:{name.lower()}": tags[name] for name in names if name in tags}


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
    path: Path, name: str, description: str, items: dict[Path, dict[str, Any]], licence: str
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
            "license": licence,
            "extent": {
                "spatial": {"bbox": [[west, south, round(east, 6), north]]},
                "temporal": {"interval": [[begin, end]]},
            },
            "links": [{"rel": "item", "href": f"./{file.name}", "type": GEOJSON} for file in items],
        },
    )
