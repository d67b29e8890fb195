"""The default Spatioformer: predicts species richness from a chip, its location and covariates.

Shapes: B batch, P patch side (odd), C covariates, D width, F location features, T tokens: the
learned one first, then those of the chip, then one for each covariate.

It differs from the published network (`PaperSpatioformer`) in four points: the blocks are pre-norm;
location scales and shifts the tokens (FiLM) instead of being added with a large weight; the head is
small and not linear; and training hides the location of some samples.
"""

from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.chip_network import ChipNetwork, LocatedConfig
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.geolocation import (
    FiLM,
    LocationDropout,
    LocationEncoder,
    jittered,
    location_encoder,
)
from spatioformer.nn.kernels import blocks
from spatioformer.nn.paper import check_chips, check_patch
from spatioformer.nn.piecewise import band_encoding
from spatioformer.nn.transformer import BlockConfig, Transformer


class SpatioformerConfig(LocatedConfig):
    """Arguments of `Spatioformer`."""

    tokens: Literal["pixels", "bands"]


class Spatioformer(ChipNetwork):
    """Pre-norm transformer over a chip's tokens, FiLM by location, a head that is not linear.

        x = [q; chip tokens + position; covariate tokens]
        x = x (1 + scale(place)) + shift(place)
        y = MLP(mean over tokens of transformer(x))

    Bands and covariates are expected with mean 0 and standard deviation 1 (`models.scaling`).

    Args:
        patch: P, odd.
        bands: bands of a pixel.
        covariates: C, values for each plot.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks.
        mlp_hidden: hidden width of each block's MLP.
        head_hidden: hidden width of the head.
        dropout: rate in the blocks and the head.
        tokens: each pixel of the chip is a token, or (at P = 1) each band.
        edges: (bands, E) of `PiecewiseLinear` for the bands, or None to use them unchanged.
        location: arguments of `location_encoder`, or None: no location.
        location_dropout: share of the training samples whose location is unknown.
        location_jitter: standard deviation of a training location to the east and north, km.
        outputs: numbers in a prediction: 1, or 3 with quantiles (`nn.losses`).

    Attributes:
        config: these arguments, ready for JSON; `Spatioformer(**config)` builds the same.

    Raises:
        ModelError: `patch` is even, `tokens` is "bands" with `patch` above 1, or `heads` does not
            divide `width`.
    """

    config: SpatioformerConfig
    location: LocationEncoder | None
    location_dropout: LocationDropout  # this and `film` exist where `location` is not None
    film: FiLM

    def __init__(
        self,
        patch: int = 3,
        bands: int = 6,
        covariates: int = 0,
        width: int = 32,
        heads: int = 4,
        layers: int = 2,
        mlp_hidden: int = 64,
        head_hidden: int = 64,
        dropout: float = 0.1,
        tokens: Literal["pixels", "bands"] = "pixels",
        edges: list[list[float]] | None = None,
        location: dict[str, Any] | None = None,
        location_dropout: float = 0.0,
        location_jitter: float = 0.0,
        outputs: int = 1,
    ):
        super().__init__()
        self.config = {
            "patch": patch,
            "bands": bands,
            "covariates": covariates,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "head_hidden": head_hidden,
            "dropout": dropout,
            "tokens": tokens,
            "edges": edges,
            "location": location,
            "location_dropout": location_dropout,
            "location_jitter": location_jitter,
            "outputs": outputs,
        }
        check_patch(patch, smallest=1)
        if tokens == "bands" and patch > 1:
            raise ModelError(
                f"bands cannot be the tokens of a chip of {patch} x {patch} pixels; choose pixels, "
                "or patch 1"
            )
        block = BlockConfig(width, heads, mlp_hidden, norm="pre", dropout=dropout)
        self.class_token = nn.Parameter(torch.randn(1, width) * 0.02)
        self.chip_tokens: nn.Module = PixelTokens(patch, bands, width, edges)
        if tokens == "bands":
            self.chip_tokens = ScalarTokens(bands, width)
        self.covariate_tokens = ScalarTokens(covariates, width) if covariates else None
        self.location = None
        if location is not None:
            self.location = location_encoder(**location)
            self.location_dropout = LocationDropout(self.location.features, location_dropout)
            self.film = FiLM(width, self.location.features)
        self.transformer = Transformer(block, layers)
        self.head = small_head(width, head_hidden, outputs, dropout)

    def forward(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
        covariates: Float[Tensor, "B C"] | None = None,
    ) -> Float[Tensor, "B *outputs"]:
        """Predict one number for each chip, or several if `outputs` > 1.

        `models.scaling` turns them into species.

        Args:
            chips: standardised bands, rows north first.
            lon, lat: of each pixel centre, degrees, float64; the centre pixel's are used.
            covariates: standardised; NaN where one is missing. None: all are missing.

        Raises:
            ModelError: the chips are not P x P pixels of `bands` bands, or not C covariates.
        """
        return self.head(self.features(chips, lon, lat, covariates)).squeeze(-1)

    def features(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
        covariates: Float[Tensor, "B C"] | None = None,
    ) -> Float[Tensor, "B D"]:
        """The input of the head: the mean over tokens. Arguments as for `forward`."""
        check_chips(chips, self.config["patch"], self.config["bands"])
        x = torch.cat(
            [
                self.class_token.expand(chips.shape[0], 1, -1),
                self.chip_tokens(chips.flatten(1, -2)),
                *self._covariate_tokens(chips, covariates),
            ],
            dim=1,
        )
        if self.location is not None:
            x = self.film(x, self._place(self.location, lon, lat)[:, None])
        if blocks.can_replace(self, self.transformer, x):
            return blocks.transformed(self.transformer, x).mean(dim=1)
        return self.transformer(x).mean(dim=1)

    def _covariate_tokens(self, chips: Tensor, covariates: Tensor | None) -> list[Tensor]:
        covariates = checked_covariates(covariates, chips, self.config["covariates"], "chips")
        return [] if self.covariate_tokens is None else [self.covariate_tokens(covariates)]

    def _place(self, location: LocationEncoder, lon: Tensor, lat: Tensor) -> Float[Tensor, "B F"]:
        half = self.config["patch"] // 2
        lon, lat = lon[:, half, half], lat[:, half, half]
        if self.training and self.config["location_jitter"]:
            lon, lat = jittered(lon, lat, self.config["location_jitter"])
        return self.location_dropout(location(lon, lat))


