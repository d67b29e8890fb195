"""Train a network to predict species richness from chips.

Training stops early on plots held out in space. Several processes (`distributed`) share each batch;
gradients and errors are those of the whole batch.
"""

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, cast, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spatioformer.common.files import write_text
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_generator, family_seed
from spatioformer.common.threads import one_thread
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.nn.losses import Loss, LossName
from spatioformer.training import distributed
from spatioformer.training.checkpoint import identity
from spatioformer.training.loop import (
    Advance,
    History,
    Row,
    Task,
    choose_device,
    curve_csv,
    train,
)
from spatioformer.training.muon import FlatMuon, matrices_of
from spatioformer.training.optimiser import FlatAdam, flattened, separated
from spatioformer.training.samples import Samples, turned

PIECE = 128 * 81  # pixels of chips in one piece of a batch; its activations fit a core's cache


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained.

    What `config.schema.TrainSection` has too, has its default there and none here.

    Attributes:
        optimiser: "adam" with an L2 penalty (the paper's), "adamw", or "muon" (`training.muon`).
        loss: see `nn.losses`; "rmse", the root of the batch's mean squared error, is the paper's.
        learning_rate: its peak; it falls as a cosine over the epochs, with "muon" step by step.
        weight_decay: of the optimiser.
        epochs: at most.
        batch: plots a step.
        patience: epochs without a lower validation RMSE before training stops.
        seed: of the order of the plots, of augmentation and of dropout.
        device: "auto", "cpu" or "cuda"; "auto" is CUDA if there is a GPU.
        warmup: epochs over which the learning rate first rises, step by step.
        averaging: decay of the running average of the weights, in [0, 1). The average is validated
            and kept; 0 validates and keeps the weights themselves.
        augment: apply one of the eight symmetries of the square to each chip, drawn anew in each
            epoch; the chip's coordinates move along.
        precision: "bf16" computes the network in bfloat16 where torch deems it safe.
        compile: let torch.compile fuse the network first.
    """

    optimiser: Literal["adam", "adamw", "muon"] = "adamw"
    loss: LossName
    learning_rate: float
    weight_decay: float
    epochs: int
    batch: int
    patience: int
    seed: int
    device: str
    warmup: float
    averaging: float
    augment: bool
    precision: Literal["float32", "bf16"]
    compile: bool

    def rate(self, epoch: int, step: int, steps_an_epoch: int) -> float:
        """Learning rate of a step; `epoch` and `step` are counted from 0 over the whole training.

        Each epoch has one rate of the cosine; the warm-up rises with each step. A training with
        Muon has few epochs, so its cosine falls with each step too.
        """
        done = step / steps_an_epoch if self.optimiser == "muon" else epoch
        # With T0 = epochs the paper's cosine with warm restarts never restarts.
        rate = self.learning_rate * (1 + math.cos(math.pi * done / self.epochs)) / 2
        return rate * min(1.0, (step + 1) / max(1, self.warmup * steps_an_epoch))


def validation_tiles(
    coordinates: NDArray[np.floating], share: float, size: float, seed: int
) -> NDArray[np.bool_]:
    """Hold out whole tiles for early stopping.

    Args:
        coordinates: lon, lat (n, 2), degrees.
        share: of the plots to hold out, in (0, 1); the tiles come close to it.
        size: side of a tile, degrees.
        seed: of the choice of tiles.

    Returns:
        bool (n,), True for validation; at least one plot on either side.

    Raises:
        EvaluationError: all plots lie in one tile.
    """
    folds = max(2, round(1 / share))
    tiles = len(np.unique(SpatialBlockKFold(2, size=size, seed=seed).tiles(coordinates)))
    folds = min(folds, max(2, tiles))
    held_out = SpatialBlockKFold(folds, size=size, seed=seed).assign(coordinates) == 0
    return np.asarray(held_out, bool)


def fit(
    network: nn.Module,
    training: Samples,
    validation: Samples,
    recipe: Recipe,
    *,
    loss: Loss | None = None,
    checkpoint: Path | None = None,
    resume: bool = True,
    log: Path | None = None,
    console: Console = SILENT,
    on_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train `network` in place; it ends with the best validation weights, in evaluation mode.

    Args:
        loss: says what the network's outputs mean in species, and is trained too if it learns a
            dispersion. Default: the recipe's loss on outputs in species (or their logarithm).
        checkpoint: file to write after each epoch and, with `resume`, to continue from.
        log: CSV file with a row an epoch: epoch, train_rmse, validation_rmse (species),
            learning_rate.
        on_epoch: called with the epoch's number when its checkpoint is written.

    Returns:
        The rows, as in `log`, and the epoch with the lowest validation_rmse.

    Raises:
        ModelError: an error is not finite, or the checkpoint belongs to another training.
    """
    task = RichnessTask(network, loss or Loss(recipe.loss), training, validation, recipe)
    with one_thread():
        history = train(
            task, checkpoint=checkpoint, resume=resume, console=console, on_round=on_epoch
        )
    separated(task.optimiser.parameters)
    if log is not None and distributed.leads():
        write_text(log, curve_csv(history.rows))
    return history


@final
class RichnessTask(Task):
    """A network for richness, its loss and its samples; a round is an epoch."""

    unit = "epoch"
    figure = "validation_rmse"
    data = "data"
    optimiser: FlatAdam

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        training: Samples,
        validation: Samples,
        recipe: Recipe,
    ):
        self.device = choose_device(recipe.device)
        self.network, self.loss = network.to(self.device), loss.to(self.device)
        self.training, self.validation = training.to(self.device), validation.to(self.device)
        self.recipe = recipe
        self.length, self.patience, self.seed = recipe.epochs, recipe.patience, recipe.seed
        self.remedy = f"lower `train.learning_rate` (now {recipe.learning_rate:g})"
        self.average = copy.deepcopy(network) if recipe.averaging else None
        if self.average is not None:
            self._averaged = flattened(self.average.parameters())
        self.optimiser = self._optimiser()
        self.judged = network if self.average is None else self.average
        self.best = {"network": self.judged, "loss": loss}
        self.modules = {"network": network, "loss": loss}
        if self.average is not None:
            self.modules |= {"average": self.average}
        self.running = distributed.data_parallel(network)
        if recipe.compile:
            self.running = cast(nn.Module, torch.compile(self.running))

    def _optimiser(self) -> FlatAdam:
        recipe, parameters = self.recipe, [*self.network.parameters(), *self.loss.parameters()]
        decoupled, decay, rate = (
            recipe.optimiser != "adam",
            recipe.weight_decay,
            recipe.learning_rate,
        )
        matrices = matrices_of(self.network) if recipe.optimiser == "muon" else []
        if matrices:
            return FlatMuon(parameters, decoupled, decay, rate, matrices)
        return FlatAdam(parameters, decoupled, decay, rate)

    def identity(self) -> str:
        settings = [
            type(self.network).__name__,
            self.network.config,
            asdict(self.recipe),
            self.loss.name,
            asdict(self.loss.link),
        ]
        parts = (self.training, self.validation)
        return identity(settings, (tensor for part in parts for tensor in vars(part).values()))

    def round(self, rows: Sequence[Row], advance: Advance) -> Row:
        train_rmse = self._epoch(len(rows))
        rmse = _rmse(self.judged, self.loss, self.validation)
        advance(1, f"RMSE {rmse:.2f}")
        return {
            "epoch": len(rows) + 1,
            "train_rmse": train_rmse,
            "validation_rmse": rmse,
            "learning_rate": self.optimiser.rate,
        }

    def _epoch(self, epoch: int) -> float:
        """Train on each plot once, in random order; return the RMSE with dropout on, species."""
        recipe, samples = self.recipe, self.training
        self.running.train()
        rng = family_generator(recipe.seed, epoch)
        order = torch.from_numpy(rng.permutation(len(samples)))
        turns = torch.from_numpy(rng.integers(0, 8, len(samples))) if recipe.augment else None
        _seed_torch(recipe.seed, epoch)
        batches = order.split(recipe.batch)
        total = torch.zeros((), dtype=torch.float64)
        for i, rows in enumerate(batches):
            part = samples[distributed.share(rows).to(self.device)]
            if turns is not None:
                part = turned(part, turns[distributed.share(rows)])
            self.optimiser.zero_grad()
            total += _gradients(self.running, self.loss, part, recipe, len(rows)).cpu()
            step = epoch * len(batches) + i
            self._step(step, recipe.rate(epoch, step, len(batches)))
        return math.sqrt(distributed.summed(total) / len(samples))

    def _step(self, step: int, rate: float) -> None:
        """Step the optimiser at a learning rate, then update the average of the weights."""
        self.optimiser.rate = rate
        self.optimiser.step()
        if self.average is not None:
            # A young average forgets its random beginning sooner.
            decay = min(self.recipe.averaging, (2 + step) / (11 + step))
            current = self.optimiser.values[: len(self._averaged)]  # without those of the loss
            self._averaged.lerp_(current, 1 - decay)


