"""Build a network's input tensors from chips and plot covariates, and a model from networks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.config.schema import ModelSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Covariates, Scaling, raw_covariates
from spatioformer.nn import ChipNetwork, Ensemble
from spatioformer.nn.geolocation import extent_of, wavelengths_over
from spatioformer.nn.losses import Link, Loss, LossName
from spatioformer.nn.piecewise import quantile_edges
from spatioformer.training.samples import Samples

JITTER_SHARE = 0.04
"""Jitter of a training location in shares of the plots' extent: 150 km of Australia."""


@dataclass(frozen=True)
class Inputs:
    """How chips and plots become what a network sees, measured on all plots it may learn from.

    Attributes:
        bands: how many.
        link: between outputs and species.
        extent: of the plots, degrees of arc.
        edges: of the intervals of each standardised band, (band, intervals + 1), or None.
    """

    bands: int
    link: Link
    extent: float
    scaling: Scaling | None = None
    covariates: Covariates | None = None
    edges: list[list[float]] | None = None

    @classmethod
    def of(
        cls, model: ModelSection, loss: LossName, store: ChipStore, rows: np.ndarray, raw: bool
    ) -> "Inputs":
        """Measure the inputs of a network on the plots `rows`.

        Args:
            raw: leave bands and richness as they are.
        """
        extent = extent_of(*torch.from_numpy(store.coordinates[rows]).T)
        if raw:
            return cls(len(store.bands), Link(), extent)
        scaling = Scaling.of(store.chips[rows], store.richness[rows], loss)
        usual = model.covariates
        covariates = Covariates.of(store.table.iloc[rows], usual) if usual else None
        edges = None
        if model.intervals:
            pixels = scaling.bands(torch.from_numpy(np.array(store.chips[rows], np.float32)))
            edges = quantile_edges(pixels.flatten(0, -2), model.intervals).tolist()
        return cls(len(store.bands), scaling.to_link, extent, scaling, covariates, edges)

    def location(self, model: ModelSection) -> dict[str, Any]:
        """Arguments of `location_encoder`; unless set, wavelengths follow the extent."""
        if model.location == "paper":
            return {"name": "paper"}
        wavelengths = model.wavelengths or wavelengths_over(self.extent)
        return {"name": model.location, "wavelengths": [round(w, 6) for w in wavelengths]}

    def jitter(self, model: ModelSection) -> float:
        """Of a training location, km; unless set, it follows the extent."""
        if model.location_jitter is not None:
            return model.location_jitter
        return round(JITTER_SHARE * self.extent * KM_PER_DEGREE, 3)

    def samples(self, store: ChipStore, rows: np.ndarray) -> Samples:
        chips = torch.from_numpy(np.array(store.chips[rows], np.float32))
        covariates = None
        if self.covariates is not None:
            raw = raw_covariates(store.table.iloc[rows], self.covariates.names)
            covariates = torch.from_numpy(self.covariates.standardised(raw))
        return Samples(
            chips if self.scaling is None else self.scaling.bands(chips),
            torch.from_numpy(np.array(store.lon[rows])),
            torch.from_numpy(np.array(store.lat[rows])),
            torch.from_numpy(store.richness[rows]).float(),
            covariates,
        )

    def model(
        self, members: list[ChipNetwork], losses: list[Loss], store: ChipStore, rows: np.ndarray
    ) -> NetworkModel:
        """The trained members as one model; `rows` are the plots they learned from."""
        network = members[0]
        if len(members) > 1:
            network = Ensemble(len(members), type(network).__name__, **network.config)
            for member, trained in zip(network.members, members, strict=True):
                member.load_state_dict(trained.state_dict())
        scaling = self.scaling
        if losses[0].dispersion is not None:
            assert scaling is not None, "networks of raw values learn no dispersion"
            dispersion = float(np.mean([loss.dispersion for loss in losses]))
            scaling = replace(scaling, dispersion=dispersion)
        model = NetworkModel(network, list(store.bands), scaling, covariates=self.covariates)
        if self.link.kind == "log1p":
            assert scaling is not None, "networks of raw values have the link identity"
            predictions = model.predict(store.chips[rows], store.lon[rows], store.lat[rows])
            smear = float(np.mean((store.richness[rows] + 1) / (predictions + 1.0)))
            model.scaling = replace(scaling, smear=smear)
        return model