def small_head(width: int, hidden: int, outputs: int, dropout: float) -> nn.Sequential:
    """The head: from D features to the numbers of a prediction, with one hidden layer."""
    return nn.Sequential(
        nn.Linear(width, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, outputs)
    )


def checked_covariates(
    covariates: Tensor | None, samples: Tensor, count: int, noun: str
) -> Float[Tensor, "B C"]:
    """Check that covariates fit the samples; None becomes NaN, which means missing.

    Args:
        samples: B of them.
        count: C, that the model takes.
        noun: plural for the samples in the message.

    Raises:
        ModelError: covariates of another shape.
    """
    expected = (samples.shape[0], count)  # `len` would fix the number in an exported graph
    if covariates is None:
        return samples.new_full(expected, torch.nan)
    if covariates.shape != expected:
        raise ModelError(
            f"covariates of shape {tuple(covariates.shape)} do not fit {len(samples)} {noun} and "
            f"a model of {count}; give an array of shape {expected}"
        )
    return covariates


class PixelTokens(nn.Module):
    """A token for each pixel: a projection of its bands plus a learned position in the chip."""

    def __init__(self, patch: int, bands: int, width: int, edges: list[list[float]] | None = None):
        super().__init__()
        self.encoding, features = band_encoding(bands, edges)
        self.projection = nn.Linear(features, width)
        # A chip of one pixel needs no position.
        self.position = nn.Parameter(torch.randn(patch**2, width) * 0.02) if patch > 1 else None

    def forward(self, pixels: Float[Tensor, "B PP bands"]) -> Float[Tensor, "B PP D"]:
        x = self.projection(self.encoding(pixels))
        return x if self.position is None else x + self.position


class ScalarTokens(nn.Module):
    """A token for each number: value * weight + bias, or a learned vector where it is missing.

    Source: the feature tokenizer of Gorishniy et al. 2021 (FT-Transformer, NeurIPS).
    """

    def __init__(self, count: int, width: int):
        super().__init__()
        bound = width**-0.5
        self.weight = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, width).uniform_(-bound, bound))
        self.missing = nn.Parameter(torch.zeros(count, width))

    def forward(self, values: Float[Tensor, "*B count"]) -> Float[Tensor, "B count D"]:
        values = values.flatten(1)[..., None]  # (B, count, 1)
        known = torch.isfinite(values)
        # nan_to_num, because a NaN spoils the gradient even where `where` does not choose it.
        return torch.where(known, values.nan_to_num() * self.weight + self.bias, self.missing)
