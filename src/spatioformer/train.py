"""Training: one readable loop.

Seeded, early-stopped on plots held out in space, checkpointed after every epoch. An interrupted
and resumed training ends with the same weights, bit for bit, as an uninterrupted one: the
checkpoint holds weights, optimiser, schedule, random state and the best weights so far, and each
epoch's order of plots depends on (seed, epoch) alone.
"""

import copy
import csv
import io
import math
import pickle
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from spatioformer.errors import ModelError
from spatioformer.evaluation.splits import SpatialBlockKFold
from spatioformer.files import write_text, writing
from spatioformer.progress import SILENT, Console

# What torch raises for a checkpoint that is cut short, of another network, or no checkpoint at all.
UNREADABLE = (
    RuntimeError,
    ValueError,
    KeyError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
    struct.error,
)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Args:
        optimiser: "adam" with an L2 penalty (the paper's) or "adamw".
        loss: "rmse", the square root of the batch's mean squared error (the paper's), or "mse".
        epochs: at most; the learning rate falls as a cosine over them.
        patience: epochs without a better validation RMSE before training stops.
    """

    optimiser: Literal["adam", "adamw"] = "adamw"
    loss: Literal["mse", "rmse"] = "mse"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    epochs: int = 40
    batch: int = 64
    patience: int = 10
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class Samples:
    """Chips as the network takes them (B, P, P, band), lon, lat (B, P, P), target (B,)."""

    chips: torch.Tensor
    lon: torch.Tensor
    lat: torch.Tensor
    target: torch.Tensor

    def __len__(self) -> int:
        return len(self.target)

    def __getitem__(self, rows) -> "Samples":
        return Samples(self.chips[rows], self.lon[rows], self.lat[rows], self.target[rows])

    def to(self, device: torch.device) -> "Samples":
        return Samples(*(t.to(device) for t in (self.chips, self.lon, self.lat, self.target)))


@dataclass
class History:
    """What a training did: a row an epoch, and the best epoch (counted from 1)."""

    rows: list[dict[str, float]]
    best_epoch: int
    best_rmse: float


def choose_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is one.

    Raises:
        ModelError: CUDA is asked for and absent.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda is not available here; set `train.device: cpu` (or auto)")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


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
    target_sd: float = 1.0,
    checkpoint: Path | None = None,
    resume: bool = True,
    log: Path | None = None,
    console: Console = SILENT,
    on_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train `network` in place; it ends with the best validation weights, in evaluation mode.

    Args:
        target_sd: species a unit of the target, so that the log is in species.
        checkpoint: file to write after each epoch and, with `resume`, to continue from.
        log: CSV file with a row an epoch: epoch, train_rmse, validation_rmse, learning_rate.
        on_epoch: called with the epoch's number when its checkpoint is written.

    Raises:
        ModelError: the loss is not finite, or the checkpoint belongs to another training.
    """
    device = choose_device(recipe.device)
    network.to(device)
    training, validation = training.to(device), validation.to(device)
    state = _State(network, recipe)
    forked = torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
    with one_thread(), forked:
        torch.manual_seed(recipe.seed)
        if checkpoint is not None and resume and checkpoint.exists():
            state.restore(checkpoint)
            console.say(f"  continuing after epoch {state.epoch} of {recipe.epochs}")
        with console.task("train", recipe.epochs) as advance:
            advance(state.epoch)
            while state.epoch < recipe.epochs and state.stale < recipe.patience:
                train_rmse = _epoch(network, training, recipe, state)
                rmse = _rmse(network, validation) * target_sd
                state.finish_epoch(network, train_rmse * target_sd, rmse)
                if checkpoint is not None:
                    state.save(checkpoint)
                advance(1, f"RMSE {rmse:.2f}")
                if on_epoch is not None:
                    on_epoch(state.epoch)
            advance(recipe.epochs - state.epoch)
    network.load_state_dict(state.best)
    network.eval()
    if log is not None:
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

    def __init__(self, network: nn.Module, recipe: Recipe):
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        self.network = network
        self.optimiser = kind(
            network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        # With T0 = epochs the paper's cosine with warm restarts never restarts.
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, recipe.epochs)
        self.recipe = recipe
        self.epoch = self.best_epoch = self.stale = 0
        self.best_rmse = math.inf
        self.best = copy.deepcopy(network.state_dict())
        self.rows: list[dict[str, float]] = []

    def finish_epoch(self, network: nn.Module, train_rmse: float, rmse: float) -> None:
        if not math.isfinite(rmse) or not math.isfinite(train_rmse):
            raise ModelError(
                f"training diverged in epoch {self.epoch + 1}: the error is no longer finite; "
                f"lower `train.learning_rate` (now {self.recipe.learning_rate:g})"
            )
        rate = self.schedule.get_last_lr()[0]
        self.schedule.step()
        self.epoch += 1
        self.stale += 1
        if rmse < self.best_rmse:
            self.best_rmse, self.best_epoch, self.stale = rmse, self.epoch, 0
            self.best = copy.deepcopy(network.state_dict())
        self.rows.append(
            {
                "epoch": self.epoch,
                "train_rmse": train_rmse,
                "validation_rmse": rmse,
                "learning_rate": rate,
            }
        )

    def save(self, path: Path) -> None:
        cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
        value: dict[str, Any] = {
            "recipe": vars(self.recipe),
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": cuda,
            "best": self.best,
            "rows": self.rows,
            "numbers": [self.epoch, self.best_epoch, self.stale, self.best_rmse],
        }
        with writing(path) as part:
            # Through memory: torch's own writer turns a full disk into an unclear error.
            buffer = io.BytesIO()
            torch.save(value, buffer)
            part.write_bytes(buffer.getbuffer())

    def restore(self, path: Path) -> None:
        try:
            value = torch.load(path, weights_only=True, map_location="cpu")
            if value["recipe"] != vars(self.recipe):
                raise ValueError("its settings differ")
            self.network.load_state_dict(value["network"])
            self.optimiser.load_state_dict(value["optimiser"])
            self.schedule.load_state_dict(value["schedule"])
        except UNREADABLE as error:
            raise ModelError(
                f"checkpoint {path} belongs to another training or is damaged ({error}); delete "
                "it, or train without --resume"
            ) from error
        torch.set_rng_state(value["random"])
        if value["random_cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(value["random_cuda"])
        self.best, self.rows = value["best"], value["rows"]
        self.epoch, self.best_epoch, self.stale, self.best_rmse = value["numbers"]


def _epoch(network: nn.Module, samples: Samples, recipe: Recipe, state: _State) -> float:
    """One pass over the plots in an order of its own; returns the RMSE with dropout on."""
    network.train()
    order = torch.from_numpy(
        np.random.default_rng([recipe.seed, state.epoch]).permutation(len(samples))
    )
    total = 0.0
    for rows in order.split(recipe.batch):
        part = samples[rows.to(samples.target.device)]
        error = network(part.chips, part.lon, part.lat) - part.target
        mse = error.square().mean()
        state.optimiser.zero_grad(set_to_none=True)
        (mse.sqrt() if recipe.loss == "rmse" else mse).backward()
        state.optimiser.step()
        total += float(mse.detach()) * len(rows)
    return math.sqrt(total / len(samples))


def _rmse(network: nn.Module, samples: Samples, batch: int = 256) -> float:
    """Root mean squared error over all samples (not a mean of the batches' roots)."""
    network.eval()
    total = 0.0
    with torch.inference_mode():
        for i in range(0, len(samples), batch):
            part = samples[i : i + batch]
            error = network(part.chips, part.lon, part.lat) - part.target
            total += float(error.double().square().sum())
    return math.sqrt(total / len(samples))


def _write_log(path: Path, rows: list[dict[str, float]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
