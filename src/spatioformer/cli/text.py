"""The commands `spatioformer text ...`: one short function a command, heavy imports inside."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.options import Quiet
from spatioformer.text.settings import Sizes, TextRecipe

app = typer.Typer(
    name="text",
    help="Text transformers: train one, continue a text, and look at attention, words and senses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text, in quotes.")]
Model = Annotated[
    Path,
    typer.Option(
        "--model", "-m", metavar="FOLDER", help="What `text train` wrote, or a GPT-2 folder."
    ),
]
MaybeModel = Annotated[
    Path | None,
    typer.Option(
        "--model", "-m", metavar="FOLDER", help="What `text train` wrote, or a GPT-2 folder."
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|minilm",
        help="A BERT folder, read in both directions, or MiniLM from its pip package.",
    ),
]
Vectors = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|wordllama", help="Word vectors (word2vec or GloVe text), or wordllama's."
    ),
]
Top = Annotated[int, typer.Option(min=1, help="How many to show.")]
Picture = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="Draw a picture, too.")
]


@command(app)
def train(
    corpus: Annotated[
        list[Path],
        typer.Argument(metavar="CORPUS", help="Text files, or .conf files of SWORD modules."),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model.")],
    tokenizer: Annotated[
        Literal["bpe", "words"], typer.Option(help="Byte-level BPE, or whole words.")
    ] = Sizes.tokenizer,
    vocabulary: Annotated[int, typer.Option(min=2, help="Tokens at most.")] = Sizes.vocabulary,
    context: Annotated[int, typer.Option(min=1, help="Tokens it sees at once.")] = Sizes.context,
    width: Annotated[int, typer.Option(min=1, help="Width of the vectors.")] = Sizes.width,
    heads: Annotated[int, typer.Option(min=1, help="Attention heads a layer.")] = Sizes.heads,
    layers: Annotated[int, typer.Option(min=1, help="Transformer blocks.")] = Sizes.layers,
    dropout: Annotated[
        float, typer.Option(min=0, max=0.9, help="Rate of dropout.")
    ] = Sizes.dropout,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = TextRecipe.steps,
    batch: Annotated[int, typer.Option(min=1, help="Windows of text a step.")] = TextRecipe.batch,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Its peak.")
    ] = TextRecipe.learning_rate,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = TextRecipe.seed,
    resume: Annotated[bool, typer.Option(help="Continue an interrupted training.")] = True,
    quiet: Quiet = False,
) -> None:
    """Train a tokenizer and a GPT on any text."""
    from spatioformer.common.progress import Console
    from spatioformer.text.recipe import train_text

    console = Console(quiet)
    sizes = Sizes(tokenizer, vocabulary, context, width, heads, layers, dropout)
    recipe = TextRecipe(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)
    trained = train_text(corpus, out, sizes, recipe, resume=resume, console=console)
    console.say(f"{out}: {trained}")


@command(app, "next")
def next_(
    text: Text,
    model: Model,
    top: Top = 10,
    temperature: Annotated[float, typer.Option(help="Below 1 sharpens.")] = 1.0,
) -> None:
    """What comes next: the likeliest tokens and their probabilities."""
    from spatioformer.text.model import TextModel
    from spatioformer.text.terminal import print_ranking

    print_ranking(TextModel.open(model).next(text, top, temperature), percent=True)


@command(app)
def generate(
    text: Text,
    model: Model,
    count: Annotated[
        int | None, typer.Option(min=1, help="New tokens; default: until the context is full.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token.")] = 0.8,
    top_k: Annotated[int | None, typer.Option(help="Draw among the k likeliest.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw among the likeliest up to p.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draws.")] = 0,
) -> None:
    """Continue a text."""
    from spatioformer.text.model import TextModel

    pieces = TextModel.open(model).generate(text, count, temperature, top_k, top_p, seed)
    first = next(pieces)  # a prompt that does not fit is said before anything is printed
    print(text + first, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


@command(app)
def attend(
    text: Text,
    model: MaybeModel = None,
    encoder: Encoder = None,
    layer: Annotated[int, typer.Option(min=1, help="Counted from 1.")] = 1,
    head: Annotated[int, typer.Option(min=1, help="Counted from 1.")] = 1,
    out: Picture = None,
) -> None:
    """Which token looks at which: query-key scores and their softmax, per layer and head."""
    from spatioformer.text.terminal import print_reading

    reader = _reader(model, encoder)
    layers, heads = (reader.network.config[key] for key in ("layers", "heads"))
    if layer > layers or head > heads:
        raise typer.BadParameter(
            f"layer {layer}, head {head} do not exist; the model has {layers} layers of {heads}"
        )
    reading = reader.read(text)
    if out is not None:
        from spatioformer.text.pictures import attention_picture, write_picture

        write_picture(out, attention_picture(reading, layer - 1, head - 1))
    print_reading(reading, layer - 1, head - 1)


@command(app)
def neighbours(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    model: MaybeModel = None,
    vectors: Vectors = None,
    top: Top = 10,
) -> None:
    """The words whose vectors point the same way (cosine)."""
    from spatioformer.text.terminal import print_ranking

    print_ranking(_words(model, vectors).neighbours(word, top), percent=False)


@command(app)
def analogy(
    word: Annotated[str, typer.Argument(metavar="REY")],
    minus: Annotated[str, typer.Argument(metavar="HOMBRE")],
    plus: Annotated[str, typer.Argument(metavar="MUJER")],
    model: MaybeModel = None,
    vectors: Vectors = None,
    top: Top = 5,
) -> None:
    """Vector arithmetic: the words nearest to rey - hombre + mujer."""
    from spatioformer.text.terminal import print_ranking

    print_ranking(_words(model, vectors).analogy(word, minus, plus, top), percent=False)


@command(app)
def senses(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A sentence a line; `label<TAB>` may precede it.")
    ],
    model: MaybeModel = None,
    encoder: Encoder = None,
    out: Picture = None,
) -> None:
    """How the vector of one word moves with its context."""
    from spatioformer.text.senses import compare, read_senses
    from spatioformer.text.terminal import print_senses

    found = compare(_reader(model, encoder), word, read_senses(file, word))
    if out is not None:
        from spatioformer.text.pictures import senses_picture, write_picture

        write_picture(out, senses_picture(found))
    print_senses(found)


def _reader(model: Path | None, encoder: str | None):
    """The network to read with: a GPT or a bidirectional encoder."""
    from spatioformer.text.model import TextModel

    if (model is None) == (encoder is None):
        raise typer.BadParameter("give either --model FOLDER or --encoder FOLDER")
    return TextModel.open_encoder(encoder) if encoder is not None else TextModel.open(model)


def _words(model: Path | None, vectors: str | None):
    """The word vectors to ask: a model's embedding, or a table."""
    from spatioformer.text.vectors import model_vectors, open_vectors

    if (model is None) == (vectors is None):
        raise typer.BadParameter("give either --model FOLDER or --vectors FILE")
    if vectors is not None:
        return open_vectors(vectors)
    from spatioformer.text.model import TextModel

    return model_vectors(TextModel.open(model), str(model))
