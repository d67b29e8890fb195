"""Training a GPT on a text: one readable loop.

Shapes: N tokens of text, B batch, C context.

Seeded and checkpointed at every validation. On a CPU an interrupted and resumed training ends with
the same weights, bit for bit, as an uninterrupted one with the same number of threads: each step's
batch depends on (seed, step) alone, and the checkpoint holds all else that changes.
"""

import copy
import csv
import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from spatioformer.common.errors import ModelError
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_generator
from spatioformer.nn.gpt import GPT
from spatioformer.text.corpus import CorpusError
from spatioformer.training.checkpoint import (
    random_state,
    restore_random_state,
    restoring,
    save_checkpoint,
)

BETAS = (0.9, 0.95)
CLIP = 1.0  # largest norm of the gradient
FLOOR = 0.1  # the learning rate ends at this share of its peak


@dataclass(frozen=True)
class TextRecipe:
    """How a GPT is trained.

    Attributes:
        steps: optimiser steps (AdamW).
        batch: B, windows of C tokens a step.
        learning_rate: its peak, after `warmup` steps; a cosine takes it down from there.
        weight_decay: of matrices; vectors (biases, norms) are left alone.
        check_every: steps between validations, each of which writes the checkpoint.
        seed: of the batches and of dropout.
        device: "auto" takes CUDA where there is one.
    """

    steps: int = 1500
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 100
    weight_decay: float = 0.1
    check_every: int = 150
    seed: int = 0
    device: str = "auto"

    def rate(self, step: int) -> float:
        """Learning rate of a step counted from 0: linear warm-up, then a cosine."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        cosine = (1 + math.cos(math.pi * done)) / 2
        return self.learning_rate * (FLOOR + (1 - FLOOR) * cosine)


def fit(
    network: GPT,
    training: Int[Tensor, "N"],
    validation: Int[Tensor, "M"],
    recipe: TextRecipe,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    console: Console = SILENT,
) -> list[dict[str, float]]:
    """Train `network` in place; it ends with the best validation weights, in evaluation mode.

    Args:
        training, validation: token ids.
        checkpoint: file to write at each validation and, with `resume`, to continue from.

    Returns:
        A row a validation: step, training_loss (mean since the last row, nats a token),
        validation_loss, perplexity = exp(validation_loss), learning_rate.

    Raises:
        CorpusError: either text is shorter than one window of C + 1 tokens.
        ModelError: the loss is not finite, or the checkpoint belongs to another training.
    """
    check_length(training, validation, network.config["context"])
    device = _device(recipe.device)
    network.to(device)
    training, validation = training.to(device), validation.to(device)
    state = _State(network, recipe, _fingerprint(network, training, validation))
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda), console.task("train", recipe.steps) as advance:
        torch.manual_seed(recipe.seed)
        if checkpoint is not None and resume and checkpoint.exists():
            state.restore(checkpoint)
            console.say(f"  continuing after step {state.step} of {recipe.steps}")
            advance(state.step)
        while state.step < recipe.steps:
            loss = _step(network, training, recipe, state)
            if state.step % recipe.check_every == 0 or state.step == recipe.steps:
                state.finish_stretch(validation_loss(network, validation))
                if checkpoint is not None:
                    state.save(checkpoint)
            advance(1, state.note(loss))
    network.load_state_dict(state.best)
    network.eval()
    return state.rows


def check_length(training: Tensor, validation: Tensor, context: int) -> None:
    """Raises CorpusError where either text is shorter than one window."""
    for name, ids in (("training", training), ("validation", validation)):
        if len(ids) <= context:
            raise CorpusError(
                f"the {name} part of the corpus has {len(ids)} tokens, fewer than a context of "
                f"{context} needs; give more text, or a shorter --context"
            )


def _device(name: str) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _step(network: GPT, training: Tensor, recipe: TextRecipe, state: "_State") -> float:
    """One optimiser step; returns the batch's loss, nats a token."""
    network.train()
    for group in state.optimiser.param_groups:
        group["lr"] = recipe.rate(state.step)
    windows = _windows(training, network.config["context"], recipe, state.step)
    loss = _loss(network, windows)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    state.optimiser.step()
    state.step += 1
    value = float(loss.detach())
    state.losses.append(value)
    return value


