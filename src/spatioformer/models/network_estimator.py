"""Training of a network, or an ensemble of networks, on chips of plots."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from spatioformer.common.errors import EvaluationError
from spatioformer.config.schema import ModelSection, TrainSection
from spatioformer.evaluation.splits import DegenerateFolds, RandomKFold
from spatioformer.geo.chips import ChipStore
from spatioformer.models.architectures import ARCHITECTURES, Architecture, outputs_of
from spatioformer.models.capabilities import FitContext
from spatioformer.models.inputs import Inputs
from spatioformer.models.network import NetworkModel
from spatioformer.nn import ChipNetwork
from spatioformer.nn.losses import Loss
from spatioformer.training.loop import History
from spatioformer.training.richness import fit, validation_tiles


@dataclass(frozen=True)
class NetworkEstimator:
    """A network of the catalogue before it is trained.

    Attributes:
        name: a key of `architectures.ARCHITECTURES`.
        model: sizes of the network and of its chips.
        train: recipe, and how validation plots are held out.
        seed: of weights, batches and validation plots.
        validation: plots that decide when to stop: whole tiles, or rows drawn at random, for plots
            without a place.
    """

    name: str
    model: ModelSection
    train: TrainSection
    seed: int
    validation: Literal["tiles", "rows"] = "tiles"

    @property
    def architecture(self) -> Architecture:
        return ARCHITECTURES[self.name]

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> NetworkModel:
        """Train on `rows` less some validation plots, which decide when to stop.

        The members of an ensemble differ in their first weights, the order of the plots and the
        tiles that are held out. Their files are numbered from the second on.

        Raises:
            EvaluationError: all plots lie in one validation tile.
            ModelError: the loss is not finite, or the checkpoint belongs to another training.
        """
        architecture = self.architecture
        section, loss_name = architecture.model_section(self.model), architecture.loss(self.train)
        inputs = Inputs.of(section, loss_name, store, rows, raw=architecture.takes_raw_values)
        members: list[ChipNetwork] = []
        losses: list[Loss] = []
        histories: list[History] = []
        held_out: list[int] = []
        for k in range(section.members):
            seed = self.seed + k
            held = self._validation(store.coordinates[rows], seed)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = architecture.network(section, inputs, outputs_of(loss_name))
            loss = Loss(loss_name, inputs.link)
            part = context if k == 0 else context.part(str(k + 1))
            history = fit(
                network,
                inputs.samples(store, rows[~held]),
                inputs.samples(store, rows[held]),
                architecture.recipe(self.train, seed),
                loss=loss,
                checkpoint=part.checkpoint,
                resume=part.resume,
                log=part.log,
                console=part.console,
            )
            members.append(network.cpu())
            losses.append(loss)
            histories.append(history)
            held_out.append(int(held.sum()))
        model = inputs.model(members, losses, store, rows)
        model.histories = tuple(histories)
        model.facts = _facts(len(rows), held_out, histories)
        return model

    def _validation(self, coordinates: np.ndarray, seed: int) -> np.ndarray:
        """Plots held out for early stopping, bool (n,)."""
        size, share = self.train.validation_tile, self.train.validation_share
        with warnings.catch_warnings():
            # One fold is used of these; how even the others are does not matter.
            warnings.simplefilter("ignore", DegenerateFolds)
            if self.validation == "rows":
                folds = min(len(coordinates), max(2, round(1 / share)))
                rows = RandomKFold(folds, seed=seed, keep_sites=False)
                return rows.assign(coordinates) == 0
            try:
                return validation_tiles(coordinates, share, size, seed)
            except EvaluationError as error:
                raise EvaluationError(f"`train.validation_tile` is {size:g}: {error}") from error


def _facts(plots: int, held_out: Sequence[int], histories: Sequence[History]) -> dict[str, object]:
    """What the model card says of the training of the first member."""
    return {
        "plots": plots - held_out[0],
        "validation_plots": held_out[0],
        "validation_rmse": round(histories[0].best_rmse, 4),
        "epochs": epochs_in_words(histories[0]),
    }


def epochs_in_words(history: History) -> str:
    """Number of epochs, and which of them was the best."""
    return f"{len(history.rows)}, best {history.best_epoch}"
