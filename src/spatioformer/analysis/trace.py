"""The chain from the pixels and the location of one place to its prediction, step by step.

Shapes: P patch side, D width, F location features, T tokens.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.geo.chips import open_chips
from spatioformer.geo.cutting import cut_chips
from spatioformer.mapping.covariates import takes_imagery
from spatioformer.models.base import Model
from spatioformer.models.network import NetworkModel
from spatioformer.models.stack import StackModel
from spatioformer.models.target import amount, unit
from spatioformer.nn import ChipNetwork, DenseSpatioformer, PaperSpatioformer, Spatioformer
from spatioformer.nn.geolocation import LocationEncoder, PaperWaves, Sinusoids, SphereWaves
from spatioformer.nn.trace import Trace
from spatioformer.nn.trace_chips import trace_chip
from spatioformer.tracing.panels import (
    Panel,
    Rows,
    layer_panels,
    middle,
    neighbour_names,
    neighbour_panels,
    vectors,
)

Pixels = tuple[np.ndarray, np.ndarray, np.ndarray]
"""A chip (P, P, band), and longitude and latitude (P, P) of its pixel centres, degrees."""


@dataclass(frozen=True)
class PlaceTrace:
    """A recorded prediction of one place.

    Attributes:
        model: whose first network was recorded.
        pixels: chip, longitude and latitude, raw values.
        species: of the recorded network.
        prediction: of the model, the mean over its networks with the part near plots, species.
        trace: the arrays, as `nn.trace_chips` names them.
    """

    model: NetworkModel
    pixels: Pixels
    species: float
    prediction: float
    trace: Trace

    @property
    def network(self) -> ChipNetwork:
        return self.model.members[0]

    @property
    def lonlat(self) -> tuple[float, float]:
        """Longitude and latitude of the centre pixel, degrees."""
        half = self.model.patch // 2
        return float(self.pixels[1][half, half]), float(self.pixels[2][half, half])

    @property
    def sentence(self) -> str:
        """Place and prediction in one sentence."""
        lon, lat = self.lonlat
        kind = self.model.facts.get("target_kind")
        count = len(self.model.members)
        text = (
            f"{self.model.name} predicts {amount(self.prediction, 1, kind)} at {lon:.4f}, {lat:.4f}"
        )
        if count > 1:
            text += (
                f", the mean of {count} networks; the first, shown here, predicts "
                f"{amount(self.species, 1, kind)}"
            )
        elif self.model.near is not None:
            text += (
                f"; the network, shown here, predicts {amount(self.species, 1, kind)}, and the "
                "field near plots is added"
            )
        virtual = self.model.facts.get("virtual")
        return f"{text} ({virtual})" if virtual else text

    def panels(self, layer: int, head: int) -> Rows:
        """What is shown of the chain, with one layer and head, counted from 1.

        Raises:
            ModelError: the layer or the head does not exist.
        """
        self.trace.check(layer, head)
        names = self._pixel_names
        raw = self.pixels[0].reshape(len(names), -1)
        rows = [
            [
                Panel(
                    "Pixels",
                    "raw values of the imagery",
                    raw,
                    names,
                    self.model.bands,
                    "amount",
                    "unit of each band",
                ),
                Panel(
                    "Pixels as the network reads them",
                    "(value - mean) / sd of the training plots" if self.model.scaling else "as raw",
                    self.trace["pixels"].reshape(len(names), -1),
                    names,
                    self.model.bands,
                    unit="standard deviations" if self.model.scaling else "unit of each band",
                ),
            ]
        ]
        if "location" in self.trace:
            rows.append(self._location())
        if isinstance(self.network, DenseSpatioformer):
            field = self.trace["layer1.input"].reshape(len(names), -1)
            rows.append(
                [vectors("Input of the first layer", "a token for each pixel", field, names)]
            )
            rows += neighbour_panels(self.trace, layer, head)
        else:
            tokens = self._tokens
            first = vectors("Input of the first layer", "tokens", self.trace["input"], tokens)
            rows += [[first], *layer_panels(self.trace, layer, head, tokens)]
        return [*rows, self._last()]

    def _last(self) -> list[Panel]:
        """What the head reads, and the prediction."""
        features = self.trace["features"]
        formula = "mean of the last layer's tokens"
        if isinstance(self.network, DenseSpatioformer):
            formula = "the centre's vector after the last layer"
        elif isinstance(self.network, PaperSpatioformer):
            formula = "the last layer's tokens, one after the other"
        reads = vectors("What the head reads", formula, features, ["features"])
        names = [f"network 1 of {len(self.model.members)}"]
        values = [self.species]
        if len(self.model.members) > 1:
            names.append("mean of the networks")
            values.append(self.prediction)
        elif self.model.near is not None:
            names.append("with the field near plots")
            values.append(self.prediction)
        species = unit(self.model.facts.get("target_kind"))
        predicted = Panel(
            "Prediction",
            "head of the network, in the unit of the plots",
            np.array(values)[:, None],
            names,
            [species],
            unit=species,
            kind="bars",
        )
        return [reads, predicted]

    def _location(self) -> list[Panel]:
        """Features of the location, and what they do to the tokens."""
        features = self.trace["location"]
        half = self.model.patch // 2
        if isinstance(self.network, PaperSpatioformer):
            features = features[len(features) // 2]
        values = middle(features)
        lon, lat = self.lonlat
        located = Panel(
            "Location features g_k",
            f"waves of longitude {lon:.4f} and latitude {lat:.4f}",
            values[:, None],
            feature_names(self.network, len(values)),
            ["g"],
            kind="bars",
        )
        if isinstance(self.network, PaperSpatioformer):
            middle_row = half * self.model.patch + half
            shift = self.trace["shift"][middle_row]
            added = vectors("Added to the token", "lambda · g", shift, ["shift"])
            return [located, added]
        both = np.stack([middle(self.trace[part]) for part in ("scale", "shift")])
        does = vectors(
            "What the location does to a token", "token · (1 + scale) + shift", both,
            ["scale", "shift"],
        )  # fmt: skip
        return [located, does]

    @property
    def _pixel_names(self) -> list[str]:
        side = self.model.patch
        return ["pixel"] if side == 1 else neighbour_names(side)

    @property
    def _tokens(self) -> list[str]:
        """Names of the tokens of a network with a class token."""
        names = self._pixel_names
        network = self.network
        if isinstance(network, Spatioformer) and network.config["tokens"] == "bands":
            names = self.model.bands
        covariates = [] if self.model.covariates is None else list(self.model.covariates.names)
        return ["class", *names, *covariates]

    def as_json(self, layer: int | None = None) -> dict[str, Any]:
        """JSON values: place, bands, raw pixels, prediction and the arrays of `Trace.as_json`."""
        lon, lat = self.lonlat
        facts = {
            "model": self.model.name,
            "lon": lon,
            "lat": lat,
            "bands": self.model.bands,
            "raw": self.pixels[0].tolist(),
            "unit": unit(self.model.facts.get("target_kind")),
            "network_prediction": self.species,
            "prediction": self.prediction,
            "networks": len(self.model.members),
        }
        return facts | self.trace.as_json(layer)


def feature_names(network: ChipNetwork, count: int) -> list[str]:
    """Names of a network's location features: the wave and its length, or a number."""
    encoder = getattr(network, "location", None)
    numbers = [str(k) for k in range(count)]
    if isinstance(network, PaperSpatioformer) or isinstance(encoder, PaperWaves):
        return [f"{k}: {'cos' if k % 2 else 'sin'}" for k in range(count)]
    if not isinstance(encoder, LocationEncoder):
        return numbers
    axes = {SphereWaves: ("x", "y", "z"), Sinusoids: ("0°", "120°", "240°")}.get(type(encoder))
    if axes is None or not isinstance(encoder, SphereWaves | Sinusoids):
        return numbers
    # `geolocation._waves`: sines then cosines, the wavelengths of an axis side by side.
    return [
        f"{wave} {axis}, {length:.3g}°"
        for wave in ("sin", "cos")
        for axis in axes
        for length in encoder.wavelengths
    ]


