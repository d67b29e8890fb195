"""What the explorer shows of a vision model: patches, attention of the class token, rollout."""

import tempfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spatioformer.common.errors import ImageryError, SpatioformerError
from spatioformer.nn import attention_rollout
from spatioformer.nn.transformer import Pattern
from spatioformer.viewer.explorer.curves import training_curve
from spatioformer.viewer.explorer.packing import packed
from spatioformer.viewer.explorer.picture import as_picture, data_uri
from spatioformer.vision.images import Images, read_digits
from spatioformer.vision.model import VisionModel

MOST_TOKENS = 101
"""Largest number of tokens of which every row of the attention is sent; else the class token's."""

SAMPLES = 24
"""Number of images to choose from."""

MOST_SIDE = 4096
"""Largest side of an image from the page, pixels; larger ones cost much memory."""

ENDINGS = {
    b"\x89PNG": ".png",
    b"\xff\xd8": ".jpg",
    b"GIF8": ".gif",
    b"BM": ".bmp",
    b"RIFF": ".webp",
}
"""First bytes of the image files that the page may send."""


class VisionExplorer:
    """A vision model as the explorer's page sees it.

    Args:
        folder: from `vision train`, Hugging Face or timm.

    Raises:
        ModelError: the folder cannot be opened.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.model = VisionModel.open(folder)

    @cached_property
    def images(self) -> Images | None:
        """Images to begin with: scikit-learn's digits, if the model takes such; or None."""
        network = self.model.network
        if network.image != (8, 8) or network.config["channels"] != 1:
            return None
        if self.model.labels != [str(i) for i in range(10)]:
            return None
        digits = read_digits()
        assert digits.targets is not None, "digits have classes"
        rows = np.argsort(digits.targets, kind="stable").reshape(-1)
        firsts = [rows[digits.targets[rows] == k][:3] for k in range(10)]
        return digits[np.sort(np.concatenate(firsts))[:SAMPLES]]

    def facts(self) -> dict[str, Any]:
        """Content of explorer.json."""
        network, config = self.model.network, self.model.network.config
        images = self.images
        samples = [] if images is None else images.names
        pictures = [] if images is None else [data_uri(as_picture(p)) for p in images.pixels]
        return {
            "kind": "vision",
            "name": self.folder.resolve().name,
            "task": self.model.task,
            "labels": self.model.labels,
            "layers": config["layers"],
            "heads": config["heads"],
            "width": config["width"],
            "patch": config["patch"],
            "grid": list(network.grid),
            "image": list(network.image),
            "channels": config["channels"],
            "samples": [
                {"name": name, "picture": picture}
                for name, picture in zip(samples, pictures, strict=True)
            ],
            "training": training_curve(self.folder),
        }

    def sample(self, number: int) -> dict[str, Any]:
        """Attention over one of the images to begin with.

        Raises:
            ImageryError: there is no such image.
        """
        if self.images is None or not 0 <= number < len(self.images):
            count = 0 if self.images is None else len(self.images)
            raise ImageryError(f"image {number} does not exist; this model has {count} to show")
        return self.look(self.images[np.array([number])])

    def upload(self, content: bytes) -> dict[str, Any]:
        """Attention over an image file.

        Raises:
            ImageryError: it is no PNG, JPEG, GIF, BMP or WebP, too large, or does not fit.
        """
        ending = next((end for first, end in ENDINGS.items() if content.startswith(first)), None)
        if ending is None:
            raise ImageryError("the file is no PNG, JPEG, GIF, BMP or WebP image; choose another")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"the image{ending}"
            path.write_bytes(content)
            _check_size(path)
            try:
                images = self.model.read(path)
            except SpatioformerError as error:
                raise ImageryError(str(error).replace(str(path), "the image")) from error
        return self.look(images)

    @torch.inference_mode()
    def look(self, images: Images) -> dict[str, Any]:
        """Attention, rollout and predictions of the first image.

        Returns:
            name; picture; grid (y, x) of patches; weights (L, H, Q, T), rows sum to 1, Q all T
            tokens or the class token only; rollout (y, x), shares that sum to 1; predictions,
            label and value, the largest first.
        """
        network = self.model.network.eval()
        pixels = self.model.preparation(torch.from_numpy(images.pixels[:1]))
        record: list[Pattern] = []
        output = network(pixels.to(network.positions.dtype), record)
        answer = (output if self.model.task == "regression" else output.softmax(1))[0].float()
        weights = torch.cat([pattern.weights for pattern in record]).float()
        rows = weights if weights.shape[-1] <= MOST_TOKENS else weights[:, :, :1]
        rollout = attention_rollout(record)[0, 0, 1:].float()
        order = answer.argsort(descending=True, stable=True).tolist()
        return {
            "name": images.names[0],
            "picture": data_uri(as_picture(images.pixels[0])),
            "grid": list(network.grid),
            "weights": packed(rows.numpy()),
            "rollout": packed((rollout / rollout.sum()).view(network.grid).numpy()),
            "predictions": [
                {"label": self.model.labels[i], "value": float(answer[i])} for i in order
            ],
        }


def _check_size(path: Path) -> None:
    """Refuse an image of too many pixels before it is decoded.

    Raises:
        ImageryError: it is too large or cannot be read.
    """
    from PIL import Image

    try:
        with Image.open(path) as image:
            width, height = image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ImageryError("the image cannot be read; choose another one") from error
    if max(width, height) > MOST_SIDE:
        raise ImageryError(
            f"the image has {width} x {height} pixels, and a side may have {MOST_SIDE}; make it "
            "smaller"
        )
