"""Species niches along gradients, in space and within provinces: probabilities of presence.

The model of the virtual flora (docs/virtual_flora.md). Species s is present in a plot at place x,
independently of the other species, with probability

    p_s(x) = prevalence_s * exp(-(t^2 + m^2 + g^2 + e^2 + d^2) / 2) * access_s(x)

    t, m, g, e   (temperature, log precipitation, greenness, soil at x - the species' optimum) / its
                 tolerance
    d            distance of x from the centre of the species / its range access_s(x)  share of the
    species' province in the flora of x, plus `leak` times the other shares

Gaussian niches: Gauch & Whittaker 1972 (Ecology 53:446). Legend: n places, S species, K provinces.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spatioformer.common.earth import unit_vectors

Floats = NDArray[np.float64]

BORDER = 0.6  # width of the transition between the floras of two provinces, degrees
_CHUNK = 1024  # places computed at once


@dataclass(frozen=True)
class Environment:
    """Environment of places of any one shape: a map [y, x] or a list of plots [n].

    Attributes:
        lon, lat: degrees.
        temperature: annual mean, degrees Celsius.
        precipitation: annual sum, mm, above 0.
        greenness: percentile of the vegetation index among the region's land pixels, 0-1.
        soil: a hidden gradient, standard normal over the region.
    """

    lon: Floats
    lat: Floats
    temperature: Floats
    precipitation: Floats
    greenness: Floats
    soil: Floats

    def __getitem__(self, index) -> "Environment":
        return Environment(*(getattr(self, field.name)[index] for field in fields(self)))

    @property
    def position(self) -> Floats:
        """Unit vectors [..., 3] from the centre of the Earth."""
        return unit_vectors(self.lon, self.lat)

    @property
    def gradients(self) -> dict[str, Floats]:
        """Gradients of the niches by name, in the units of the species' traits."""
        return {
            "temperature": self.temperature,
            "log_precipitation": np.log(self.precipitation),
            "greenness": self.greenness,
            "soil": self.soil,
        }


def presence(environment: Environment, species: pd.DataFrame, provinces: pd.DataFrame) -> Floats:
    """Probability [n, S] that a plot at each of n places holds each of S species (formula above).

    Distances are chords through the Earth in degrees of arc: 1 % shorter than the arc at 28
    degrees.

    Args:
        environment: of n places, 1-D fields.
        species, provinces: one row each, columns as in `flora.VirtualFlora`.
    """
    gradients = environment.gradients
    values = np.stack(list(gradients.values()), axis=1)  # [n, 4]
    optimum = species[[f"{name}_optimum" for name in gradients]].to_numpy().T  # [4, S]
    weight = species[[f"{name}_tolerance" for name in gradients]].to_numpy().T ** -2.0
    # sum_k ((v_k - o_k) / tolerance_k)^2, expanded into two matrix products, which are faster than
    # a dozen passes over [n, S]. Exact to 1e-12, because values are within a few tolerances of 0.
    exponent = values**2 @ weight - 2 * values @ (optimum * weight)
    exponent += (optimum**2 * weight).sum(axis=0)
    home = unit_vectors(species["lon"], species["lat"])
    reach = np.radians(species["range"].to_numpy())
    exponent += (1 - environment.position @ home.T) * (2 / reach**2)
    leak = species["leak"].to_numpy()
    native = np.arange(len(provinces))[:, None] == species["province"].to_numpy()  # [K, S]
    access = leak + membership(environment, provinces) @ (native * (1 - leak))
    return species["prevalence"].to_numpy() * np.exp(-exponent / 2) * access


def membership(environment: Environment, provinces: pd.DataFrame) -> Floats:
    """Share [n, K] of each province in the flora of n places; rows sum to 1.

    softmax over provinces of -(distance from their centre) / BORDER: near 1 inside a province,
    equal shares on the border half way between two centres.
    """
    distance = arc(environment.position, unit_vectors(provinces["lon"], provinces["lat"]))
    weight = np.exp(-(distance - distance.min(axis=1, keepdims=True)) / BORDER)
    return weight / weight.sum(axis=1, keepdims=True)


def chunks(count: int) -> Iterator[slice]:
    """Consecutive slices of `count` places, so that temporaries [n, S] fit the cache."""
    return (slice(start, start + _CHUNK) for start in range(0, count, _CHUNK))


def arc(one: Floats, other: Floats) -> Floats:
    """Great-circle distance [n, m] between unit vectors [n, 3] and [m, 3], degrees."""
    # `common.earth.arc` of the chords rounds differently, which would change published floras.
    return np.degrees(np.arccos(np.clip(one @ other.T, -1, 1)))
