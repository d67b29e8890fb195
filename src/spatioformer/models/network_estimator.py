"""Train a network or an ensemble of networks on the chips of plots."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from spatioformer.config.learning import ModelSection, TrainSection
from spatioformer.evaluation.sizes import splittable
from spatioformer.evaluation.splits import DegenerateFolds, RandomKFold
from spatioformer.geo.chips import ChipStore
from spatioformer.models.architectures import ARCHITECTURES, Architecture, outputs_of
from spatioformer.models.capabilities import FitContext
from spatioformer.models.inputs import Inputs
from spatioformer.models.network import NetworkModel
from spatioformer.models.recipes import filled
from spatioformer.nn import ChipNetwork
from spatioformer.nn.losses import Loss
from spatioformer.training.loop import History
from spatioformer.training.richness import Recipe, fit, validation_tiles


@dataclass(frozen=True)
class NetworkEstimator:
    """Estimator of a network of the catalogue.

    Attributes:
        name: a key of `architectures.ARCHITECTURES`.
        model: sizes of the network and of its chips.
        train: training recipe, and the share and tiles of validation plots.
        seed: of initial weights, batches and validation plots.
        validation: unit of the validation plots for early stopping: whole "tiles", or random "rows"
            for plots without coordinates and for pixels of a map.
        optimiser: of all architectures but those that the paper's Adam trains, see `Recipe`;
            None: the architecture's.
    """

    name: str
    model: ModelSection
    train: TrainSection
    seed: int
    validation: Literal["tiles", "rows"] = "tiles"
    optimiser: Literal["adamw", "muon"] | None = None

    @property
    def architecture(self) -> Architecture:
        """The architecture with this name."""
        return ARCHITECTURES[self.name]

    def fit(
        self, store: ChipStore, rows: np.ndarray, *, context: FitContext = FitContext()
    ) -> NetworkModel:
        """Train on `rows`; some of them are validation plots for early stopping.

        The members of an ensemble differ in initial weights, order of the plots and validation
        plots. The names of their files end in a number from the second member on.

        Raises:
            EvaluationError: all plots lie at one place.
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
            validation = self.validation_of(store.coordinates[rows], k)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                network = architecture.network(section, inputs, outputs_of(loss_name))
            loss = Loss(loss_name, inputs.link)
            part = context if k == 0 else context.part(str(k + 1))
            history = fit(
                network,
                inputs.samples(store, rows[~validation]),
                inputs.samples(store, rows[validation]),
                self._recipe(len(rows), seed),
                loss=loss,
                checkpoint=part.checkpoint,
                resume=part.resume,
                log=part.log,
                console=part.console,
            )
            members.append(network.cpu())
            losses.append(loss)
            histories.append(history)
            held_out.append(int(validation.sum()))
        model = inputs.model(members, losses, store, rows)
        model.histories = tuple(histories)
        model.facts = _facts(len(rows), held_out, histories) | architecture.facts(self.train)
        return model

    def _recipe(self, plots: int, seed: int) -> Recipe:
        recipe = self.architecture.recipe(filled(self.name, self.train, plots), seed)
        if self.optimiser is None or recipe.optimiser == "adam":
            return recipe
        return replace(recipe, optimiser=self.optimiser)

    def validation_of(self, coordinates: np.ndarray, member: int = 0) -> np.ndarray:
        """Whether each plot at `coordinates` is a validation plot of a member, bool (n,)."""
        share, seed = self.train.validation_share, self.seed + member
        with warnings.catch_warnings():
            # Only one of these folds is used, so the sizes of the others do not matter.
            warnings.simplefilter("ignore", DegenerateFolds)
            if self.validation == "rows":
                folds = min(len(coordinates), max(2, round(1 / share)))
                rows = RandomKFold(folds, seed=seed, keep_sites=False)
                return rows.assign(coordinates) == 0
            size = splittable(coordinates, self.train.validation_tile)
            return validation_tiles(coordinates, share, size, seed)


def _facts(plots: int, held_out: Sequence[int], histories: Sequence[History]) -> dict[str, object]:
    """Facts of the first member's training for the model card."""
    return {
        "plots": plots - held_out[0],
        "validation_plots": held_out[0],
        "validation_rmse": round(histories[0].best_rmse, 4),
        "epochs": epochs_in_words(histories[0]),
    }


def epochs_in_words(history: History) -> str:
    """The number of epochs and the best epoch, for a reader."""
    return f"{len(history.rows)}, best {history.best_epoch}"
