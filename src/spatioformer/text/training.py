"""Train a GPT on a text.

Shapes: N tokens of text, B batch, C context.

Each step's batch depends on (seed, step) alone.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import final

import torch
import torch.nn.functional as F
from jaxtyping import Int
from torch import Tensor

from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_generator
from spatioformer.nn.gpt import GPT
from spatioformer.text.corpus import CorpusError
from spatioformer.text.settings import TextRecipe
from spatioformer.training.checkpoint import identity
from spatioformer.training.loop import Advance, Row, Task, choose_device, train

BETAS = (0.9, 0.95)
CLIP = 1.0  # largest norm of the gradient
LARGEST_LOSS = 700.0  # nats a token; the perplexity of a larger one is no finite number


def fit(
    network: GPT,
    training: Int[Tensor, "N"],
    validation: Int[Tensor, "M"],
    recipe: TextRecipe,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    console: Console = SILENT,
) -> list[Row]:
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
    check_length(training, validation, _context(network))
    task = TextTask(network, training, validation, recipe)
    return train(task, checkpoint=checkpoint, resume=resume, console=console).rows


def check_length(training: Tensor, validation: Tensor, context: int) -> None:
    """Raise CorpusError if either text is shorter than one window of `context` + 1 tokens."""
    for name, ids in (("training", training), ("validation", validation)):
        if len(ids) <= context:
            raise CorpusError(
                f"the {name} part of the corpus has {len(ids)} tokens, fewer than a context of "
                f"{context} needs; give more text, or a shorter --context"
            )


@final
class TextTask(Task):
    """A GPT and its text; a round is the steps between two validations."""

    unit = "step"
    figure = "validation_loss"
    patience = None
    data = "text"
    optimiser: torch.optim.Optimizer

    def __init__(
        self,
        network: GPT,
        training: Int[Tensor, "N"],
        validation: Int[Tensor, "M"],
        recipe: TextRecipe,
    ):
        self.device = choose_device(recipe.device)
        self.network, self.recipe = network.to(self.device), recipe
        self.training, self.validation = training.to(self.device), validation.to(self.device)
        self.length, self.seed = recipe.steps, recipe.seed
        self.remedy = f"choose a --learning-rate below {recipe.learning_rate:g}"
        self.modules = self.best = {"network": network}
        matrices = [p for p in network.parameters() if p.dim() > 1]
        vectors = [p for p in network.parameters() if p.dim() <= 1]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": recipe.weight_decay},
                {"params": vectors, "weight_decay": 0.0},
            ],
            lr=recipe.learning_rate,
            betas=BETAS,
        )

    def identity(self) -> str:
        settings = [self.network.config, asdict(self.recipe)]
        return identity(settings, (self.training, self.validation))

    def round(self, rows: Sequence[Row], advance: Advance) -> Row:
        start = int(rows[-1]["step"]) if rows else 0
        end = min(start + self.recipe.check_every, self.recipe.steps)
        perplexity = f", perplexity {rows[-1]['perplexity']:.1f}" if rows else ""
        losses = []
        for step in range(start, end):
            losses.append(self.step(step))
            advance(1, f"loss {losses[-1]:.2f}{perplexity}")
        loss = validation_loss(self.network, self.validation)
        return {
            "step": end,
            "training_loss": sum(losses) / len(losses),
            "validation_loss": loss,
            "perplexity": math.exp(loss) if loss < LARGEST_LOSS else math.inf,
            "learning_rate": self.recipe.rate(end - 1),
        }

    def step(self, step: int) -> float:
        """Take one optimiser step, counted from 0; return the batch's loss, nats a token."""
        self.network.train()
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate(step)
        windows = _windows(self.training, _context(self.network), self.recipe, step)
        loss = _loss(self.network, windows)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
        self.optimiser.step()
        return float(loss.detach())


def _context(network: GPT) -> int:
    """C, tokens that the network sees at once."""
    return int(network.config["context"])


def _windows(ids: Tensor, context: int, recipe: TextRecipe, step: int) -> Tensor:
    """Draw windows of text (B, C + 1) that depend on (seed, step) alone."""
    draw = family_generator(recipe.seed, step)
    starts = torch.from_numpy(draw.integers(0, len(ids) - context, recipe.batch)).to(ids.device)
    return ids[starts[:, None] + torch.arange(context + 1, device=ids.device)]


def _loss(network: GPT, windows: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of each token given those before it in its window, nats."""
    logits = network(windows[:, :-1])  # (B, C, V)
    return F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten(), reduction=reduction)


@torch.inference_mode()
def validation_loss(network: GPT, ids: Int[Tensor, "M"], batch: int = 32) -> float:
    """Mean cross-entropy, nats a token, over windows side by side without an incomplete last one.

    A window's first tokens have little before them, so the figure is an upper bound of what a
    sliding window would give.
    """
    network.eval()
    context = _context(network)
    windows = ids[: (len(ids) - 1) // context * context + 1].unfold(0, context + 1, context)
    losses = [float(_loss(network, part, "sum")) for part in windows.split(batch)]
    return sum(losses) / (len(windows) * context)
