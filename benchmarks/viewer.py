"""Times of the viewer's tiles under 50 clients, and of clicks; memory of the server.

    python -m benchmarks.viewer RUN            # a run folder, such as runs/demo
    python -m benchmarks.viewer RUN --large    # also with a map of 40,000 x 40,000 pixels

Each client asks for six tiles every three seconds, on six connections like a browser, and moves
about. The server's cache holds the tiles already. Clients and server share the machine.
"""

import argparse
import asyncio
import contextlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS
from rasterio.windows import Window

from spatioformer.common.files import read_json
from spatioformer.geo.grid import Grid
from spatioformer.geo.raster.cog import cog, cog_profile

CLIENTS, TILES, EVERY = 50, 6, 3.0
SETTLED = 20.0
"""Seconds after which the server's memory should stay the same."""

SIDE, FILLED = 40_000, 4096
CLICKS = 20
JOURNEYS = 10
"""Number of different journeys; each is taken by five clients."""


@contextlib.contextmanager
def server(run: Path) -> Iterator[tuple[int, int]]:
    """A server of a run in a process of its own: its port and process number."""
    command = [sys.executable, "-m", "spatioformer", "view", str(run), "--no-browser"]
    process = subprocess.Popen([*command, "--port", "0"], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if match := re.search(r"http://127\.0\.0\.1:(\d+)/", line):
                threading.Thread(target=process.stderr.read, daemon=True).start()
                yield int(match[1]), process.pid
                return
        raise SystemExit(f"no server of {run}")
    finally:
        process.terminate()
        process.wait(10)


async def get(port: int, paths: list[str]) -> list[tuple[int, bytes, float]]:
    """Status, body and seconds of requests one after the other on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answers = []
    for path in paths:
        began = time.perf_counter()
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        body = await reader.readexactly(int(length[1])) if length else b""
        answers.append((int(head.split()[1]), body, time.perf_counter() - began))
    writer.close()
    return answers


class Client:
    """A person who moves over the map: every few seconds a view of six tiles."""

    def __init__(self, port: int, facts: dict, number: int):
        self.port, self.facts = port, facts
        self.rng = np.random.default_rng(number % JOURNEYS)
        self.seconds: list[float] = []
        self.errors = 0

    def view(self) -> list[str]:
        west, south, east, north = self.facts["bounds"]
        zoom = int(self.rng.integers(max(0, self.facts["maxzoom"] - 4), self.facts["maxzoom"] + 1))
        layer = str(self.rng.choice(["mean", "width", "applies"]))
        names = {layer["id"] for layer in self.facts["layers"]}
        layer = layer if layer in names else "mean"
        lon = self.rng.normal((west + east) / 2, (east - west) / 24)
        lat = self.rng.normal((south + north) / 2, (north - south) / 24)
        x = int((lon + 180) / 360 * 2**zoom)
        y = int((1 - np.arctanh(np.sin(np.radians(lat))) / np.pi) / 2 * 2**zoom)
        last = 2**zoom - 1
        return [
            f"tiles/{layer}/all/{zoom}/{min(x + i, last)}/{min(y + j, last)}.png"
            for i in range(3)
            for j in range(2)
        ]

    async def run(self, views: list[list[str]], delay: float) -> None:
        await asyncio.sleep(delay)
        for view in views:
            began = time.perf_counter()
            answers = await asyncio.gather(*(get(self.port, [path]) for path in view))
            for [(status, _, seconds)] in answers:
                self.seconds.append(seconds)
                self.errors += status not in (200, 204)
            await asyncio.sleep(max(0.0, EVERY - (time.perf_counter() - began)))


def memory(pid: int) -> float:
    """Resident memory of a process, MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) / 1024  # type: ignore[index]


