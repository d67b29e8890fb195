"""Sizes and recipe of a text training, with their defaults.

Imports no torch, so that the command line may read them at its start.
"""

import math
from dataclasses import dataclass
from typing import Literal

FLOOR = 0.1  # the learning rate ends at this share of its peak


@dataclass(frozen=True)
class Sizes:
    """The tokenizer and the network to train.

    Attributes:
        tokenizer: "bpe", byte-level, or "words".
        vocabulary: V, largest number of tokens.
        context: C, tokens the network sees at once.
        width, heads, layers, dropout: as in `GPT`.
    """

    tokenizer: Literal["bpe", "words"] = "bpe"
    vocabulary: int = 4096
    context: int = 128
    width: int = 192
    heads: int = 6
    layers: int = 6
    dropout: float = 0.0


@dataclass(frozen=True)
class TextRecipe:
    """How a GPT is trained.

    Attributes:
        steps: optimiser steps (AdamW).
        batch: B, windows of C tokens a step.
        learning_rate: its peak, after `warmup` steps; it then falls as a cosine.
        weight_decay: of matrices; vectors (biases, norms) do not decay.
        check_every: steps between validations, each of which writes the checkpoint.
        seed: of the batches and of dropout.
        device: "auto" is CUDA if there is a GPU.
    """

    steps: int = 1500
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.1
    check_every: int = 150
    seed: int = 0
    device: str = "auto"

    def rate(self, step: int) -> float:
        """Learning rate of a step counted from 0: linear warm-up, then a cosine."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (FLOOR + (1 - FLOOR) * cosine)
