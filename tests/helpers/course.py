"""Tools of the course with tiny models, whose vocabulary is that of the chapters."""

import contextlib
import pickle
import re
import shlex
import shutil
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pytest
import tokenizers
import torch
from tokenizers import models, normalizers, pre_tokenizers, processors

from spatioformer.learn import show
from spatioformer.learn.build import build
from spatioformer.learn.campaign import Campaign, campaign
from spatioformer.learn.campaign import Sizes as CampaignSizes
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
from tests.helpers.pictures import SVG, blank
from tests.helpers.shared import made_once
from tests.helpers.text import CORPUS
from tests.helpers.tiny_run import spatioformer

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


def _train_spanish(folder: Path) -> None:
    corpus = folder.with_suffix(".txt")
    corpus.write_text(CORPUS + "\n".join(SENTENCES) * 4, encoding="utf-8")
    sizes = Sizes(vocabulary=420, context=48, width=16, heads=2, layers=2)
    recipe = TextRecipe(steps=4, batch=2, warmup=1, check_every=2)
    train_text([corpus], folder, sizes, recipe)


def tiny_spanish() -> Path:
    """A model folder of a few steps, trained once a session."""
    return made_once("spanish", _train_spanish)


def tiny_vision(folder: Path) -> VisionLesson:
    """A ViT of one epoch, trained if the folder has none."""
    return vision_lesson(folder, VisionSizes(2, 16, 2, 1), Recipe(epochs=1))


TINY_CAMPAIGN = CampaignSizes(
    plots=30,
    sites=3,
    settings=(
        "evaluate.models=[location-knn]",
        "evaluate.curve_sizes=[]",
        "evaluate.workers=1",
        "evaluate.splits=[{name: random, kind: random, folds: 2}]",
    ),
)


def call(folder: Path, command: str) -> str:
    """Run a command in this process, without drawing.

    The first run stands for the others, which differ in their plots alone: they are copies of it.
    """
    words = shlex.split(command)[1:]
    printed = folder / "run.txt"
    if words[0] in ("run", "map") and printed.exists():
        name = "random" if "--set" in words else Path(words[1]).stem
        shutil.copytree(folder / "runs" / "north", folder / "runs" / name, dirs_exist_ok=True)
        return printed.read_text(encoding="utf-8")
    with contextlib.chdir(folder), blank(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("spatioformer.analysis.survey.PIXELS", 300)
        ended = spatioformer(*words)
    assert ended.code == 0, ended.err
    if words[0] == "run":
        printed.write_text(ended.out + ended.err, encoding="utf-8")
    return ended.out + ended.err


def _make_campaign(folder: Path) -> None:
    made = campaign(folder, TINY_CAMPAIGN, call)
    (folder / "campaign.pickle").write_bytes(pickle.dumps(made))


def tiny_campaign() -> Campaign:
    """A campaign with one run of few plots, made once a session."""
    made: Campaign = pickle.loads(
        (made_once("campaign", _make_campaign) / "campaign.pickle").read_bytes()
    )
    return made


class _Validated(Landscape):
    """Plots whose r2 is computed once: it takes longer than all else of the chapter."""

    def r2(self, folds: np.ndarray, *, location: bool) -> float:
        key = folds.tobytes(), location
        if key not in R2:
            R2[key] = super().r2(folds, location=location)
        return R2[key]


R2: dict[tuple[bytes, bool], float] = {}


@cache
def tiny_landscape() -> Landscape:
    return _Validated(**vars(invent(60)))


@cache
def tiny_placed() -> PlacedLesson:
    return train_placed(60, width=8, heads=2, layers=1, epochs=2)


class TinyTools(Tools):
    """Tools whose models need no packages; each is made when a chapter asks for it."""

    words = tiny_vectors()
    landscape = cached_property(lambda _: tiny_landscape())
    campaign = cached_property(lambda _: tiny_campaign())
    placed = cached_property(lambda _: tiny_placed())
    encoder = cached_property(lambda _: tiny_encoder())
    vision = cached_property(lambda _: tiny_vision(_digits()))

    def __init__(
        self,
        spanish: SpanishModel | None,
        cache: Path | None = None,
        *_: object,
        quick: bool = False,
    ):
        super().__init__(spanish, _digits() if cache is None else cache, quick=quick)


def _build_site(folder: Path) -> None:
    """The site, whose Spanish pictures are drawn; drawing takes half of the time."""
    draw = show.drawn
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(show, "drawn", lambda p, each: draw(p, each) if each == "es" else SVG)
        build(folder / "course", TinyTools(SpanishModel.open(tiny_spanish())))


def tiny_site() -> Path:
    """Folder of the site with tiny models, built once a session."""
    return made_once("site", _build_site) / "course"


def _digits() -> Path:
    return made_once("digits", tiny_vision)
