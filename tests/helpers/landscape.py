"""A tiny landscape on disk: imagery, plots and a configuration that runs in seconds."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import yaml
from affine import Affine
from rasterio.transform import from_origin

SIDE = 64
STEP = 0.1  # degrees a pixel
WEST, NORTH = 140.0, -20.0


def write_raster(
    path: Path,
    data: np.ndarray,
    *,
    crs: str | None = "EPSG:4326",
    transform: Affine | None = None,
    nodata: float | None = None,
    names: tuple[str, ...] = (),
    **options: Any,
) -> Path:
    """Write (band, y, x) with the landscape's georeference unless told otherwise."""
    data = data[None] if data.ndim == 2 else data
    profile = {
        "driver": "GTiff",
        "count": len(data),
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        "crs": crs,
        "transform": transform or from_origin(WEST, NORTH, STEP, STEP),
        "nodata": nodata,
    } | options
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(path, "w", **profile) as target:
        target.write(data)
        for i, name in enumerate(names, start=1):
            target.set_band_description(i, name)
    return path


def imagery(seed: int = 0) -> np.ndarray:
    """uint8 (3, SIDE, SIDE): smooth blobs with some noise."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [np.sin(6 * x + 2 * y), np.cos(5 * y - x), np.sin(9 * x * y)]
    noise = rng.normal(0, 0.15, (3, SIDE, SIDE))
    return np.clip(120 + 80 * (np.stack(waves) + noise), 1, 255).astype(np.uint8)


def plots(n: int = 150, seed: int = 0) -> pd.DataFrame:
    """Richness that follows the first band and the place."""
    rng = np.random.default_rng(seed)
    rows, cols = rng.integers(2, SIDE - 2, (2, n))
    band = imagery()[0, rows, cols] / 255
    lon = WEST + (cols + rng.uniform(0.1, 0.9, n)) * STEP
    lat = NORTH - (rows + rng.uniform(0.1, 0.9, n)) * STEP
    richness = rng.poisson(10 + 25 * band + 10 * (lon > 143))
    return pd.DataFrame(
        {
            "plot": [f"p{i:03d}" for i in range(n)],
            "lon": lon,
            "lat": lat,
            "richness": richness,
            "area": 400,
        }
    )


def settings(folder: Path) -> dict[str, Any]:
    """The configuration of a run small enough for tests."""
    return {
        "name": "tiny",
        "out": str(folder / "run"),
        "plots": {
            "path": "plots.csv",
            "columns": {
                "plot_id": "plot",
                "lon": "lon",
                "lat": "lat",
                "richness": "richness",
                "area_m2": "area",
            },
        },
        "imagery": {
            "layers": [
                {"path": "image.tif", "name": "image", "band_names": ["red", "green", "blue"]}
            ]
        },
        "model": {"width": 8, "heads": 2, "layers": 1, "mlp_hidden": 8, "head_hidden": 8},
        "train": {"epochs": 2, "validation_tile": 0.5},
        "evaluate": {
            "models": ["spatioformer", "location-knn"],
            "splits": [
                {"name": "random", "kind": "random", "folds": 2},
                {"name": "tiles", "kind": "tiles", "folds": 2, "size": 1.0},
            ],
            "curve_sizes": [0.5],
            "curve_models": ["location-knn"],
            "workers": 1,
        },
        "map": {"model": "spatioformer", "samples": 2, "sd_step": 2},
    }


def write(folder: Path, **changes: Any) -> Path:
    """Write imagery, plots and configuration; returns the configuration's path.

    `changes` replace top-level sections of `settings`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_raster(folder / "image.tif", imagery())
    plots().to_csv(folder / "plots.csv", index=False)
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings(folder) | changes))
    return path
