"""From files of text to a model folder: what `spatioformer text train` does."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_json
from spatioformer.common.progress import SILENT, Console
from spatioformer.common.version import __version__
from spatioformer.nn.gpt import GPT
from spatioformer.text.corpus import read_corpus, split
from spatioformer.text.model import TextModel
from spatioformer.text.ngram import ORDER, baseline_loss
from spatioformer.text.settings import Sizes, TextRecipe
from spatioformer.text.tokenizer import Tokenizer
from spatioformer.text.training import check_length, fit

VALIDATION = 0.05  # share of the text that is held out
SCORES = "scores.json"  # of the held-out text, in a model folder


@dataclass(frozen=True)
class Trained:
    """What a training came to; losses are those of the weights that were kept.

    The baseline is an interpolated Kneser-Ney model of n-grams, of the same tokens.
    """

    model: TextModel
    rows: list[dict[str, float]]
    loss: float
    perplexity: float
    bits_per_character: float
    baseline_perplexity: float

    def scores(self) -> dict[str, float]:
        """The figures of the held-out text, as scores.json holds them."""
        return {
            "validation_loss": self.loss,
            "perplexity": self.perplexity,
            "bits_per_character": self.bits_per_character,
            "baseline_order": ORDER,
            "baseline_perplexity": self.baseline_perplexity,
        }

    def __str__(self) -> str:
        size = sum(parameter.numel() for parameter in self.model.network.parameters())
        return (
            f"{size:,} parameters; validation loss {self.loss:.3f} nats a token, perplexity "
            f"{self.perplexity:.1f}, {self.bits_per_character:.3f} bits a character; "
            f"the n-gram baseline has a perplexity of {self.baseline_perplexity:.1f}"
        )


def train_text(
    corpus: Sequence[str | Path],
    out: str | Path,
    sizes: Sizes,
    recipe: TextRecipe,
    *,
    resume: bool = True,
    console: Console = SILENT,
) -> Trained:
    """Train a tokenizer and a GPT, and write the model folder `out`.

    While it lasts, `OUT.checkpoint.pt` lies beside the folder; the same call continues from it.

    Raises:
        CorpusError: a text cannot be read, or is too short.
        ModelError: sizes that do not fit together, a diverging loss, or another training's
            checkpoint.
        OutputError: the folder cannot be written.
    """
    out = Path(out)
    text = read_corpus(corpus)
    training_text, validation_text = split(text, VALIDATION, recipe.seed)
    train = Tokenizer.train_words if sizes.tokenizer == "words" else Tokenizer.train_bpe
    tokenizer = train(training_text, sizes.vocabulary)
    training, validation = (
        torch.tensor(tokenizer.encode_lines(part), dtype=torch.long)
        for part in (training_text, validation_text)
    )
    check_length(training, validation, sizes.context)
    network = _network(len(tokenizer), sizes, recipe.seed)
    console.say(
        f"{len(text):,} characters, {len(training):,} tokens to learn from, {len(validation):,} "
        f"held out; {len(tokenizer):,} tokens in the vocabulary"
    )
    checkpoint = out.with_name(f"{out.name}.checkpoint.pt")
    rows = fit(
        network, training, validation, recipe, checkpoint=checkpoint, resume=resume, console=console
    )
    best = min(rows, key=lambda row: row["validation_loss"])
    trained = Trained(
        TextModel(network.cpu(), tokenizer),
        rows,
        best["validation_loss"],
        best["perplexity"],
        best["validation_loss"] / math.log(2) * len(validation) / len(validation_text),
        math.exp(
            baseline_loss(training.numpy(), validation.numpy(), len(tokenizer), sizes.context)
        ),
    )
    names = ", ".join(os.path.basename(path) for path in corpus)
    trained.model.facts = {
        "Corpus": f"{names}: {len(text):,} characters, {len(training):,} training tokens",
        "Tokenizer": f"{sizes.tokenizer}, {len(tokenizer):,} tokens",
        "Training": f"{recipe.steps} steps of {recipe.batch} x {sizes.context} tokens, learning "
        f"rate {recipe.learning_rate:g}, seed {recipe.seed}, spatioformer {__version__}",
        "Held-out text": str(trained).partition("; ")[2],
    }
    trained.model.save(out, rows)
    write_json(out / SCORES, trained.scores())
    checkpoint.unlink(missing_ok=True)
    return trained


def _network(vocabulary: int, sizes: Sizes, seed: int) -> GPT:
    for name in ("context", "width", "heads", "layers"):
        if getattr(sizes, name) < 1:
            raise ModelError(f"{name} {getattr(sizes, name)} cannot be used; choose 1 or more")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return GPT(
            vocabulary,
            sizes.context,
            sizes.width,
            sizes.heads,
            sizes.layers,
            dropout=sizes.dropout,
        )
