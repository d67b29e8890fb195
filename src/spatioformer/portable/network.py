"""What is in the ONNX file of a network of plots: raw bands, places and covariates in, species out.

Shapes: n chips, P patch side, C covariates.
"""

import math
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.geo.covariates import LOGARITHMIC
from spatioformer.models.base import Model
from spatioformer.models.network import NetworkModel
from spatioformer.models.prediction import Members
from spatioformer.models.stack import StackModel
from spatioformer.models.target import highest, unit
from spatioformer.nn import ChipNetwork
from spatioformer.portable.graph import Graph, Port

REFLECTANCE = (0.0, 4000.0)
"""Range of the bands that check a network without normalisation: surface reflectance x 10000."""


class Species(nn.Module):
    """The networks of a model with its normalisation, as one module.

    Predictions below 0 become 0, as in maps; those of a proportion above 1 become 1.
    """

    def __init__(self, model: NetworkModel):
        super().__init__()
        self.networks = nn.ModuleList(model.members)
        self.model = model
        self.highest = highest(model.facts.get("target_kind"))

    def forward(
        self,
        chips: Float[Tensor, "n P P band"],
        lon: Float[Tensor, "n P P"],
        lat: Float[Tensor, "n P P"],
    ) -> Float[Tensor, "n"]:
        return self._species(chips, lon, lat)

    def _species(self, chips: Tensor, *others: Tensor) -> Tensor:
        chips = chips.to(next(self.networks.parameters()).dtype)
        # Not `self.model.members`: a copy of the module in 64 bits has networks of its own.
        networks = cast(tuple[ChipNetwork, ...], tuple(self.networks))
        model = self.model
        members = Members(networks, model.scaling, model.covariates, model.near)
        species = members.species(chips, *others).clamp_min(0.0)
        return species if math.isinf(self.highest) else species.clamp_max(self.highest)


class SpeciesWithCovariates(Species):
    """The same for a model with covariates, which come in as raw values."""

    def forward(  # type: ignore[override]
        self,
        chips: Float[Tensor, "n P P band"],
        lon: Float[Tensor, "n P P"],
        lat: Float[Tensor, "n P P"],
        covariates: Float[Tensor, "n C"],
    ) -> Float[Tensor, "n"]:
        return self._species(chips, lon, lat, self._standardised(covariates))

    def _standardised(self, raw: Tensor) -> Tensor:
        """`Covariates.standardised` in torch: NaN where a value is missing or has no logarithm."""
        covariates = self.model.covariates
        assert covariates is not None, "`network_graph` chooses the class"
        logarithmic = torch.tensor([name in LOGARITHMIC for name in covariates.names])
        values = torch.where(logarithmic, raw.log10(), raw)
        values = torch.where(values.isfinite(), values, torch.nan)
        mean, sd = (values.new_tensor(numbers) for numbers in (covariates.mean, covariates.sd))
        return ((values - mean) / sd).to(next(self.networks.parameters()).dtype)


def network_graph(model: Model, licence: str | None) -> Graph:
    """The graph of a model of plots.

    Args:
        licence: SPDX name that the model folder states for its maps.

    Raises:
        ModelError: the model is no network.
    """
    if isinstance(model, StackModel):
        raise ModelError(
            f"a stack is a weighted mean of models ({', '.join(model.parts)}), whose weights "
            "depend on the training plots, so it cannot be exported; export the folder of a "
            "network among its members, or train one with --set map.model=spatioformer"
        )
    if not isinstance(model, NetworkModel):
        raise ModelError(
            f"the model is of the class {model.architecture}, which is no network of torch, so it "
            "cannot be exported; export a network, for instance one "
            "trained with --set map.model=spatioformer-distilled, which learns from the Gaussian "
            "process"
        )
    P, bands = model.patch, model.bands
    dated = model.covariates is not None
    module = SpeciesWithCovariates(model) if dated else Species(model)
    inputs = [
        Port(
            "chips",
            ("n", P, P, len(bands)),
            f"raw values of the bands {', '.join(bands)}, in this order, of {P} x {P} pixels "
            "around each place, rows north first; float32, no nodata",
        ),
        Port("lon", ("n", P, P), "longitude of each pixel centre, degrees east; float64"),
        Port("lat", ("n", P, P), "latitude of each pixel centre, degrees north; float64"),
    ]
    if model.covariates is not None:
        names = ", ".join(
            f"{name} ({usual:g} in maps)"
            for name, usual in zip(model.covariates.names, model.covariates.usual, strict=True)
        )
        about = f"raw values of {names}, NaN where missing; float64"
        inputs.append(Port("covariates", ("n", len(model.covariates.names)), about))
    kind = unit(model.facts.get("target_kind"))
    about = f"{model.facts.get('target', 'plant species richness')} of the centre pixel, {kind}"
    return Graph(
        module,
        tuple(inputs),
        Port("prediction", ("n",), about),
        lambda count: draw(model, count),
        facts_of(model, licence),
        {},
    )


def facts_of(model: NetworkModel, licence: str | None) -> dict[str, Any]:
    """Facts for the metadata of a network."""
    scaling = model.scaling
    return {
        "about": f"{model.name}: {model.summary}",
        "kind": "network",
        "bands": model.bands,
        "patch": model.patch,
        "target": model.facts.get("target", "plant species richness"),
        "unit": unit(model.facts.get("target_kind")),
        "covariates": [] if model.covariates is None else list(model.covariates.names),
        "scaling": "none; the network takes raw values"
        if scaling is None
        else "inside the graph: (band - mean) / sd with the mean and sd of the training plots",
        "band_mean": None if scaling is None else list(scaling.band_mean),
        "band_sd": None if scaling is None else list(scaling.band_sd),
        "region": model.facts.get("region"),
        "licence": licence or "not stated",
        "warning": model.facts.get("virtual", ""),
        "intervals": "none: the graph gives the mean alone; maps of spatioformer have intervals",
        **({} if model.near is None else {"near_plots": model.near.about}),
    }


def draw(model: NetworkModel, count: int) -> tuple[Tensor, ...]:
    """Random inputs in the range of the training plots, from a fixed seed."""
    generator = torch.Generator().manual_seed(count)
    P, B = model.patch, len(model.bands)
    if model.scaling is None:
        low, high = REFLECTANCE
        chips = low + (high - low) * torch.rand(count, P, P, B, generator=generator)
    else:
        mean, sd = torch.tensor(model.scaling.band_mean), torch.tensor(model.scaling.band_sd)
        chips = mean + sd * torch.randn(count, P, P, B, generator=generator)
    west, east, south, north = model.facts.get("region") or (-180.0, 180.0, -60.0, 80.0)
    u = torch.rand(2, count, 1, 1, dtype=torch.float64, generator=generator)
    steps = torch.arange(P, dtype=torch.float64) * 0.01
    lon = (west + (east - west) * u[0] + steps).expand(-1, P, P)
    lat = (south + (north - south) * u[1] - steps[:, None]).expand(-1, P, P)
    inputs = [chips, lon.contiguous(), lat.contiguous()]
    if model.covariates is not None:
        rows = torch.from_numpy(model.covariates.rows(count, None))
        factors = 0.5 + torch.rand(rows.shape, dtype=torch.float64, generator=generator)
        rows = rows * factors
        if count > 1:
            rows[1] = torch.nan  # a place without covariates
        inputs.append(rows)
    return tuple(inputs)
