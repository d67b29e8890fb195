"""Seconds to read plots, to make the demo's imagery and to hash a file.

    python -m benchmarks.reading

Processor time and time on the clock of: a CSV file of 500,000 plots with seven columns; the demo's
imagery stage (a picture and a mask of pip packages, 155,747 pixels), the second time, so that the
libraries are loaded; the SHA-256 of a file of 1 GB, by which a run knows its results. A run
remembers a file's hash by size, times and inode (`run.hashes`); the last line is that look-up.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from spatioformer.config.file import build_config
from spatioformer.geo.plots.table import read_plots
from spatioformer.run.demo import settings
from spatioformer.run.hashes import Hashes
from spatioformer.run.imagery import build_imagery

PLOTS = 500_000
GIGABYTE = 10**9


def timed(name: str, task: Callable[[], object]) -> None:
    clock, processor = time.perf_counter(), time.process_time()
    task()
    seconds = time.perf_counter() - clock, time.process_time() - processor
    print(f"{name:<40} {seconds[0]:6.2f} s on the clock, {seconds[1]:6.2f} s of processor time")


def write_plots(path: Path) -> None:
    rng = np.random.default_rng(0)
    table = {
        "plot": [f"p{i}" for i in range(PLOTS)],
        "lon": rng.uniform(140, 150, PLOTS).round(6),
        "lat": rng.uniform(-30, -20, PLOTS).round(6),
        "richness": rng.poisson(30, PLOTS),
        "area_m2": 400,
        "date": "2001-02-03",
        "programme": "A",
    }
    pd.DataFrame(table).to_csv(path, index=False)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        table = folder / "plots.csv"
        write_plots(table)
        columns = ["lon", "lat", "richness", "area_m2", "date", "programme"]
        chosen = {"plot_id": "plot"} | {column: column for column in columns}
        timed(f"{PLOTS:,} plots", lambda: read_plots(table, columns=chosen))

        section = build_config(settings(folder, None, False), "the demo", folder).imagery
        build_imagery(section, folder / "imagery.tif")
        timed("imagery stage of the demo", lambda: build_imagery(section, folder / "imagery.tif"))

        large, rng = folder / "large.bin", np.random.default_rng(0)
        with open(large, "wb") as stream:
            for _ in range(100):
                stream.write(rng.bytes(GIGABYTE // 100))
        hashes = Hashes(folder / "hashes.json")
        timed("hash of 1 GB", lambda: hashes.of(large))
        timed("the same again", lambda: hashes.of(large))


if __name__ == "__main__":
    main()