def _gradients(
    network: nn.Module, loss: Loss, samples: Samples, recipe: Recipe, batch: int
) -> torch.Tensor:
    """Leave the gradients of a batch in the parameters; return its sum of squares, species^2.

    The network computes the batch in pieces whose activations fit the cache; other processes may
    hold samples of the batch too. Gradients of sums add up. The gradient of a root of a mean is
    scaled once, when the mean is known.

    Args:
        batch: number of samples in all processes.
    """
    pieces = _pieces(samples)
    losses = squares = torch.zeros((), dtype=torch.float64, device=samples.target.device)
    for number, piece in enumerate(pieces, start=1):
        with distributed.without_sync(network, number < len(pieces)):
            with _autocast(recipe, piece):
                output = network(*piece.inputs).float()
            each = loss(output, piece.target)
            (each.sum() * (distributed.processes() / batch)).backward()
        losses = losses + each.detach().double().sum()
        error = loss.species(output.detach()) - piece.target
        squares = squares + error.double().square().sum()
    distributed.average_gradients(loss)
    if loss.rooted and (mean := distributed.summed(losses) / batch):
        # d sqrt(m) = dm / (2 sqrt(m)), with m that of the whole batch.
        for parameter in (*network.parameters(), *loss.parameters()):
            if parameter.grad is not None:
                parameter.grad /= 2 * math.sqrt(mean)
    return squares


