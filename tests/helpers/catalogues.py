"""Catalogues for tests: one set of items as a STAC API, a static catalogue, a table, or a folder.

items = [scene("a", "2020-03-01", (10, 40, 11, 41))]
with stac_api(items) as url:                     a real server, `rustac serve`
static_catalogue(folder, items)                  path of its catalog.json
stac_geoparquet(path, items)
index_file(path, tiles)                          the layout of AlphaEarth
"""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from spatioformer.archives.remote import Access
from spatioformer.config.archives import SourceSection

Box = tuple[float, float, float, float]
BANDS = ("blue", "green", "red", "nir08", "swir16", "swir22")
COLLECTION = "landsat-c2-l2"


def scene(
    name: str,
    day: str,
    box: Box,
    *,
    cloud: float | None = 10.0,
    bands: Sequence[str] = (*BANDS, "qa_pixel", "qa_radsat"),
    root: str = "https://files.example.org",
    collection: str = COLLECTION,
    **properties: Any,
) -> dict[str, Any]:
    """A Landsat scene as a STAC item: box (W, S, E, N), W > E across the antimeridian."""
    west, south, east, north = box
    shown = {
        "datetime": f"{day}T01:30:00Z",
        "platform": "landsat-8",
        "proj:epsg": 32633,
        "proj:transform": [30.0, 0.0, 500000.0, 0.0, -30.0, 4600000.0],
        "proj:shape": [1000, 1200],
        **properties,
    }
    if cloud is not None:
        shown["eo:cloud_cover"] = cloud
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [],
        "id": name,
        "collection": collection,
        "bbox": [west, south, east, north],
        "geometry": outline(box),
        "properties": shown,
        "links": [],
        "assets": {key: {"href": f"{root}/{name}_{key}.tif", "roles": ["data"]} for key in bands},
    }


def outline(box: Box) -> dict[str, Any]:
    """The GeoJSON of a box, in two parts where it crosses the antimeridian."""
    west, south, east, north = box
    parts = [(west, east)] if west < east else [(west, 180.0), (-180.0, east)]
    rings = [[[(w, south), (e, south), (e, north), (w, north), (w, south)]] for w, e in parts]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": [[list(p) for p in rings[0][0]]]}
    return {
        "type": "MultiPolygon",
        "coordinates": [[[list(p) for p in ring[0]]] for ring in rings],
    }


def source(collection: str = COLLECTION, **values: Any) -> SourceSection:
    """A source of the configuration."""
    return SourceSection(**({"name": "ls", "collection": collection, "years": (2020,)} | values))


def access_to(cache: Path, *hosts: str, **values: Any) -> Access:
    """Access to loopback and further hosts, with short waits."""
    values = {"attempts": 2, "timeout": 5.0, "owner": "imagery.sources[0]"} | values
    return Access(hosts=("127.0.0.1", *hosts), cache=cache, **values)


@contextlib.contextmanager
def stac_api(items: Sequence[dict[str, Any]], folder: Path) -> Iterator[str]:
    """A real STAC API on loopback with these items; yields its address.

    Args:
        folder: where the items are written for the server.
    """
    path = folder / "items.ndjson"
    path.write_text("\n".join(json.dumps(item) for item in items))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    program = Path(sys.executable).with_name("rustac")
    server = subprocess.Popen(
        [program, "serve", "--create-collections", "-a", host, path],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(f"http://{host}", server)
        yield f"http://{host}"
    finally:
        server.terminate()
        server.wait()


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "rustac serve ended"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("rustac serve does not answer")


def static_catalogue(folder: Path, items: Sequence[dict[str, Any]]) -> Path:
    """A tree of JSON documents with relative links: catalog.json, a collection each, its items."""
    children = []
    for name in sorted({str(item["collection"]) for item in items}):
        own = [item for item in items if item["collection"] == name]
        for item in own:
            links = [{"rel": "collection", "href": "collection.json"}]
            _write(folder / name / f"{item['id']}.json", {**item, "links": links})
        _write(folder / name / "collection.json", _collection(name, own))
        children.append({"rel": "child", "href": f"{name}/collection.json"})
    root = {"type": "Catalog", "stac_version": "1.0.0", "id": "root", "description": "Test"}
    return _write(folder / "catalog.json", {**root, "links": children})


def _collection(name: str, items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    days = sorted(item["properties"]["datetime"] for item in items)
    boxes = [[-180, -90, 180, 90]]
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "Test",
        "license": "other",
        "extent": {"spatial": {"bbox": boxes}, "temporal": {"interval": [[days[0], days[-1]]]}},
        "links": [{"rel": "item", "href": f"{item['id']}.json"} for item in items],
    }


def _write(path: Path, value: dict[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def stac_geoparquet(path: Path, items: Sequence[dict[str, Any]]) -> Path:
    """A stac-geoparquet file as rustac writes it."""
    import rustac

    async def write() -> None:
        await rustac.write(str(path), {"type": "FeatureCollection", "features": list(items)})

    asyncio.run(write())
    return path


def index_file(path: Path, tiles: Sequence[dict[str, Any]]) -> Path:
    """An index with a row a tile: path, year, crs, utm and wgs84 bounds."""
    pq.write_table(pa.Table.from_pylist(list(tiles)), path)
    return path
