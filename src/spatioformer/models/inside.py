"""What a model has inside that concerns place: location encoders of networks, kernels of processes.

Shapes: n places, F features.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatioformer.common.earth import on_sphere
from spatioformer.geo.chips import ChipStore
from spatioformer.models.base import Model
from spatioformer.models.baselines import (
    ClosedFormStack,
    ForestKriging,
    GaussianProcess,
    Kriging,
    LocationKNN,
)
from spatioformer.models.baselines.gaussian.kernel import TERMS, Hyperparameters
from spatioformer.models.network import NetworkModel
from spatioformer.models.patterns import ChipPatterns, chip_patterns
from spatioformer.models.stack import StackModel
from spatioformer.models.tabular import TabularModel
from spatioformer.nn import ChipNetwork, DenseSpatioformer, PaperSpatioformer, Spatioformer
from spatioformer.nn.geolocation import (
    FiLM,
    LocationEncoder,
    Sinusoids,
    SphereWaves,
    paper_waves,
)

Floats = NDArray[np.float64]
Encode = Callable[[Tensor, Tensor], Tensor]

PAPER_WIDTH, PAPER_BASE = 16, 100.0
"""Width D and base C of the published encoding."""

SetName = Literal["encoder", "scale", "shift", "head-scale", "head-shift", "published"]


@dataclass(frozen=True)
class LocationFeatures:
    """A group of features that depend on the location alone.

    Attributes:
        name: "encoder", output of the location encoder; "scale" and "shift", what FiLM makes of it
            for the tokens, "head-scale" and "head-shift" for the head; "published", the encoding
            of the published network, which has no weights.
        features: (F,) name of each.
        learned: whether the training changed them.
        encode: longitude and latitude (n,), degrees, float64 -> (n, F).
    """

    name: SetName
    features: list[str]
    learned: bool
    encode: Encode

    def at(self, lon: Floats, lat: Floats) -> NDArray[np.float32]:
        """Features (n, F) of places (n,), degrees."""
        with torch.inference_mode():
            place = (torch.from_numpy(np.array(v, np.float64)) for v in (lon, lat))
            return self.encode(*place).float().cpu().numpy()


def networks_in(model: Model, name: str = "") -> Iterator[tuple[str, NetworkModel]]:
    """Networks of a model: itself, or the members of a stack; with the name of the member."""
    if isinstance(model, NetworkModel):
        yield name, model
    if isinstance(model, StackModel):
        for member, part in model.parts.items():
            yield from networks_in(part, member)


def single_networks(model: Model) -> list[tuple[str, NetworkModel]]:
    """Every network of a model as a model of its own: members of stacks and of ensembles."""
    return [
        (name, replace(ensemble, network=network))
        for name, ensemble in networks_in(model)
        for network in ensemble.members
    ]


def location_features(model: NetworkModel) -> list[LocationFeatures]:
    """Location features of a network; of an ensemble's first member.

    The published encoding comes last, for comparison, unless the network has it.
    """
    network: ChipNetwork = model.members[0]
    published = _published(PAPER_WIDTH, PAPER_BASE)
    if isinstance(network, PaperSpatioformer):
        if network.geolocation is None:
            return [published]
        return [_published(network.config["width"], network.config["base"])]
    if not isinstance(network, Spatioformer | DenseSpatioformer) or network.location is None:
        return [published]
    encoder = network.location
    groups = [LocationFeatures("encoder", _names(encoder), _is_learned(encoder), encoder)]
    if isinstance(network, Spatioformer):
        return [*groups, *_film(encoder, network.film, "scale", "shift"), published]
    tokens = _film(encoder, network.token_film, "scale", "shift")
    head = _film(encoder, network.head_film, "head-scale", "head-shift")
    return [*groups, *tokens, *head, published]


def published_features() -> LocationFeatures:
    """The encoding g of the published network."""
    return _published(PAPER_WIDTH, PAPER_BASE)


def _published(width: int, base: float) -> LocationFeatures:
    names = [f"g{k}" for k in range(width)]
    return LocationFeatures(
        "published", names, False, lambda lon, lat: paper_waves(lon, lat, width, base)
    )


def _film(
    encoder: LocationEncoder, film: FiLM, scale: SetName, shift: SetName
) -> list[LocationFeatures]:
    width = film.linear.out_features // 2

    def part(first: int) -> Encode:
        return lambda lon, lat: film.linear(encoder(lon, lat))[..., first : first + width]

    return [
        LocationFeatures(name, [f"channel {k}" for k in range(width)], True, part(i * width))
        for i, name in enumerate((scale, shift))
    ]


def _is_learned(encoder: LocationEncoder) -> bool:
    return any(True for _ in encoder.parameters())


def _names(encoder: LocationEncoder) -> list[str]:
    """Names of the features of an encoder, in their order."""
    if isinstance(encoder, SphereWaves | Sinusoids):
        axes = "xyz" if isinstance(encoder, SphereWaves) else ("0°", "120°", "240°")
        return [
            f"{wave} {axis}, {length:.3g}°"
            for wave in ("sin", "cos")
            for axis in axes
            for length in encoder.wavelengths
        ]
    return [f"feature {k}" for k in range(encoder.features)]


def knows_place(model: NetworkModel) -> bool:
    """Whether a network has location features of its own."""
    network = model.members[0]
    if isinstance(network, PaperSpatioformer):
        return network.geolocation is not None
    return isinstance(network, Spatioformer | DenseSpatioformer) and network.location is not None


@dataclass(frozen=True)
class PlaceKernel:
    """Correlation of a process between places with the same imagery, before it sees the plots.

        correlation = sum over fields of share * exp(-distance / range)

    Attributes:
        fields: name -> share of the variance, and range; an infinite range: the field does not
            depend on place. Shares sum to 1, less that of the noise of kriging.
        points: lon and lat (n,), degrees -> points (n, 3) between which distances are straight.
        directions: name -> points (n, 3) at distances (n,), km, to that side of a place; one name,
            "any", where all directions are alike.
    """

    fields: dict[str, tuple[float, float]]
    points: Callable[[Floats, Floats], Floats]
    directions: dict[str, Callable[[Floats], Floats]]

    def correlation(self, distance: Floats) -> dict[str, Floats]:
        """Part of each field in the correlation at distances between points, (n,) each."""
        return {
            name: share * np.exp(-distance / reach) for name, (share, reach) in self.fields.items()
        }

    def curves(self, km: Floats) -> list["PlaceCurve"]:
        """Correlation at distances (n,), km: all fields together, then those of place."""
        out = []
        for direction, steps in self.directions.items():
            parts = self.correlation(np.linalg.norm(steps(km), axis=1))
            out.append(PlaceCurve("all", direction, np.sum(list(parts.values()), axis=0)))
            out += [
                PlaceCurve(name, direction, part)
                for name, part in parts.items()
                if np.isfinite(self.fields[name][1]) and len(parts) > 1
            ]
        return out


@dataclass(frozen=True)
class PlaceCurve:
    """Correlation with distance: of "all" fields or of one, to "east", "north" or "any" side."""

    field: str
    direction: str
    values: Floats


def place_kernel(model: Model) -> PlaceKernel | None:
    """The kernel over place of a model's Gaussian process or kriging; None for other models."""
    if isinstance(model, StackModel):
        kernels = (place_kernel(part) for part in model.parts.values())
        return next((kernel for kernel in kernels if kernel is not None), None)
    regressor = model.regressor if isinstance(model, TabularModel) else None
    if isinstance(regressor, ClosedFormStack):
        regressor = regressor.processes_[0]
    if isinstance(regressor, GaussianProcess):
        return _of_process(regressor)
    if isinstance(regressor, ForestKriging):
        regressor = regressor.kriging_
    if isinstance(regressor, Kriging):
        share = 1 - regressor.nugget_share_
        return PlaceKernel({"place": (share, regressor.range_km_)}, _on_sphere, {"any": _eastwards})
    return None