def _pieces(samples: Samples) -> list[Samples]:
    """Cut samples into pieces of about PIECE pixels; on a GPU, return them as one piece.

    There is at least one piece: a process without samples takes part in the averaging too.
    """
    if samples.target.device.type != "cpu":
        return [samples]
    size = max(1, PIECE // (samples.chips.shape[1] * samples.chips.shape[2]))
    return [samples[start : start + size] for start in range(0, max(1, len(samples)), size)]


def _seed_torch(seed: int, epoch: int) -> None:
    """Seed torch for an epoch, so that its dropout does not depend on the epochs before."""
    torch.manual_seed(family_seed(seed, epoch, distributed.rank()))


def _autocast(recipe: Recipe, samples: Samples) -> AbstractContextManager[None]:
    """Context in which the network computes with the recipe's precision."""
    if recipe.precision == "float32":
        return nullcontext()
    return torch.autocast(samples.target.device.type, torch.bfloat16)


def _rmse(network: nn.Module, loss: Loss, samples: Samples, batch: int = 256) -> float:
    """Return the root mean squared error over all samples, species."""
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for i in range(0, len(samples), batch):
            part = samples[i : i + batch]
            error = loss.species(network(*part.inputs)) - part.target
            total += float(error.double().square().sum())
    return math.sqrt(total / len(samples))
