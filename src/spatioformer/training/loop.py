"""One training loop for richness, text and vision.

A training is a sequence of rounds. A round is an epoch, or for text a number of steps; it ends with
a validation. `train` does what all trainings share: random state, progress bar, best weights, early
stopping, the check for divergence, checkpoints. A `Task` holds what differs.

On a CPU, an interrupted and resumed training ends with the same weights, bit for bit, as an
uninterrupted one with the same number of threads. The checkpoint holds weights, optimiser, best
weights, rows and random state; every other random draw depends on the seed and the round alone.
"""

import copy
import csv
import io
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol, final

import torch
from torch import nn

from spatioformer.common.errors import ModelError
from spatioformer.common.progress import SILENT, Console
from spatioformer.training import distributed
from spatioformer.training.checkpoint import (
    random_state,
    restore_random_state,
    restoring,
    save_checkpoint,
)

Row = dict[str, float]
"""The figures of a round: its `Task.unit`, losses or errors, learning rate."""


class Advance(Protocol):
    """Moves the progress bar."""

    def __call__(self, steps: int, note: str = "") -> None: ...


class Optimiser(Protocol):
    """What a checkpoint needs of an optimiser."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None: ...


class Task(ABC):
    """What differs between trainings: network, data, optimiser, one round, and words.

    Attributes:
        unit: what `length` counts, and the key of a row that says how many are done.
        length: largest number of epochs, or number of steps.
        figure: key of a row: the validation loss or error. The round with the lowest is the best.
        patience: rounds without a lower figure before training stops; None: it never stops early.
        seed: of torch's generators at the start.
        device: where the network is trained.
        data: what the data are, in the message about another training's checkpoint.
        remedy: what to do when the loss is no longer finite.
        modules: every module whose weights change.
        best: the modules to keep at the best round, each under the name of the module in
            `modules` that receives its weights at the end.
        optimiser: of the weights in `modules`.
    """

    unit: Literal["epoch", "step"]
    length: int
    figure: str
    patience: int | None
    seed: int
    device: torch.device
    data: str
    remedy: str
    modules: Mapping[str, nn.Module]
    best: Mapping[str, nn.Module]
    optimiser: Optimiser

    @abstractmethod
    def identity(self) -> str:
        """Hash of network, settings and data; see `checkpoint.identity`."""

    @abstractmethod
    def round(self, rows: Sequence[Row], advance: Advance) -> Row:
        """Train for one round, validate, and return the round's row.

        Args:
            rows: of the rounds before.
            advance: to be called with 1 for each unit, and a note.
        """


@dataclass(frozen=True)
class History:
    """The course of a training.

    Attributes:
        rows: one a round.
        best_epoch: number of the best row, counted from 1.
    """

    rows: list[Row]
    best_epoch: int

    @property
    def best(self) -> Row:
        """The row whose weights are kept."""
        return self.rows[self.best_epoch - 1]

    @property
    def best_rmse(self) -> float:
        """Lowest validation RMSE, species; of a training for richness."""
        return self.best["validation_rmse"]


def train(
    task: Task,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    console: Console = SILENT,
    on_round: Callable[[int], None] | None = None,
) -> History:
    """Train a task's modules in place; they end with the best weights, in evaluation mode.

    Args:
        checkpoint: file to write after each round and, with `resume`, to continue from.
        on_round: called after each round with the number of epochs or steps done, when the
            checkpoint is written.

    Raises:
        ModelError: a figure is not finite, or the checkpoint belongs to another training.
        OutputError: the checkpoint cannot be written.
    """
    state = _State(task)
    with torch.random.fork_rng(devices=[task.device] if task.device.type == "cuda" else []):
        torch.manual_seed(task.seed)
        if checkpoint is not None and resume and checkpoint.exists():
            state.restore(checkpoint)
            console.say(f"  continuing after {task.unit} {state.done} of {task.length}")
        with console.task("train", task.length) as advance:
            advance(state.done)
            while not state.finished:
                state.add(task.round(state.rows, advance))
                if checkpoint is not None and distributed.leads():
                    state.save(checkpoint)
                if on_round is not None:
                    on_round(state.done)
            advance(task.length - state.done)
    for name, weights in state.best.items():
        task.modules[name].load_state_dict(weights)
        task.modules[name].eval()
    return History(state.rows, state.best_round)


@final
class _State:
    """What changes while training runs: a checkpoint saves and restores it."""

    def __init__(self, task: Task):
        self.task = task
        self.rows: list[Row] = []
        self.best = _weights(task.best)

    @cached_property
    def identity(self) -> str:
        return self.task.identity()

    @property
    def done(self) -> int:
        """Number of epochs or steps done."""
        return int(self.rows[-1][self.task.unit]) if self.rows else 0

    @property
    def best_round(self) -> int:
        """Number of the first row with the lowest figure, counted from 1; 0 without rows."""
        figures = [row[self.task.figure] for row in self.rows]
        return figures.index(min(figures)) + 1 if figures else 0

    @property
    def finished(self) -> bool:
        rounds_since_best, patience = len(self.rows) - self.best_round, self.task.patience
        stale = patience is not None and rounds_since_best >= patience
        return stale or self.done >= self.task.length

    def add(self, row: Row) -> None:
        """Take up a round's row, and the weights if the round is the best so far."""
        if not all(map(math.isfinite, row.values())):
            when = {"epoch": "in epoch", "step": "by step"}[self.task.unit]
            raise ModelError(
                f"training diverged {when} {row[self.task.unit]}: the loss is no longer finite; "
                f"{self.task.remedy}"
            )
        self.rows.append(row)
        if self.best_round == len(self.rows):
            self.best = _weights(self.task.best)

    def save(self, path: Path) -> None:
        save_checkpoint(
            path,
            {
                "identity": self.identity,
                "modules": {name: m.state_dict() for name, m in self.task.modules.items()},
                "optimiser": self.task.optimiser.state_dict(),
                "best": self.best,
                "rows": self.rows,
                "random": random_state(self.task.device),
            },
        )

    def restore(self, path: Path) -> None:
        with restoring(path) as state:
            if state.get("identity") != self.identity:
                raise ValueError(f"its {self.task.data} or settings differ")
            for name, module in self.task.modules.items():
                module.load_state_dict(state["modules"][name])
            self.task.optimiser.load_state_dict(state["optimiser"])
            self.best, self.rows = state["best"], state["rows"]
            restore_random_state(state["random"], self.task.device)


def _weights(modules: Mapping[str, nn.Module]) -> dict[str, dict[str, torch.Tensor]]:
    return {name: copy.deepcopy(module.state_dict()) for name, module in modules.items()}


def choose_device(name: str) -> torch.device:
    """Return the device called `name`; "auto" is CUDA if there is a GPU, otherwise the CPU.

    Under torchrun each process gets its own GPU.

    Raises:
        ModelError: `name` is "cuda" and there is no GPU.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ModelError("device cuda is not available here; set `train.device: cpu` (or auto)")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return distributed.process_device(name)


def curve_csv(rows: Sequence[Mapping[str, float]]) -> str:
    """The rows of a training as CSV text, with a header."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
