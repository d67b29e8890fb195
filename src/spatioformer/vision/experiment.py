"""What `spatioformer vision train` does: images in, a scored model folder out."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from spatioformer.common.errors import ImageryError, ModelError
from spatioformer.common.files import write_text
from spatioformer.common.progress import SILENT, Console
from spatioformer.models.card import as_markdown
from spatioformer.nn import ViT
from spatioformer.training.loop import History
from spatioformer.vision.images import Form, Images
from spatioformer.vision.model import Task, VisionModel
from spatioformer.vision.predictions import prediction_rows, scores, write_rows
from spatioformer.vision.preparation import Preparation
from spatioformer.vision.seen import write_seen
from spatioformer.vision.settings import HELD_OUT, Recipe, Sizes
from spatioformer.vision.training import fit, hold_out

VALIDATION = 0.15
"""Share of the training images that decides when to stop."""
LARGEST_PATCH, FEWEST_PATCHES = 16, 4
CHECKPOINT = "checkpoint"


@dataclass
class Outcome:
    """A trained model and its figures.

    Attributes:
        scores: as `predictions.scores`, of the images held out; empty without any.
        held_out: how many images were held out.
    """

    model: VisionModel
    history: History
    scores: dict[str, float]
    held_out: int


def train(
    images: Images,
    folder: str | Path,
    recipe: Recipe,
    sizes: Sizes = Sizes(),
    *,
    form: Form = Form(),
    held_out: float = HELD_OUT,
    resume: bool = True,
    console: Console = SILENT,
    on_epoch: Callable[[int], None] | None = None,
) -> Outcome:
    """Train a ViT on images with known classes or values, and score it on images held out.

    Writes the model (`VisionModel.save`), training.csv (a row an epoch), training_images.txt (a
    digest an image), held_out.csv (a row an image) and README.md into `folder`. A checkpoint lies
    there while training runs.

    Args:
        form: how the images were read, so that others will be read alike.
        held_out: share in [0, 1) of the images, of each class alike, that training never sees.

    Raises:
        ImageryError: no classes, one class, or too few images.
        ModelError: sizes that do not fit, a loss that is not finite, or a foreign checkpoint.
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    _check(images)
    training, validation, tested = _split(images, held_out, recipe.seed)
    network = build(training, sizes, recipe.seed)
    console.say(
        f"  {len(training)} images to learn from, {len(validation)} for validation, {len(tested)} "
        f"held out; patches of {network.config['patch']}"
    )
    scale = _Scale.of(training)
    task: Task = "classification" if scale is None else "regression"
    model = VisionModel(network, Preparation.of(training.pixels, form), task)
    history = fit(
        network,
        model.preparation,
        training if scale is None else scale.standardised(training),
        validation if scale is None else scale.standardised(validation),
        recipe,
        checkpoint=folder / CHECKPOINT,
        resume=resume,
        console=console,
        on_epoch=on_epoch,
    )
    if scale is not None:
        model.rescale_output(scale.mean, scale.sd)
    outcome = Outcome(model, history, {}, len(tested))
    model.save(folder)
    write_rows(folder / "training.csv", history.rows)
    write_seen(folder, training, validation)
    if len(tested):
        predicted = model.predict(tested)
        outcome.scores = scores(tested, predicted)
        write_rows(folder / "held_out.csv", prediction_rows(model, tested, predicted))
    write_text(folder / "README.md", _card(images, recipe, outcome))
    (folder / CHECKPOINT).unlink(missing_ok=True)
    return outcome


def _split(images: Images, held_out: float, seed: int) -> tuple[Images, Images, Images]:
    """To learn from, for validation, held out."""
    test = hold_out(images, held_out, seed)
    rest = images[~test]
    checks = hold_out(rest, VALIDATION, seed)
    if not checks.any():
        raise ImageryError(f"{len(images)} images are too few to hold some out; add more")
    return rest[~checks], rest[checks], images[test]


