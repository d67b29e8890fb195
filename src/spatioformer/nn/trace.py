"""Record the arrays that a network computes on one sample, while the network computes them.

Hooks listen to the modules of the network; nothing is computed a second time. `nn.trace_chips` has
the networks of chips.

Shapes: T tokens, D width, H heads, K = D / H head width, F hidden width of the MLP, V vocabulary, C
channels, Y x X image, N patches, O outputs. The batch dimension is left out.

| array of a layer | shape | what it is |
|---|---|---|
| input | (T, D) | the residual stream before the layer |
| attention_input | (T, D) | what the attention reads |
| queries, keys, values | (H, T, K) | W_Q, W_K and W_V times that, with biases |
| scores | (H, T, T) | queries . keys / sqrt(K), before the causal mask |
| pattern | (H, T, T) | softmax of each row of the masked scores |
| mixed | (T, D) | pattern . values, the heads side by side |
| attention | (T, D) | W_O times that, with bias |
| after_attention | (T, D) | the residual stream between attention and MLP |
| mlp_input | (T, D) | what the MLP reads |
| hidden | (T, F) | activations of the MLP |
| mlp | (T, D) | output of the MLP |
| output | (T, D) | the residual stream after the layer |

Arrays of layer 1 are called `layer1.input` and so on.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.nn.gpt import GPT
from spatioformer.nn.text_encoder import TextEncoder
from spatioformer.nn.transformer import Block, Pattern, Transformer
from spatioformer.nn.vit import ViT

STREAM = ("token", "channel")
PER_HEAD = ("head", "token", "channel")
PAIRS = ("head", "query", "key")


@dataclass(frozen=True)
class Step:
    """One recorded array.

    Attributes:
        values: as the network computed them, in its precision.
        axes: name of each axis.
        about: what the array is.
    """

    values: np.ndarray
    axes: tuple[str, ...]
    about: str

    def as_json(self) -> dict[str, Any]:
        """Values with all their digits, which give the same numbers when they are read again."""
        return {
            "about": self.about,
            "axes": list(self.axes),
            "shape": list(self.values.shape),
            "dtype": str(self.values.dtype),
            "values": self.values.tolist(),
        }


@dataclass(frozen=True)
class Trace(Mapping[str, np.ndarray]):
    """Recorded arrays by name, in the order of the computation.

    Attributes:
        steps: name -> array with its axes.
        layers: number of layers.
        heads: attention heads of each layer.
        causal: whether a token attends only to itself and to earlier tokens.
    """

    steps: dict[str, Step]
    layers: int
    heads: int
    causal: bool = False

    def __getitem__(self, name: str) -> np.ndarray:
        return self.steps[name].values

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def attends(self, layer: int) -> bool:
        """Whether a layer, counted from 1, has attention; some of a dense network have none."""
        return f"layer{layer}.pattern" in self.steps

    def check(self, layer: int, head: int) -> None:
        """Check that a layer and a head, both counted from 1, exist.

        Raises:
            ModelError: they do not.
        """
        if not (1 <= layer <= self.layers and 1 <= head <= self.heads):
            raise ModelError(
                f"layer {layer}, head {head} do not exist; the model has {self.layers} layers of "
                f"{self.heads} heads, both counted from 1"
            )
        if not self.attends(layer):
            with_attention = [str(n) for n in range(1, self.layers + 1) if self.attends(n)]
            if not with_attention:
                raise ModelError(
                    f"none of the {self.layers} layers has attention, because the network reads a "
                    "single pixel; choose a model with a larger patch"
                )
            raise ModelError(
                f"layer {layer} has no attention, only an MLP; choose layer "
                f"{' or '.join(with_attention)}"
            )

    def as_json(self, layer: int | None = None) -> dict[str, Any]:
        """JSON values: number of layers and heads, and the arrays.

        Args:
            layer: leave out the arrays of other layers, counted from 1; None: keep all.
        """
        kept = {
            name: step.as_json()
            for name, step in self.steps.items()
            if layer is None or not name.startswith("layer") or name.startswith(f"layer{layer}.")
        }
        return {"layers": self.layers, "heads": self.heads, "causal": self.causal, "steps": kept}


class Recorder:
    """Keeps what modules receive and return, under names; `listening` removes its hooks.

    Attributes:
        steps: the arrays so far, in the order of the computation.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self._handles: list[Any] = []

    def keep(self, name: str, values: Tensor, axes: tuple[str, ...], about: str) -> None:
        """Keep a copy of an array, whose batch dimension of 1 is gone."""
        # A copy, because a later operation of the network may overwrite the tensor.
        copied = values.detach().cpu().clone().numpy()
        assert copied.ndim == len(axes), f"{name}: {copied.shape} has other axes than {axes}"
        self.steps[name] = Step(copied, axes, about)

    def before(self, module: nn.Module, call: Callable[[Tensor], None]) -> None:
        """Call a function with the first input of a module, each time it is called."""
        self._handles.append(module.register_forward_pre_hook(lambda _, inputs: call(inputs[0])))

    def after(self, module: nn.Module, call: Callable[[Tensor], None]) -> None:
        """Call a function with the output of a module, each time it is called."""
        self._handles.append(module.register_forward_hook(lambda _, inputs, output: call(output)))

    def input(self, module: nn.Module, name: str, axes: tuple[str, ...], about: str) -> None:
        """Keep the first input of a module."""
        self.before(module, lambda x: self.keep(name, _single(x, axes), axes, about))

    def output(self, module: nn.Module, name: str, axes: tuple[str, ...], about: str) -> None:
        """Keep the output of a module."""
        self.after(module, lambda x: self.keep(name, _single(x, axes), axes, about))

    def patterns(self, block: Block, name: str) -> None:
        """Have the attention of a block record its pattern, and keep it after the attention."""
        record: list[Pattern] = []

        def ask(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
            x, valid, _, past = inputs
            return x, valid, record, past

        def take(_: Tensor) -> None:
            pattern = record.pop()
            about = "queries . keys / sqrt(K), before the mask"
            self.keep(f"{name}.scores", pattern.scores[0], PAIRS, about)
            about = "softmax of each row of the masked scores"
            self.keep(f"{name}.pattern", pattern.weights[0], PAIRS, about)

        self._handles.append(block.attention.register_forward_pre_hook(ask))
        # Before the output layer, so that the arrays stay in the order of the computation.
        self.before(block.attention.out, take)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Remove all hooks at the end; no gradients inside."""
        try:
            with torch.inference_mode():
                yield
        finally:
            for handle in self._handles:
                handle.remove()


def _single(x: Tensor, axes: tuple[str, ...]) -> Tensor:
    """Remove the batch dimension of 1, if the tensor has one."""
    return x[0] if x.ndim > len(axes) else x


def check_evaluating(network: nn.Module) -> None:
    """Check that no dropout is on, which would make the numbers random.

    Raises:
        ModelError: the network is in training mode.
    """
    if any(module.training for module in network.modules()):
        raise ModelError(
            "a network in training mode drops random activations, so its numbers are not those of "
            "a prediction; call its method eval() first"
        )


def record_transformer(recorder: Recorder, transformer: Transformer) -> None:
    """Record all layers of a transformer, and its output after the last norm."""
    about = "the tokens that enter the first layer"
    recorder.input(transformer, "input", STREAM, about)
    for number, block in enumerate(transformer.blocks, start=1):
        assert isinstance(block, Block), "Transformer builds them"
        _record_block(recorder, block, f"layer{number}")
    about = "vectors of the last layer, after the last norm"
    recorder.output(transformer, "output", STREAM, about)


def _record_block(recorder: Recorder, block: Block, name: str) -> None:
    attention, mlp = block.attention, block.mlp

    def keep_projections(qkv: Tensor) -> None:
        q, k, v = attention._split(qkv, 3)
        for part, values, matrix in (("queries", q, "Q"), ("keys", k, "K"), ("values", v, "V")):
            about = f"W_{matrix} x + b_{matrix} of each token x of attention_input"
            recorder.keep(f"{name}.{part}", values[0], PER_HEAD, about)

    recorder.input(block, f"{name}.input", STREAM, "the residual stream before the layer")
    about = "what the attention reads: input, normalised" if block.pre_norm else "as input"
    recorder.input(attention.qkv, f"{name}.attention_input", STREAM, about)
    recorder.after(attention.qkv, keep_projections)
    recorder.patterns(block, name)
    about = "pattern . values, the heads side by side"
    recorder.input(attention.out, f"{name}.mixed", STREAM, about)
    recorder.output(attention.out, f"{name}.attention", STREAM, "W_O mixed + b_O")
    if block.pre_norm:
        about = "input + attention"
        recorder.input(block.mlp_norm, f"{name}.after_attention", STREAM, about)
    else:
        about = "input + attention, normalised"
        recorder.output(block.attention_norm, f"{name}.after_attention", STREAM, about)
    about = "what the MLP reads: after_attention, normalised"
    recorder.input(mlp, f"{name}.mlp_input", STREAM, about if block.pre_norm else "after_attention")
    about = f"{mlp.activation}(W_1 x + b_1) of each token x of mlp_input"
    recorder.input(mlp.down, f"{name}.hidden", ("token", "unit"), about)
    recorder.output(mlp, f"{name}.mlp", STREAM, "W_2 hidden + b_2")
    about = "after_attention + mlp" + ("" if block.pre_norm else ", normalised")
    recorder.output(block, f"{name}.output", STREAM, about)


def trace_gpt(network: GPT, ids: Int[Tensor, "T"]) -> Trace:
    """Record a GPT on a sequence of tokens.

    Besides the layers: ids (T,), embedding, positions and input (T, D), output (T, D), logits
    (T, V) and probabilities (T, V) of the token after each token.

    Raises:
        ModelError: the network is in training mode, or more tokens than the context holds.
    """
    check_evaluating(network)
    recorder = Recorder()
    recorder.keep("ids", ids, ("token",), "number of each token in the vocabulary")
    about = "row of the embedding matrix for each id"
    recorder.output(network.embedding, "embedding", STREAM, about)
    recorder.output(network.positions, "positions", STREAM, "vector of each position")
    record_transformer(recorder, network.transformer)
    with recorder.listening():
        logits = network(ids[None])[0]
        about = "embedding matrix . output: a number for each token that may follow"
        recorder.keep("logits", logits, ("token", "vocabulary"), about)
        about = "softmax of each row of logits"
        recorder.keep("probabilities", logits.softmax(-1), ("token", "vocabulary"), about)
    return Trace(recorder.steps, network.config["layers"], network.config["heads"], causal=True)


def trace_encoder(network: TextEncoder, ids: Int[Tensor, "T"]) -> Trace:
    """Record a bidirectional encoder on a sequence of tokens.

    Besides the layers: ids (T,), embedding, positions, summed and input (T, D), output (T, D). An
    encoder predicts no token.

    Raises:
        ModelError: as `trace_gpt`.
    """
    check_evaluating(network)
    recorder = Recorder()
    recorder.keep("ids", ids, ("token",), "number of each token in the vocabulary")
    about = "row of the embedding matrix for each id"
    recorder.output(network.embedding, "embedding", STREAM, about)
    used = network.positions.weight[: len(ids)]
    recorder.keep("positions", used, STREAM, "vector of each position")
    about = "embedding + positions + vector of the first segment"
    recorder.input(network.embedding_norm, "summed", STREAM, about)
    record_transformer(recorder, network.transformer)
    with recorder.listening():
        network(ids[None])
    return Trace(recorder.steps, network.config["layers"], network.config["heads"])


def trace_vit(network: ViT, image: Float[Tensor, "C Y X"]) -> Trace:
    """Record a Vision Transformer on an image, scaled as in training.

    Besides the layers: image (C, Y, X), patches (N, C P P), their pixels row by row; embedding
    (N, D), class_token (D,), positions and input (N + 1, D), output (N + 1, D), outputs (O,): class
    logits or values.

    Raises:
        ModelError: the network is in training mode, or the image does not fit it.
    """
    check_evaluating(network)
    recorder = Recorder()
    recorder.keep("image", image, ("channel", "row", "column"), "the image, scaled as in training")
    side = network.config["patch"]
    about = "pixels of each patch, channel by channel and row by row"
    recorder.before(
        network.patches,
        lambda x: recorder.keep("patches", cut(x[0], side), ("patch", "pixel"), about),
    )
    recorder.after(
        network.patches,
        lambda x: recorder.keep(
            "embedding", x[0].flatten(1).mT, ("patch", "channel"), "W patch + b of each patch"
        ),
    )
    about = "learned vector of the class token, which is put in front"
    recorder.keep("class_token", network.class_token[0, 0], ("channel",), about)
    about = "learned vector of each position; position 0 is the class token"
    recorder.keep("positions", network.positions[0], STREAM, about)
    record_transformer(recorder, network.transformer)
    about = "W output[0] + b: class logits, or predicted values"
    recorder.output(network.head, "outputs", ("output",), about)
    with recorder.listening():
        network(image[None])
    return Trace(recorder.steps, network.config["layers"], network.config["heads"])


def cut(image: Float[Tensor, "C Y X"], side: int) -> Float[Tensor, "N CPP"]:
    """Pixels of each patch, in the order in which the projection's weights have them."""
    C = len(image)
    tiles = image.unfold(1, side, side).unfold(2, side, side)  # (C, y, x, P, P)
    return tiles.permute(1, 2, 0, 3, 4).reshape(-1, C * side * side)
