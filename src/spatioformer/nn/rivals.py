"""Networks that Spatioformer is compared with.

Shapes: B batch, P patch side (odd).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.nn.layouts import Layout
from spatioformer.nn.pretrained import read_checkpoint
from spatioformer.nn.spatioformer import check_chips, check_patch

CONVOLUTIONS = 3
LOST = 2 * CONVOLUTIONS  # rows and columns that unpadded 3 x 3 convolutions take off
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


class PaperCNN(nn.Module):
    """The convolutional rival of Guo et al. 2025 (IEEE TGRS 63, arXiv 2410.19256).

    Three unpadded 3 x 3 convolutions, each followed by ReLU then BatchNorm; dropout; channels-first
    flatten; Linear to `head_hidden`, Linear to 1 with no activation between. It does not look at
    the coordinates.

    Args:
        patch: P, odd, at least 7.
        bands: bands a pixel.
        filters: channels of each convolution.
        head_hidden: width between the two linear layers of the head.
        dropout: rate before the head.

    Attributes:
        config: these arguments, ready for JSON; `PaperCNN(**config)` builds the same.

    Raises:
        ModelError: `patch` is even or below 7.
    """

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
        layers = []
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
        """Species richness of each chip; `lon` and `lat` are there for the common signature.

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
