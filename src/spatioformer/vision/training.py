"""Training a Vision Transformer: one loop, early-stopped, taken up again bit for bit.

All that is drawn in an epoch (order, shifts and rotations, dropout) depends on (seed, epoch) alone,
and a checkpoint is written after each, so an interrupted and resumed training ends with the same
weights as an uninterrupted one with as many threads.

Shapes: B batch, C channels, Y x X image.
"""

import copy
import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_seed
from spatioformer.nn import ViT
from spatioformer.training.checkpoint import restoring, save_checkpoint
from spatioformer.vision.images import Images
from spatioformer.vision.preparation import BATCH, Preparation, as_values

WARM_UP = 0.1  # of all steps: the learning rate climbs, then falls as a cosine
CLIP = 1.0  # largest norm of a step's gradient


@dataclass(frozen=True)
class Recipe:
    """How a ViT is trained.

    Attributes:
        epochs: at most; warm-up and cosine of the learning rate span them.
        batch: images a step.
        learning_rate: AdamW's, at its highest.
        weight_decay: AdamW's.
        patience: epochs without a lower validation loss before training stops.
        label_smoothing: share of the target probability that is spread over all classes.
        shift: images move up to so many pixels in y and x.
        rotation: images turn up to so many degrees either way.
        seed: of everything that is drawn.
    """

    epochs: int = 60
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    patience: int = 30
    label_smoothing: float = 0.0
    shift: float = 0.0
    rotation: float = 0.0
    seed: int = 0


@dataclass
class History:
    """What a training did: a row an epoch, and the best epoch (counted from 1)."""

    rows: list[dict[str, float]]
    best_epoch: int

    @property
    def best(self) -> dict[str, float]:
        return self.rows[self.best_epoch - 1]


def hold_out(images: Images, share: float, seed: int) -> NDArray[np.bool_]:
    """Rows to hold out, True: about `share` of each class, or of all where values are predicted.

    Of each class at least one image stays; at least one is held out where there are two.
    """
    rng = np.random.default_rng(seed)
    kinds = images.targets if images.are_classified else np.zeros(len(images), np.int64)
    held = np.zeros(len(images), bool)
    for kind in np.unique(kinds):
        rows = rng.permutation(np.flatnonzero(kinds == kind))
        count = round(share * len(rows)) or min(1, math.ceil(share))
        held[rows[: min(count, len(rows) - 1)]] = True
    return held