def build(images: Images, sizes: Sizes, seed: int) -> ViT:
    """A ViT for such images, with random weights.

    Raises:
        ModelError: the patch does not divide the images, or the heads not the width.
    """
    channels, rows, columns = images.pixels.shape[1:]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return ViT(
            (rows, columns),
            choose_patch(rows, columns) if sizes.patch is None else sizes.patch,
            channels,
            sizes.width,
            sizes.heads,
            sizes.layers,
            outputs=len(images.labels),
            eps=1e-6,  # the default of 1e-12 is for weights that others trained
            dropout=sizes.dropout,
            labels=images.labels,
        )


def choose_patch(rows: int, columns: int) -> int:
    """The largest patch up to 16 that divides both sides and leaves at least 4 patches on each.

    Raises:
        ModelError: no patch of two or more pixels does.
    """
    for patch in range(
        min(LARGEST_PATCH, rows // FEWEST_PATCHES, columns // FEWEST_PATCHES), 1, -1
    ):
        if rows % patch == 0 and columns % patch == 0:
            return patch
    raise ModelError(
        f"no patch divides images of {rows} x {columns} pixels well; resize them with --size, or "
        "choose with --patch"
    )


@dataclass(frozen=True)
class _Scale:
    """Mean and standard deviation (O,) of the training values."""

    mean: NDArray[np.float64]
    sd: NDArray[np.float64]

    @classmethod
    def of(cls, images: Images) -> "_Scale | None":
        """The scale of the images' values; None where they have classes."""
        if images.are_classified:
            return None
        targets = _values(images)
        sd = targets.std(axis=0, dtype=np.float64)
        return cls(targets.mean(axis=0, dtype=np.float64), np.where(sd > 0, sd, 1.0))

    def standardised(self, images: Images) -> Images:
        targets = (_values(images) - self.mean) / self.sd
        return replace(images, targets=targets.astype(np.float32))


def _values(images: Images) -> NDArray[np.float32]:
    """Values (n, O) of images that have them."""
    assert images.targets is not None, "`_check` refuses images without targets"
    return images.targets


def _check(images: Images) -> None:
    if images.targets is None:
        raise ImageryError(
            f"{images.names[0]} and its like have no classes; put the images into one folder a "
            "class, or labels or values into the .npz file"
        )
    if images.are_classified and len(images.labels) < 2:
        raise ImageryError(
            f"all images belong to one class, {images.labels[0]}; give at least two classes"
        )


def _card(images: Images, recipe: Recipe, outcome: Outcome) -> str:
    """The model card."""
    network, preparation = outcome.model.network, outcome.model.preparation
    config, (rows, columns) = network.config, network.image
    resized = "other sizes are resized" if preparation.form.size else "no other size"
    unit = (
        "0 to 1 (8-bit images divided by 255)" if preparation.eight_bit else "a unit of their own"
    )
    figures = ", ".join(
        f"{as_markdown(name)} {value:.4g}" for name, value in outcome.scores.items()
    )
    best = ", ".join(
        f"{key.replace('_', ' ')} {value:.4g}"
        for key, value in outcome.history.best.items()
        if key.startswith("validation")
    )
    settings = ", ".join(f"{key} {value}" for key, value in vars(recipe).items())
    return f"""# A Vision Transformer for {outcome.model.task}

Predicts: {", ".join(map(as_markdown, outcome.model.labels))}.

- Images: {rows} x {columns} pixels ({resized}), {config["channels"]} channels, values from {unit}.
- Network: patches of {config["patch"]}, {config["layers"]} layers {config["width"]} wide with
  {config["heads"]} heads, dropout {config["dropout"]}.
- Trained on {len(images) - outcome.held_out} of {len(images)} images ({VALIDATION:.0%} of them for
  validation); best epoch {outcome.history.best_epoch} of {len(outcome.history.rows)}: {best}.
- On {outcome.held_out} images held out: {figures or "not scored"}.
- Recipe: {settings}.

Files: `config.json`, `model.safetensors` and `preprocessor_config.json` are read by
`spatioformer.vision.model.VisionModel.open`, the first two by `spatioformer.nn.ViT.from_pretrained`
and Hugging Face's `ViTForImageClassification`; `training.csv` has a row an epoch, `held_out.csv` a
row an image held out, `training_images.txt` a digest of each image that the training used.
"""
