"""The published Spatioformer: a token for each pixel, with an encoding of its coordinates.

Shapes: B batch, P patch side (odd), D width, T = P*P + 1 tokens, the learned one first, then the
pixels row by row, north first.

Source: Guo, Mokany, Levick, Yang, Moghadam 2025, "Spatioformer: A Geo-encoded Transformer for
Large-Scale Plant Species Richness Prediction", IEEE TGRS 63, arXiv 2410.19256.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.chip_network import ChipConfig, ChipNetwork
from spatioformer.nn.geolocation import PaperGeolocation
from spatioformer.nn.kernels import dispatch
from spatioformer.nn.layouts import Layout
from spatioformer.nn.pretrained import read_checkpoint
from spatioformer.nn.transformer import BlockConfig, Transformer

LAMBDA = "geolocation_encoder.lmd"
PUBLISHED = Layout(
    model="the published Spatioformer",
    tensors={"class_token": "independent"},
    modules={"embedding": "encoder", "head.0": "feedforward.0", "head.1": "feedforward.1"},
    their_block="transformer_encoder.layers.{}",
    block_modules={
        "attention.out": "self_attn.out_proj",
        "mlp.up": "linear1",
        "mlp.down": "linear2",
        "attention_norm": "norm1",
        "mlp_norm": "norm2",
    },
    block_tensors={
        "attention.qkv.weight": "self_attn.in_proj_weight",
        "attention.qkv.bias": "self_attn.in_proj_bias",
    },
)


class PaperConfig(ChipConfig):
    """Arguments of `PaperSpatioformer`."""

    width: int
    heads: int
    layers: int
    mlp_hidden: int
    head_hidden: int
    geolocation: bool
    base: float
    location_weight: float


class PaperSpatioformer(ChipNetwork):
    """Plant species richness from a chip and the coordinates of its pixels.

        x_i = sqrt(D) (W b_i + c)                 a token for each pixel
        z_i = x_i + lambda g(lon_i, lat_i)        PaperGeolocation
        h   = transformer([q; z_1; ...; z_PP])    q learned; post-norm, ReLU, eps 1e-5
        y   = u . (A flatten(h) + a) + s          no activation between

    Bands are surface reflectance x 10000, not normalised. `geolocation=False` leaves out the term
    in g (the paper's "ViT"). Each layer draws its own initial weights.

    Args:
        patch: P, odd.
        bands: bands of a pixel.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: encoder layers.
        mlp_hidden: hidden width of each layer's MLP.
        head_hidden: width between the two linear layers of the head.
        dropout: rate inside the encoder layers, in the places of torch's TransformerEncoderLayer.
        geolocation: add the geolocation encoding to the tokens.
        base: C, the longest wavelength of g in units of 2 pi degrees.
        location_weight: initial lambda.

    Attributes:
        config: these arguments, ready for JSON; `PaperSpatioformer(**config)` builds the same.

    Raises:
        ModelError: `patch` is even or below 1, or `heads` does not divide `width`.
    """

    config: PaperConfig

    def __init__(
        self,
        patch: int = 9,
        bands: int = 6,
        width: int = 16,
        heads: int = 8,
        layers: int = 3,
        mlp_hidden: int = 1024,
        head_hidden: int = 1024,
        dropout: float = 0.1,
        geolocation: bool = True,
        base: float = 100.0,
        location_weight: float = 10000.0,
    ):
        super().__init__()
        self.config = {
            "patch": patch,
            "bands": bands,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "head_hidden": head_hidden,
            "dropout": dropout,
            "geolocation": geolocation,
            "base": base,
            "location_weight": location_weight,
        }
        check_patch(patch, smallest=1)
        block = BlockConfig(
            width, heads, mlp_hidden, norm="post", activation="relu", eps=1e-5, dropout=dropout
        )
        self.class_token = nn.Parameter(torch.ones(1, width))
        self.embedding = nn.Linear(bands, width)
        self.geolocation = PaperGeolocation(width, base, location_weight) if geolocation else None
        self.transformer = Transformer(block, layers)
        self.head = nn.Sequential(
            nn.Linear((patch * patch + 1) * width, head_hidden), nn.Linear(head_hidden, 1)
        )

    @property
    def hidden_layers(self) -> nn.Module:
        """The transformer: to orthogonalise the head costs ten times the rest of a step."""
        return self.transformer

    def forward(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
    ) -> Float[Tensor, "B"]:
        """Predict the species richness of each chip.

        With numba installed, compiled kernels replace the transformer and the head where
        `dispatch.can_replace` allows it. They agree with `reference` up to rounding.

        Args:
            chips: reflectance, rows north first.
            lon: longitude of each pixel centre, degrees east, float64.
            lat: latitude of each pixel centre, degrees north, float64.

        Raises:
            ModelError: the chips are not P x P pixels of `bands` bands.
        """
        check_chips(chips, self.config["patch"], self.config["bands"])
        replaced = self.transformer, self.head
        replaceable = dispatch.can_replace(self, replaced, self.config["width"], chips)
        if replaceable and len(chips):
            _, located = self._pixels(chips, lon, lat)
            return dispatch.head_of_transformer(*replaced, self._tokens(located))
        return self.reference(chips, lon, lat)

    def reference(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
    ) -> Float[Tensor, "B"]:
        """What `forward` returns, always computed by torch's modules and never by the kernels."""
        return self.forward_stages(chips, lon, lat)["output"].squeeze(-1)

    def forward_stages(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"],
        lat: Float[Tensor, "B P P"],
    ) -> dict[str, Tensor]:
        """What `reference` computes, stage by stage.

        Returns:
            after_embedding (B, P*P, D), after_geolocation (B, P*P, D), after_encoder
            (B, P*P + 1, D) and output (B, 1).
        """
        check_chips(chips, self.config["patch"], self.config["bands"])
        embedded, located = self._pixels(chips, lon, lat)
        encoded = self.transformer(self._tokens(located))
        return {
            "after_embedding": embedded,
            "after_geolocation": located,
            "after_encoder": encoded,
            "output": self.head(encoded.flatten(1)),  # (B, T, D) -> (B, T*D)
        }

    def _pixels(
        self, chips: Tensor, lon: Tensor, lat: Tensor
    ) -> tuple[Float[Tensor, "B PP D"], Float[Tensor, "B PP D"]]:
        """Tokens of the pixels, before and after the geolocation encoding is added."""
        embedded = self.embedding(chips.flatten(1, 2)) * self.config["width"] ** 0.5
        if self.geolocation is None:
            return embedded, embedded
        return embedded, embedded + self.geolocation(lon.flatten(1), lat.flatten(1))

    def _tokens(self, located: Float[Tensor, "B PP D"]) -> Float[Tensor, "B T D"]:
        """The input of the transformer: the learned token, then the pixels."""
        first = self.class_token.expand(located.shape[0], 1, self.config["width"])
        return torch.cat([first, located], dim=1)

    @classmethod
    def from_published(
        cls,
        source: str | Path | Mapping[str, Any],
        geolocation: bool = True,
        heads: int = 8,
        base: float = 100.0,
    ) -> "PaperSpatioformer":
        """A network with the weights of a checkpoint that uses the published parameter names.

        Patch, bands, width, layers, hidden widths and dtype come from the shapes of the tensors.

        Args:
            source: a file written by `torch.save`, or its state dict (tensors or numpy arrays).
            geolocation: False for the network without g; its unused lambda may be absent.
            heads: attention heads, which the tensors do not show.
            base: C of the encoding, which the tensors do not show.

        Raises:
            ModelError: the file cannot be read, or a tensor is missing, unexpected or misshapen.
        """
        state = read_checkpoint(source)
        layers = PUBLISHED.layers(state)
        embedding = PUBLISHED.tensor(state, "encoder.weight", dims=2)
        head = PUBLISHED.tensor(state, "feedforward.0.weight", dims=2)
        mlp = PUBLISHED.tensor(state, "transformer_encoder.layers.0.linear1.weight", dims=2)
        width, bands = embedding.shape
        location_weight = 10000.0
        if geolocation or LAMBDA in state:
            location_weight = PUBLISHED.tensor(state, LAMBDA, dims=0).item()
        if not geolocation:
            state.pop(LAMBDA, None)
        model = cls(
            patch=_patch_of(head.shape[1], width),
            bands=bands,
            width=width,
            heads=heads,
            layers=layers,
            mlp_hidden=len(mlp),
            head_hidden=len(head),
            geolocation=geolocation,
            base=base,
            location_weight=location_weight,
        ).to(embedding.dtype)
        model._layout().load(model, state, layers)
        return model

    def to_published(self) -> dict[str, Tensor]:
        """A state dict under the published names, copied; `torch.save` it to share it."""
        state = self._layout().export(self, self.config["layers"])
        if self.geolocation is None:
            unused = self.config["location_weight"]
            state[LAMBDA] = torch.tensor(unused, dtype=self.class_token.dtype)
        return state

    def _layout(self) -> Layout:
        if self.geolocation is None:
            return PUBLISHED
        return replace(PUBLISHED, tensors={**PUBLISHED.tensors, "geolocation.weight": LAMBDA})


def check_patch(patch: int, smallest: int) -> None:
    """Check that P is odd, so that chips have a centre pixel, and not too small.

    Raises:
        ModelError: `patch` is even or below `smallest`.
    """
    if patch < smallest or patch % 2 == 0:
        raise ModelError(f"patch {patch} cannot be used; choose an odd number from {smallest} up")


def check_chips(chips: Tensor, patch: int, bands: int) -> None:
    """Check the shape of chips.

    Raises:
        ModelError: the chips are not (B, patch, patch, bands).
    """
    if chips.shape[1:] != (patch, patch, bands):
        raise ModelError(
            f"chips of shape {tuple(chips.shape)} do not fit a model of patch {patch} and {bands} "
            f"bands; give an array of shape (n, {patch}, {patch}, {bands})"
        )


def _patch_of(inputs: int, width: int) -> int:
    """P from the P*P + 1 tokens that the head flattens.

    Raises:
        ModelError: no odd P gives that many inputs.
    """
    patch = round(max(inputs / width - 1, 0) ** 0.5)
    if (patch * patch + 1) * width != inputs:
        raise PUBLISHED.misfit(f"a head of {inputs} inputs at width {width} fits no square patch")
    return patch
