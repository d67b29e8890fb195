"""Training: one readable loop.

Seeded, early-stopped on plots held out in space, checkpointed after every epoch. An interrupted
and resumed training ends with the same weights, bit for bit, as an uninterrupted one: every random
draw of an epoch follows from (seed, epoch), and the checkpoint holds weights, their average,
optimiser and the best weights so far.

Several processes (`distributed`) share each batch; gradients and errors are those of the whole.
"""

import copy
import csv
import io
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_text
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_generator, family_seed
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.nn.losses import Loss, LossName
from spatioformer.training import distributed
from spatioformer.training.checkpoint import restoring, save_checkpoint
from spatioformer.training.samples import Samples, turned

PIECE = 128 * 81  # pixels of chips at once, whose activations fit a core's cache


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        optimiser: "adam" with an L2 penalty (the paper's) or "adamw".
        loss: see `nn.losses`; "rmse", the root of the batch's mean squared error, is the paper's.
        epochs: at most; the learning rate falls as a cosine over them.
        patience: epochs without a better validation RMSE before training stops.
        warmup: epochs over which the learning rate first rises, step by step.
        averaging: decay of the running average of the weights, which then is what is judged and
            kept; 0 keeps the weights themselves.
        augment: each chip turned and mirrored anew in each epoch, one of the eight symmetries of
            the square; its coordinates move along.
        precision: "bf16" computes the network in bfloat16 where torch deems it safe.
        compile: let torch.compile fuse the network first.
    """

    optimiser: Literal["adam", "adamw"] = "adamw"
    loss: LossName = "mse"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    epochs: int = 40
    batch: int = 64
    patience: int = 10
    seed: int = 0
    device: str = "auto"
    warmup: float = 0.0
    averaging: float = 0.0
    augment: bool = False
    precision: Literal["float32", "bf16"] = "float32"
    compile: bool = False


@dataclass
class History:
    """What a training did: a row an epoch, and the best epoch (counted from 1)."""

    rows: list[dict[str, float]]
    best_epoch: int
    best_rmse: float


def choose_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is one, and under torchrun each process its own.

    Raises:
        ModelError: CUDA is asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda is not available here; set `train.device: cpu` (or auto)")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return distributed.own_device(name)


def validation_tiles(coordinates: np.ndarray, share: float, size: float, seed: int) -> np.ndarray:
    """Rows held out for early stopping: whole tiles of `size` degrees, about `share` of the plots.

    Returns:
        bool (n,), True for validation; at least one plot on either side.

    Raises:
        EvaluationError: all plots lie in one tile.
    """
    folds = max(2, round(1 / share))
    tiles = len(np.unique(SpatialBlockKFold(2, size=size, seed=seed).tiles(coordinates)))
    folds = min(folds, max(2, tiles))
    return SpatialBlockKFold(folds, size=size, seed=seed).assign(coordinates) == 0


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
        loss: with the link that the network's outputs have; the recipe's, outputs being species
            (or their logarithm), unless given. A learned dispersion is trained in it.
        checkpoint: file to write after each epoch and, with `resume`, to continue from.
        log: CSV file with a row an epoch: epoch, train_rmse, validation_rmse (species),
            learning_rate.
        on_epoch: called with the epoch's number when its checkpoint is written.

    Raises:
        ModelError: the loss is not finite, or the checkpoint belongs to another training.
    """
    device = choose_device(recipe.device)
    loss = (loss or Loss(recipe.loss)).to(device)
    network.to(device)
    training, validation = training.to(device), validation.to(device)
    state = _State(network, loss, recipe)
    running = distributed.wrapped(network)
    if recipe.compile:
        running = torch.compile(running)
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with one_thread(), forked:
        if checkpoint is not None and resume and checkpoint.exists():
            state.restore(checkpoint)
            console.say(f"  continuing after epoch {state.epoch} of {recipe.epochs}")
        with console.task("train", recipe.epochs) as advance:
            advance(state.epoch)
            while state.epoch < recipe.epochs and state.stale < recipe.patience:
                train_rmse = _epoch(running, loss, training, recipe, state)
                rmse = _rmse(state.judged, loss, validation)
                state.finish_epoch(train_rmse, rmse)
                if checkpoint is not None and distributed.leads():
                    state.save(checkpoint)
                advance(1, f"RMSE {rmse:.2f}")
                if on_epoch is not None:
                    on_epoch(state.epoch)
            advance(recipe.epochs - state.epoch)
    network.load_state_dict(state.best["network"])
    loss.load_state_dict(state.best["loss"])
    network.eval()
    if log is not None and distributed.leads():
        _write_log(log, state.rows)
    return History(state.rows, state.best_epoch, state.best_rmse)


@contextmanager
def one_thread() -> Iterator[None]:
    """At these sizes a second thread gains nothing, and sums in one order give the same numbers
    whatever the number of cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _State:
    """All that changes while training runs, so that it can be written down and taken up again."""

    def __init__(self, network: nn.Module, loss: Loss, recipe: Recipe):
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        self.network, self.loss, self.recipe = network, loss, recipe
        self.optimiser = kind(
            [*network.parameters(), *loss.parameters()],
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.average = copy.deepcopy(network) if recipe.averaging else None
        self._averaged = [] if self.average is None else list(self.average.parameters())
        self._current = list(network.parameters())
        self.epoch = self.best_epoch = self.stale = self.steps = 0
        self.best_rmse = math.inf
        self.rows: list[dict[str, float]] = []
        self.best = self._weights()

    @property
    def judged(self) -> nn.Module:
        """The network whose validation error counts: the average where there is one."""
        return self.network if self.average is None else self.average

    def _weights(self) -> dict[str, dict[str, torch.Tensor]]:
        modules = {"network": self.judged, "loss": self.loss}
        return {k: copy.deepcopy(m.state_dict()) for k, m in modules.items()}

    def step(self, steps_an_epoch: int) -> None:
        """One step of the optimiser at the rate of the hour, and of the average after it."""
        recipe = self.recipe
        # With T0 = epochs the paper's cosine with warm restarts never restarts.
        rate = recipe.learning_rate * (1 + math.cos(math.pi * self.epoch / recipe.epochs)) / 2
        rate *= min(1.0, (self.steps + 1) / max(1, recipe.warmup * steps_an_epoch))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        self.steps += 1
        if self.average is not None:
            # A young average forgets its random beginning sooner.
            decay = min(recipe.averaging, (1 + self.steps) / (10 + self.steps))
            with torch.no_grad():
                torch._foreach_lerp_(self._averaged, self._current, 1 - decay)

    def finish_epoch(self, train_rmse: float, rmse: float) -> None:
        if not math.isfinite(rmse) or not math.isfinite(train_rmse):
            raise ModelError(
                f"training diverged in epoch {self.epoch + 1}: the error is no longer finite; "
                f"lower `train.learning_rate` (now {self.recipe.learning_rate:g})"
            )
        self.epoch += 1
        self.stale += 1
        if rmse < self.best_rmse:
            self.best_rmse, self.best_epoch, self.stale = rmse, self.epoch, 0
            self.best = self._weights()
        self.rows.append(
            {
                "epoch": self.epoch,
                "train_rmse": train_rmse,
                "validation_rmse": rmse,
                "learning_rate": self.optimiser.param_groups[0]["lr"],
            }
        )

    def save(self, path: Path) -> None:
        average = None if self.average is None else self.average.state_dict()
        value: dict[str, Any] = {
            "recipe": vars(self.recipe),
            "network": self.network.state_dict(),
            "loss": self.loss.state_dict(),
            "average": average,
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "rows": self.rows,
            "numbers": [self.epoch, self.best_epoch, self.stale, self.steps, self.best_rmse],
        }
        save_checkpoint(path, value)

    def restore(self, path: Path) -> None:
        with restoring(path, "train without --resume") as value:
            if value["recipe"] != vars(self.recipe):
                raise ValueError("its settings differ")
            self.network.load_state_dict(value["network"])
            self.loss.load_state_dict(value["loss"])
            if self.average is not None:
                self.average.load_state_dict(value["average"])
            self.optimiser.load_state_dict(value["optimiser"])
            self.best, self.rows = value["best"], value["rows"]
            numbers = value["numbers"]
            self.epoch, self.best_epoch, self.stale, self.steps, self.best_rmse = numbers


def _epoch(
    network: nn.Module, loss: Loss, samples: Samples, recipe: Recipe, state: _State
) -> float:
    """One pass over the plots in an order of its own; returns the RMSE with dropout on."""
    network.train()
    rng = family_generator(recipe.seed, state.epoch)
    order = torch.from_numpy(rng.permutation(len(samples)))
    turns = torch.from_numpy(rng.integers(0, 8, len(samples))) if recipe.augment else None
    _seed_torch(recipe.seed, state.epoch)
    batches = order.split(recipe.batch)
    total = torch.zeros((), dtype=torch.float64)
    for rows in batches:
        part = samples[distributed.share(rows).to(samples.target.device)]
        if turns is not None:
            part = turned(part, turns[distributed.share(rows)])
        state.optimiser.zero_grad(set_to_none=True)
        total += _gradients(network, loss, part, recipe, len(rows)).cpu()
        state.step(len(batches))
    return math.sqrt(distributed.summed(total) / len(samples))


def _gradients(
    network: nn.Module, loss: Loss, samples: Samples, recipe: Recipe, batch: int
) -> torch.Tensor:
    """Leave the gradients of a batch in the parameters; returns its sum of squares, species^2.

    The batch, of which other processes may hold samples too, goes through in pieces whose
    activations fit the cache. Gradients of sums add up; that of a root of a mean is scaled once,
    when the mean is known.
    """
    pieces = _pieces(samples)
    losses = squares = torch.zeros((), dtype=torch.float64, device=samples.target.device)
    for number, piece in enumerate(pieces, start=1):
        with distributed.apart(network, number < len(pieces)):
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
    """Samples in pieces of about PIECE pixels; on a GPU, which wants them large, in one.

    One piece at least: a process without samples takes part in the averaging too.
    """
    if samples.target.device.type != "cpu":
        return [samples]
    size = max(1, PIECE // (samples.chips.shape[1] * samples.chips.shape[2]))
    return [samples[start : start + size] for start in range(0, max(1, len(samples)), size)]


def _seed_torch(seed: int, epoch: int) -> None:
    """Dropout and the like in an epoch do not depend on how training came to it."""
    torch.manual_seed(family_seed(seed, epoch, distributed.rank()))


def _autocast(recipe: Recipe, samples: Samples):
    if recipe.precision == "float32":
        return nullcontext()
    return torch.autocast(samples.target.device.type, torch.bfloat16)


def _rmse(network: nn.Module, loss: Loss, samples: Samples, batch: int = 256) -> float:
    """Root mean squared error in species over all samples (not a mean of the batches' roots)."""
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for i in range(0, len(samples), batch):
            part = samples[i : i + batch]
            error = loss.species(network(*part.inputs)) - part.target
            total += float(error.double().square().sum())
    return math.sqrt(total / len(samples))


def _write_log(path: Path, rows: list[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
