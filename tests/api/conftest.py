"""A tiny landscape: a run's files, the same plots and imagery through the Python door."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

import spatioformer as sf
from spatioformer.api.imagery import Imagery
from tests.helpers import landscape

SMALL = {"width": 8, "heads": 2, "layers": 1, "mlp_hidden": 8, "head_hidden": 8, "epochs": 2}
"""The network of `landscape.settings`."""


@pytest.fixture(autouse=True)
def _no_windows() -> None:
    matplotlib.use("agg")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("landscape")
    landscape.write(folder)
    return folder


@pytest.fixture(scope="module")
def imagery(folder: Path) -> Imagery:
    layer = {"path": folder / "image.tif", "name": "image", "band_names": ["red", "green", "blue"]}
    return sf.read_imagery([layer])


@pytest.fixture(scope="module")
def plots(folder: Path) -> pd.DataFrame:
    columns = {"plot_id": "plot", "lon": "lon", "lat": "lat", "richness": "richness"}
    return sf.read_plots(folder / "plots.csv", columns=columns | {"area_m2": "area"})


@pytest.fixture
def table() -> tuple[pd.DataFrame, np.ndarray]:
    """60 rows on 3 x 3 degrees: places and two features, and counts that follow one of them."""
    rng = np.random.default_rng(1)
    X = pd.DataFrame(rng.uniform(size=(60, 4)), columns=["lon", "green", "lat", "wet"])
    X["lon"], X["lat"] = 140 + 3 * X["lon"], -20 - 3 * X["lat"]
    return X, rng.poisson(5 + 20 * X["wet"]).astype(float)
