"""Word vectors from files and models: nearest neighbours and analogies.

Shapes: n words, D width.

Source: Mikolov et al. 2013, "Linguistic Regularities in Continuous Space Word Representations".
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from spatioformer.common.errors import ModelError
from spatioformer.nn.pretrained import read_weights
from spatioformer.text.model import TextModel
from spatioformer.text.packages import locate
from spatioformer.text.tokenizer import Tokenizer

WORDLLAMA = "wordllama"
GUESSES = 50_000  # most frequent words among which suggestions for a misspelt word are searched


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors of length 1.

    Attributes:
        rows: word -> row.
        directions: vectors of length 1, so that a dot product is a cosine.
        source: origin of the vectors, for messages.
    """

    rows: Mapping[str, int]
    directions: Float[np.ndarray, "n D"]
    source: str

    @classmethod
    def of(cls, words: list[str], vectors: Float[np.ndarray, "n D"], source: str) -> "WordVectors":
        """Make word vectors from vectors of any length, without repeated words and zero vectors."""
        lengths = np.linalg.norm(vectors, axis=1)
        first = {word: i for i, word in reversed(list(enumerate(words))) if lengths[i] > 0}
        rows = sorted(first.items(), key=lambda item: item[1])
        kept = [i for _, i in rows]
        directions = (vectors[kept] / lengths[kept, None]).astype(np.float32)
        return cls({word: row for row, (word, _) in enumerate(rows)}, directions, source)

    def row(self, word: str) -> int:
        """Row of a word or, if absent, of its lower-case form.

        Raises:
            ModelError: the word is unknown.
        """
        for form in (word, word.lower()):
            if form in self.rows:
                return self.rows[form]
        likely = list(self.rows)[:GUESSES]  # files list frequent words first
        close = difflib.get_close_matches(word.lower(), likely, n=3)
        remedy = f"; did you mean {', '.join(close)}?" if close else "; choose another word"
        raise ModelError(
            f"{word!r} is not one of the {len(self.rows)} words that have a vector of their own in "
            f"{self.source}{remedy}"
        )

    def neighbours(self, word: str, count: int) -> list[tuple[str, float]]:
        """The `count` words with the highest cosine with `word`, best first.

        Raises:
            ModelError: the word is unknown.
        """
        return self._ranked(self.directions[self.row(word)], {word})[:count]

    def analogy(self, word: str, minus: str, plus: str, count: int) -> list[tuple[str, float]]:
        """The `count` words nearest to word - minus + plus, best first.

        The three words, in any case, are excluded: otherwise the answer is nearly always `word`.

        Raises:
            ModelError: a word is unknown.
        """
        return self._arithmetic(word, minus, plus)[:count]

    def rank(self, word: str, minus: str, plus: str, answer: str) -> int:
        """Rank of `answer` in `analogy`, from 1.

        Raises:
            ModelError: a word is unknown, or `answer` is one of the three.
        """
        self.row(answer)
        answers = [candidate for candidate, _ in self._arithmetic(word, minus, plus)]
        if answer not in answers:
            raise ModelError(f"{answer!r} is one of the three words; choose another answer")
        return answers.index(answer) + 1

    def _arithmetic(self, word: str, minus: str, plus: str) -> list[tuple[str, float]]:
        a, b, c = (self.directions[self.row(w)] for w in (word, minus, plus))
        return self._ranked(a - b + c, {word, minus, plus})

    def _ranked(self, target: Float[np.ndarray, "D"], without: set[str]) -> list[tuple[str, float]]:
        """All words except `without`, by descending cosine with `target`."""
        length = np.linalg.norm(target)
        cosines = self.directions @ (target / length if length > 0 else target)
        excluded = {word.lower() for word in without}
        words = list(self.rows)
        order = np.argsort(-cosines, kind="stable")
        return [(words[i], float(cosines[i])) for i in order if words[i].lower() not in excluded]


def model_vectors(model: TextModel, source: str) -> WordVectors:
    """Embedding vectors of a model's whole-word tokens, without context."""
    return _of_tokens(
        model.tokenizer, model.network.embedding.weight.detach().float().cpu().numpy(), source
    )


def _of_tokens(tokenizer: Tokenizer, table: Float[np.ndarray, "V D"], source: str) -> WordVectors:
    words = tokenizer.words()
    return WordVectors.of(list(words), table[list(words.values())], source)


def open_vectors(source: str) -> WordVectors:
    """Open word vectors from a file in the text format of word2vec or GloVe, or from "wordllama".

    wordllama (Dylan Lee Miller, MIT) is a table of 32,000 token vectors of width 256, trained from
    the embeddings of large language models, in a pip package.

    Raises:
        ModelError: the file cannot be read, or wordllama is not installed.
    """
    if source == WORDLLAMA:
        folder = locate("wordllama", "wordllama")
        table = read_weights(folder / "weights" / "l2_supercat_256.safetensors")
        tokenizer = Tokenizer.load(folder / "tokenizers" / "l2_supercat_tokenizer_config.json")
        return _of_tokens(tokenizer, table["embedding.weight"].float().numpy(), WORDLLAMA)
    try:
        return _read_text(Path(source))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{source} cannot be read as word vectors ({error}); give a text file with a word and "
            f"its numbers a line, or {WORDLLAMA}"
        ) from error


def _read_text(path: Path) -> WordVectors:
    """Read word2vec's text format (a first line with n and D) or GloVe's (without)."""
    words, vectors = [], []
    with path.open(encoding="utf-8", errors="replace") as lines:
        first = next(lines, "").rstrip().split(" ")
        header = len(first) == 2
        width = int(first[1]) if header else len(first) - 1
        if not header:
            lines.seek(0)
        for number, line in enumerate(lines, start=2 if header else 1):
            # Split from the right, because a few words of GloVe contain spaces.
            word, *values = line.rstrip().rsplit(" ", width)
            if len(values) != width or width < 1:
                raise ValueError(f"line {number} has {len(values)} numbers, not {width}")
            words.append(word)
            vectors.append(np.array(values, dtype=np.float32))
    if not words:
        raise ValueError("it holds no vectors")
    return WordVectors.of(words, np.stack(vectors), str(path))
