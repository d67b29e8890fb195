"""Draw the next token of a text.

Shapes: B batch, V vocabulary.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatioformer.common.errors import ModelError


def sample(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
) -> Int[Tensor, "B"]:
    """Draw one token for each row from `distribution`; at temperature 0 take the likeliest."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = distribution(logits, temperature, top_k, top_p)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0]


def distribution(
    logits: Float[Tensor, "B V"],
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
) -> Float[Tensor, "B V"]:
    """Probabilities of the next token: softmax(logits / temperature) over the tokens kept.

    Args:
        logits: unnormalised log-probabilities.
        temperature: above 0; below 1 sharpens.
        top_k: keep the k likeliest tokens (and their ties).
        top_p: of those, the fewest whose probabilities reach p together (nucleus sampling,
            Holtzman et al. 2020).

    Raises:
        ModelError: an argument out of range.
    """
    if temperature <= 0:
        raise ModelError(f"temperature {temperature} cannot be used; choose 0 or more")
    logits = logits / temperature
    if top_k is not None:
        if top_k < 1:
            raise ModelError(f"top-k {top_k} lets no token through; choose 1 or more")
        kth = logits.topk(min(top_k, logits.shape[-1])).values[:, -1:]
        logits = logits.masked_fill(logits < kth, -torch.inf)
    probabilities = logits.softmax(-1)
    if top_p is None:
        return probabilities
    if not 0 < top_p <= 1:
        raise ModelError(f"top-p {top_p} cannot be used; choose a share above 0 and at most 1")
    ordered, order = probabilities.sort(descending=True, stable=True)
    before = ordered.cumsum(-1) - ordered  # probability of all likelier tokens
    kept = torch.zeros_like(probabilities).scatter(-1, order, ordered * (before < top_p))
    return kept / kept.sum(-1, keepdim=True)
