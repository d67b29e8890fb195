"""Tokenizers: convert text to token ids and back, by byte-level BPE or by whole words."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_text

try:
    import tokenizers
except ImportError as error:
    raise ModelError(
        "the text commands need the package tokenizers, which is not installed; run "
        "pip install 'spatioformer[text]'"
    ) from error
from tokenizers import Regex, decoders, models, pre_tokenizers, trainers

FILE = "tokenizer.json"
UNKNOWN = "<unk>"
MARKS = "Ġ▁ "  # leading space in the vocabularies of GPT-2, SentencePiece, and our word level
# A word or a sign with the space before it, as GPT-2 splits text; other spaces are single tokens.
WORDS = r" ?\w+| ?[^\w\s]|\s"


class Tokenizer:
    """A vocabulary and the rules to split text into its tokens.

    Args:
        inner: a tokenizer of the `tokenizers` library; truncation and padding are turned off.
    """

    def __init__(self, inner: tokenizers.Tokenizer):
        inner.no_truncation()
        inner.no_padding()
        self._inner = inner

    @classmethod
    def train_bpe(cls, text: str, vocabulary: int) -> "Tokenizer":
        """Train byte-level byte-pair encoding, which encodes every text without loss.

        Source: Sennrich et al. 2016; on bytes, Radford et al. 2019.

        Args:
            vocabulary: largest number of tokens; 256 of them are the bytes.

        Raises:
            ModelError: `vocabulary` is too small for the bytes.
        """
        if vocabulary <= 256:
            raise ModelError(
                f"a vocabulary of {vocabulary} has no room for more than the 256 bytes; choose a "
                "larger one, such as 4096"
            )
        inner = tokenizers.Tokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocabulary,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        inner.train_from_iterator(_lines(text), trainer)
        return cls(inner)

    @classmethod
    def train_words(cls, text: str, vocabulary: int) -> "Tokenizer":
        """Train a vocabulary of the most frequent words and signs, each with the space before it.

        All other words and signs become `<unk>`.
        """
        inner = tokenizers.Tokenizer(models.WordLevel(unk_token=UNKNOWN))
        inner.pre_tokenizer = pre_tokenizers.Split(Regex(WORDS), "isolated")
        inner.decoder = decoders.Fuse()
        trainer = trainers.WordLevelTrainer(
            vocab_size=vocabulary, special_tokens=[UNKNOWN], show_progress=False
        )
        inner.train_from_iterator(_lines(text), trainer)
        return cls(inner)

    @classmethod
    def load(cls, path: str | Path) -> "Tokenizer":
        """Read a `tokenizer.json`.

        Raises:
            ModelError: it is missing or damaged.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(
                f"{path} cannot be read ({error}); give a model folder that has a {FILE}"
            ) from error

    @classmethod
    def from_json(cls, text: str) -> "Tokenizer":
        """Restore a tokenizer from the text of `to_json`.

        Raises:
            ModelError: the text is not such JSON.
        """
        try:
            return cls(tokenizers.Tokenizer.from_str(text))
        except Exception as error:  # the library raises no more specific class
            raise ModelError(
                f"a {FILE} is damaged ({error}); fetch it again, or train the model again"
            ) from error

    def to_json(self) -> str:
        return self._inner.to_str(pretty=True)

    def save(self, path: str | Path) -> None:
        write_text(path, self.to_json())

    def __len__(self) -> int:
        """Number of ids, V."""
        return self._inner.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """Token ids; no special tokens are added."""
        return self._inner.encode(text, add_special_tokens=False).ids

    def encode_lines(self, text: str) -> list[int]:
        """Encode a long text line by line, in parallel."""
        encoded = self._inner.encode_batch_fast(list(_lines(text)), add_special_tokens=False)
        return [i for line in encoded for i in line.ids]

    def encode_spans(
        self, text: str, special: bool = False
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Token ids, and the characters [start, end) of `text` of each token.

        Args:
            special: add special tokens of the model, such as [CLS]; their span is empty.
                empty.
        """
        encoded = self._inner.encode(text, add_special_tokens=special)
        return encoded.ids, encoded.offsets

    def decode(self, ids: Iterable[int]) -> str:
        return self._inner.decode(list(ids), skip_special_tokens=False)

    def show(self, token: int) -> str:
        """A token in readable form: · for a leading space, ⏎ for a line break."""
        piece = self._inner.id_to_token(token) or UNKNOWN
        if isinstance(self._inner.decoder, decoders.ByteLevel):
            piece = self.decode([token])
        elif piece[0] in MARKS:
            piece = " " + piece[1:]
        return piece.replace(" ", "·").replace("\n", "⏎")

    def word(self, word: str) -> int | None:
        """The token of a whole word; None if the word is split into several tokens.

        The token with a leading space, as in running text, is preferred.
        """
        for candidate in (f" {word}", word):
            ids = self.encode(candidate)
            if len(ids) == 1 and self._inner.id_to_token(ids[0]) != UNKNOWN:
                return ids[0]
        return None

    def words(self) -> dict[str, int]:
        """Ids of all tokens that are whole words of two letters or more, by word."""
        ids = {}
        for piece, token in self._inner.get_vocab().items():
            if piece[0] in MARKS:
                word = self.decode([token]).strip()
                if len(word) > 1 and word.isalpha():
                    ids[word] = token
        return dict(sorted(ids.items(), key=lambda item: item[1]))


def _lines(text: str) -> Iterator[str]:
    """Lines with their line ends, so that joining them gives the text."""
    yield from text.splitlines(keepends=True)
