"""Search and plan 10,000 items of a real STAC API on loopback; the limit is 5 s.

The rival is pystac-client alone, which yields pystac's items, without footprints, duplicates, bands
or sizes. The floor is the same pages read as JSON.

    python -m benchmarks.archives_search [--items 10000]
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import requests
from pystac_client import Client
from tests.helpers.catalogues import (
    COLLECTION,
    access_to,
    scene,
    source,
    stac_api,
    stac_geoparquet,
)

from spatioformer.archives.collections import chosen_bands, collection_of
from spatioformer.archives.items import Item
from spatioformer.archives.plan import Places, amounts
from spatioformer.archives.search import search

SIDE = 7400  # pixels of a scene of 2 degrees
LIMIT = 5.0  # s, of the whole of search and plan
REGION = (0.0, 20.0, 35.0, 45.0)
DAYS = "2020-01-01T00:00:00Z/2020-12-31T23:59:59Z"


def synthetic(count: int) -> list[dict[str, Any]]:
    """Landsat scenes of one year on 200 places."""
    rng = np.random.default_rng(0)
    items = []
    for number in range(count):
        place, visit = number % 200, number // 200
        west, south = 20 * (place % 20) / 20, 35 + place // 20
        day = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(days=visit * 360 // (count // 200 + 1))
        name = f"LC08_L2SP_{place:03d}030_{day:%Y%m%d}_{day:%Y%m%d}_02_T1"
        box = (west, south, west + 2, south + 2)
        grid = {
            "proj:epsg": 4326,
            "proj:transform": [2 / SIDE, 0, west, 0, -2 / SIDE, south + 2],
            "proj:shape": [SIDE, SIDE],
        }
        cloud = float(rng.uniform(0, 100))
        items.append(scene(name, f"{day:%Y-%m-%d}", box, cloud=cloud, **grid))
    return items


def timed(task: Callable[[], Any], repeats: int = 2) -> tuple[tuple[float, float], Any]:
    """Shortest of some times, and the shortest CPU time of this process, s; and the result."""
    times, cpu = [], []
    for _ in range(repeats):
        start, own = time.perf_counter(), time.process_time()
        result = task()
        times.append(time.perf_counter() - start)
        cpu.append(time.process_time() - own)
    return (min(times), min(cpu)), result


def rival(url: str) -> int:
    """pystac-client's items; their number."""
    found = Client.open(url).search(
        collections=[COLLECTION], bbox=[0, 35, 20, 45], datetime=DAYS, limit=250
    )
    return len(list(found.items()))


def floor(url: str) -> int:
    """Pages as JSON; the number of items."""
    body: dict[str, Any] | None = {
        "collections": [COLLECTION],
        "bbox": [0, 35, 20, 45],
        "datetime": DAYS,
        "limit": 250,
    }
    count = 0
    with requests.Session() as session:
        while body is not None:
            page = json.loads(session.post(f"{url}/search", json=body, timeout=60).content)
            count += len(page["features"])
            body = next((link["body"] for link in page["links"] if link["rel"] == "next"), None)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=10_000)
    count = parser.parse_args().items
    rng = np.random.default_rng(1)
    plots = Places(rng.uniform(0, 20, 458), rng.uniform(35, 45, 458))

    def searched(kind: str, endpoint: str, cache: Path) -> list[Item]:
        section = source(kind=kind, endpoint=endpoint)
        return search(section, collection_of(section), REGION, 2020, access_to(cache, timeout=60.0))

    def plan(items: list[Item]) -> float:
        collection = collection_of(source())
        parts = (*chosen_bands(source(), collection), *collection.masks)
        return amounts(items, parts, REGION, plots)[0].pixels

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items = synthetic(count)
        table = str(stac_geoparquet(folder / "items.parquet", items))
        with stac_api(items, folder) as url:
            base, pages = timed(lambda: floor(url))
            other, pystac_items = timed(lambda: rival(url))
            caches = iter(range(100))
            api, found = timed(lambda: searched("stac-api", url, folder / f"c{next(caches)}"))
            again, same = timed(lambda: searched("stac-api", url, folder / "c0"))
        file, rows = timed(lambda: searched("stac-geoparquet", table, folder / "d"))
        sizes, pixels = timed(lambda: plan(found))
    assert pages == pystac_items == len(found) == len(rows) == len(same) == count
    print(f"{count:,} items, {pixels / 1e9:,.0f} Gpx planned, 458 plots")
    for label, (seconds, cpu) in (
        ("floor: the pages as JSON", base),
        ("pystac-client's items alone", other),
        ("search of the API", api),
        ("the same again, documents in the cache", again),
        ("search of a stac-geoparquet file", file),
        ("plan", sizes),
    ):
        ratio = seconds / base[0]
        print(f"{label:<42}{seconds:7.2f} s {ratio:6.2f} x the floor {cpu:7.2f} s of CPU")
    for word, i in (("elapsed", 0), ("CPU of this process", 1)):
        total = api[i] + sizes[i]
        verdict = "met" if total < LIMIT else "missed"
        print(f"search and plan, {word}: {total:.2f} s, limit {LIMIT:g} s: {verdict}")


if __name__ == "__main__":
    main()