def trace_place(model: Model, pixels: Pixels) -> PlaceTrace:
    """Record what the first network of a model computes for one chip.

    Covariates of the plots have the values that they have in a map.

    Raises:
        ModelError: the model is no network with tokens, or the chip does not fit it.
    """
    if isinstance(model, StackModel):
        raise ModelError(
            f"a stack is a mean of models ({', '.join(model.parts)}) without tokens of its own; "
            "give the folder of a network among its members, such as MODEL/members/NAME"
        )
    if not isinstance(model, NetworkModel):
        raise ModelError(
            f"the model is of the class {model.architecture}, which has no tokens and no attention "
            "to follow; use a network, such as one trained with --set map.model=spatioformer, or "
            "`spatioformer drivers`"
        )
    chip, lon, lat = pixels
    model.ready()
    inputs = [torch.from_numpy(np.array(a)) for a in (chip, lon, lat)]
    if model.scaling is not None:
        inputs[0] = model.scaling.bands(inputs[0])
    if model.covariates is not None:
        raw = model.covariates.rows(1, None)
        inputs.append(torch.from_numpy(model.covariates.standardised(raw))[0])
    trace = trace_chip(model.members[0], *inputs)
    output = torch.from_numpy(trace["outputs"])
    if model.scaling is None:
        species = float(output[0])
    else:
        of_one = output if model.scaling.quantiles is None else output[None]
        species = float(model.scaling.species(of_one)[0])
    prediction = float(model.predict(chip[None], lon[None], lat[None])[0])
    return PlaceTrace(model, pixels, species, prediction, trace)


def chip_at(model: Model, imagery: str | Path, lon: float, lat: float) -> Pixels:
    """Cut the chip of a model around a place.

    Args:
        imagery: raster with the model's bands by name.
        lon, lat: of the place, degrees; the chip is centred on the pixel that holds it.

    Raises:
        ImageryError: the model takes no imagery, the raster lacks a band, or the place lies outside
            or beside nodata.
    """
    if not takes_imagery(model):
        raise ImageryError(
            "the model learned from a plot table alone and reads no pixels; choose a model of "
            "imagery"
        )
    place = pd.DataFrame({"lon": [lon], "lat": [lat]})
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "chips"
        cut_chips(Path(imagery), place, model.patch, folder, bands=list(model.bands))
        store = open_chips(folder)
        return store.chips[0].copy(), store.lon[0].copy(), store.lat[0].copy()


def located(lon: float, lat: float) -> tuple[float, float]:
    """Check a longitude and a latitude, degrees.

    Raises:
        ImageryError: they are no place on Earth.
    """
    if not (-180 <= lon <= 360 and -90 <= lat <= 90):
        raise ImageryError(
            f"longitude {lon:g}, latitude {lat:g} is no place on Earth; give degrees east (-180 to "
            "180), then degrees north (-90 to 90)"
        )
    return lon, lat
