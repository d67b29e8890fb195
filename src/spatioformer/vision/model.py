"""A Vision Transformer with what it needs to see images: sizes, scaling, names.

On disk it is a Hugging Face folder: config.json and model.safetensors as `ViT.save_pretrained`
writes them, and preprocessor_config.json. Folders of timm's plain ViTs are read as well.

Shapes: n images, C channels, Y x X pixels, y x x patches, O classes or values.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatioformer.errors import ModelError
from spatioformer.files import read_json, write_json
from spatioformer.nn import ViT, attention_rollout
from spatioformer.nn.pretrained import CONFIG, WEIGHTS
from spatioformer.vision.images import Form, Images, read_images

PREPROCESSOR = "preprocessor_config.json"
EIGHT_BIT = 255
BATCH = 256
BILINEAR, BICUBIC = 2, 3
TIMM_WIDE = ("vit_huge", "vit_giant", "vit_gigantic")
TIMM_WIDE_HEADS = 16  # timm's other plain ViTs have heads 64 wide

Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Preparation:
    """How images become what the network sees, (value - mean) / sd.

    Attributes:
        mean, sd: of each channel.
        eight_bit: values run from 0 to 1, 8-bit images being divided by 255; otherwise floats
            come in a unit of their own.
        form: how image files become arrays.
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    eight_bit: bool = True
    form: Form = field(default_factory=Form)

    @classmethod
    def of(cls, pixels: NDArray, form: Form) -> "Preparation":
        """Measured on images (n, C, Y, X); a constant channel gets sd 1."""
        eight_bit = pixels.dtype == np.uint8 or (pixels.min() >= 0 and pixels.max() <= 1)
        total = np.zeros((2, pixels.shape[1]))
        for i in range(0, len(pixels), BATCH):
            values = as_values(torch.from_numpy(pixels[i : i + BATCH])).double()
            total += values.sum((0, 2, 3)).numpy(), values.square().sum((0, 2, 3)).numpy()
        mean, square = total / (pixels.size / pixels.shape[1])
        sd = np.sqrt(np.maximum(square - mean**2, 0))
        sd[sd < 1e-6 * np.abs(mean) + 1e-12] = 1
        return cls(tuple(mean.tolist()), tuple(sd.tolist()), bool(eight_bit), form)

    def check(self, images: Images) -> None:
        """Raise ModelError when the images are not in the unit that the network knows."""
        is_eight_bit = images.pixels.dtype == np.uint8
        if is_eight_bit and not self.eight_bit:
            raise ModelError(
                f"{images.names[0]} has 8 bits, but the model was trained on numbers of another "
                "unit; give those, in an .npz file"
            )
        if self.eight_bit and not is_eight_bit and len(images):
            low, high = float(images.pixels.min()), float(images.pixels.max())
            if low < -0.01 or high > 1.01:
                raise ModelError(
                    f"the values of {images.names[0]} and its like run from {low:g} to {high:g}, "
                    "but the model takes 0 to 1; divide them by their largest possible value"
                )

    def normalised(self, values: Tensor) -> Tensor:
        """(n, C, Y, X) floats as the network sees them."""
        mean = values.new_tensor(self.mean)[:, None, None]
        return (values - mean) / values.new_tensor(self.sd)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """(n, C, Y, X) uint8 or float32 as the network sees them."""
        return self.normalised(as_values(pixels))

    def as_json(self, image: tuple[int, int]) -> dict[str, Any]:
        """In the words of Hugging Face's ViTImageProcessor; do_grayscale and crop are ours.

        Args:
            image: (Y, X) that the network takes.
        """
        form, (rows, columns) = self.form, image
        return {
            "image_processor_type": "ViTImageProcessor",
            "do_resize": form.size is not None,
            "size": {"height": rows, "width": columns},
            "resample": form.resample,
            "crop": form.crop,
            "do_convert_rgb": form.channels == 3,
            "do_grayscale": form.channels == 1,
            "do_rescale": self.eight_bit,
            "rescale_factor": 1 / EIGHT_BIT,
            "do_normalize": True,
            "image_mean": list(self.mean),
            "image_std": list(self.sd),
        }

    @classmethod
    def from_hugging_face(cls, folder: Path, network: ViT) -> "Preparation":
        """As a folder's preprocessor_config.json says.

        Raises:
            ModelError: the file is missing or says nothing usable.
        """
        path = folder / PREPROCESSOR
        try:
            said = read_json(path)
            channels = network.config["channels"]
            factor = float(said.get("rescale_factor", 1 / EIGHT_BIT)) * EIGHT_BIT
            eight_bit = bool(said.get("do_rescale", True))
            normalises = said.get("do_normalize", True)
            mean = _numbers(said["image_mean"] if normalises else 0.0, channels)
            sd = _numbers(said["image_std"] if normalises else 1.0, channels)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"{path} cannot be used ({error!r}); it must give image_mean and image_std, with "
                "which the model was trained"
            ) from error
        if eight_bit:  # v / 255 is our value; theirs is v * factor / 255
            mean, sd = (tuple(x / factor for x in numbers) for numbers in (mean, sd))
        resizes, grey = said.get("do_resize", True), said.get("do_grayscale", False)
        converts = said.get("do_convert_rgb") or (resizes and channels == 3)
        form = Form(
            size=tuple(network.config["image"]) if resizes else None,
            channels=1 if grey else 3 if converts else None,
            resample=said.get("resample", BILINEAR),
            crop=said.get("crop"),
        )
        return cls(mean, sd, eight_bit, form)

    @classmethod
    def from_timm(cls, path: Path, pretrained: Mapping[str, Any], network: ViT) -> "Preparation":
        """As the pretrained_cfg of timm's config.json says.

        Raises:
            ModelError: it does not give mean and std.
        """
        channels = network.config["channels"]
        try:
            mean, sd = (_numbers(pretrained[key], channels) for key in ("mean", "std"))
        except (ValueError, TypeError, KeyError) as error:
            raise ModelError(
                f"{path} cannot be used ({error!r}); its pretrained_cfg must give mean and std, "
                "with which the model was trained"
            ) from error
        form = Form(
            size=tuple(network.config["image"]),
            channels=channels if channels in (1, 3) else None,
            resample=BILINEAR if pretrained.get("interpolation") == "bilinear" else BICUBIC,
            crop=pretrained.get("crop_pct", 1.0),
        )
        return cls(mean, sd, True, form)


