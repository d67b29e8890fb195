"""Train a Vision Transformer on images.

Every random draw of an epoch (order, shifts and rotations, dropout) depends on (seed, epoch) alone.

Shapes: B batch, C channels, Y x X image.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from spatioformer.common.progress import SILENT, Console
from spatioformer.common.streams import family_seed
from spatioformer.nn import ViT
from spatioformer.training.checkpoint import identity
from spatioformer.training.loop import Advance, History, Row, Task, choose_device, train
from spatioformer.vision.images import Images
from spatioformer.vision.preparation import BATCH, Preparation, as_values
from spatioformer.vision.settings import Recipe

WARM_UP = 0.1  # share of all steps in which the learning rate rises; then it falls as a cosine
CLIP = 1.0  # largest norm of the gradient


def hold_out(images: Images, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose the images to hold out: about `share` of each class, or of all images with values.

    At least one image of each class stays. At least one of each class with two or more images is
    held out, unless `share` is 0.

    Returns:
        bool (n,), True for images held out.
    """
    rng = np.random.default_rng(seed)
    kinds = np.zeros(len(images), np.int64)
    if images.targets is not None and images.are_classified:
        kinds = images.targets
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

    The loss is cross-entropy for class numbers and mean squared error for values, which should be
    standardised. Training uses CUDA if there is a GPU; the network ends on the CPU in evaluation
    mode.

    Args:
        checkpoint: file to write after each epoch and, with `resume`, to continue from.
        on_epoch: called with the epoch's number when its checkpoint is written.

    Returns:
        A row an epoch (epoch, train_loss, validation_loss, for classes validation_accuracy,
        learning_rate), and the epoch with the lowest validation_loss.

    Raises:
        ModelError: the loss is not finite, or the checkpoint belongs to another training.
    """
    task = VisionTask(network, preparation, training, validation, recipe)
    history = train(task, checkpoint=checkpoint, resume=resume, console=console, on_round=on_epoch)
    network.cpu()
    return history


@final
class VisionTask(Task):
    """A ViT and its images; a round is an epoch."""

    unit = "epoch"
    figure = "validation_loss"
    data = "images"
    optimiser: torch.optim.Optimizer

    def __init__(
        self,
        network: ViT,
        preparation: Preparation,
        training: Images,
        validation: Images,
        recipe: Recipe,
    ):
        self.device = choose_device("auto")
        self.network, self.preparation = network.to(self.device), preparation
        self.training, self.validation, self.recipe = training, validation, recipe
        self.length, self.patience, self.seed = recipe.epochs, recipe.patience, recipe.seed
        self.remedy = f"lower --learning-rate (now {recipe.learning_rate:g})"
        self.modules = self.best = {"network": network}
        self.optimiser = torch.optim.AdamW(
            network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
        )

    def identity(self) -> str:
        settings = [self.network.config, asdict(self.preparation), asdict(self.recipe)]
        parts = (self.training, self.validation)
        return identity(settings, (a for part in parts for a in (part.pixels, part.targets)))

    def round(self, rows: Sequence[Row], advance: Advance) -> Row:
        train_loss = self._epoch(len(rows))
        loss, accuracy = self._validate()
        advance(1, f"validation loss {loss:.3f}")
        row: Row = {"epoch": len(rows) + 1, "train_loss": train_loss, "validation_loss": loss}
        if accuracy is not None:
            row["validation_accuracy"] = accuracy
        return row | {"learning_rate": self.optimiser.param_groups[0]["lr"]}

    def _epoch(self, epoch: int) -> float:
        """Train on each image once; return the mean loss with jitter, smoothing and dropout on."""
        recipe, images = self.recipe, self.training
        torch.manual_seed(family_seed(recipe.seed, epoch))
        self.network.train()
        total = 0.0
        batches = torch.randperm(len(images)).split(recipe.batch)
        for i, rows in enumerate(batches):
            pixels, target = _batch(images, rows.numpy())
            values = as_values(pixels)
            if recipe.shift or recipe.rotation:
                values = jitter(values, recipe.shift, recipe.rotation)
            output = self.network(self.preparation.normalised(values).to(self.device))
            loss = _loss(output, target.to(self.device), recipe.label_smoothing)
            self.optimiser.param_groups[0]["lr"] = _rate(recipe, epoch + i / len(batches))
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), CLIP)
            self.optimiser.step()
            total += float(loss.detach()) * len(rows)
        return total / len(images)

    def _validate(self) -> tuple[float, float | None]:
        """Return the mean loss, and the accuracy if classes are predicted."""
        images = self.validation
        self.network.eval()
        loss, correct = 0.0, 0
        with torch.inference_mode():
            for rows in np.split(np.arange(len(images)), range(BATCH, len(images), BATCH)):
                pixels, target = _batch(images, rows)
                output = self.network(self.preparation(pixels).to(self.device)).cpu()
                loss += float(_loss(output, target, 0.0)) * len(rows)
                correct += int((output.argmax(1) == target).sum()) if images.are_classified else 0
        return loss / len(images), correct / len(images) if images.are_classified else None


def jitter(images: Tensor, shift: float, rotation: float) -> Tensor:
    """Shift and rotate each image at random; pixels beyond its edge repeat the edge.

    Args:
        images: (B, C, Y, X).
        shift: largest shift in y and in x, pixels.
        rotation: largest rotation in either direction, degrees.
    """
    B, _, rows, columns = images.shape
    turn, down, right = torch.rand(3, B).mul_(2).sub_(1)  # each in [-1, 1)
    angle = turn * math.radians(rotation)
    cos, sin = angle.cos(), angle.sin()
    # affine_grid measures in half sides, so a rotation depends on the shape of the image.
    across = torch.stack([cos, -sin * rows / columns, right * shift * 2 / columns], 1)
    along = torch.stack([sin * columns / rows, cos, down * shift * 2 / rows], 1)
    affine = torch.stack([across, along], 1).to(images)  # (B, 2, 3), x before y
    grid = F.affine_grid(affine, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _batch(images: Images, rows: NDArray[np.integer]) -> tuple[Tensor, Tensor]:
    assert images.targets is not None, "training needs classes or values"
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
