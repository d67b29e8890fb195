"""A run folder as the stages leave it, made of numbers known beforehand; nothing is trained."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio

from spatioformer.common.files import write_json, write_text
from spatioformer.config.schema import RunConfig
from spatioformer.run.evaluate import score_table
from tests.helpers.landscape import NORTH, SIDE, STEP, WEST, write_raster

PLOTS = 60
SPLITS = [
    {"name": "random", "kind": "random"},
    {"name": "tiles", "kind": "tiles", "size": 2},
]
EVALUATE = {
    "models": ["spatioformer", "spatioformer-no-location", "random-forest"],
    "splits": SPLITS,
    "curve_sizes": [4, 0.5],
    "curve_models": ["random-forest"],
}
ERROR = {"spatioformer": 4.0, "spatioformer-no-location": 8.0, "random-forest": 3.0}
"""Standard deviation of a model's error; it grows with the tiles held out."""


def write(folder: Path, *, virtual: bool = False, spread: bool = True, **config: Any) -> RunConfig:
    """Write the results of all stages but the report; returns the configuration.

    Args:
        virtual: also write truth.tif and noise.tif, and name them in the configuration.
        spread: whether the map has a second band.
        config: top-level sections instead of the usual ones.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = configure(folder, virtual=virtual, **config)
    predictions = predict(made)
    (folder / "evaluation").mkdir(exist_ok=True)
    predictions.to_parquet(folder / "evaluation" / "predictions.parquet", index=False)
    score_table(predictions).to_csv(folder / "scores.csv", index=False)
    write_rasters(folder, spread)
    _write_tables(folder)
    _write_summaries(folder, spread)
    write_text(folder / "config.resolved.yaml", "name: known\n")
    write_text(folder / "model" / "README.md", "# the model card\n")
    return made


def configure(folder: Path, *, virtual: bool = False, **config: Any) -> RunConfig:
    sections: dict[str, Any] = {
        "name": "known",
        "out": str(folder),
        "plots": {"path": "plots.csv"},
        "imagery": {"layers": [{"path": "image.tif", "name": "image"}]},
        "evaluate": EVALUATE,
        "map": {"model": "spatioformer"},
    }
    if virtual:
        truth = {"path": str(folder / "truth.tif"), "noise_path": str(folder / "noise.tif")}
        sections["truth"] = truth
    return RunConfig.model_validate(sections | config)


def plots() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    rows, cols = rng.uniform(2, SIDE - 2, (2, PLOTS))
    return pd.DataFrame(
        {
            "plot_id": [f"p{i}" for i in range(PLOTS)],
            "lon": WEST + cols * STEP,
            "lat": NORTH - rows * STEP,
            "observed": rng.integers(5, 60, PLOTS).astype(float),
        }
    )


def predict(config: RunConfig) -> pd.DataFrame:
    """Predictions whose error a model and a split set: larger tiles, larger error."""
    rng, section = np.random.default_rng(2), config.evaluate
    sizes = {"random": 0.0} | {s.name: s.size for s in section.splits if s.kind == "tiles"}
    jobs = [(model, split.name) for split in section.splits for model in section.models]
    for size in section.curve_sizes:
        name = f"curve-{size:g}".replace(".", "-")
        sizes[name] = size
        jobs += [(model, name) for model in section.curve_models]
    frames = []
    for model, split in jobs:
        table = plots()
        error = rng.normal(0, ERROR[model] * (1 + 0.5 * sizes[split]), PLOTS)
        table = table.assign(model=model, split=split, fold=np.arange(PLOTS) % 5)
        frames.append(table.assign(predicted=table["observed"] + error))
    return pd.concat(frames, ignore_index=True)


def write_rasters(folder: Path, spread: bool) -> None:
    """map.tif rises from 10 in the west to 40 in the east and lacks its ten southern rows."""
    mean = np.tile(np.linspace(10, 40, SIDE, dtype=np.float32), (SIDE, 1))
    mean[-10:] = np.nan
    bands = [mean, np.where(np.isfinite(mean), np.float32(1.5), np.nan)]
    names = ("richness, mean", "richness, standard deviation")[: 1 + spread]
    write_raster(folder / "map.tif", np.stack(bands[: 1 + spread]), nodata=np.nan, names=names)
    with rasterio.open(folder / "map.tif", "r+") as target:
        target.update_tags(GRAIN="plots of 400 m2")
    write_raster(folder / "truth.tif", mean + 2, nodata=np.nan)
    write_raster(folder / "noise.tif", np.full_like(mean, 20))


def _write_tables(folder: Path) -> None:
    rejected = [
        (7, "x7", "richness 'many' is not a number", "plots"),
        (9, "x9", "richness 'few' is not a number", "plots"),
        (12, "x12", "3 of the chip's 9 pixels hold no data", "chips"),
        (13, "x13", "1 of the chip's 9 pixels hold no data", "chips"),
        (14, "x14", "9 of the chip's 9 pixels hold no data", "chips"),
    ]
    pd.DataFrame(rejected, columns=["source_line", "plot_id", "reason", "stage"]).to_csv(
        folder / "rejected.csv", index=False
    )
    pd.DataFrame(
        {
            "epoch": [1, 2, 3],
            "train_rmse": [9.0, 7.0, 6.0],
            "validation_rmse": [9.5, 7.25, 7.5],
            "learning_rate": [1e-3, 5e-4, 1e-4],
        }
    ).to_csv(folder / "training.csv", index=False)


def _write_summaries(folder: Path, spread: bool) -> None:
    count = (SIDE - 10) * SIDE
    one = {"known": PLOTS, "min": 400.0, "median": 400.0, "max": 400.0}
    write_json(
        folder / "plots.json",
        {
            "source_file": "plots.csv",
            "read": 65,
            "kept": 63,
            "locations": 55,
            "plots_sharing_a_location": 9,
            "area_m2": one,
            "dates": {"known": 0, "first": None, "last": None},
            "programmes": {"north": 40, "south": 23},
            "notes": [],
        },
    )
    band = {"min": 0.0, "max": 255.0, "mean": 101.25, "sd": 33.5, "valid_share": 0.875}
    write_json(
        folder / "imagery.json",
        {
            "bands": ["red"],
            "height": SIDE,
            "width": SIDE,
            "crs": "EPSG:4326",
            "resolution": [STEP, STEP],
            "region": [WEST, WEST + SIDE * STEP, NORTH - SIDE * STEP, NORTH],
            "pixels": SIDE * SIDE,
            "pixels_to_predict": count,
            "statistics": {"red": band},
        },
    )
    write_json(
        folder / "map.json",
        {
            "pixels": count,
            "negative_set_to_0": 17,
            "mean": 25.0,
            "min": 10.0,
            "max": 40.0,
            "mean_sd": 1.5 if spread else None,
            "samples": 20 if spread else 0,
            "sd_step": 4,
            "truth": {"pixels": count, "r": 0.91, "r2": 0.77, "rmse": 2.5, "mae": 2.0, "bias": -2},
        },
    )
    write_json(
        folder / "provenance.json",
        {
            "spatioformer": "0.1.0",
            "python": "3.11",
            "system": "Linux",
            "libraries": {"numpy": "2.4.6"},
            "seed": 11,
            "inputs_sha256": {"plots.csv": "abc123"},
            "stages": {"train": {"seconds": 3.2}, "report": {"seconds": 99.0}},
        },
    )
