"""Sizes and recipe of a training on images, with their defaults.

Imports no torch, so that the command line may read them at its start.
"""

from dataclasses import dataclass

HELD_OUT = 0.25
"""Share of the images that training never sees; they give the final score."""


@dataclass(frozen=True)
class Sizes:
    """The network; patch None lets `experiment.choose_patch` decide."""

    patch: int | None = None
    width: int = 64
    heads: int = 4
    layers: int = 4
    dropout: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """How a ViT is trained.

    Attributes:
        epochs: at most; warm-up and cosine of the learning rate span them.
        batch: images a step.
        learning_rate: its peak (AdamW).
        weight_decay: of AdamW.
        patience: epochs without a lower validation loss before training stops.
        label_smoothing: share of the target probability that is spread over all classes.
        shift: largest random shift of an image in y and in x, pixels.
        rotation: largest random rotation of an image in either direction, degrees.
        seed: of every random draw.
    """

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    patience: int = 30
    label_smoothing: float = 0.0
    shift: float = 0.0
    rotation: float = 0.0
    seed: int = 0
