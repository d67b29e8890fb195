"""Bytes that chips by year read, from the catalogue's items to the chip store.

    python -m benchmarks.archives_chips

The 20 GeoTIFFs of `benchmarks.archives_reads` lie side by side, half of them of another year. 458
plots of two years get chips of 9 x 9 pixels, as the chips stage of a run cuts them. "Blocks" are
the bytes of the compressed blocks that the chips touch, each block once.
"""

import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from affine import Affine
from benchmarks.archives_reads import BANDS, CHIPS, FILES, SIDE, SIZE, write_scenes
from rasterio.windows import Window
from tests.helpers.servers import FileServer

from spatioformer.archives.collections import Band, Collection
from spatioformer.archives.items import Asset, Item
from spatioformer.archives.remote import Access, block_spans
from spatioformer.archives.source import Source
from spatioformer.archives.stack import SourceStack
from spatioformer.config.archives import SourceSection
from spatioformer.geo.crs import known_crs
from spatioformer.geo.cutting import cut_from
from spatioformer.geo.grid import Grid
from spatioformer.geo.yearly import YearlyChips
from spatioformer.run.sources import YearStack

YEARS = (2020, 2021)
GRID = Grid(
    known_crs("EPSG:32755", "the benchmark"),
    Affine(10, 0, 500_000, 0, -10, 6_000_000),
    SIZE,
    FILES * SIZE,
)


def items(url: str) -> dict[int, tuple[Item, ...]]:
    """The files as items, the even ones of the first year."""
    by_year: dict[int, list[Item]] = {year: [] for year in YEARS}
    for number in range(FILES):
        columns = np.array([number * SIZE, (number + 1) * SIZE])
        lon, lat = GRID.lonlat(np.array([[0], [SIZE]]), columns)
        year = YEARS[number % 2]
        moment = datetime(year, 7, 1, tzinfo=UTC)
        assets = {f"b{n}": Asset(f"{url}/{number}.tif", n) for n in range(1, BANDS + 1)}
        box = (float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))
        by_year[year].append(Item(str(number), "toy", moment, moment, box, assets))
    return {year: tuple(several) for year, several in by_year.items()}


def stack(url: str, access: Access) -> SourceStack:
    bands = tuple(Band(f"b{n}", (f"b{n}",), number=n, nodata=0) for n in range(1, BANDS + 1))
    collection = Collection("toy", "toy", "annual", "folder", "", "toy", bands, resolution=10.0)
    section = SourceSection(name="s", collection="toy", years=YEARS)
    return SourceStack((Source(section, collection, access, items(url)),), GRID)


def plots() -> tuple[pd.DataFrame, np.ndarray]:
    """Plots at random places of the files, and the year of each."""
    rng = np.random.default_rng(1)
    files = rng.integers(0, FILES, CHIPS)
    rows, cols = rng.integers(SIDE, SIZE - SIDE, (2, CHIPS))
    lon, lat = GRID.lonlat(rows, cols + files * SIZE)
    years = np.array(YEARS)[files % 2]
    return pd.DataFrame({"plot_id": np.arange(CHIPS), "lon": lon, "lat": lat}), years


def blocks_of(folder: Path, table: pd.DataFrame) -> int:
    """Bytes of the blocks that the chips touch."""
    rows, cols = GRID.pixel(table["lon"].to_numpy(), table["lat"].to_numpy())
    half, total = SIDE // 2, 0
    for number in range(FILES):
        inside = np.flatnonzero(cols // SIZE == number)
        windows = [
            Window(int(cols[i]) - number * SIZE - half, int(rows[i]) - half, SIDE, SIDE)
            for i in inside
        ]
        with rasterio.open(folder / f"{number}.tif") as dataset:
            total += sum(stop - start for start, stop in block_spans(dataset, windows))
    return total


def main() -> None:
    os.environ["no_proxy"] = "127.0.0.1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "served").mkdir()
        write_scenes(folder / "served")
        table, years = plots()
        blocks = blocks_of(folder / "served", table)
        with FileServer(folder / "served") as server:
            imagery = YearStack([], stack(server.url, server.access(folder / "cache")))
            start = time.perf_counter()
            lost = cut_from(YearlyChips(imagery, years), table, SIDE, folder / "chips")
            seconds = time.perf_counter() - start
            print(
                f"{CHIPS} chips of {SIDE} x {SIDE} pixels from {FILES} files, {len(lost)} lost: "
                f"{server.bytes / 1e6:.2f} MB, {server.bytes / blocks:.3f} x the blocks "
                f"({blocks / 1e6:.2f} MB), {len(server.sent)} requests, {seconds:.2f} s"
            )


if __name__ == "__main__":
    main()
