"""A recipe for the tests of training."""

from typing import Any

from spatioformer.training.richness import Recipe


def plain_recipe(**changes: Any) -> Recipe:
    """AdamW on the mean squared error, without warm-up, averaging or augmentation."""
    values = {
        "loss": "mse",
        "learning_rate": 1e-3,
        "weight_decay": 1e-2,
        "epochs": 40,
        "batch": 64,
        "patience": 10,
        "seed": 0,
        "device": "auto",
        "warmup": 0.0,
        "averaging": 0.0,
        "augment": False,
        "precision": "float32",
        "compile": False,
    }
    return Recipe(**(values | changes))
