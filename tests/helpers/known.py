"""Models whose effects are known beforehand, and plots for them."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch

from spatioformer.geo.chips import ChipStore
from spatioformer.models.network import NetworkModel

Function = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""Prediction (n,) from the centre pixels (n, band), longitude (n,) and latitude (n,)."""


class Centre(torch.nn.Module):
    """A function of the centre pixel and its place."""

    def __init__(self, function: Function, patch: int):
        super().__init__()
        self.config = {"patch": patch, "dropout": 0.0}
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.function = function

    def forward(self, chips, lon, lat):
        half = self.config["patch"] // 2
        at = (slice(None), half, half)
        return self.function(chips[at], lon[at].float(), lat[at].float())


def model(function: Function, bands: int = 2, patch: int = 1) -> NetworkModel:
    return NetworkModel(Centre(function, patch), list("abcdef"[:bands]))


def plots(values: np.ndarray, patch: int = 1, seed: int = 0) -> ChipStore:
    """Plots at random places, whose chips have the same values (n, band) in all pixels."""
    rng, (n, bands) = np.random.default_rng(seed), values.shape
    chips = np.repeat(values.astype(np.float32), patch * patch, axis=0)
    chips = chips.reshape(n, patch, patch, bands)
    lon = np.broadcast_to(rng.uniform(140, 150, (n, 1, 1)), (n, patch, patch)).copy()
    lat = np.broadcast_to(rng.uniform(-40, 40, (n, 1, 1)), (n, patch, patch)).copy()
    table = pd.DataFrame({"plot_id": np.arange(n), "lon": lon[:, 0, 0], "lat": lat[:, 0, 0]})
    return ChipStore(chips, lon, lat, table.assign(richness=0.0), list("abcdef"[:bands]))
