"""Vision model: a Vision Transformer with its image preparation and labels.

On disk it is a Hugging Face folder: config.json and model.safetensors as `ViT.save_pretrained`
writes them, and preprocessor_config.json. Folders of timm's plain ViTs are read as well.

Shapes: n images, C channels, Y x X pixels, y x x patches, O classes or values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json, write_json
from spatioformer.nn import ViT, attention_rollout
from spatioformer.nn.pretrained import CONFIG, WEIGHTS
from spatioformer.nn.transformer import Pattern
from spatioformer.vision.images import Images, read_images
from spatioformer.vision.preparation import BATCH, PREPROCESSOR, Preparation

TIMM_WIDE = ("vit_huge", "vit_giant", "vit_gigantic")
TIMM_WIDE_HEADS = 16  # timm's other plain ViTs have heads 64 wide

Task = Literal["classification", "regression"]


@dataclass
class VisionModel:
    """A network that predicts from images.

    Attributes:
        network: images (n, C, Y, X) -> class logits or values (n, O).
        preparation: scaling and resizing of images before the network.
        task: "classification" or "regression".
    """

    network: ViT
    preparation: Preparation
    task: Task = "classification"

    @property
    def labels(self) -> list[str]:
        """(O,) names of the classes or values."""
        config = self.network.config
        return config["labels"] or [str(i) for i in range(config["outputs"])]

    @classmethod
    def open(cls, folder: str | Path) -> "VisionModel":
        """Open a model that `save` wrote, or a Hugging Face or timm folder of a ViT.

        Raises:
            ModelError: a file is missing or damaged, or the model is of another architecture.
        """
        folder = Path(folder)
        try:
            config = read_json(folder / CONFIG)
        except (OSError, ValueError):
            config = {}  # from_pretrained raises a clearer error
        if isinstance(config, dict) and "architecture" in config and "model_type" not in config:
            return cls._from_timm(folder, config)
        network = ViT.from_pretrained(folder).eval()
        task: Task = (
            "regression" if config.get("problem_type") == "regression" else "classification"
        )
        return cls(network, Preparation.from_hugging_face(folder, network), task)

    @classmethod
    def _from_timm(cls, folder: Path, config: dict[str, Any]) -> "VisionModel":
        name = str(config["architecture"])
        if not name.startswith("vit_"):
            raise ModelError(
                f"{folder} holds a model of architecture {name!r}; give one of timm's plain vit_*"
            )
        pretrained = {**config, **config.get("pretrained_cfg", {})}
        heads = config.get("model_args", {}).get("num_heads")
        if heads is None and name.startswith(TIMM_WIDE):
            heads = TIMM_WIDE_HEADS
        sides = pretrained.get("input_size", [])[1:]
        network = ViT.from_timm(
            folder / WEIGHTS,
            heads=heads,
            image=tuple(sides) if sides else None,
            labels=config.get("label_names"),
        ).eval()
        return cls(network, Preparation.from_timm(folder / CONFIG, pretrained, network))

    def save(self, folder: str | Path) -> None:
        """Write a folder that `open`, `ViT.from_pretrained` and Hugging Face transformers read.

        Raises:
            OutputError: the folder cannot be written.
        """
        folder = Path(folder)
        self.network.save_pretrained(folder)
        problem = "regression" if self.task == "regression" else "single_label_classification"
        write_json(folder / CONFIG, read_json(folder / CONFIG) | {"problem_type": problem})
        write_json(folder / PREPROCESSOR, self.preparation.as_json(self.network.image))

    def read(self, source: str | Path) -> Images:
        """Read images from `source` in the size and with the channels of the network.

        Raises:
            ImageryError: as `read_images`.
            ModelError: the images do not fit the network.
        """
        form = self.preparation.form
        images = read_images(source, form)
        expected = (self.network.config["channels"], *self.network.image)
        if images.pixels.shape[1:] != expected:
            size = " x ".join(map(str, images.pixels.shape[1:]))
            raise ModelError(
                f"{images.names[0]} is {size} (channels, rows, columns), but the model takes "
                f"{' x '.join(map(str, expected))}; resize or convert it first"
            )
        self.preparation.check(images)
        return images

    def predict(self, images: Images) -> NDArray[np.float32]:
        """Predict (n, O): probabilities of the classes, or values.

        Raises:
            ModelError: the images do not fit the network.
        """
        with torch.inference_mode():
            parts = [self._answer(self.network(part)) for part in self._batches(images)]
        return torch.cat(parts).numpy()

    def attend(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predictions (n, O) as `predict`, and attention rollout (n, y, x) of the class token.

        Shares are relative to uniform attention: 1 means the weight of a patch if all weighed the
        same, so the mean over an image is 1.
        """
        answers, shares = [], []
        with torch.inference_mode():
            for part in self._batches(images):
                record: list[Pattern] = []
                answers.append(self._answer(self.network(part, record)))
                share = attention_rollout(record)[:, 0, 1:]  # (B, N): class token on patches
                share = share / share.mean(1, keepdim=True)
                shares.append(share.view(-1, *self.network.grid))
        return torch.cat(answers).numpy(), torch.cat(shares).numpy()

    def _batches(self, images: Images) -> Iterator[Tensor]:
        self.network.eval()
        dtype = self.network.positions.dtype
        for i in range(0, len(images), BATCH):
            yield self.preparation(torch.from_numpy(images.pixels[i : i + BATCH])).to(dtype)

    def _answer(self, output: Tensor) -> Tensor:
        return (output if self.task == "regression" else output.softmax(1)).float()

    def rescale_output(self, mean: NDArray, sd: NDArray) -> None:
        """Rescale the output from standardised values to values, `output * sd + mean`.

        The last linear layer includes the scaling, so that readers of the weights need no more.
        """
        head = self.network.head
        with torch.no_grad():
            shift, scale = head.bias.new_tensor(mean), head.bias.new_tensor(sd)
            head.weight.mul_(scale[:, None])
            head.bias.mul_(scale).add_(shift)
