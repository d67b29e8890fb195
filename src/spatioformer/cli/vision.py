"""The commands `spatioformer vision ...`: train a Vision Transformer, predict, show attention."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.options import Head, Json, Layer, Picture, Quiet
from spatioformer.vision.settings import HELD_OUT, Recipe, Sizes

if TYPE_CHECKING:
    from spatioformer.vision.images import Images
    from spatioformer.vision.model import VisionModel

app = typer.Typer(
    name="vision",
    help="Vision Transformers: train one, predict classes or values of images, show attention.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: spatioformer vision train digits -o runs/vision",
)

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder with one subfolder of images for each class; an .npz file with images and "
        "labels or values; or the word digits, for scikit-learn's handwritten digits.",
    ),
]
Sources = Annotated[
    list[str],
    typer.Argument(metavar="SOURCE...", help="Images, folders, .npz files, or the word digits."),
]
Model = Annotated[
    Path,
    typer.Option(
        "--model",
        "-m",
        metavar="FOLDER",
        help="A folder written by `vision train`, Hugging Face or timm.",
    ),
]
TABLE = typer.Option("--out", "-o", metavar="FILE.csv", help="Write the table here.")


def _parse_size(text: str) -> tuple[int, int]:
    """ "32" or "32x24" (rows x columns) as (Y, X)."""
    parts = text.lower().split("x")
    if len(parts) > 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise typer.BadParameter(f"{text} is no size; give 32, or 32x24 for rows x columns")
    return int(parts[0]), int(parts[-1])


Size = Annotated[
    tuple | None,
    typer.Option(
        parser=_parse_size,
        metavar="N|YxX",
        help="Resize every image; without it, all images must have the same size.",
    ),
]


@command(app, example="spatioformer vision train digits -o runs/vision")
def train(
    source: Source,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model folder to write.")
    ] = Path("runs/vision"),
    size: Size = None,
    channels: Annotated[
        int | None,
        typer.Option(min=1, max=3, help="Convert every image: 1 to grey, 3 to RGB."),
    ] = None,
    patch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Side of a patch, pixels; it divides the image. Default: the largest up to 16 "
            "that gives at least 4 x 4 patches.",
        ),
    ] = Sizes.patch,
    width: Annotated[int, typer.Option(min=1, help="Width of the token vectors.")] = Sizes.width,
    heads: Annotated[
        int, typer.Option(min=1, help="Attention heads; they divide the width.")
    ] = Sizes.heads,
    layers: Annotated[int, typer.Option(min=1, help="Transformer blocks.")] = Sizes.layers,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout rate.")] = Sizes.dropout,
    epochs: Annotated[
        int, typer.Option(min=1, help="Largest number of passes over the images.")
    ] = Recipe.epochs,
    batch: Annotated[int, typer.Option(min=1, help="Images in each step.")] = Recipe.batch,
    learning_rate: Annotated[
        float, typer.Option(help="Highest learning rate of the schedule.")
    ] = Recipe.learning_rate,
    weight_decay: Annotated[
        float, typer.Option(min=0, help="Weight decay of AdamW.")
    ] = Recipe.weight_decay,
    patience: Annotated[
        int,
        typer.Option(min=1, help="Stop after this many epochs without a lower validation loss."),
    ] = Recipe.patience,
    label_smoothing: Annotated[
        float,
        typer.Option(
            min=0, max=0.5, help="Share of the target probability that is spread over all classes."
        ),
    ] = Recipe.label_smoothing,
    shift: Annotated[
        float, typer.Option(min=0, help="Largest random shift of training images, pixels.")
    ] = Recipe.shift,
    rotation: Annotated[
        float,
        typer.Option(min=0, max=180, help="Largest random rotation of training images, degrees."),
    ] = Recipe.rotation,
    held_out: Annotated[
        float,
        typer.Option(min=0, max=0.9, help="Share of the images held out for the final score."),
    ] = HELD_OUT,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed for splits, weights and batches.")
    ] = Recipe.seed,
    resume: Annotated[
        bool, typer.Option(help="Continue an interrupted training from its checkpoint.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Train on images with known classes or values; write model, training.csv and held_out.csv."""
    from spatioformer.common.progress import Console
    from spatioformer.vision.experiment import train as train_model
    from spatioformer.vision.images import Form, read_images

    form = Form(size=size, channels=channels)
    recipe = Recipe(
        epochs=epochs,
        batch=batch,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        patience=patience,
        label_smoothing=label_smoothing,
        shift=shift,
        rotation=rotation,
        seed=seed,
    )
    outcome = train_model(
        read_images(source, form),
        out,
        recipe,
        Sizes(patch, width, heads, layers, dropout),
        form=form,
        held_out=held_out,
        resume=resume,
        console=Console(quiet),
    )
    if not quiet:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in outcome.scores.items())
        if figures:
            print(f"{figures} on {outcome.held_out} images held out")
        print(f"model  {out}")


