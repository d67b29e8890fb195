"""Small models and small plots for them."""

import numpy as np
import pandas as pd
import pytest

from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.baselines import TABULAR
from spatioformer.models.registry import make

BANDS = ["a", "b"]
SMALL = {
    "random-forest": {"n_estimators": 8},
    "extra-trees": {"n_estimators": 8},
    "gradient-boosting": {"steps": 5},
    "lightgbm": {"steps": 5},
    "forest-kriging": {"forest__n_estimators": 60},
}

FEW = {"spatioformer": 0.4, "gaussian-process": 0.4, "location-knn": 0.2}
"""A network, a process and neighbours: members of a small stack, and their usual weights."""


def shrink(patch: pytest.MonkeyPatch) -> None:
    """Forests of a few trees: the same code in a hundredth of the time."""
    for name, size in SMALL.items():
        whole = TABULAR[name]
        patch.setitem(TABULAR, name, lambda seed, m=whole, s=size: m(seed).set_params(**s))
    patch.setattr("spatioformer.models.baselines.tuned_forest.TREES_OF_PART", (2, 2))


def shrink_stacks(patch: pytest.MonkeyPatch) -> None:
    """Stacks of three members; tests/models/test_stack.py has all of them."""
    patch.setattr("spatioformer.models.registry.STACKED", FEW)


def sections(patch: int = 3, **model) -> tuple[ModelSection, TrainSection]:
    """A small network, trained for one epoch."""
    small = {"patch": patch, "width": 8, "heads": 2, "layers": 1}
    return ModelSection(**small | model), TrainSection(epochs=1, validation_tile=0.5)


def scene(side: int = 30) -> tuple[np.ndarray, ...]:
    """Bands, where they hold data, and lon, lat of a raster; one pixel holds none."""
    rng = np.random.default_rng(3)
    data = rng.normal(50, 20, (2, side, side)).astype(np.float32)
    valid = np.ones((side, side), bool)
    valid[12, 20], data[:, 12, 20] = False, np.nan
    lat, lon = np.meshgrid(-20 - np.arange(side) * 0.1, 140 + np.arange(side) * 0.1, indexing="ij")
    return data, valid, lon, lat


def store(patch: int = 3, n: int = 90) -> ChipStore:
    """Plots on pixels of `scene`."""
    data, valid, lon, lat = scene()
    half, rng = patch // 2, np.random.default_rng(0)
    rows, cols = rng.integers(half, 30 - half, (2, n))
    around = np.arange(-half, half + 1)
    y, x = rows[:, None, None] + around[:, None], cols[:, None, None] + around
    whole = valid[y, x].all(axis=(1, 2))
    chips = data[:, y, x].transpose(1, 2, 3, 0)
    table = pd.DataFrame(
        {
            "plot_id": np.arange(n).astype(str),
            "lon": lon[rows, cols],
            "lat": lat[rows, cols],
            "row": rows - half,
            "col": cols - half,
            "area_m2": rng.choice([100.0, 400.0], n),
            "richness": rng.poisson(10 + 0.3 * np.nan_to_num(data[0, rows, cols]).clip(0)).astype(
                float
            ),
        }
    )
    keep = np.flatnonzero(whole)
    return ChipStore(
        np.ascontiguousarray(chips[keep]), lon[y, x][keep], lat[y, x][keep],
        table.iloc[keep].reset_index(drop=True), BANDS,
    )  # fmt: skip


def fitted(name: str, patch: int = 3, **model):
    """A model of that name, plots, and those it was fitted to."""
    plots = store(patch)
    train = np.arange(len(plots) - 20)
    return make(name, *sections(patch, **model), seed=1).fit(plots, train), plots, train


def seen(plots: ChipStore) -> tuple:
    return plots.chips, plots.lon, plots.lat
