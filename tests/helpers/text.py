"""Small corpora and models for the tests of text."""

import itertools
import random
import struct
import zlib
from pathlib import Path

import torch

from spatioformer.nn import GPT, TextEncoder
from spatioformer.text.model import TextModel
from spatioformer.text.recipe import Trained, train_text
from spatioformer.text.settings import Sizes, TextRecipe
from spatioformer.text.tokenizer import FILE, Tokenizer

KINDS = ("rey", "reina", "niño", "perro"), ("come", "mira", "sueña"), ("pan", "café", "luna")
# Every sentence of subject, verb and object, twelve times, in an order without a pattern.
SENTENCES = [f"El {a} {b} {c} .\n" for a, b, c in itertools.product(*KINDS)] * 12
random.Random(0).shuffle(SENTENCES)
CORPUS = "".join(SENTENCES)
SIZES = Sizes(tokenizer="words", vocabulary=40, context=12, width=32, heads=4, layers=2)
RECIPE = TextRecipe(steps=60, batch=8, learning_rate=1e-2, warmup=5, check_every=20)


def train(folder: Path, **sizes) -> Trained:
    """A word-level model of CORPUS, in a second."""
    path = folder.with_suffix(".txt")
    path.write_text(CORPUS, encoding="utf-8")
    return train_text([path], folder, Sizes(**(vars(SIZES) | sizes)), RECIPE)


def random_model() -> TextModel:
    """A byte-level model with random weights, large enough to tell tokens apart."""
    tokenizer = Tokenizer.train_bpe(CORPUS, 300)
    torch.manual_seed(0)
    network = GPT(len(tokenizer), context=32, width=24, heads=2, layers=2)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return TextModel(network, tokenizer)


def write_encoder(folder: Path) -> Path:
    """A BERT folder with random weights; its words have [CLS] before and [SEP] after them."""
    from tokenizers import processors

    tokenizer = Tokenizer.train_words(CORPUS + "[CLS] [SEP]", 60)
    inner = tokenizer._inner
    inner.add_special_tokens(["[CLS]", "[SEP]"])
    inner.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        special_tokens=[(name, inner.token_to_id(name)) for name in ("[CLS]", "[SEP]")],
    )
    torch.manual_seed(0)
    TextEncoder(len(tokenizer), context=20, width=24, heads=2, layers=2).save_pretrained(folder)
    tokenizer.save(folder / FILE)
    return folder


def write_sword(root: Path, books: dict[str, list[list[str]]], **settings: str) -> Path:
    """A zText module: testament -> books -> entries of markup; returns its .conf file."""
    data = root / "modules"
    data.mkdir(parents=True)
    for testament, entries in books.items():
        packed, where, index = b"", b"", struct.pack("<IIH", 0, 0, 0)
        for number, book in enumerate(entries):
            block = b""
            for entry in book:
                index += struct.pack("<IIH", number, len(block), len(entry.encode()))
                block += entry.encode()
            squeezed = zlib.compress(block)
            where += struct.pack("<III", len(packed), len(squeezed), len(block))
            packed += squeezed
        for suffix, content in (("bzz", packed), ("bzs", where), ("bzv", index)):
            (data / f"{testament}.{suffix}").write_bytes(content)
    known = {"ModDrv": "zText", "CompressType": "ZIP", "Encoding": "UTF-8"}
    lines = ["[test]", "# ModDrv=RawText", "DataPath=./modules/"]
    lines += [f"{key}={value}" for key, value in (known | settings).items()]
    conf = root / "mods.d" / "test.conf"
    conf.parent.mkdir()
    conf.write_text("\n".join(lines), encoding="utf-8")
    return conf
