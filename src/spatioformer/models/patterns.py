"""Attention of a network on the tokens of one chip, by layer and head.

Shapes: L layers with attention, H heads, T tokens, P patch side, h = P // 2.

The networks with a transformer have a learned token first, then one token for each pixel, then one
for each covariate. The dense network has pixels only, and each layer attends to neighbours only: a
layer of radius r computes no token closer than r to the edge of what the layer before computed. The
rows of tokens that a layer does not compute are NaN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spatioformer.nn import ChipNetwork, DenseSpatioformer
from spatioformer.nn.neighbourhood import KeyDropout, NeighbourhoodBlock
from spatioformer.nn.transformer import Pattern, Transformer

Floats = NDArray[np.float32]
Kind = Literal["class", "pixel", "other"]


@dataclass(frozen=True)
class ChipPatterns:
    """Attention of one network on one chip.

    Attributes:
        weights: (L, H, T, T), row: the token that attends; a row sums to 1, or is NaN where the
            layer does not compute its token.
        kinds: (T,) what each token stands for; the pixels are in order, row by row, north first.
        readout: (T,) share of each token of the last layer in the input of the head; sums to 1.
        layers: (L,) number of each layer in the network, from 1. Layers without attention, such as
            those of radius 0, are left out.
    """

    weights: Floats
    kinds: list[Kind]
    readout: Floats
    layers: list[int]

    def rollout(self) -> Floats:
        """Share of each input token in the output, (T,), sum 1, by attention rollout.

        The product over layers of (A + I) / 2, A the mean over heads, then the readout. Source:
        Abnar & Zuidema 2020, "Quantifying Attention Flow in Transformers".
        """
        shares = self.readout.astype(np.float64)
        identity = np.eye(len(shares))
        for weights in self.weights[::-1]:
            mean = np.nan_to_num(weights.astype(np.float64).mean(axis=0))
            shares = shares @ ((mean + identity) / 2)
        return (shares / shares.sum()).astype(np.float32)


def chip_patterns(
    network: ChipNetwork, patch: int, run: Callable[[], object]
) -> ChipPatterns | None:
    """Record the attention of a network while `run` lets it predict one chip.

    Args:
        patch: P, pixels.
        run: predicts one chip with the network, by its torch modules.

    Returns:
        None for a network without attention between the pixels of a chip: a chip of one pixel of
        a dense network, a convolutional network, or several transformers.
    """
    if isinstance(network, DenseSpatioformer):
        return _of_neighbourhoods(network, patch, run)
    transformers = [m for m in network.modules() if isinstance(m, Transformer)]
    if len(transformers) != 1:
        return None
    patterns = record_patterns(transformers[0], run)
    if not patterns:
        return None
    weights = torch.cat([pattern.weights for pattern in patterns]).float().cpu().numpy()
    count = weights.shape[-1]
    pixels = patch**2
    if count <= pixels:
        return None
    inputs: Kind = "other" if network.config.get("tokens") == "bands" else "pixel"
    kinds: list[Kind] = ["class"]
    kinds += [inputs] * pixels
    kinds += ["other"] * (count - len(kinds))
    readout = np.full(count, 1 / count, np.float32)
    return ChipPatterns(weights, kinds, readout, list(range(1, len(weights) + 1)))


def record_patterns(transformer: Transformer, run: Callable[[], object]) -> list[Pattern]:
    """Patterns of each layer of a transformer while `run` calls its network once."""
    patterns: list[Pattern] = []
    hook = transformer.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"record": patterns}), with_kwargs=True
    )
    try:
        run()
    finally:
        hook.remove()
    return patterns


def _of_neighbourhoods(
    network: DenseSpatioformer, patch: int, run: Callable[[], object]
) -> ChipPatterns | None:
    """Patterns of a dense network, its neighbours placed in the chip."""
    blocks = [b for b in network.blocks if isinstance(b, NeighbourhoodBlock)]
    attending = [(i, b) for i, b in enumerate(blocks, start=1) if b.radius]
    if not attending:
        return None
    scores = _scores([b.attention.dropout for _, b in attending], run)
    layers, margin = [], 0
    for (_, block), score in zip(attending, scores, strict=True):
        margin += block.radius
        weights = score.softmax(0)[..., 0].float().cpu().numpy()  # (N, H, y, x)
        layers.append(_placed(weights, block.radius, margin, patch))
    readout = np.zeros(patch**2, np.float32)
    readout[patch**2 // 2] = 1  # the centre pixel
    pixels: list[Kind] = ["pixel"] * patch**2
    return ChipPatterns(np.stack(layers), pixels, readout, [i for i, _ in attending])


def _scores(modules: list[KeyDropout], run: Callable[[], object]) -> list[torch.Tensor]:
    """Scores (N, H, y, x, B) that each module receives, before the softmax over N."""
    scores: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        scores.append(inputs[0].detach())

    hooks = [module.register_forward_pre_hook(keep) for module in modules]
    try:
        run()
    finally:
        for hook in hooks:
            hook.remove()
    return scores


def _placed(weights: Floats, radius: int, margin: int, patch: int) -> Floats:
    """Weights (N, H, y, x) of neighbours as (H, T, T), T the pixels of the chip.

    Args:
        radius: of the neighbourhood, pixels.
        margin: distance of the computed pixels to the edge of the chip, pixels.
    """
    pixels = np.arange(patch**2).reshape(patch, patch)
    steps = range(-radius, radius + 1)
    placed = np.full((weights.shape[1], patch**2, patch**2), np.nan, np.float32)
    for y in range(weights.shape[2]):
        for x in range(weights.shape[3]):
            row, col = y + margin, x + margin
            near = [pixels[row + i, col + j] for i in steps for j in steps]
            placed[:, pixels[row, col]] = 0
            placed[:, pixels[row, col], near] = weights[:, :, y, x].T
    return placed
