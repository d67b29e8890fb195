"""Record the attention of networks on the pixels of chips while they predict.

Source: Abnar & Zuidema 2020, "Quantifying attention flow in transformers" (rollout).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from spatioformer.models.patterns import record_patterns
from spatioformer.nn import ChipNetwork
from spatioformer.nn.rollout import attention_rollout
from spatioformer.nn.transformer import Transformer

Floats = NDArray[np.float64]


def attention_shares(
    networks: Sequence[ChipNetwork], patch: int, run: Callable[[ChipNetwork], object]
) -> Floats | None:
    """Compute the share of attention on each pixel, (P, P), sum 1, mean over the networks.

    Args:
        patch: P, side of a chip, pixels.
        run: predicts the chips with the given network, in one batch.

    Returns:
        The shares; None if P is 1 or a network does not have one token for each pixel.
    """
    if patch == 1:
        return None
    rollouts = []
    for network in networks:
        tokens = _rollout(network, patch, run)
        if tokens is None:
            return None
        rollouts.append(tokens)
    pixels = np.mean(rollouts, axis=0)[1 : 1 + patch**2]  # token 0 is the class token
    return (pixels / pixels.sum()).reshape(patch, patch)


def _rollout(
    network: ChipNetwork, patch: int, run: Callable[[ChipNetwork], object]
) -> Floats | None:
    """Attention rollout: share of each input token in the output, (T,), mean over chips.

    None if the network has no transformer, or not one token for each pixel.
    """
    transformer = next((m for m in network.modules() if isinstance(m, Transformer)), None)
    if transformer is None:
        return None
    patterns = record_patterns(transformer, lambda: run(network))
    if not patterns or patterns[0].weights.shape[-1] <= patch**2:
        return None
    with torch.inference_mode():
        return attention_rollout(patterns).mean(dim=(0, 1)).double().numpy()
