"""Preparation of images for a network: size, channels, scaling, and the files that describe them.

Shapes: n images, C channels, Y x X pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.nn import ViT
from spatioformer.vision.images import Form, Images

PREPROCESSOR = "preprocessor_config.json"
EIGHT_BIT = 255
BATCH = 256
BILINEAR, BICUBIC = 2, 3


@dataclass(frozen=True)
class Preparation:
    """Preparation of images, (value - mean) / sd.

    Attributes:
        mean, sd: mean and standard deviation of each channel.
        eight_bit: whether values run from 0 to 1, 8-bit images being divided by 255; otherwise
            floats have another unit.
        form: conversion of image files to arrays.
    """

    mean: tuple[float, ...]
    sd: tuple[float, ...]
    eight_bit: bool = True
    form: Form = field(default_factory=Form)

    @classmethod
    def of(cls, pixels: NDArray, form: Form) -> "Preparation":
        """Compute mean and sd of images (n, C, Y, X); a constant channel gets sd 1."""
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
        """Raise ModelError if the images do not have the unit of the training images."""
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
        """Normalise (n, C, Y, X) floats."""
        mean = values.new_tensor(self.mean)[:, None, None]
        return (values - mean) / values.new_tensor(self.sd)[:, None, None]

    def __call__(self, pixels: Tensor) -> Tensor:
        """Scale and normalise (n, C, Y, X) uint8 or float32."""
        return self.normalised(as_values(pixels))

    def as_json(self, image: tuple[int, int]) -> dict[str, Any]:
        """As JSON in the keys of Hugging Face's ViTImageProcessor; do_grayscale and crop are ours.

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
        """Read a folder's preprocessor_config.json.

        Raises:
            ModelError: the file is missing or cannot be used.
        """
        path = folder / PREPROCESSOR
        try:
            settings = read_json(path)
            channels = network.config["channels"]
            factor = float(settings.get("rescale_factor", 1 / EIGHT_BIT)) * EIGHT_BIT
            eight_bit = bool(settings.get("do_rescale", True))
            normalises = settings.get("do_normalize", True)
            mean = _numbers(settings["image_mean"] if normalises else 0.0, channels)
            sd = _numbers(settings["image_std"] if normalises else 1.0, channels)
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise ModelError(
                f"{path} cannot be used ({error!r}); it must give image_mean and image_std, with "
                "which the model was trained"
            ) from error
        if eight_bit:  # our values are v / 255, theirs v * factor / 255
            mean, sd = (tuple(x / factor for x in numbers) for numbers in (mean, sd))
        resizes, grey = settings.get("do_resize", True), settings.get("do_grayscale", False)
        converts = settings.get("do_convert_rgb") or (resizes and channels == 3)
        form = Form(
            size=network.image if resizes else None,
            channels=1 if grey else 3 if converts else None,
            resample=settings.get("resample", BILINEAR),
            crop=settings.get("crop"),
        )
        return cls(mean, sd, eight_bit, form)

    @classmethod
    def from_timm(cls, path: Path, pretrained: Mapping[str, Any], network: ViT) -> "Preparation":
        """Read the pretrained_cfg of timm's config.json.

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
            size=network.image,
            channels=channels if channels in (1, 3) else None,
            resample=BILINEAR if pretrained.get("interpolation") == "bilinear" else BICUBIC,
            crop=pretrained.get("crop_pct", 1.0),
        )
        return cls(mean, sd, True, form)


def as_values(pixels: Tensor) -> Tensor:
    """Convert to float32: 8-bit images to 0-1, floats unchanged."""
    return pixels.float() / EIGHT_BIT if pixels.dtype == torch.uint8 else pixels.float()


def _numbers(value: float | list[float], channels: int) -> tuple[float, ...]:
    """One number a channel; a single number is repeated."""
    numbers = [float(x) for x in (value if isinstance(value, list) else [value])]
    if len(numbers) == 1:
        numbers *= channels
    if len(numbers) != channels:
        raise ValueError(f"{len(numbers)} numbers for {channels} channels")
    return tuple(numbers)