def _windows(ids: Tensor, context: int, recipe: TextRecipe, step: int) -> Tensor:
    """(B, C + 1) stretches of text that depend on (seed, step) alone."""
    draw = family_generator(recipe.seed, step)
    starts = torch.from_numpy(draw.integers(0, len(ids) - context, recipe.batch)).to(ids.device)
    return ids[starts[:, None] + torch.arange(context + 1, device=ids.device)]


def _loss(network: GPT, windows: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of each token given those before it in its window, nats."""
    logits = network(windows[:, :-1])  # (B, C, V)
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction=reduction)


@torch.inference_mode()
def validation_loss(network: GPT, ids: Int[Tensor, "M"], batch: int = 32) -> float:
    """Mean cross-entropy, nats a token, over windows side by side; an incomplete one is left out.

    A window's first tokens have little before them, so the figure is an upper bound of what a
    sliding window would give.
    """
    network.eval()
    context = network.config["context"]
    windows = ids[: (len(ids) - 1) // context * context + 1].unfold(0, context + 1, context)
    total = sum(float(_loss(network, part, "sum")) for part in windows.split(batch))
    return total / (len(windows) * context)


def curve_csv(rows: Sequence[Mapping[str, float]]) -> str:
    """The rows of `fit` as CSV text."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _fingerprint(network: GPT, training: Tensor, validation: Tensor) -> str:
    """Network and texts in a few letters: a checkpoint belongs to one of these."""
    digest = hashlib.sha256(repr(network.config).encode())
    for ids in (training, validation):
        digest.update(ids.cpu().numpy().tobytes())
    return digest.hexdigest()


class _State:
    """All that changes while training runs, so that it can be written down and taken up again."""

    def __init__(self, network: GPT, recipe: TextRecipe, fingerprint: str):
        matrices = [p for p in network.parameters() if p.dim() > 1]
        vectors = [p for p in network.parameters() if p.dim() <= 1]
        self.network = network
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            betas=BETAS,
        )
        self.identity = {"recipe": asdict(recipe), "fingerprint": fingerprint}
        self.recipe = recipe
        self.step = 0
        self.losses: list[float] = []
        self.rows: list[dict[str, float]] = []
        self.best = copy.deepcopy(network.state_dict())

    def note(self, loss: float) -> str:
        said = f"loss {loss:.2f}"
        return said + (f", perplexity {self.rows[-1]['perplexity']:.1f}" if self.rows else "")

    def finish_stretch(self, validation: float) -> None:
        training = sum(self.losses) / len(self.losses)
        if not (math.isfinite(validation) and math.isfinite(training)):
            raise ModelError(
                f"training diverged by step {self.step}: the loss is no longer finite; choose a "
                f"--learning-rate below {self.recipe.learning_rate:g}"
            )
        if all(validation < row["validation_loss"] for row in self.rows):
            self.best = copy.deepcopy(self.network.state_dict())
        self.rows.append(
            {
                "step": self.step,
                "training_loss": training,
                "validation_loss": validation,
                "perplexity": math.exp(validation),
                "learning_rate": self.recipe.rate(self.step - 1),
            }
        )
        self.losses = []

    def save(self, path: Path) -> None:
        state: dict[str, Any] = {
            **self.identity,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": random_state(),
            "best": self.best,
            "rows": self.rows,
            "step": self.step,
        }
        save_checkpoint(path, state)

    def restore(self, path: Path) -> None:
        with restoring(path, "train with --no-resume") as state:
            if any(state[key] != mine for key, mine in self.identity.items()):
                raise ValueError("its text or settings differ")
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.rows, self.best, self.step = state["rows"], state["best"], state["step"]
            restore_random_state(state["random"])
