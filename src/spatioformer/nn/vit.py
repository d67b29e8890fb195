"""The Vision Transformer: an image as a sequence of patches.

Shapes: B batch, C channels, Y x X image, P patch side, N = (Y/P)(X/P) patches, T = N + 1 tokens,
D width, O outputs.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; weights and names as in Hugging
Face transformers' ViTForImageClassification, or as in timm.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.dropout import Dropout
from spatioformer.nn.layouts import Layout
from spatioformer.nn.pretrained import (
    activation_of,
    read_folder,
    read_weights,
    size,
    write_folder,
)
from spatioformer.nn.transformer import BlockConfig, Pattern, Transformer

HUGGING_FACE = Layout(
    model="a ViT",
    tensors={
        "class_token": "vit.embeddings.cls_token",
        "positions": "vit.embeddings.position_embeddings",
    },
    modules={
        "patches": "vit.embeddings.patch_embeddings.projection",
        "transformer.norm": "vit.layernorm",
        "head": "classifier",
    },
    their_block="vit.encoder.layer.{}",
    block_modules={
        "attention_norm": "layernorm_before",
        "attention.qkv": (
            "attention.attention.query",
            "attention.attention.key",
            "attention.attention.value",
        ),
        "attention.out": "attention.output.dense",
        "mlp_norm": "layernorm_after",
        "mlp.up": "intermediate.dense",
        "mlp.down": "output.dense",
    },
)
TIMM = Layout(
    model="a timm ViT",
    tensors={"class_token": "cls_token", "positions": "pos_embed"},
    modules={"patches": "patch_embed.proj", "transformer.norm": "norm", "head": "head"},
    their_block="blocks.{}",
    block_modules={
        "attention_norm": "norm1",
        "attention.qkv": "attn.qkv",
        "attention.out": "attn.proj",
        "mlp_norm": "norm2",
        "mlp.up": "mlp.fc1",
        "mlp.down": "mlp.fc2",
    },
)
TIMM_EPS = 1e-6
TIMM_HEAD_WIDTH = 64  # of every plain ViT that timm publishes


def _image_size(config: Mapping[str, Any]) -> tuple[int, int]:
    """Read (Y, X) from a configuration, which has one number for a square."""
    value = config.get("image_size")
    if isinstance(value, list) and len(value) == 2:
        rows, columns = ({"image_size": side} for side in value)
        return size(rows, "image_size", HUGGING_FACE.model), size(
            columns, "image_size", HUGGING_FACE.model
        )
    return (size(config, "image_size", HUGGING_FACE.model),) * 2


class ViTConfig(TypedDict):
    """Arguments of `ViT`; `image` is [Y, X], because JSON has no tuples."""

    image: list[int]
    patch: int
    channels: int
    width: int
    heads: int
    layers: int
    mlp_hidden: int
    outputs: int
    eps: float
    dropout: float
    labels: list[str] | None


class ViT(nn.Module):
    """Projected patches with positions and a class token, encoded; the class token predicts.

    Args:
        image: (Y, X) in pixels, or one number for a square.
        patch: P; Y and X are multiples of it.
        channels: C.
        width: D, a multiple of `heads`.
        heads: attention heads.
        layers: blocks (pre-norm, exact GELU).
        mlp_hidden: hidden width of each MLP; 4 D unless given.
        outputs: O, classes or regression targets.
        eps: of the LayerNorms.
        dropout: rate after the embedding and in the blocks.
        labels: names of the outputs, in order.

    Attributes:
        config: these arguments, ready for JSON; `ViT(**config)` builds the same.
        image: (Y, X).

    Raises:
        ModelError: the image is no whole number of patches, the labels are not one an output, or
            `heads` does not divide `width`.
    """

    def __init__(
        self,
        image: int | tuple[int, int] | list[int],
        patch: int,
        channels: int = 3,
        width: int = 192,
        heads: int = 3,
        layers: int = 12,
        mlp_hidden: int | None = None,
        outputs: int = 2,
        eps: float = 1e-12,
        dropout: float = 0.0,
        labels: list[str] | None = None,
    ):
        super().__init__()
        rows, columns = (image, image) if isinstance(image, int) else image
        if patch < 1 or rows % patch or columns % patch or not rows or not columns:
            raise ModelError(
                f"an image of {rows} x {columns} pixels is no whole number of patches of {patch}; "
                "choose a patch that divides both sides"
            )
        if labels is not None and len(labels) != outputs:
            raise ModelError(f"{len(labels)} labels for {outputs} outputs; give one label each")
        mlp_hidden = mlp_hidden or 4 * width
        self.config: ViTConfig = {
            "image": [rows, columns],
            "patch": patch,
            "channels": channels,
            "width": width,
            "heads": heads,
            "layers": layers,
            "mlp_hidden": mlp_hidden,
            "outputs": outputs,
            "eps": eps,
            "dropout": dropout,
            "labels": labels,
        }
        block = BlockConfig(
            width, heads, mlp_hidden, norm="pre", activation="gelu", eps=eps, dropout=dropout
        )
        self.image = (rows, columns)
        self.grid = (rows // patch, columns // patch)
        tokens = self.grid[0] * self.grid[1] + 1
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, tokens, width))
        self.dropout = Dropout(dropout)
        self.transformer = Transformer(block, layers)
        self.head = nn.Linear(width, outputs)
        nn.init.normal_(self.class_token, std=0.02)
        # As large as a projected patch of pixels with variance 1. At the usual 0.02 positions have
        # too little weight: 20 epochs on scikit-learn's digits ended at 89 % instead of 98 %.
        nn.init.normal_(self.positions, std=3**-0.5)

    def forward(
        self, images: Float[Tensor, "B C Y X"], record: list[Pattern] | None = None
    ) -> Float[Tensor, "B O"]:
        """Class logits, or the predicted values.

        Args:
            images: rows top first, scaled as in training.
            record: a list to which each layer's Pattern is appended; token 0 is the class token.

        Raises:
            ModelError: the images have another size or number of channels than the model.
        """
        return self.head(self.tokens(images, record)[:, 0])

    def tokens(
        self, images: Float[Tensor, "B C Y X"], record: list[Pattern] | None = None
    ) -> Float[Tensor, "B T D"]:
        """Encoded class token, then encoded patches row by row."""
        expected = (self.config["channels"], *self.image)
        if images.ndim != 4 or images.shape[1:] != expected:
            raise ModelError(
                f"images of shape {tuple(images.shape)} do not fit a model of (n, channels, rows, "
                f"columns) = (n, {', '.join(map(str, expected))}); resize or convert them first"
            )
        x = self.patches(images).flatten(2).mT  # (B, D, y, x) -> (B, N, D)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
        return self.transformer(self.dropout(x), record=record)

    def position_similarity(self) -> Float[Tensor, "y x y x"]:
        """Cosine between the position embeddings of every two patches, in [-1, 1]."""
        unit = F.normalize(self.positions.detach()[0, 1:], dim=-1)
        return (unit @ unit.T).view(*self.grid, *self.grid)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "ViT":
        """The model in a Hugging Face ViT folder (config.json and model.safetensors).

        Raises:
            ModelError: a file is missing or damaged, the model is no ViT classifier, or a tensor
                is missing, unexpected or misshapen.
        """
        config, state = read_folder(folder, "vit")
        known = {"gelu": "gelu"}
        activation_of(config.get("hidden_act", "gelu"), known, HUGGING_FACE.model)
        names = config.get("id2label") or {}
        layers = size(config, "num_hidden_layers", HUGGING_FACE.model)
        head = HUGGING_FACE.tensor(state, "classifier.weight", dims=2)
        model = cls(
            image=_image_size(config),
            patch=size(config, "patch_size", HUGGING_FACE.model),
            channels=size(config, "num_channels", HUGGING_FACE.model),
            width=size(config, "hidden_size", HUGGING_FACE.model),
            heads=size(config, "num_attention_heads", HUGGING_FACE.model),
            layers=layers,
            mlp_hidden=size(config, "intermediate_size", HUGGING_FACE.model),
            outputs=len(head),
            eps=config.get("layer_norm_eps", 1e-12),
            dropout=config.get("hidden_dropout_prob", 0.0),
            labels=[names[key] for key in sorted(names, key=int)] or None,
        ).to(head.dtype)
        HUGGING_FACE.load(model, state, layers)
        return model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write a folder that `from_pretrained` and Hugging Face transformers read.

        Raises:
            OutputError: the folder cannot be written.
        """
        rows, columns = self.image
        config: dict[str, Any] = {
            "architectures": ["ViTForImageClassification"],
            "model_type": "vit",
            "image_size": rows if rows == columns else [rows, columns],
            "patch_size": self.config["patch"],
            "num_channels": self.config["channels"],
            "hidden_size": self.config["width"],
            "num_attention_heads": self.config["heads"],
            "num_hidden_layers": self.config["layers"],
            "intermediate_size": self.config["mlp_hidden"],
            "hidden_act": "gelu",
            "layer_norm_eps": self.config["eps"],
            "hidden_dropout_prob": self.config["dropout"],
            "attention_probs_dropout_prob": self.config["dropout"],
            "dtype": str(self.positions.dtype).removeprefix("torch."),
        }
        if self.config["labels"]:
            config["id2label"] = {str(i): name for i, name in enumerate(self.config["labels"])}
            config["label2id"] = {name: i for i, name in enumerate(self.config["labels"])}
        else:
            config["num_labels"] = self.config["outputs"]
        write_folder(folder, config, HUGGING_FACE.export(self, self.config["layers"]))

    @classmethod
    def from_timm(
        cls,
        source: str | Path | Mapping[str, Tensor],
        heads: int | None = None,
        image: tuple[int, int] | None = None,
        labels: list[str] | None = None,
    ) -> "ViT":
        """A model from weights in timm's layout (its plain vit_* models with a class token).

        Args:
            source: a safetensors file, or its state dict.
            heads: attention heads, which the tensors do not show; heads 64 wide unless given.
            image: (Y, X); a square with as many patches as there are positions unless given.
            labels: names of the outputs, in order.

        Raises:
            ModelError: the file cannot be read, or a tensor is missing, unexpected or misshapen.
        """
        state = dict(source) if isinstance(source, Mapping) else read_weights(source)
        layers = TIMM.layers(state)
        projection = TIMM.tensor(state, "patch_embed.proj.weight", dims=4)
        positions = TIMM.tensor(state, "pos_embed", dims=3)
        hidden = TIMM.tensor(state, "blocks.0.mlp.fc1.weight", dims=2)
        head = TIMM.tensor(state, "head.weight", dims=2)
        width, channels, patch, _ = projection.shape
        side = round((positions.shape[1] - 1) ** 0.5) * patch
        model = cls(
            image=image or side,
            patch=patch,
            channels=channels,
            width=width,
            heads=heads or max(width // TIMM_HEAD_WIDTH, 1),
            layers=layers,
            mlp_hidden=len(hidden),
            outputs=len(head),
            eps=TIMM_EPS,
            labels=labels,
        ).to(head.dtype)
        TIMM.load(model, state, layers)
        return model

    def to_timm(self) -> dict[str, Any]:
        """A state dict in timm's layout, copied; timm runs it with an eps of 1e-6."""
        return TIMM.export(self, self.config["layers"])
