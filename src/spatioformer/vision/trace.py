"""The chain from an image to its prediction: pixels, patches, positions, attention, class token."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spatioformer.common.errors import ImageryError
from spatioformer.nn.trace import Trace, trace_vit
from spatioformer.tracing.panels import Panel, Rows, layer_panels, ranking, vectors
from spatioformer.vision.images import Images
from spatioformer.vision.model import VisionModel
from spatioformer.vision.pictures import as_picture

LIKELIEST = 10  # classes that are shown
CLASS = "class"


@dataclass(frozen=True)
class VisionTrace:
    """A recorded look at an image.

    Attributes:
        name: of the image.
        pixels: (C, Y, X) as read.
        labels: names of the classes or values.
        answer: probabilities of the classes, or values, (O,).
        classifies: whether the answer is of classes.
        grid: (y, x), patches.
        trace: the arrays, as `nn.trace` names them.
    """

    name: str
    pixels: NDArray
    labels: list[str]
    answer: NDArray[np.float32]
    classifies: bool
    grid: tuple[int, int]
    trace: Trace

    @property
    def tokens(self) -> list[str]:
        """Names of the tokens: the class token, then row and column of each patch, from 1."""
        return [CLASS, *self._patches]

    @property
    def _patches(self) -> list[str]:
        rows, columns = self.grid
        return [f"{row + 1},{column + 1}" for row in range(rows) for column in range(columns)]

    def panels(self, layer: int, head: int) -> Rows:
        """What is shown of the chain, with one layer and head, counted from 1.

        Raises:
            ModelError: the layer or the head does not exist.
        """
        trace, patches = self.trace, self._patches
        trace.check(layer, head)
        rows, columns = self.pixels.shape[1:]
        picture = as_picture(self.pixels)
        image = Panel(
            "Image",
            f"{rows} x {columns} pixels, cut into {self.grid[0]} x {self.grid[1]} patches",
            picture,
            [str(row + 1) for row in range(rows)],
            [str(column + 1) for column in range(columns)],
            "amount",
            kind="image",
            cuts=self.grid,
        )
        pixels = "pixels of each patch (row,column) as one row, scaled as in training"
        tokens = [
            [image, Panel("Patches", pixels, trace["patches"], patches, unit="standardised")],
            [
                vectors("Projection", "W patch + b", trace["embedding"], patches),
                vectors(
                    "Positions", "learned; position 0: class token", trace["positions"], self.tokens
                ),
            ],
            [
                vectors(
                    "Input of the first layer",
                    "class token, then projections; each plus its position",
                    trace["input"],
                    self.tokens,
                )
            ],
        ]
        return [*tokens, *layer_panels(trace, layer, head, self.tokens), self._last(layer, head)]

    def _last(self, layer: int, head: int) -> list[Panel]:
        """The class token's attention as a map, and the prediction."""
        rows, columns = self.grid
        pattern = self.trace[f"layer{layer}.pattern"][head - 1, 0, 1:].reshape(rows, columns)
        looks = Panel(
            f"Where the class token looks, layer {layer}, head {head}",
            "first row of the pattern, as a map of the patches",
            pattern,
            [f"row {row + 1}" for row in range(rows)],
            [str(column + 1) for column in range(columns)],
            "share",
            "share",
        )
        if self.classifies:
            formula = "softmax(W · class token + b)"
            answer = ranking(
                "Prediction", formula, self.labels, self.answer, "probability", LIKELIEST
            )
        else:
            values = self.answer[:, None]
            answer = Panel(
                "Prediction",
                "W · class token + b",
                values,
                self.labels,
                ["value"],
                unit="unit of the training values",
                kind="bars",
            )
        return [looks, answer]

    def as_json(self, layer: int | None = None) -> dict[str, Any]:
        """JSON values: name, labels, answer and the arrays of `Trace.as_json`."""
        facts = {
            "image": self.name,
            "tokens": self.tokens,
            "labels": self.labels,
            "answer": self.answer.tolist(),
        }
        return facts | self.trace.as_json(layer)


def one_of(images: Images, index: int | None) -> Images:
    """The image of a number, from 0; None: the only one.

    Raises:
        ImageryError: there is no such image, or there are several and none is named.
    """
    if index is None and len(images) > 1:
        raise ImageryError(
            f"there are {len(images)} images, and a trace follows one; choose it with --index 0 to "
            f"{len(images) - 1}"
        )
    number = index or 0
    if number >= len(images):
        raise ImageryError(
            f"there is no image {number}; the source has {len(images)}, so give --index 0 to "
            f"{len(images) - 1}"
        )
    return images[number : number + 1]


def trace_image(model: VisionModel, images: Images) -> VisionTrace:
    """Record what a vision model computes for one image, the first.

    Raises:
        ModelError: the image does not fit the network.
    """
    dtype = model.network.positions.dtype
    values = model.preparation(torch.from_numpy(images.pixels))[0].to(dtype)
    trace = trace_vit(model.network.eval(), values)
    answer = torch.from_numpy(trace["outputs"]).float()
    classifies = model.task == "classification"
    return VisionTrace(
        images.names[0],
        images.pixels[0],
        model.labels,
        (answer.softmax(0) if classifies else answer).numpy(),
        classifies,
        model.network.grid,
        trace,
    )