async def load(port: int, pid: int, seconds: float) -> dict[str, float]:
    """Percentiles of the time of a tile, errors, and growth of the server's memory."""
    facts = json.loads((await get(port, ["api/run.json"]))[0][1])
    clients = [Client(port, facts, number) for number in range(CLIENTS)]
    views = [[client.view() for _ in range(int(seconds / EVERY))] for client in clients]
    every = sorted({path for client in views for view in client for path in view})
    cold = [answer[2] for answer in await get(port, every)]
    held: dict[float, float] = {}

    async def watch() -> None:
        began = time.perf_counter()
        while (now := time.perf_counter() - began) < seconds:
            held[now] = memory(pid)
            await asyncio.sleep(1)

    delays = np.arange(CLIENTS) * EVERY / CLIENTS
    people = zip(clients, views, delays, strict=True)
    await asyncio.gather(watch(), *(client.run(view, delay) for client, view, delay in people))
    times = np.concatenate([client.seconds for client in clients])
    settled = [mb for second, mb in held.items() if second >= min(SETTLED, seconds / 3)]
    return {
        "tiles": len(times),
        "different": len(every),
        "errors": sum(client.errors for client in clients),
        "p50_ms": 1000 * float(np.percentile(times, 50)),
        "p95_ms": 1000 * float(np.percentile(times, 95)),
        "cold_p95_ms": 1000 * float(np.percentile(cold, 95)),
        "memory_mb": settled[0],
        "growth": max(settled) / settled[0] - 1,
    }


async def clicks(port: int) -> dict[str, float]:
    """Percentile 95 of the time of a click's answers, ms."""
    facts = json.loads((await get(port, ["api/run.json"]))[0][1])
    west, south, east, north = facts["bounds"]
    rng = np.random.default_rng(0)
    places = rng.uniform((west, south), (east, north), (CLICKS, 2))
    times = {}
    for name in ("at", "explain"):
        paths = [f"api/{name}.json?lon={lon:.4f}&lat={lat:.4f}" for lon, lat in places]
        answers = [answer for answer in await get(port, paths) if answer[0] == 200]
        if len(answers) > 1:
            times[f"{name}_p95_ms"] = 1000 * float(np.percentile([a[2] for a in answers[1:]], 95))
    return times


def large_run(run: Path, folder: Path) -> Path:
    """A run folder with the facts of another run and a map of SIDE x SIDE pixels of 30 m.

    The middle has values, the rest is sea.
    """
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("*.tif", "chips", "figures"))
    grid = Grid(CRS.from_epsg(32755), Affine(30, 0, -1e5, 0, -30, 7.4e6), SIDE, SIDE)
    rng, path = np.random.default_rng(0), folder / "map.tif"
    coarse = rng.normal(30, 8, (FILLED // 64, FILLED // 64))
    profile = cog_profile(grid, 2, "float32", np.nan) | {"interleave": "band"}
    with cog(path.with_name("map.part.tif"), path, profile, threads=2) as raw:
        raw.set_band_description(1, "richness, mean")
        raw.set_band_description(2, "richness, inside the area of applicability (1) or not (0)")
        first = (SIDE - FILLED) // 2 // 256 * 256
        for row in range(0, FILLED, 512):
            rows = slice(row // 64, (row + 512) // 64)
            values = coarse[rows].repeat(64, axis=0).repeat(64, axis=1)
            values = values + rng.normal(0, 1, values.shape)
            window = Window(first, first + row, FILLED, 512)
            raw.write(np.stack([values, values > 15]).astype(np.float32), window=window)
    path.with_name("map.part.tif").rename(path)
    return folder


def measure(run: Path, seconds: float) -> None:
    with server(run) as (port, pid):
        figures = asyncio.run(load(port, pid, seconds)) | asyncio.run(clicks(port))
    with rasterio.open(run / "map.tif") as source:
        print(f"map of {source.height:,} x {source.width:,} pixels, {source.count} bands")
    for name, value in figures.items():
        print(f"  {name:12} {value:,.3f}" if isinstance(value, float) else f"  {name:12} {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--large", action="store_true")
    options = parser.parse_args()
    assert read_json(options.run / "plots.json")
    measure(options.run, options.seconds)
    if options.large:
        with tempfile.TemporaryDirectory() as folder:
            measure(large_run(options.run, Path(folder) / "large"), options.seconds)


if __name__ == "__main__":
    main()
