"""Networks that Spatioformer is compared with.

Shapes: B batch, P patch side (odd), D width, T tokens.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.nn.chip_network import ChipConfig, ChipNetwork
from spatioformer.nn.layouts import Layout
from spatioformer.nn.paper import check_chips, check_patch
from spatioformer.nn.pretrained import read_checkpoint
from spatioformer.nn.transformer import BlockConfig, Transformer

CONVOLUTIONS = 3
LOST = 2 * CONVOLUTIONS  # rows and columns lost to unpadded 3 x 3 convolutions
PUBLISHED = Layout(
    model="the published CNN",
    tensors={
        f"convolutions.{i}.{statistic}": f"cnn_layers.{i}.{statistic}"
        for i in (2, 5, 8)
        for statistic in ("running_mean", "running_var", "num_batches_tracked")
    },
    modules={
        **{f"convolutions.{i}": f"cnn_layers.{i}" for i in (0, 2, 3, 5, 6, 8)},
        # Their head begins with the flattening.
        "head.0": "feedforward.1",
        "head.1": "feedforward.2",
    },
)


class PaperCNNConfig(ChipConfig):
    """Arguments of `PaperCNN`."""

    filters: int
    head_hidden: int


class PaperCNN(ChipNetwork):
    """The convolutional network that Guo et al. 2025 compare with (IEEE TGRS 63, arXiv 2410.19256).

    Three unpadded 3 x 3 convolutions, each followed by ReLU then BatchNorm; dropout; channels-first
    flatten; Linear to `head_hidden`, Linear to 1 with no activation between. It does not use
    the coordinates.

    Args:
        patch: P, odd, at least 7.
        bands: bands of a pixel.
        filters: channels of each convolution.
        head_hidden: width between the two linear layers of the head.
        dropout: rate before the head.

    Attributes:
        config: these arguments, ready for JSON; `PaperCNN(**config)` builds the same.

    Raises:
        ModelError: `patch` is even or below 7.
    """

    config: PaperCNNConfig

    def __init__(
        self,
        patch: int = 9,
        bands: int = 6,
        filters: int = 8,
        head_hidden: int = 1024,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.config = {
            "patch": patch,
            "bands": bands,
            "filters": filters,
            "head_hidden": head_hidden,
            "dropout": dropout,
        }
        check_patch(patch, smallest=LOST + 1)
        layers: list[nn.Module] = []
        for channels in [bands] + [filters] * (CONVOLUTIONS - 1):
            layers += [nn.Conv2d(channels, filters, 3), nn.ReLU(), nn.BatchNorm2d(filters)]
        self.convolutions = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Sequential(
            nn.Linear(filters * (patch - LOST) ** 2, head_hidden), nn.Linear(head_hidden, 1)
        )

    def forward(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"] | None = None,
        lat: Float[Tensor, "B P P"] | None = None,
    ) -> Float[Tensor, "B"]:
        """Species richness of each chip; `lon` and `lat` only keep the signature common.

        Raises:
            ModelError: the chips are not P x P pixels of `bands` bands.
        """
        check_chips(chips, self.config["patch"], self.config["bands"])
        features = self.convolutions(chips.permute(0, 3, 1, 2))  # (B, P, P, bands) -> (B, C, y, x)
        return self.head(self.dropout(features.flatten(1))).squeeze(-1)

    @classmethod
    def from_published(cls, source: str | Path | Mapping[str, Any]) -> "PaperCNN":
        """A network with the weights of a checkpoint that uses the published parameter names.

        Raises:
            ModelError: the file cannot be read, or a tensor is missing, unexpected or misshapen.
        """
        state = read_checkpoint(source)
        first = PUBLISHED.tensor(state, "cnn_layers.0.weight", dims=4)
        head = PUBLISHED.tensor(state, "feedforward.1.weight", dims=2)
        filters, bands = first.shape[:2]
        model = cls(
            patch=_patch_of(head.shape[1], filters),
            bands=bands,
            filters=filters,
            head_hidden=len(head),
        ).to(first.dtype)
        PUBLISHED.load(model, state)
        return model

    def to_published(self) -> dict[str, Tensor]:
        """A state dict under the published names, copied; `torch.save` it to share it."""
        return PUBLISHED.export(self)


def _patch_of(inputs: int, filters: int) -> int:
    """P from the inputs of the head.

    Raises:
        ModelError: no P gives that many inputs.
    """
    side = round((inputs / filters) ** 0.5)
    if side * side * filters != inputs:
        raise PUBLISHED.misfit(f"a head of {inputs} inputs after {filters} filters is not square")
    return side + LOST


class FactoFormerConfig(ChipConfig):
    """Arguments of `FactoFormer`."""

    width: int
    heads: int
    layers: int
    mlp_hidden: int


class FactoFormer(ChipNetwork):
    """Factorised spectral and spatial transformer (Mohamed et al. 2024, IEEE TGRS 62).

        s = class token of encoder([q_s; A b_1 + a; ...])   b_k: band k of all P*P pixels
        p = class token of encoder([q_p; C x_1 + c; ...])   x_i: all bands of pixel i
        y = w . [s; p] + v

    Two separate encoders, each with its own tokens and learned positions. It does not use the
    coordinates. Built from the paper's description, without its masked pre-training, which needs
    imagery beyond the plots. Bands must be standardised.

    Args:
        patch: P, odd.
        bands: bands of a pixel.
        width: D of each encoder, a multiple of `heads`.
        heads: attention heads.
        layers: pre-norm blocks of each encoder.
        mlp_hidden: hidden width of each block's MLP.
        dropout: rate in the blocks.

    Attributes:
        config: these arguments, ready for JSON; `FactoFormer(**config)` builds the same.

    Raises:
        ModelError: `patch` is even or below 1, or `heads` does not divide `width`.
    """

    config: FactoFormerConfig

    def __init__(
        self,
        patch: int = 9,
        bands: int = 6,
        width: int = 32,
        heads: int = 4,
        layers: int = 3,
        mlp_hidden: int = 64,
        dropout: float = 0.1,
    ):
        super().__init__()
        self.config = {
            "patch": patch,
            "bands": bands,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "dropout": dropout,
        }
        check_patch(patch, smallest=1)
        block = BlockConfig(width, heads, mlp_hidden, norm="pre", dropout=dropout)
        self.spectral = ClassTokenEncoder(bands, patch**2, block, layers)
        self.spatial = ClassTokenEncoder(patch**2, bands, block, layers)
        self.head = nn.Linear(2 * width, 1)

    def forward(
        self,
        chips: Float[Tensor, "B P P bands"],
        lon: Float[Tensor, "B P P"] | None = None,
        lat: Float[Tensor, "B P P"] | None = None,
    ) -> Float[Tensor, "B"]:
        """Predict one number for each chip; `lon` and `lat` only keep the signature common.

        Raises:
            ModelError: the chips are not P x P pixels of `bands` bands.
        """
        check_chips(chips, self.config["patch"], self.config["bands"])
        pixels = chips.flatten(1, 2)  # (B, P, P, bands) -> (B, P*P, bands)
        both = [self.spectral(pixels.transpose(1, 2)), self.spatial(pixels)]
        return self.head(torch.cat(both, dim=-1)).squeeze(-1)


class ClassTokenEncoder(nn.Module):
    """Encode T vectors, each a token with a learned position; return the class token."""

    def __init__(self, tokens: int, values: int, block: BlockConfig, layers: int):
        super().__init__()
        self.projection = nn.Linear(values, block.width)
        self.class_token = nn.Parameter(torch.zeros(1, block.width))
        self.position = nn.Parameter(torch.randn(tokens + 1, block.width) * 0.02)
        self.transformer = Transformer(block, layers)

    def forward(self, vectors: Float[Tensor, "B T values"]) -> Float[Tensor, "B D"]:
        first = self.class_token.expand(vectors.shape[0], 1, -1)
        x = torch.cat([first, self.projection(vectors)], dim=1) + self.position
        return self.transformer(x)[:, 0]
