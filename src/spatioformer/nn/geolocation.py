"""Location encoders, and the ways in which a network uses their features.

Shapes: B batch, D width of a token, F features of a location; `*place` any leading shape, one entry
for each location.

A `LocationEncoder` turns degrees in float64 into F features in the dtype of the module. It computes
them in float64 and rounds at the end: one float32 step at 150 degrees is 1.5 m of longitude.

| name | class | seam at 180 degrees | learned |
|---|---|---|---|
| paper | PaperWaves | yes | no |
| sinusoids | Sinusoids | yes | no |
| sphere | SphereWaves | no | no |
| harmonics | Harmonics | no | yes |
| fourier | RandomFourier | no | no |
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.common.earth import MEAN_RADIUS_KM
from spatioformer.common.errors import ModelError
from spatioformer.nn.harmonics import Siren, spherical_harmonics

DEGREES = 180 / math.pi
MOST_HARMONIC_DEGREES = 24  # 625 harmonics; for finer detail use waves


class LocationEncoder(nn.Module, ABC):
    """Base of all encoders; a subclass sets `features` and computes `encode`.

    Attributes:
        features: F.
    """

    features: int
    _like: Tensor

    def __init__(self) -> None:
        super().__init__()
        # Records dtype and device for encoders without weights; `.double()` and `.to()` change it.
        self.register_buffer("_like", torch.zeros(()), persistent=False)

    def forward(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.features}"]:
        """Features of locations in degrees, in the dtype of the module (float32 by default)."""
        return self.encode(lon.double(), lat.double()).to(self._like.dtype)

    @abstractmethod
    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        """The features in float64, from float64 degrees."""


class PaperWaves(LocationEncoder):
    """g(lon, lat) of the published network without its weight; see `paper_waves`."""

    def __init__(self, width: int = 16, base: float = 100.0):
        super().__init__()
        self.features, self.base = width, base

    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        return paper_waves(lon, lat, self.features, self.base)


class Sinusoids(LocationEncoder):
    """Waves in three directions of the lon/lat plane, 120 degrees apart, at each wavelength.

        sin, cos (2 pi <x, a_j> / w),   x = (lon, lat),   a_j = (cos(2 pi j / 3), sin(2 pi j / 3))

    Source: Mai et al. 2020 (Space2Vec, ICLR), the "theory" encoder.

    Args:
        wavelengths: w, degrees.
    """

    def __init__(self, wavelengths: Sequence[float]):
        super().__init__()
        self.wavelengths = tuple(wavelengths)
        self.features = 6 * len(self.wavelengths)

    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        angle = torch.arange(3, dtype=torch.float64, device=lon.device) * (2 * math.pi / 3)
        along = lon[..., None] * angle.cos() + lat[..., None] * angle.sin()  # (*place, 3)
        return _waves(along, self.wavelengths)


class SphereWaves(LocationEncoder):
    """Waves along the three axes of space: the same on both sides of 180 degrees and at a pole.

        sin, cos (2 pi u_i / w),   u = unit vector of the location in degrees of arc

    A sphere-aware encoder in the sense of Mai et al. 2023 (Sphere2Vec, ISPRS 202), whose own
    products of sines of scaled longitudes keep a seam at 180 degrees.

    Args:
        wavelengths: w, degrees of arc.
    """

    def __init__(self, wavelengths: Sequence[float]):
        super().__init__()
        self.wavelengths = tuple(wavelengths)
        self.features = 6 * len(self.wavelengths)

    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        return _waves(unit_vector(lon, lat) * DEGREES, self.wavelengths)


class Harmonics(LocationEncoder):
    """Real spherical harmonics up to a degree, mixed by a sine network (SIREN).

    Source: Russwurm et al. 2024 (ICLR), "Geographic Location Encoding with Spherical Harmonics and
    Sinusoidal Representation Networks".

    Args:
        degree: L, of the finest harmonics, with waves of 360 / L degrees; (L + 1)^2 harmonics.
        width: F.
    """

    def __init__(self, degree: int, width: int = 32):
        super().__init__()
        self.degree, self.features = degree, width
        self.siren = Siren((degree + 1) ** 2, width)

    def forward(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.features}"]:
        return self.siren(super().forward(lon, lat))

    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        return spherical_harmonics(lon, lat, self.degree)


class RandomFourier(LocationEncoder):
    """Waves in random directions, with random lengths around each wavelength.

        sin, cos (2 pi <u, b_k> / w),   b_k ~ N(0, I),   u = unit vector in degrees of arc

    Source: Tancik et al. 2020; with several scales, Vivanco Cepeda et al. 2023 (GeoCLIP), there on
    a plane, here in space and so without a seam.

    Args:
        wavelengths: w, degrees of arc.
        width: F, rounded up so that each wavelength has the same number of sines and cosines.
        seed: of the directions, which are stored with the weights.
    """

    directions: Tensor

    def __init__(self, wavelengths: Sequence[float], width: int = 32, seed: int = 0):
        super().__init__()
        self.wavelengths = tuple(wavelengths)
        count = -(-width // (2 * len(self.wavelengths)))
        self.features = 2 * count * len(self.wavelengths)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(3, len(self.wavelengths), count, generator=generator)
        self.register_buffer("directions", drawn)

    def encode(self, lon: Tensor, lat: Tensor) -> Tensor:
        place = unit_vector(lon, lat) * DEGREES
        scale = torch.tensor(self.wavelengths, dtype=torch.float64, device=lon.device)
        turns = torch.einsum("...i,isk->...sk", place, self.directions.double())
        phase = 2 * math.pi * (turns / scale[:, None]).flatten(-2)
        return torch.cat([phase.sin(), phase.cos()], dim=-1)


ENCODERS = ("paper", "sinusoids", "sphere", "harmonics", "fourier")


def location_encoder(
    name: str, wavelengths: Sequence[float] | None = None, width: int = 32
) -> LocationEncoder:
    """The encoder called `name`.

    Args:
        name: one of ENCODERS.
        wavelengths: degrees, each above 0; `wavelengths_over` chooses them for an extent. None for
            the paper's encoder, which has fixed ones.
        width: F, for paper, harmonics and fourier.

    Raises:
        ModelError: an unknown name; wavelengths that are missing or not positive; wavelengths for
            the paper's encoder.
    """
    if name not in ENCODERS:
        raise ModelError(
            f"location encoder {name!r} is unknown; choose one of {', '.join(ENCODERS)}"
        )
    if name == "paper":
        if wavelengths is not None:
            raise ModelError(
                f"the paper's encoder has wavelengths of its own; leave out {list(wavelengths)}, "
                "or choose sinusoids"
            )
        return PaperWaves(width)
    if not wavelengths or min(wavelengths) <= 0:
        raise ModelError(
            f"location encoder {name!r} cannot use the wavelengths {wavelengths}; give at least "
            "one number of degrees above 0"
        )
    if name == "harmonics":
        return Harmonics(min(MOST_HARMONIC_DEGREES, math.ceil(360 / min(wavelengths))), width)
    if name == "fourier":
        return RandomFourier(wavelengths, width)
    return {"sinusoids": Sinusoids, "sphere": SphereWaves}[name](wavelengths)


def wavelengths_over(extent: float, count: int = 2, finest: float = 1.0) -> tuple[float, ...]:
    """Wavelengths in geometric steps from twice the extent down to `finest` of it, degrees.

    A wave of twice the extent is the longest that separates one end from the other. Waves finer
    than the extent learn the locations of the plots instead of the land: see the ablation in
    docs/models.md.
    """
    ratio = (finest / 2) ** (1 / max(count - 1, 1))
    return tuple(2 * extent * ratio**k for k in range(count))


def extent_of(lon: Float[Tensor, "n"], lat: Float[Tensor, "n"]) -> float:
    """The longer side of the smallest lon/lat box around the locations, degrees of arc.

    The box may straddle 180 degrees; a single location has an extent of one hundredth of a degree.
    """
    around = lon.double().remainder(360).sort().values
    gaps = torch.cat([around.diff(), around[:1] + 360 - around[-1:]])
    middle = (lat.max() + lat.min()).double() / 2
    width = (360 - gaps.max()) * torch.cos(middle / DEGREES)
    return max(float(width), float(lat.max() - lat.min()), 0.01)


class FiLM(nn.Module):
    """Scale and shift tokens by location features: tokens * (1 + scale) + shift.

    Source: Perez et al. 2018 (AAAI), "FiLM: Visual Reasoning with a General Conditioning Layer".
    Scale and shift start at zero, so that an untrained location changes nothing.
    """

    def __init__(self, width: int, features: int):
        super().__init__()
        self.linear = nn.Linear(features, 2 * width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, tokens: Float[Tensor, "*place D"], features: Float[Tensor, "*#place F"]
    ) -> Float[Tensor, "*place D"]:
        scale, shift = self.linear(features).chunk(2, dim=-1)
        return tokens * (1 + scale) + shift


class AddLocation(nn.Module):
    """Project location features and add them to tokens; starts at zero, like `FiLM`."""

    def __init__(self, width: int, features: int):
        super().__init__()
        self.linear = nn.Linear(features, width)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(
        self, tokens: Float[Tensor, "*place D"], features: Float[Tensor, "*#place F"]
    ) -> Float[Tensor, "*place D"]:
        return tokens + self.linear(features)


class LocationDropout(nn.Module):
    """In training, hide the location of a random share of the samples.

    The network then learns to use imagery without location, and can predict where the location is
    misleading.

    Args:
        features: F.
        rate: share of the samples whose features are replaced by the learned `unknown`.
    """

    def __init__(self, features: int, rate: float):
        super().__init__()
        self.rate = rate
        self.unknown = nn.Parameter(torch.zeros(features))

    def forward(self, features: Float[Tensor, "B *place F"]) -> Float[Tensor, "B *place F"]:
        if not self.training or self.rate == 0:
            return features
        shape = (len(features),) + (1,) * (features.ndim - 1)
        known = torch.rand(shape, device=features.device) >= self.rate
        return torch.where(known, features, self.unknown)


class PaperGeolocation(nn.Module):
    """The published encoding, weight * g(lon, lat); g is `paper_waves`.

    Attributes:
        weight: the learned scalar lambda, shape ().
    """

    def __init__(self, width: int, base: float = 100.0, weight: float = 10000.0):
        super().__init__()
        self.width = width
        self.base = base
        self.weight = nn.Parameter(torch.tensor(float(weight)))

    def forward(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.width}"]:
        return self.weight * self.encode(lon, lat).to(self.weight.dtype)

    def encode(
        self, lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
    ) -> Float[Tensor, "*place {self.width}"]:
        """g(lon, lat) in float64, each feature in [-1, 1]."""
        return paper_waves(lon, lat, self.width, self.base)


def paper_waves(
    lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"], width: int, base: float
) -> Float[Tensor, "*place {width}"]:
    """The published encoding g(lon, lat) in float64, each feature in [-1, 1].

    For k = 0 .. D-1, with w_k = base^(k/D) and v_k = base^((D-k-1)/D):

        g_k = (sin(lon / w_k) + sin(lat / v_k)) / 2    k even
        g_k = (cos(lon / w_k) + cos(lat / v_k)) / 2    k odd

    Degrees go in as they are. Source: Guo et al. 2025 (IEEE TGRS 63, arXiv 2410.19256).
    """
    lon, lat = lon.double()[..., None], lat.double()[..., None]
    # Not a buffer, because `model.float()` would round it.
    k = torch.arange(width, dtype=torch.float64, device=lon.device)
    east = lon / base ** (k / width)
    north = lat / base ** ((width - 1 - k) / width)
    # Compute sines at even k and cosines at odd k only.
    features = torch.empty_like(east)
    features[..., 0::2] = east[..., 0::2].sin() + north[..., 0::2].sin()
    features[..., 1::2] = east[..., 1::2].cos() + north[..., 1::2].cos()
    return features / 2


def unit_vector(
    lon: Float[Tensor, "*place"], lat: Float[Tensor, "*place"]
) -> Float[Tensor, "*place 3"]:
    """Points of the unit sphere: x through (0, 0), y through (90 E, 0), z through the pole."""
    lon, lat = lon / DEGREES, lat / DEGREES
    return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], dim=-1)


def jittered(
    lon: Float[Tensor, "B *place"], lat: Float[Tensor, "B *place"], km: float
) -> tuple[Float[Tensor, "B *place"], Float[Tensor, "B *place"]]:
    """Move each sample east and north by normal draws with a standard deviation of `km`.

    Returns float64 degrees. All pixels of a sample move together. Draws come from torch's
    default generator.
    """
    shape = (2, len(lon)) + (1,) * (lon.ndim - 1)
    step = torch.randn(shape, dtype=torch.float64, device=lon.device) * (km / MEAN_RADIUS_KM)
    east, north = step * DEGREES
    moved = (lat.double() + north).clamp(-90, 90)
    # Close to a pole a step east is many degrees; the clamp limits it to a factor of 1000.
    return lon.double() + east / torch.cos(lat / DEGREES).clamp_min(1e-3), moved


def _waves(along: Tensor, wavelengths: Sequence[float]) -> Tensor:
    """Sines then cosines of positions (*place, axes) at each wavelength, flattened."""
    scale = torch.tensor(wavelengths, dtype=torch.float64, device=along.device)
    phase = (2 * math.pi * along[..., None] / scale).flatten(-2)  # (*place, axes * scales)
    return torch.cat([phase.sin(), phase.cos()], dim=-1)
