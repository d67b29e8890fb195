"""What is in the ONNX file of a Vision Transformer: pixels in, probabilities or values out."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from spatioformer.portable.graph import Graph, Port
from spatioformer.vision.model import VisionModel
from spatioformer.vision.preparation import EIGHT_BIT


class Answers(nn.Module):
    """A Vision Transformer with the scaling of its images and the softmax of its classes."""

    def __init__(self, model: VisionModel):
        super().__init__()
        self.network = model.network
        self.model = model

    def forward(self, images: Float[Tensor, "n C Y X"]) -> Float[Tensor, "n O"]:
        values = images.to(self.network.positions.dtype)
        preparation = self.model.preparation
        if preparation.eight_bit:
            values = values / EIGHT_BIT
        output = self.network(preparation.normalised(values))
        return output if self.model.task == "regression" else output.softmax(1)


def vision_graph(model: VisionModel, licence: str | None) -> Graph:
    """The graph of a Vision Transformer.

    Args:
        licence: SPDX name that the model folder states.
    """
    model.network.float()
    config, preparation = model.network.config, model.preparation
    rows, columns = model.network.image
    channels, outputs = config["channels"], config["outputs"]
    unit = (
        "0 to 255, which the graph divides by 255; multiply images from 0 to 1 by 255"
        if preparation.eight_bit
        else "in the unit of the training images"
    )
    classes = model.task == "classification"
    answer = (
        f"probability of each of {outputs} classes, in the order of `labels`"
        if classes
        else "predicted values, in the unit of the training values"
    )
    facts: dict[str, Any] = {
        "about": f"a Vision Transformer of {sum(p.numel() for p in model.network.parameters()):,} "
        f"parameters for {model.task}",
        "kind": "vision",
        "task": model.task,
        "labels": model.labels,
        "scaling": "inside the graph: (value - mean) / sd of each channel",
        "mean": list(preparation.mean),
        "sd": list(preparation.sd),
        "licence": licence or "not stated",
    }

    def draw(count: int) -> tuple[Tensor]:
        generator = torch.Generator().manual_seed(count)
        shape = (count, channels, rows, columns)
        if preparation.eight_bit:
            return (torch.randint(256, shape, generator=generator).float(),)
        mean, sd = (
            torch.tensor(numbers)[:, None, None] for numbers in (preparation.mean, preparation.sd)
        )
        return (mean + sd * torch.randn(shape, generator=generator),)

    about = f"pixels, rows top first, {unit}; float32"
    return Graph(
        Answers(model),
        (Port("images", ("n", channels, rows, columns), about),),
        Port("probabilities" if classes else "values", ("n", outputs), answer),
        draw,
        facts,
        {},
    )
