"""Build a network's input tensors from chips and plot covariates, and a model from networks."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from spatioformer.common.earth import KM_PER_DEGREE
from spatioformer.config.learning import ModelSection
from spatioformer.geo.chips import ChipStore
from spatioformer.models.network import NetworkModel
from spatioformer.models.scaling import Covariates, Scaling, raw_covariates
from spatioformer.nn import ChipNetwork, Ensemble
from spatioformer.nn.geolocation import extent_of, wavelengths_over
from spatioformer.nn.losses import Link, Loss, LossName
from spatioformer.nn.piecewise import quantile_edges
from spatioformer.training.samples import Samples

JITTER_SHARE = 0.04
"""Jitter of training locations as a share of the plots' extent; 150 km for Australia."""


@dataclass(frozen=True)
class Inputs:
    """Transformation of chips and plots to input tensors, fitted on all plots of a training.

    Attributes:
        bands: number of bands.
        link: between the network's output and species.
        extent: extent of the plots, degrees of arc.
        scaling: normalisation of bands and richness, or None for raw values.
        covariates: standardisation of the covariates, or None without covariates.
        edges: edges of the intervals of each standardised band, (band, intervals + 1), or None.
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
        """Fit the transformation on the plots `rows`.

        Args:
            raw: whether bands and richness stay without normalisation.
        """
        extent = extent_of(*torch.from_numpy(store.coordinates[rows]).T)
        if raw:
            return cls(len(store.bands), Link(), extent)
        scaling = Scaling.of(store.chips[rows], store.richness[rows], loss)
        usual = model.usual
        covariates = Covariates.of(store.table.iloc[rows], usual) if usual else None
        edges = None
        if model.intervals:
            pixels = scaling.bands(torch.from_numpy(np.array(store.chips[rows], np.float32)))
            edges = quantile_edges(pixels.flatten(0, -2), model.intervals).tolist()
        return cls(len(store.bands), scaling.to_link, extent, scaling, covariates, edges)

    def location(self, model: ModelSection) -> dict[str, Any]:
        """Arguments of `location_encoder`; by default the extent sets the wavelengths."""
        if model.location == "paper":
            return {"name": "paper"}
        wavelengths = model.wavelengths or wavelengths_over(self.extent)
        return {"name": model.location, "wavelengths": [round(w, 6) for w in wavelengths]}

    def jitter(self, model: ModelSection) -> float:
        """Jitter of training locations, km; by default a share of the extent."""
        if model.location_jitter is not None:
            return model.location_jitter
        return round(JITTER_SHARE * self.extent * KM_PER_DEGREE, 3)

    def samples(self, store: ChipStore, rows: np.ndarray) -> Samples:
        """Input and target tensors of the plots `rows`."""
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
        """Build one model from trained members.

        Args:
            members: trained networks of one architecture.
            losses: loss of each member.
            rows: rows of the training and validation plots.
        """
        network = members[0]
        if len(members) > 1:
            network = Ensemble(len(members), type(network).__name__, **network.config)
            for member, trained in zip(network.members, members, strict=True):
                member.load_state_dict(trained.state_dict())
        scaling = self.scaling
        if losses[0].dispersion is not None:
            assert scaling is not None, "a network of raw values has no dispersion"
            dispersion = float(np.mean([loss.dispersion for loss in losses]))
            scaling = replace(scaling, dispersion=dispersion)
        model = NetworkModel(network, list(store.bands), scaling, covariates=self.covariates)
        if self.link.kind == "log1p":
            assert scaling is not None, "a network of raw values has the link identity"
            predictions = model.predict(store.chips[rows], store.lon[rows], store.lat[rows])
            smear = float(np.mean((store.richness[rows] + 1) / (predictions + 1.0)))
            model.scaling = replace(scaling, smear=smear)
        return model
