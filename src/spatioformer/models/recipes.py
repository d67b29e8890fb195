"""Training recipes of published networks, of distillation, and defaults that depend on the plots.

They need no torch, so the report can state them without the import.
"""

from typing import Literal, TypedDict

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.learning import TrainSection


class PublishedRecipe(TypedDict):
    """Fields of a `Recipe` of a published network."""

    optimiser: Literal["adam", "muon"]
    loss: Literal["rmse"]
    learning_rate: float
    weight_decay: float
    warmup: float
    averaging: float
    augment: bool
    precision: Literal["float32"]
    compile: bool


PUBLISHED: PublishedRecipe = {
    "optimiser": "adam",
    "loss": "rmse",
    "learning_rate": 1e-3,
    "weight_decay": 1e-4,
    "warmup": 0.0,
    "averaging": 0.0,
    "augment": False,
    "precision": "float32",
    "compile": False,
}
"""The published recipe; the configuration cannot change these fields."""

FASTER: PublishedRecipe = {
    **PUBLISHED,
    "optimiser": "muon",
    "learning_rate": 3e-3,
    "weight_decay": 1e-2,
    "warmup": 1.0,
    "averaging": 0.99,
}
"""The recipe of the published transformers in a run, with the paper's loss.

It learns as much as the paper's recipe in half of the time (docs/models.md).
"""


def recipe_of_published(section: TrainSection, convolutional: bool) -> PublishedRecipe:
    """The recipe of a published network; the CNN always has that of the paper."""
    faster = section.published_recipe == "muon" and not convolutional
    return FASTER if faster else PUBLISHED


def in_words(recipe: PublishedRecipe) -> str:
    """Optimiser, learning rate and weight decay of a published network, and whether they differ."""
    rates = f"learning rate {recipe['learning_rate']:g}"
    if recipe["optimiser"] == "adam":
        return f"Adam, {rates}, L2 penalty {recipe['weight_decay']:g}"
    return f"Muon, {rates}, weight decay {recipe['weight_decay']:g} (the paper used Adam)"


TRAINING = {
    "loss": "poisson",
    "learning_rate": 8e-3,
    "batch": 256,
    "warmup": 0.25,
    "augment": False,
}
"""A teacher's predictions have no noise and cover all land, so the network needs no location
dropout and no augmentation, and allows a high learning rate. These values were chosen on virtual
floras that no score uses (docs/models.md, "The distilled network")."""

CHIPS_PROCESSED = 120_000
"""Number of chips that a training processes over all epochs, validation chips included."""


def training_on(pixels: int, section: TrainSection) -> TrainSection:
    """The section `train` of a distilled network with this number of training pixels.

    `TRAINING` replaces parts of the configured section. The number of epochs is chosen so that the
    training processes about `CHIPS_PROCESSED` chips.
    """
    epochs = max(1, round(CHIPS_PROCESSED / pixels))
    return section.model_copy(update={**TRAINING, "epochs": epochs, "patience": epochs})


MANY = 1000
"""Number of training plots from which batches are large: half the time of an epoch."""


def filled(name: str, section: TrainSection, plots: int) -> TrainSection:
    """The section `train` with the values that it leaves to the network `name`.

    The default network is trained with Muon, which needs less than half of AdamW's epochs. These
    values were chosen on virtual floras that no score uses (docs/models.md).

    Args:
        plots: number of training plots, those for validation included.
    """
    if CATALOGUE[name].published:
        recipe = recipe_of_published(section, name == "cnn-published")
        epochs = 12 if recipe is FASTER else 40
        values = {"epochs": epochs, "batch": 64, "learning_rate": recipe["learning_rate"]}
    elif name == "factoformer":
        values = {"epochs": 40, "batch": 64, "learning_rate": 1e-3}
    else:
        values = {"epochs": 16, "batch": 128 if plots >= MANY else 64, "learning_rate": 4e-3}
    given = section.model_dump(include=set(values), exclude_none=True)
    return section.model_copy(update=values | given)
