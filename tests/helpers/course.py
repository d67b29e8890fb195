"""Tools of the course with tiny models, whose vocabulary is that of the chapters."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers, processors

from spatioformer.learn.chapters import attention, played, words
from spatioformer.learn.chapters.sentences import BANCO, BANK
from spatioformer.learn.invented import Landscape, invent
from spatioformer.learn.placed import PlacedLesson, train_placed
from spatioformer.learn.tools import SpanishModel, Tools, VisionLesson, vision_lesson
from spatioformer.nn import TextEncoder
from spatioformer.text.model import TextModel
from spatioformer.text.recipe import train_text
from spatioformer.text.settings import Sizes, TextRecipe
from spatioformer.text.tokenizer import Tokenizer
from spatioformer.text.vectors import WordVectors
from spatioformer.vision.settings import Recipe
from spatioformer.vision.settings import Sizes as VisionSizes
from tests.helpers.shared import made_once
from tests.helpers.text import CORPUS

SENTENCES = [
    *(words.FOX, words.ENGLISH_FOX, words.PROMPT, words.HIDDEN_PROMPT),
    *(attention.PLAIN, attention.SPANISH, *played.SENTENCES),
    *(sense.sentence for sense in [*BANK, *BANCO]),
]


def tiny_encoder() -> TextModel:
    """A BERT with random weights, which has the words of the chapters whole."""
    known = re.findall(r"\w+|[^\w\s]", " ".join(SENTENCES).lower())
    names = ["[UNK]", "[CLS]", "[SEP]", *dict.fromkeys(known)]
    inner = tokenizers.Tokenizer(
        models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]")
    )
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    torch.manual_seed(0)
    return TextModel(
        TextEncoder(len(names), context=20, width=40, heads=attention.HEAD, layers=2),
        Tokenizer(inner),
    )


def tiny_vectors() -> WordVectors:
    """Random vectors of all words of the chapter."""
    asked = [word for question in words.QUESTIONS for word in question]
    asked += [*words.COLUMNS, *words.NEIGHBOURS, *(word for pair in words.PAIRS for word in pair)]
    names = list(dict.fromkeys(asked))
    draw = np.random.default_rng(0)
    return WordVectors.of(names, draw.normal(size=(len(names), 16)), "test")


def train_spanish(folder: Path) -> Path:
    """A model folder of a few steps."""
    corpus = folder.with_suffix(".txt")
    corpus.write_text(CORPUS + "\n".join(SENTENCES) * 4, encoding="utf-8")
    sizes = Sizes(vocabulary=420, context=48, width=16, heads=2, layers=2)
    recipe = TextRecipe(steps=4, batch=2, warmup=1, check_every=2)
    train_text([corpus], folder, sizes, recipe)
    return folder


def tiny_vision(folder: Path) -> VisionLesson:
    """A ViT of one epoch, trained if the folder has none."""
    return vision_lesson(folder, VisionSizes(2, 16, 2, 1), Recipe(epochs=1))


@cache
def tiny_landscape() -> Landscape:
    return invent(60)


@cache
def tiny_placed() -> PlacedLesson:
    return train_placed(60, width=8, heads=2, layers=1, epochs=2)


class TinyTools(Tools):
    """Tools whose models need no packages."""

    words = tiny_vectors()

    def __init__(
        self,
        spanish: SpanishModel | None,
        cache: Path | None = None,
        *_: object,
        quick: bool = False,
    ):
        folder = made_once("digits", tiny_vision)
        super().__init__(spanish, folder if cache is None else cache, quick=quick)
        self.encoder = tiny_encoder()
        self.vision = tiny_vision(folder)
        self.landscape = tiny_landscape()
        self.placed = tiny_placed()
