"""How the networks of the catalogue follow from a configuration: sizes, loss and recipe."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, TypedDict

from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.models.inputs import Inputs
from spatioformer.nn import (
    ChipNetwork,
    DenseSpatioformer,
    FactoFormer,
    PaperCNN,
    PaperSpatioformer,
    Spatioformer,
)
from spatioformer.nn.losses import OUTPUTS, LossName
from spatioformer.training.richness import Recipe

SIZES = {"width", "heads", "layers", "mlp_hidden", "head_hidden", "dropout"}
"""Arguments that the configuration and the networks call the same."""

SCHEDULE = {"epochs", "batch", "patience", "device"}
"""Keys of `train` that every recipe takes from the configuration."""

CONFIGURED = SCHEDULE | {
    *("loss", "learning_rate", "weight_decay", "warmup", "averaging", "augment"),
    *("precision", "compile"),
}
"""Keys of `train` that a recipe takes, except the published one."""


class PublishedRecipe(TypedDict):
    """What the paper fixes of a `Recipe`."""

    optimiser: Literal["adam"]
    loss: LossName
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
"""The published recipe, which no configuration changes."""


class Architecture(ABC):
    """A network and its recipe, as far as they follow from a configuration."""

    @property
    @abstractmethod
    def takes_raw_values(self) -> bool:
        """Whether bands and richness go in as they are, without normalisation."""

    @abstractmethod
    def model_section(self, model: ModelSection) -> ModelSection:
        """The section `model` with what this architecture does not heed set aside."""

    @abstractmethod
    def loss(self, train: TrainSection) -> LossName:
        """Name of the loss that the network is trained with."""

    @abstractmethod
    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        """The recipe of the training, with this seed of its random draws."""

    @abstractmethod
    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        """A network with random weights, drawn from torch's generator.

        Args:
            outputs: numbers that it gives for a chip.
        """


@dataclass(frozen=True)
class Configured(Architecture):
    """The project's own network, whose sizes the configuration sets.

    Attributes:
        located: whether it takes longitude and latitude.
        dense: whether it takes whole tiles, whatever `model.network` says.
    """

    located: bool = True
    dense: bool = False

    @property
    def takes_raw_values(self) -> bool:
        return False

    def model_section(self, model: ModelSection) -> ModelSection:
        return model

    def loss(self, train: TrainSection) -> LossName:
        return train.loss

    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        return Recipe(**train.model_dump(include=CONFIGURED), seed=seed)

    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        located = self.located and model.location != "none"
        arguments = model.model_dump(include=SIZES | {"patch"}) | {
            "bands": inputs.bands,
            "covariates": len(model.covariates),
            "edges": inputs.edges,
            "location": inputs.location(model) if located else None,
            "location_dropout": model.location_dropout,
            "location_jitter": inputs.jitter(model),
            "outputs": outputs,
        }
        if self.dense or model.network == "dense":
            return DenseSpatioformer(**arguments)
        return Spatioformer(**arguments, tokens=model.tokens)


@dataclass(frozen=True)
class Published(Architecture):
    """A network of the paper with its sizes and recipe, on raw bands (Guo et al. 2025).

    Attributes:
        located: whether PaperSpatioformer takes longitude and latitude.
        convolutional: whether it is the paper's CNN.
    """

    located: bool = False
    convolutional: bool = False

    @property
    def takes_raw_values(self) -> bool:
        return True

    def model_section(self, model: ModelSection) -> ModelSection:
        return model.model_copy(update={"members": 1})

    def loss(self, train: TrainSection) -> LossName:
        return "rmse"

    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        return Recipe(**PUBLISHED, **train.model_dump(include=SCHEDULE), seed=seed)

    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        shape = {"patch": model.patch, "bands": inputs.bands}
        if self.convolutional:
            return PaperCNN(**shape)
        return PaperSpatioformer(**shape, geolocation=self.located)


@dataclass(frozen=True)
class ChipsAlone(Architecture):
    """FactoFormer: one network of fixed sizes that takes chips and nothing else."""

    @property
    def takes_raw_values(self) -> bool:
        return False

    def model_section(self, model: ModelSection) -> ModelSection:
        return model.model_copy(update={"members": 1, "covariates": {}})

    def loss(self, train: TrainSection) -> LossName:
        # The network gives one number; that of "quantile" is the mean of Poisson counts.
        return "poisson" if train.loss == "quantile" else train.loss

    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        values = train.model_dump(include=CONFIGURED) | {"loss": self.loss(train)}
        return Recipe(**values, seed=seed)

    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        return FactoFormer(patch=model.patch, bands=inputs.bands)


ARCHITECTURES: dict[str, Architecture] = {
    "spatioformer": Configured(),
    "spatioformer-dense": Configured(dense=True),
    "spatioformer-no-location": Configured(located=False),
    "spatioformer-published": Published(located=True),
    "spatioformer-published-no-location": Published(),
    "cnn-published": Published(convolutional=True),
    "factoformer": ChipsAlone(),
}
"""Name of the catalogue -> its architecture."""


def outputs_of(loss: LossName) -> int:
    """Number of outputs that a loss needs for each chip."""
    return OUTPUTS.get(loss, 1)
