"""Vectors of one word in different contexts, and how similar they are.

Shapes: n sentences, D width.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from spatioformer.text.corpus import CorpusError
from spatioformer.text.model import Reading, TextModel


@dataclass(frozen=True)
class Sense:
    """A sentence with the word, and a label of the word's meaning there."""

    sentence: str
    label: str = ""


@dataclass(frozen=True)
class Senses:
    """Comparison of a word's vectors in several sentences.

    Attributes:
        cosines: cosine of every pair of vectors.
        plane: vectors projected on their first two principal axes.
        explained: share of the variance on each of these axes.
    """

    word: str
    senses: list[Sense]
    cosines: Float[np.ndarray, "n n"]
    plane: Float[np.ndarray, "n 2"]
    explained: Float[np.ndarray, "2"]

    def within_and_between(self) -> tuple[float, float] | None:
        """Mean cosine of two sentences with the same label, and with different ones.

        None if the labels do not give both kinds of pairs.
        """
        pairs = np.triu_indices(len(self.senses), 1)
        same = self._same()[pairs]
        if same.all() or not same.any():
            return None
        cosines = self.cosines[pairs]
        return float(cosines[same].mean()), float(cosines[~same].mean())

    def agreeing(self) -> int:
        """Number of sentences whose nearest other sentence has the same label."""
        others = self.cosines - 3 * np.eye(len(self.senses))  # exclude the sentence itself
        return int(self._same()[range(len(self.senses)), others.argmax(axis=1)].sum())

    def _same(self) -> Bool[np.ndarray, "n n"]:
        labels = np.array([sense.label for sense in self.senses])
        return labels[:, None] == labels


def read_senses(path: str | Path, word: str) -> list[Sense]:
    """Read sentences from a file, one a line, with or without `label<TAB>` before it.

    Raises:
        CorpusError: the file cannot be read, or fewer than two of its lines contain the word.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(
            f"{path} cannot be read ({error}); give a UTF-8 file with a sentence a line"
        ) from error
    parts = (line.rpartition("\t") for line in lines)
    senses = [
        Sense(sentence.strip(), label.strip())
        for label, _, sentence in parts
        if _find(sentence, word) is not None
    ]
    if len(senses) < 2:
        raise CorpusError(
            f"{len(senses)} lines of {path} have the word {word!r}; give at least two sentences "
            "with it, one a line"
        )
    return senses


def compare(model: TextModel, word: str, senses: list[Sense]) -> Senses:
    """Compare the last layer's vectors of `word` in all sentences.

    Raises:
        ModelError: a sentence is longer than the context.
    """
    vectors = np.stack(
        [word_vector(model.read(s.sentence), s.sentence, word) for s in senses]
    ).astype(np.float64)
    directions = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    centred = directions - directions.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    variance = sizes**2 / max(float((sizes**2).sum()), np.finfo(float).tiny)
    return Senses(word, senses, directions @ directions.T, left[:, :2] * sizes[:2], variance[:2])


def word_vector(reading: Reading, sentence: str, word: str) -> Float[np.ndarray, "D"]:
    """Mean vector of the tokens of the first `word` in the sentence."""
    span = _find(sentence, word)
    assert span is not None, "`read_senses` leaves out sentences without the word"
    start, end = span
    inside = [a < end and b > start and a < b for a, b in reading.spans]
    return reading.vectors[inside].mean(axis=0)


def _find(sentence: str, word: str) -> tuple[int, int] | None:
    """Characters [start, end) of the first whole `word`, in any case; None if absent."""
    match = re.search(rf"\b{re.escape(word)}\b", sentence, re.IGNORECASE)
    return None if match is None else match.span()
