"""A small finished run whose model is a network with random weights, for the model explorer.

The network is dense, sees chips of 5 x 5 pixels and knows the location. Its training, scores,
importance and curves are numbers known beforehand.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import rasterio
import torch
import yaml
from rasterio.transform import from_origin

from spatioformer.common.files import write_json
from spatioformer.geo.cutting import cut_chips
from spatioformer.mapping import map_raster
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Scaling
from spatioformer.nn import ChipNetwork, DenseSpatioformer
from tests.helpers.landscape import NORTH, STEP, WEST

BANDS = ["red", "green", "blue"]
SHAPE = (20, 30)
PLOTS = 30
PATCH = 5
EMPTY_ROWS = 4
"""Southern rows that are not mapped."""

LOCATION = {"name": "sphere", "wavelengths": [8.0, 4.0]}
RMSE = [9.0, 7.0, 6.5]


def network(kind: type[ChipNetwork] = DenseSpatioformer, **sizes: Any) -> ChipNetwork:
    """A network with random weights; its effect of location is not zero."""
    torch.manual_seed(0)
    usual = {"patch": PATCH, "bands": 3, "width": 8, "heads": 2, "layers": 2, "dropout": 0.0}
    built = kind(**usual | {"mlp_hidden": 8, "head_hidden": 8} | sizes)
    for parameter in built.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return built.eval()


def bundle(built: ChipNetwork) -> NetworkModel:
    scaling = Scaling((100.0, 90.0, 80.0), (20.0, 20.0, 20.0), 30.0, 10.0)
    return NetworkModel(built, BANDS, scaling, {"name": "random", "region": [140, 143, -22, -20]})


def write(folder: Path, built: ChipNetwork | None = None) -> Path:
    """Write the run into a folder; returns it.

    Args:
        built: another network than the usual one.
    """
    folder.mkdir(parents=True)
    model = bundle(network(location=LOCATION) if built is None else built)
    model.save(folder / "model")
    _write_imagery(folder / "imagery.tif")
    map_raster(folder / "model", folder / "imagery.tif", folder / "map.tif")
    rng = np.random.default_rng(1)
    rows, cols = (rng.integers(2, n - 2 - cut, PLOTS) for n, cut in zip(SHAPE, (4, 0), strict=True))
    plots = pd.DataFrame(
        {
            "plot_id": [f"p{i}" for i in range(PLOTS)],
            "lon": WEST + (cols + 0.5) * STEP,
            "lat": NORTH - (rows + 0.5) * STEP,
            "richness": rng.permutation(PLOTS) + 10.0,
            "programme": np.where(np.arange(PLOTS) < 12, "north", "south"),
        }
    )
    cut_chips(folder / "imagery.tif", plots, model.patch, folder / "chips")
    _write_tables(folder, plots)
    return folder


def _write_imagery(path: Path) -> None:
    """Three smooth bands; the southern rows hold no data."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    values = np.stack([100 + 30 * np.sin(x / 5), 90 + 2.0 * y, 80 + 20 * np.cos((x + y) / 7)])
    values[:, -EMPTY_ROWS:] = np.nan
    profile = {
        "driver": "GTiff", "width": SHAPE[1], "height": SHAPE[0], "count": 3, "dtype": "float32",
        "crs": "EPSG:4326", "transform": from_origin(WEST, NORTH, STEP, STEP), "nodata": np.nan,
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as target:
        target.write(values.astype(np.float32))
        for band, name in enumerate(BANDS, 1):
            target.set_band_description(band, name)


def _write_tables(folder: Path, plots: pd.DataFrame) -> None:
    config = {
        "name": "known",
        "title": "A known run",
        "out": str(folder),
        "plots": {"path": "plots.csv"},
        "imagery": {"layers": [{"path": "image.tif", "name": "image"}]},
        "evaluate": {"models": ["spatioformer-dense", "random-forest"]},
        "map": {"model": "spatioformer-dense"},
    }
    (folder / "config.resolved.yaml").write_text(yaml.safe_dump(config))
    write_json(folder / "plots.json", {"target_kind": "count"})
    write_json(folder / "verdict.json", {"verdict": "use it"})
    held = plots.rename(columns={"richness": "observed"})[["plot_id", "observed"]]
    held = held.assign(
        predicted=held["observed"] + 2, model="spatioformer-dense", split="tiles", fold=0
    )
    (folder / "evaluation").mkdir()
    held.iloc[1:].to_parquet(folder / "evaluation" / "predictions.parquet")
    scores = pd.DataFrame(
        {
            "model": ["spatioformer-dense", "random-forest", "random-forest"],
            "split": ["tiles", "tiles", "curve-2"],
            "n": PLOTS,
            "r2": [0.625, 0.5, 0.25],
            "rmse": [6.0, 7.0, 8.0],
        }
    )
    scores.to_csv(folder / "scores.csv", index=False)
    importance = pd.DataFrame(
        {
            "model": ["spatioformer-dense"] * 2 + ["random-forest"],
            "group": ["red", "location", "red"],
            "rise": [1.0, 3.0, 9.0],
            "sd": 0.5,
        }
    )
    importance.to_csv(folder / "evaluation" / "importance.csv", index=False)
    training = {"epoch": [1, 2, 3], "train_rmse": RMSE, "validation_rmse": [9.0, 8.0, np.nan]}
    pd.DataFrame(training | {"learning_rate": 0.1}).to_csv(folder / "training.csv", index=False)
    curve = {"value": [0.0, 1.0, 2.0], "local": [-1.0, 0.0, 1.0], "partial": [-2.0, 0.0, 2.0]}
    write_json(folder / "explained.json", {"curves": {"red": curve}, "location": None})
