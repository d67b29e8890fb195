"""How much each input token contributes to an output token, through all layers.

Shapes: B batch, T tokens, H heads.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from spatioformer.nn.transformer import Pattern


def attention_rollout(patterns: Sequence[Pattern]) -> Float[Tensor, "B T T"]:
    """Attention rollout: the product over layers of (A + I) / 2, A the mean over heads.

    The identity stands for the residual stream. Row t says how much of each input token is in
    output token t; rows sum to 1. Source: Abnar & Zuidema 2020, "Quantifying Attention Flow in
    Transformers".

    Args:
        patterns: recorded by a model, first layer first.
    """
    rolled = torch.eye(patterns[0].weights.shape[-1]).to(patterns[0].weights)
    identity = rolled
    for pattern in patterns:
        rolled = (pattern.weights.mean(1) + identity) / 2 @ rolled
    return rolled
