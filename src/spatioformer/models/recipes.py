"""Training recipes that the configuration does not choose: the paper's, of distillation, defaults.

They need no torch, so the report can state them without the import.
"""

from typing import Literal, TypedDict

from spatioformer.config.catalogue import CATALOGUE
from spatioformer.config.learning import TrainSection


class PublishedRecipe(TypedDict):
    """Fields of a `Recipe` that the paper fixes."""

    optimiser: Literal["adam"]
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
    if CATALOGUE[name].published or name == "factoformer":
        values = {"epochs": 40, "batch": 64, "learning_rate": 1e-3}
    else:
        values = {"epochs": 16, "batch": 128 if plots >= MANY else 64, "learning_rate": 4e-3}
    given = section.model_dump(include=set(values), exclude_none=True)
    return section.model_copy(update=values | given)