@dataclass
class VisionModel:
    """A network that predicts from images.

    Attributes:
        network: images (n, C, Y, X) -> class logits or values (n, O).
        preparation: what happens to images before.
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
        """A model that `save` wrote, or a Hugging Face or timm folder of a ViT.

        Raises:
            ModelError: a file is missing or damaged, or the model is of another architecture.
        """
        folder = Path(folder)
        try:
            config = read_json(folder / CONFIG)
        except (OSError, ValueError):
            config = {}  # from_pretrained says it better
        if isinstance(config, dict) and "architecture" in config and "model_type" not in config:
            return cls._from_timm(folder, config)
        network = ViT.from_pretrained(folder).eval()
        task = "regression" if config.get("problem_type") == "regression" else "classification"
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
        write_json(folder / PREPROCESSOR, self.preparation.as_json(self.network.config["image"]))

    def read(self, source: str | Path) -> Images:
        """Images from `source` in the size and with the channels of the network.

        Raises:
            ImageryError: as `read_images`.
            ModelError: the images do not fit the network.
        """
        form = self.preparation.form
        images = read_images(source, form)
        config = self.network.config
        expected = (config["channels"], *config["image"])
        if images.pixels.shape[1:] != expected:
            found = " x ".join(map(str, images.pixels.shape[1:]))
            raise ModelError(
                f"{images.names[0]} is {found} (channels, rows, columns), but the model takes "
                f"{' x '.join(map(str, expected))}; resize or convert it first"
            )
        self.preparation.check(images)
        return images

    def predict(self, images: Images) -> NDArray[np.float32]:
        """(n, O): probabilities of the classes, or values.

        Raises:
            ModelError: the images do not fit the network.
        """
        with torch.inference_mode():
            parts = [self._answer(self.network(part)) for part in self._batches(images)]
        return torch.cat(parts).numpy()

    def attend(self, images: Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Predictions (n, O) as `predict`, and attention rollout (n, y, x) of the class token.

        The rollout is in even shares: 1 where a patch weighs what it would if all weighed the
        same, so that an image's mean is 1.
        """
        answers, shares = [], []
        with torch.inference_mode():
            for part in self._batches(images):
                record = []
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
        """Make a model of standardised values one of the values themselves, `output * sd + mean`.

        The scaling goes into the last linear layer, so that no reader of the weights needs it.
        """
        head = self.network.head
        with torch.no_grad():
            mean, sd = head.bias.new_tensor(mean), head.bias.new_tensor(sd)
            head.weight.mul_(sd[:, None])
            head.bias.mul_(sd).add_(mean)


def as_values(pixels: Tensor) -> Tensor:
    """Floats as they are; 8-bit images from 0 to 1."""
    return pixels.float() / EIGHT_BIT if pixels.dtype == torch.uint8 else pixels.float()


def _numbers(value: float | list[float], channels: int) -> tuple[float, ...]:
    """One number a channel; a single one stands for all."""
    numbers = [float(x) for x in (value if isinstance(value, list) else [value])]
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels:
        raise ValueError(f"{len(numbers)} numbers for {channels} channels")
    return tuple(numbers)