def place_kind(model: Model) -> Literal["encoder", "process", "nearest", "columns", "none"]:
    """How a model knows of place.

    "encoder": a network with location features; "process": correlation that falls with distance;
    "nearest": the nearest plots; "columns": longitude and latitude among the predictors; "none".
    """
    if any(knows_place(network) for _, network in networks_in(model)):
        return "encoder"
    if place_kernel(model) is not None:
        return "process"
    if isinstance(model, TabularModel):
        return "nearest" if isinstance(model.regressor, LocationKNN) else "columns"
    return "none"


def _of_process(process: GaussianProcess) -> PlaceKernel:
    """Kernel of a Gaussian process; two plots with the same features differ in place alone."""
    fitted = Hyperparameters(process.found_, process.features_.shape[1])
    whole = sum(fitted.variances[field] for field in fitted.present)
    ranges = {0: float(fitted.ranges[0]), 1: np.inf, 2: float(fitted.ranges[1])}

    def points(lon: Floats, lat: Floats) -> Floats:
        places = (on_sphere(np.column_stack([lon, lat])) - process.middle_) / process.extent_
        return fitted.stretched(places if process.frame_ is None else places @ process.frame_)

    def along(axis: int) -> Callable[[Floats], Floats]:
        return lambda km: fitted.stretched(np.eye(3)[axis] * km[:, None] / process.extent_)

    is_alike = fitted.anisotropy == (0.0, 0.0)
    return PlaceKernel(
        {TERMS[k]: (float(fitted.variances[k] / whole), ranges[k]) for k in fitted.present},
        points,
        {"any": along(0)} if is_alike else {"east": along(0), "north": along(1)},
    )


def _on_sphere(lon: Floats, lat: Floats) -> Floats:
    return on_sphere(np.column_stack([lon, lat]))


def _eastwards(km: Floats) -> Floats:
    return np.column_stack([km, np.zeros((len(km), 2))])


def patterns_of(
    model: NetworkModel,
    chip: NDArray[np.float32],
    lon: Floats,
    lat: Floats,
    covariates: dict[str, NDArray] | None = None,
) -> ChipPatterns | None:
    """Attention of a network, of an ensemble's first member, on one chip.

    Args:
        chip: (P, P, band), raw values.
        lon, lat: (P, P), degrees.
        covariates: name -> raw values (1,); None: their default values.

    Returns:
        None for a network without attention between the inputs of a chip.
    """
    network = model.members[0]
    one = replace(model, network=network)
    compute = one.features if isinstance(network, DenseSpatioformer) else one.predict
    return chip_patterns(
        network, model.patch, lambda: compute(chip[None], lon[None], lat[None], covariates)
    )


def penultimate(
    model: NetworkModel, store: ChipStore, rows: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Input of the head of a network for plots, (k, width); None for networks without features.

    Args:
        rows: of the plots in the store, (k,).
    """
    if not all(isinstance(m, Spatioformer | DenseSpatioformer) for m in model.members):
        return None
    chips = model.plot_chips(store, rows)
    return np.asarray(model.features(*chips, model.named_covariates(store, rows)), np.float32)
