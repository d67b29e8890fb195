"""A tiny landscape whose imagery lies in a folder of scenes: a run with sources in seconds.

Three years of scenes, four dates each, with clouds in a quality band, on the landscape's own grid.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from tests.helpers import landscape

YEARS = (2019, 2020, 2021)
DAYS = ("0115", "0420", "0710", "1101")
BANDS = ("red", "green", "blue")
CLOUD = 9
ROWS = {
    "toy": {
        "title": "toy scenes",
        "kind": "scenes",
        "catalogue": "folder",
        "endpoint": "unused",
        "id": "toy",
        "resolution": 11_000,
        "years": [2019, 2022],
        "values": {"scale": 0.01, "nodata": 0},
        "bands": {name: {"keys": [name]} for name in BANDS},
        "masks": {
            "scl": {
                "keys": ["scl"],
                "kind": "classes",
                "classes": {"no_data": 0, "clear": 4, "cloud": CLOUD},
                "spoils": ["no_data", "cloud"],
                "nodata": 0,
            }
        },
        "licence": "CC0-1.0",
        "attribution": "Scenes made by a test.",
    }
}
GRID = {"crs": "EPSG:4326", "resolution": landscape.STEP}
EAST = landscape.WEST + landscape.SIDE * landscape.STEP
SOUTH = landscape.NORTH - landscape.SIDE * landscape.STEP
REGION = [landscape.WEST, round(EAST, 6), round(SOUTH, 6), landscape.NORTH]


def write_scenes(folder: Path, years: tuple[int, ...] = YEARS) -> None:
    """Scenes of each year: the landscape's imagery, brighter year by year, with clouds."""
    base = landscape.imagery().astype(np.float64)
    for year in years:
        for number, day in enumerate(DAYS):
            rng = np.random.default_rng([year, number])
            values = base + 7 * (year - YEARS[0]) + rng.normal(0, 3, base.shape)
            scl = np.full(base.shape[1:], 4, np.uint8)
            top, left = rng.integers(0, landscape.SIDE - 20, 2)
            scl[top : top + 20, left : left + 20] = CLOUD
            values[:, scl == CLOUD] = 240
            stem = f"toy_{year}{day}"
            for band, data in zip(BANDS, np.clip(values, 1, 255).astype(np.uint16), strict=True):
                landscape.write_raster(folder / f"{stem}_{band}.tif", data)
            landscape.write_raster(folder / f"{stem}_scl.tif", scl)


def plots(n: int = 150) -> pd.DataFrame:
    """The landscape's plots with dates from 2018 to 2023; every tenth has none."""
    table = landscape.plots(n)
    years = 2018 + np.arange(n) % 6
    table["date"] = [f"{year}-06-15" if i % 10 else "" for i, year in enumerate(years)]
    return table


def source(**changes: Any) -> dict[str, Any]:
    return {"name": "toy", "collection": "toy", "endpoint": "scenes", "years": [2019, 2021],
            "composite": "median", "min_clear": 2} | changes  # fmt: skip


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """The configuration; `changes` are laid over the section `imagery`."""
    values = landscape.settings(folder)
    values["plots"]["columns"]["date"] = "date"
    values["plots"]["max_rejected"] = 0.8
    values["evaluate"] |= {
        "models": ["random-forest"],
        "splits": [{"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0}],
        "curve_sizes": [],
    }
    values["map"] = {"model": "random-forest", "samples": 0}
    values["imagery"] = {
        "sources": [source()],
        "collections": "rows.yaml",
        "cache": {"path": "cache", "gb": 0.01},
        "region": REGION,
        "grid": GRID,
    } | changes
    return values


def write(folder: Path, settings_: dict[str, Any] | None = None) -> Path:
    """Write scenes, rows of the table, plots and configuration; returns the configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "scenes").exists():
        write_scenes(folder / "scenes")
    (folder / "rows.yaml").write_text(yaml.safe_dump(ROWS))
    plots().to_csv(folder / "plots.csv", index=False)
    path = folder / "toy.yaml"
    path.write_text(yaml.safe_dump(settings_ or settings(folder)))
    return path
