"""The commands `spatioformer text ...`: train a text transformer, and read with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from spatioformer.cli.guard import command
from spatioformer.cli.options import Head, Json, Layer, Picture, Quiet
from spatioformer.text.settings import Sizes, TextRecipe

if TYPE_CHECKING:
    from spatioformer.text.model import TextModel
    from spatioformer.text.vectors import WordVectors

app = typer.Typer(
    name="text",
    help="Text transformers: train one, continue a text, show attention, compare words and senses.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: spatioformer text train corpus.txt -o runs/gpt",
)

Text = Annotated[str, typer.Argument(metavar="TEXT", help="The text, in quotes.")]
Model = Annotated[
    Path,
    typer.Option(
        "--model",
        "-m",
        metavar="FOLDER",
        help="A folder written by `text train`, or a GPT-2 folder.",
    ),
]
MaybeModel = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        metavar="FOLDER",
        help="A folder written by `text train`, or a GPT-2 folder.",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER|minilm",
        help="A BERT folder, or minilm: MiniLM from its pip package.",
    ),
]
Vectors = Annotated[
    str | None,
    typer.Option(
        metavar="FILE|wordllama",
        help="Word vectors as word2vec or GloVe text, or wordllama: those of its pip package.",
    ),
]
Top = Annotated[int, typer.Option(min=1, help="Number of rows to print.")]


@command(app, example="spatioformer text train corpus.txt -o runs/gpt --steps 500")
def train(
    corpus: Annotated[
        list[Path],
        typer.Argument(
            metavar="CORPUS",
            help="Text files, .conf files of SWORD modules, or spanish: the Reina-Valera Bible of "
            "Debian's package sword-text-sparv.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="The model folder to write.")
    ],
    tokenizer: Annotated[
        Literal["bpe", "words"], typer.Option(help="bpe: byte-level BPE; words: whole words.")
    ] = Sizes.tokenizer,
    vocabulary: Annotated[
        int, typer.Option(min=2, help="Largest number of tokens in the vocabulary.")
    ] = Sizes.vocabulary,
    context: Annotated[
        int, typer.Option(min=1, help="Length of the context, tokens.")
    ] = Sizes.context,
    width: Annotated[int, typer.Option(min=1, help="Width of the token vectors.")] = Sizes.width,
    heads: Annotated[
        int, typer.Option(min=1, help="Attention heads of each layer; they divide the width.")
    ] = Sizes.heads,
    layers: Annotated[int, typer.Option(min=1, help="Transformer blocks.")] = Sizes.layers,
    dropout: Annotated[float, typer.Option(min=0, max=0.9, help="Dropout rate.")] = Sizes.dropout,
    steps: Annotated[int, typer.Option(min=1, help="Optimiser steps.")] = TextRecipe.steps,
    batch: Annotated[
        int, typer.Option(min=1, help="Windows of text in each step.")
    ] = TextRecipe.batch,
    learning_rate: Annotated[
        float, typer.Option(min=0, help="Highest learning rate of the schedule.")
    ] = TextRecipe.learning_rate,
    seed: Annotated[
        int, typer.Option(min=0, help="Random seed for weights and batches.")
    ] = TextRecipe.seed,
    resume: Annotated[
        bool, typer.Option(help="Continue an interrupted training from its checkpoint.")
    ] = True,
    quiet: Quiet = False,
) -> None:
    """Train a tokenizer and a GPT on text files.

    The default sizes are a recipe for the corpus spanish: 15 minutes on a laptop of two cores. The
    perplexity on held-out text is printed beside that of an n-gram model of the same tokens.
    """
    from spatioformer.common.progress import Console
    from spatioformer.text.recipe import train_text

    console = Console(quiet)
    sizes = Sizes(tokenizer, vocabulary, context, width, heads, layers, dropout)
    recipe = TextRecipe(steps=steps, batch=batch, learning_rate=learning_rate, seed=seed)
    trained = train_text(corpus, out, sizes, recipe, resume=resume, console=console)
    console.say(f"{out}: {trained}")


@command(app, "next", example='spatioformer text next "El perro" -m runs/gpt')
def next_(
    text: Text,
    model: Model,
    top: Top = 10,
    temperature: Annotated[
        float, typer.Option(help="Softmax temperature; below 1 favours likely tokens.")
    ] = 1.0,
) -> None:
    """Print the most likely next tokens and their probabilities."""
    from spatioformer.text.model import TextModel
    from spatioformer.text.terminal import print_ranking

    print_ranking(TextModel.open(model).next(text, top, temperature), percent=True)


@command(app, example='spatioformer text generate "El perro" -m runs/gpt --count 40')
def generate(
    text: Text,
    model: Model,
    count: Annotated[
        int | None,
        typer.Option(min=1, help="Number of new tokens; default: until the context is full."),
    ] = None,
    temperature: Annotated[
        float, typer.Option(help="Softmax temperature; 0 takes the most likely token.")
    ] = 0.8,
    top_k: Annotated[
        int | None, typer.Option(metavar="K", help="Draw from the K most likely tokens.")
    ] = None,
    top_p: Annotated[
        float | None,
        typer.Option(
            metavar="P", help="Draw from the most likely tokens with total probability P."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for the draws.")] = 0,
) -> None:
    """Continue a text, token by token."""
    from spatioformer.text.model import TextModel

    pieces = TextModel.open(model).generate(text, count, temperature, top_k, top_p, seed)
    first = next(pieces)  # refuses a prompt that does not fit before anything is printed
    print(text + first, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()


@command(app, example='spatioformer text attend "El perro come pan" -m runs/gpt -o attention.png')
def attend(
    text: Text,
    model: MaybeModel = None,
    encoder: Encoder = None,
    layer: Annotated[int, typer.Option(min=1, help="Layer to show, from 1.")] = 1,
    head: Annotated[int, typer.Option(min=1, help="Head to show, from 1.")] = 1,
    out: Picture = None,
) -> None:
    """Print the attention between tokens: query-key scores and their softmax, of one head."""
    from spatioformer.text.terminal import print_reading

    reader = _reader(model, encoder)
    layers, heads = (int(reader.network.config[key]) for key in ("layers", "heads"))
    if layer > layers or head > heads:
        raise typer.BadParameter(
            f"layer {layer}, head {head} do not exist; the model has {layers} layers of {heads}"
        )
    reading = reader.read(text)
    if out is not None:
        from spatioformer.text.curve import write_picture
        from spatioformer.text.pictures import attention_picture

        write_picture(out, attention_picture(reading, layer - 1, head - 1))
    print_reading(reading, layer - 1, head - 1)


@command(app, example='spatioformer text trace "El perro come" -m runs/gpt -o trace.png')
def trace(
    text: Text,
    model: MaybeModel = None,
    encoder: Encoder = None,
    layer: Layer = None,
    head: Head = 1,
    json: Json = False,
    out: Picture = None,
) -> None:
    """Print the chain from a text to the next token: vectors, attention, MLP, probabilities.

    Of the layers, one is shown, and one of its heads. --json has all numbers of all layers and
    heads, with all digits, or of --layer alone.
    """
    from spatioformer.cli.tracing import show
    from spatioformer.text.trace import trace_text

    traced = trace_text(_reader(model, encoder), text)
    show(traced, layer, head, json, out, f"“{text}”")


@command(app, example="spatioformer text neighbours rey --vectors wordllama")
def neighbours(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    model: MaybeModel = None,
    vectors: Vectors = None,
    top: Top = 10,
) -> None:
    """Print the words with the most similar vectors (cosine similarity)."""
    from spatioformer.text.terminal import print_ranking

    print_ranking(_words(model, vectors).neighbours(word, top), percent=False)


@command(app, example="spatioformer text analogy rey hombre mujer --vectors wordllama")
def analogy(
    word: Annotated[str, typer.Argument(metavar="REY")],
    minus: Annotated[str, typer.Argument(metavar="HOMBRE")],
    plus: Annotated[str, typer.Argument(metavar="MUJER")],
    model: MaybeModel = None,
    vectors: Vectors = None,
    top: Top = 5,
) -> None:
    """Print the words nearest to a sum of vectors: rey - hombre + mujer."""
    from spatioformer.text.terminal import print_ranking

    print_ranking(_words(model, vectors).analogy(word, minus, plus, top), percent=False)


@command(app, example="spatioformer text senses banco sentences.tsv --encoder minilm -o senses.png")
def senses(
    word: Annotated[str, typer.Argument(metavar="WORD")],
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="One sentence in each line; `label<TAB>` may precede it."
        ),
    ],
    model: MaybeModel = None,
    encoder: Encoder = None,
    out: Picture = None,
) -> None:
    """Compare the vectors of one word in different sentences."""
    from spatioformer.text.senses import compare, read_senses
    from spatioformer.text.terminal import print_senses

    comparison = compare(_reader(model, encoder), word, read_senses(file, word))
    if out is not None:
        from spatioformer.text.curve import write_picture
        from spatioformer.text.pictures import senses_picture

        write_picture(out, senses_picture(comparison))
    print_senses(comparison)


def _reader(model: Path | None, encoder: str | None) -> "TextModel":
    """The network that reads a text: a GPT or a bidirectional encoder."""
    from spatioformer.text.model import TextModel

    if model is not None and encoder is None:
        return TextModel.open(model)
    if encoder is not None and model is None:
        return TextModel.open_encoder(encoder)
    raise typer.BadParameter("give either --model FOLDER or --encoder FOLDER")


def _words(model: Path | None, vectors: str | None) -> "WordVectors":
    """The word vectors: a model's embedding, or a table."""
    from spatioformer.text.vectors import model_vectors, open_vectors

    if vectors is not None and model is None:
        return open_vectors(vectors)
    if model is None or vectors is not None:
        raise typer.BadParameter("give either --model FOLDER or --vectors FILE")
    from spatioformer.text.model import TextModel

    return model_vectors(TextModel.open(model), str(model))
