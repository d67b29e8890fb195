"""Build the networks of the catalogue, their losses and training recipes from a configuration."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.models.inputs import Inputs
from spatioformer.models.recipes import in_words, recipe_of_published
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
"""Arguments that have the same name in `model` of the configuration and in the networks."""

SCHEDULE = {"epochs", "batch", "patience", "device"}
"""Keys of `train` that every recipe takes from the configuration."""

CONFIGURED = SCHEDULE | {
    *("loss", "learning_rate", "weight_decay", "warmup", "averaging", "augment"),
    *("precision", "compile"),
}
"""Keys of `train` that a recipe takes, except those of published networks."""


class Architecture(ABC):
    """A kind of network: its sizes, loss and recipe for a given configuration."""

    @property
    @abstractmethod
    def takes_raw_values(self) -> bool:
        """Whether the network is trained on bands and richness without normalisation."""

    @abstractmethod
    def model_section(self, model: ModelSection) -> ModelSection:
        """The section `model`, with options that this architecture ignores set to defaults."""

    @abstractmethod
    def loss(self, train: TrainSection) -> LossName:
        """Name of the training loss."""

    @abstractmethod
    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        """The training recipe.

        Args:
            train: as `recipes.filled` returns it.
            seed: of the recipe's random numbers.
        """

    def facts(self, train: TrainSection) -> dict[str, object]:
        """What the model card states of the training besides what all networks have."""
        return {}

    @abstractmethod
    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        """A network with random weights, drawn from torch's global generator.

        Args:
            outputs: number of outputs for each chip.
        """


@dataclass(frozen=True)
class Configured(Architecture):
    """The project's network; the configuration sets its sizes.

    Attributes:
        located: whether longitude and latitude are inputs.
        dense: whether the network is dense even if `model.network` is not "dense".
    """

    located: bool = True
    dense: bool = False

    @property
    def takes_raw_values(self) -> bool:
        return False

    def model_section(self, model: ModelSection) -> ModelSection:
        return model

    def loss(self, train: TrainSection) -> LossName:
        return train.loss_name

    def recipe(self, train: TrainSection, seed: int) -> Recipe:
        values = train.model_dump(include=CONFIGURED) | {"loss": self.loss(train)}
        return Recipe(**values, optimiser="muon", seed=seed)

    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        located = self.located and model.location != "none"
        arguments = model.model_dump(include=SIZES | {"patch"}) | {
            "bands": inputs.bands,
            "covariates": len(model.usual),
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
    """A network of the paper, with the paper's sizes and loss, on raw bands (Guo et al. 2025).

    Attributes:
        located: whether longitude and latitude are inputs of PaperSpatioformer.
        convolutional: whether the network is the paper's CNN.
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
        recipe = recipe_of_published(train, self.convolutional)
        return Recipe(**recipe, **train.model_dump(include=SCHEDULE), seed=seed)

    def facts(self, train: TrainSection) -> dict[str, object]:
        return {"recipe": in_words(recipe_of_published(train, self.convolutional))}

    def network(self, model: ModelSection, inputs: Inputs, outputs: int) -> ChipNetwork:
        shape = {"patch": model.patch, "bands": inputs.bands}
        if self.convolutional:
            return PaperCNN(**shape)
        return PaperSpatioformer(**shape, geolocation=self.located)


@dataclass(frozen=True)
class ChipsAlone(Architecture):
    """FactoFormer: a single network of fixed sizes; its only inputs are chips."""

    @property
    def takes_raw_values(self) -> bool:
        return False

    def model_section(self, model: ModelSection) -> ModelSection:
        return model.model_copy(update={"members": 1, "covariates": {}})

    def loss(self, train: TrainSection) -> LossName:
        # The network has one output. The mean of the loss "quantile" is trained with "poisson".
        return "poisson" if train.loss == "quantile" else train.loss_name

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
