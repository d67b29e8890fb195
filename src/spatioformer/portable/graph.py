"""Write a torch module as an ONNX file, with facts in its metadata, and check it with onnxruntime.

Source: the ONNX format, https://onnx.ai/onnx/repo-docs/IR.html.
"""

import copy
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.common.files import writing
from spatioformer.common.version import __version__

try:
    import onnx  # noqa: F401  (torch's exporter needs it)
    import onnxruntime
    import onnxscript  # noqa: F401  (the same)
except ImportError as error:
    raise ModelError(
        f"export needs the package {error.name}, which is not installed; run "
        "pip install 'spatioformer[onnx]'"
    ) from error

OPSET = 20
TOLERANCE = 1e-5
"""Largest difference between onnxruntime and torch, as a share of the largest value, at least 1."""

Draw = Callable[[int], tuple[Tensor, ...]]
"""Function that makes inputs for a number of samples."""


@dataclass(frozen=True)
class Port:
    """An input or output of a graph.

    Attributes:
        axes: name of each axis; a name is dynamic, a number is fixed.
        about: what it holds, with its unit.
    """

    name: str
    axes: tuple[str | int, ...]
    about: str


@dataclass(frozen=True)
class Graph:
    """A module to export.

    Attributes:
        module: takes the inputs in order and returns the output, in evaluation mode.
        inputs, output: what it takes and returns.
        limits: smallest and largest size of dynamic axes; an axis without limits takes any size.
        draw: makes inputs for the check.
        facts: JSON values or texts for the metadata.
    """

    module: nn.Module
    inputs: tuple[Port, ...]
    output: Port
    draw: Draw
    facts: Mapping[str, Any]
    limits: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Written:
    """A written file and its check.

    Attributes:
        size: bytes.
        difference: largest difference of onnxruntime and torch, as a share of the largest value, at
            least 1.
        rounding: the same of torch in 32 and in 64 bits; None for a module that is in 64 bits.
    """

    path: Path
    size: int
    difference: float
    rounding: float | None

    @property
    def sentence(self) -> str:
        """The check in words."""
        text = (
            f"ONNX opset {OPSET}; onnxruntime and torch differ by at most {self.difference:.1e} of "
            "the largest value"
        )
        if self.rounding is not None:
            text += f" (torch in 32 and in 64 bits: {self.rounding:.1e})"
        return text


def write(graph: Graph, path: Path) -> Written:
    """Write an ONNX file, and check it against torch on inputs of two sizes.

    Raises:
        ModelError: torch cannot export the module, or the results differ by more than TOLERANCE.
        OutputError: the file cannot be written.
    """
    graph.module.eval()
    program = _exported(graph)
    _describe(program.model, graph)
    with writing(path) as part:
        program.save(part, external_data=False)
        difference, rounding = _checked(graph, part)
    return Written(path, path.stat().st_size, difference, rounding)


def _exported(graph: Graph) -> Any:
    """torch's ONNX program of a module."""
    dims = {
        axis: torch.export.Dim(axis, min=low, max=high)
        for axis, (low, high) in graph.limits.items()
    }
    shapes = [
        {
            place: dims.get(axis) or dims.setdefault(axis, torch.export.Dim(axis))
            for place, axis in enumerate(port.axes)
            if isinstance(axis, str)
        }
        for port in graph.inputs
    ]
    with torch.no_grad(), _without_chatter():
        try:
            return torch.onnx.export(
                graph.module,
                graph.draw(3),
                input_names=[port.name for port in graph.inputs],
                output_names=[graph.output.name],
                opset_version=OPSET,
                dynamo=True,
                dynamic_shapes=tuple(shapes),
                external_data=False,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = " ".join(str(error).split())[:200]
            raise ModelError(
                f"torch {torch.__version__} cannot export this network ({reason}); install the "
                "version in constraints.txt, or use the model folder itself"
            ) from error


@contextmanager
def _without_chatter() -> Iterator[None]:
    """Silence remarks of torch's exporter that nobody who exports a model can act on."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)  # "torchvision is not installed"
    try:
        with warnings.catch_warnings():
            # torch calls a function of its own that it has deprecated.
            warnings.filterwarnings("ignore", category=FutureWarning)
            # Several inputs share one dynamic axis, as they should.
            warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _describe(model: Any, graph: Graph) -> None:
    """Put names, units and facts into the file, as texts."""
    ports = {port.name: port.about for port in (*graph.inputs, graph.output)}
    for value in (*model.graph.inputs, *model.graph.outputs):
        value.doc_string = ports[value.name]
    model.producer_name, model.producer_version = "spatioformer", __version__
    facts = {
        "spatioformer": __version__,
        "inputs": {port.name: port.about for port in graph.inputs},
        "outputs": {graph.output.name: graph.output.about},
        **graph.facts,
    }
    for name, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props[name] = text
    model.doc_string = str(graph.facts.get("about", ""))


def _checked(graph: Graph, path: Path) -> tuple[float, float | None]:
    """Differences of onnxruntime from torch, and of 32 from 64 bits.

    Raises:
        ModelError: onnxruntime and torch differ by more than TOLERANCE.
    """
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    precise = _in_double(graph.module)
    largest, rounding = 0.0, 0.0
    for count in (1, 4):
        inputs = graph.draw(count)
        with torch.no_grad():
            expected = graph.module(*inputs).numpy()
        feeds = {port.name: x.numpy() for port, x in zip(graph.inputs, inputs, strict=True)}
        (result,) = session.run([graph.output.name], feeds)
        largest = max(largest, _difference(result, expected))
        if precise is not None:
            with torch.no_grad():
                rounding = max(rounding, _difference(precise(*inputs).numpy(), expected))
    if not largest <= TOLERANCE:
        raise ModelError(
            f"the exported network differs from torch's by {largest:.1e} of its largest value, "
            f"more than {TOLERANCE:g}; nothing was written, use the model folder itself"
        )
    return largest, None if precise is None else rounding


def _in_double(module: nn.Module) -> nn.Module | None:
    """A copy of a module in 64 bits; None if it is in 64 bits already."""
    if all(parameter.dtype == torch.float64 for parameter in module.parameters()):
        return None
    return copy.deepcopy(module).double()


def _difference(values: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, as a share of the largest value (at least 1); infinite if not alike."""
    if values.shape != expected.shape or not np.isfinite(values).all():
        return float("inf")
    scale = max(1.0, float(np.abs(expected).max(initial=0)))
    return float(np.abs(values - expected).max(initial=0)) / scale
