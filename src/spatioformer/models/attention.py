"""Attention of a network on the pixels of its chips, recorded while it predicts.

Source: Abnar & Zuidema 2020, "Quantifying attention flow in transformers" (rollout).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from spatioformer.nn import ChipNetwork
from spatioformer.nn.rollout import attention_rollout
from spatioformer.nn.transformer import Pattern, Transformer

Floats = NDArray[np.float64]


def attention_shares(
    networks: Sequence[ChipNetwork], patch: int, run: Callable[[ChipNetwork], object]
) -> Floats | None:
    """Share of attention on each pixel, (P, P), sum 1, mean over the networks.

    Args:
        run: lets one of the networks predict the chips in question, as one batch.

    Returns:
        None for chips of one pixel, and for networks without a token a pixel.
    """
    if patch == 1:
        return None
    maps = []
    for network in networks:
        tokens = _rollout(network, patch, run)
        if tokens is None:
            return None
        maps.append(tokens)
    pixels = np.mean(maps, axis=0)[1 : 1 + patch**2]  # token 0 is the class token
    return (pixels / pixels.sum()).reshape(patch, patch)


def _rollout(
    network: ChipNetwork, patch: int, run: Callable[[ChipNetwork], object]
) -> Floats | None:
    """How much of each input token is in the output tokens, (T,), mean over those and the chips."""
    transformer = next((m for m in network.modules() if isinstance(m, Transformer)), None)
    if transformer is None:
        return None
    patterns: list[Pattern] = []
    hook = transformer.register_forward_pre_hook(
        lambda module, args, kwargs: (args, kwargs | {"record": patterns}), with_kwargs=True
    )
    try:
        run(network)
    finally:
        hook.remove()
    if not patterns or patterns[0].weights.shape[-1] <= patch**2:
        return None
    with torch.inference_mode():
        return attention_rollout(patterns).mean(dim=(0, 1)).double().numpy()