@command(app, example="spatioformer vision predict photo.png -m runs/vision --top 3")
def predict(
    source: Sources,
    model: Model,
    out: Annotated[Path | None, TABLE] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Number of classes to print, the most likely first.")
    ] = 1,
    quiet: Quiet = False,
) -> None:
    """Print classes with their probabilities, or values, as a CSV table.

    Where classes or values are known, a score is printed of the images that the model's training
    did not use.
    """
    from spatioformer.vision.model import VisionModel
    from spatioformer.vision.predictions import prediction_rows
    from spatioformer.vision.seen import score_of_unseen

    opened = VisionModel.open(model)
    images = _read(opened, source)
    predicted = opened.predict(images)
    _write_table(prediction_rows(opened, images, predicted, top), out)
    if images.targets is not None and images.labels == opened.labels and not quiet:
        print(score_of_unseen(model, images, predicted), file=sys.stderr)


@command(app, example="spatioformer vision attend digits -m runs/vision -p attention.png")
def attend(
    source: Sources,
    model: Model,
    picture: Annotated[
        Path,
        typer.Option(
            "--picture", "-p", metavar="FILE.png", help="Picture of the attention rollout to write."
        ),
    ] = Path("attention.png"),
    positions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.png", help="Also draw the cosine similarity of the position embeddings."
        ),
    ] = None,
    count: Annotated[
        int, typer.Option(min=1, help="Number of images to draw, from the first.")
    ] = 10,
    out: Annotated[Path | None, TABLE] = None,
) -> None:
    """Draw the attention rollout; print the patch with the most attention of each image."""
    from spatioformer.vision import pictures
    from spatioformer.vision.model import VisionModel
    from spatioformer.vision.predictions import attention_rows, captions

    opened = VisionModel.open(model)
    images = _read(opened, source)[:count]
    predicted, shares = opened.attend(images)
    figure = pictures.draw_rollout(images.pixels, shares, captions(opened, predicted))
    pictures.save(figure, picture)
    if positions is not None:
        similarity = opened.network.position_similarity().numpy()
        pictures.save(pictures.draw_position_similarity(similarity), positions)
    _write_table(attention_rows(opened, images, predicted, shares), out)


@command(app, example="spatioformer vision trace digits --index 3 -m runs/vision -o trace.png")
def trace(
    source: Annotated[
        str, typer.Argument(metavar="IMAGE", help="An image; or several, with --index.")
    ],
    model: Model,
    index: Annotated[
        int | None,
        typer.Option(
            min=0, help="Number of the image in a folder, an .npz file or digits, from 0."
        ),
    ] = None,
    layer: Layer = None,
    head: Head = 1,
    json: Json = False,
    out: Picture = None,
) -> None:
    """Print the chain from an image to its class: patches, positions, attention, class token.

    Of the layers, one is shown, and one of its heads. --json has all numbers of all layers and
    heads, with all digits, or of --layer alone.
    """
    from spatioformer.cli.tracing import show
    from spatioformer.vision.model import VisionModel
    from spatioformer.vision.trace import one_of, trace_image

    opened = VisionModel.open(model)
    traced = trace_image(opened, one_of(opened.read(source), index))
    show(traced, layer, head, json, out, traced.name)


def _read(model: "VisionModel", sources: list[str]) -> "Images":
    from spatioformer.vision.images import join

    parts = [model.read(source) for source in sources]
    return parts[0] if len(parts) == 1 else join(parts)


def _write_table(rows: list[dict[str, Any]], out: Path | None) -> None:
    from spatioformer.vision.predictions import as_csv, write_rows

    if out is None:
        print(as_csv(rows), end="")
    else:
        write_rows(out, rows)