def fit(
    network: ViT,
    preparation: Preparation,
    training: Images,
    validation: Images,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    console: Console = SILENT,
    on_epoch: Callable[[int], None] | None = None,
) -> History:
    """Train `network` in place; it ends with the weights of the lowest validation loss.

    The loss is cross-entropy for class numbers, mean squared error for values (which are best
    standardised). It runs on CUDA where there is one, and ends on the CPU in evaluation mode.

    Args:
        checkpoint: file to write after each epoch and, with `resume`, to continue from.
        on_epoch: called with the epoch's number when its checkpoint is written.

    Raises:
        ModelError: the loss is not finite, or the checkpoint belongs to another training.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device)
    state = _State(network, recipe, _fingerprint(network, training, validation, recipe))
    if checkpoint is not None and resume and checkpoint.exists():
        state.restore(checkpoint)
        console.say(f"  continuing after epoch {state.epoch} of {recipe.epochs}")
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        console.task("train", recipe.epochs) as advance,
    ):
        advance(state.epoch)
        while state.epoch < recipe.epochs and state.stale < recipe.patience:
            train_loss = _epoch(network, preparation, training, state)
            loss, accuracy = _validate(network, preparation, validation)
            state.finish_epoch(train_loss, loss, accuracy)
            if checkpoint is not None:
                state.save(checkpoint)
            advance(1, f"validation loss {loss:.3f}")
            if on_epoch is not None:
                on_epoch(state.epoch)
        advance(recipe.epochs - state.epoch)
    network.load_state_dict(state.best)
    network.cpu().eval()
    return History(state.rows, state.best_epoch)


def jitter(images: Tensor, shift: float, rotation: float) -> Tensor:
    """Each image moved and turned by an amount of its own; beyond its edge, the edge goes on.

    Args:
        images: (B, C, Y, X).
        shift: at most so many pixels, in y and in x.
        rotation: at most so many degrees, either way.
    """
    B, _, rows, columns = images.shape
    turn, down, right = torch.rand(3, B).mul_(2).sub_(1)  # each in [-1, 1)
    angle = turn * math.radians(rotation)
    cos, sin = angle.cos(), angle.sin()
    # affine_grid counts in half sides, so that a rotation must know the shape of the image.
    across = torch.stack([cos, -sin * rows / columns, right * shift * 2 / columns], 1)
    along = torch.stack([sin * columns / rows, cos, down * shift * 2 / rows], 1)
    affine = torch.stack([across, along], 1).to(images)  # (B, 2, 3), x before y
    grid = F.affine_grid(affine, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


class _State:
    """All that changes while training runs, so that it can be written down and taken up again."""

    def __init__(self, network: ViT, recipe: Recipe, fingerprint: str):
        self.network, self.recipe, self.fingerprint = network, recipe, fingerprint
        self.optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )
        self.best = copy.deepcopy(network.state_dict())
        self.rows: list[dict[str, float]] = []

    @property
    def epoch(self) -> int:
        return len(self.rows)

    @property
    def best_epoch(self) -> int:
        losses = [row["validation_loss"] for row in self.rows]
        return losses.index(min(losses)) + 1 if losses else 0

    @property
    def stale(self) -> int:
        return self.epoch - self.best_epoch

    def finish_epoch(self, train_loss: float, loss: float, accuracy: float | None) -> None:
        if not math.isfinite(train_loss) or not math.isfinite(loss):
            raise ModelError(
                f"training diverged in epoch {self.epoch + 1}: the loss is no longer finite; "
                f"lower --learning-rate (now {self.recipe.learning_rate:g})"
            )
        row = {"epoch": self.epoch + 1, "train_loss": train_loss, "validation_loss": loss}
        if accuracy is not None:
            row["validation_accuracy"] = accuracy
        self.rows.append(row | {"learning_rate": self.optimiser.param_groups[0]["lr"]})
        if self.best_epoch == self.epoch:
            self.best = copy.deepcopy(self.network.state_dict())

    def save(self, path: Path) -> None:
        state = {
            "fingerprint": self.fingerprint,
            "network": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "best": self.best,
            "rows": self.rows,
        }
        save_checkpoint(path, state)

    def restore(self, path: Path) -> None:
        with restoring(path, "train with --no-resume") as state:
            if state["fingerprint"] != self.fingerprint:
                raise ValueError("its images or settings differ")
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.best, self.rows = state["best"], state["rows"]


def _epoch(network: ViT, preparation: Preparation, images: Images, state: "_State") -> float:
    """One pass over the images; returns the mean loss with jitter, smoothing and dropout on."""
    recipe, device = state.recipe, network.positions.device
    torch.manual_seed(family_seed(recipe.seed, state.epoch))
    network.train()
    total = 0.0
    batches = torch.randperm(len(images)).split(recipe.batch)
    for i, rows in enumerate(batches):
        pixels, target = _batch(images, rows.numpy())
        values = as_values(pixels)
        if recipe.shift or recipe.rotation:
            values = jitter(values, recipe.shift, recipe.rotation)
        output = network(preparation.normalised(values).to(device))
        loss = _loss(output, target.to(device), recipe.label_smoothing)
        state.optimiser.param_groups[0]["lr"] = _rate(recipe, state.epoch + i / len(batches))
        state.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        state.optimiser.step()
        total += float(loss.detach()) * len(rows)
    return total / len(images)


def _validate(network: ViT, preparation: Preparation, images: Images) -> tuple[float, float | None]:
    """Mean loss, and accuracy unless values are predicted."""
    network.eval()
    loss, right = 0.0, 0
    with torch.inference_mode():
        for rows in np.split(np.arange(len(images)), range(BATCH, len(images), BATCH)):
            pixels, target = _batch(images, rows)
            output = network(preparation(pixels).to(network.positions.device)).cpu()
            loss += float(_loss(output, target, 0.0)) * len(rows)
            right += int((output.argmax(1) == target).sum()) if images.are_classified else 0
    return loss / len(images), right / len(images) if images.are_classified else None


def _batch(images: Images, rows: NDArray) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(images.pixels[rows]), torch.from_numpy(images.targets[rows])


def _loss(output: Tensor, target: Tensor, smoothing: float) -> Tensor:
    if target.is_floating_point():
        return F.mse_loss(output, target)
    return F.cross_entropy(output, target, label_smoothing=smoothing)


def _rate(recipe: Recipe, epoch: float) -> float:
    """Learning rate after so many epochs: linear warm-up, then half a cosine down to zero."""
    done = epoch / recipe.epochs
    if done < WARM_UP:
        # The first step of all is small but not zero.
        return recipe.learning_rate * max(done / WARM_UP, 0.01)
    fallen = (done - WARM_UP) / (1 - WARM_UP)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * fallen))


def _fingerprint(network: ViT, training: Images, validation: Images, recipe: Recipe) -> str:
    """What a checkpoint must agree with: sizes, recipe and every image."""
    arrays = [part for images in (training, validation) for part in (images.pixels, images.targets)]
    content = [
        [str(a.dtype), a.shape, hashlib.sha256(np.ascontiguousarray(a)).hexdigest()] for a in arrays
    ]
    return hash_value([network.config, asdict(recipe), content])
