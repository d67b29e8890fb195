"""The chain from a text to the next token, step by step: ids, vectors, attention, MLP, logits."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spatioformer.common.errors import ModelError
from spatioformer.nn.gpt import GPT
from spatioformer.nn.trace import Trace, trace_encoder, trace_gpt
from spatioformer.text.model import TextModel
from spatioformer.tracing.panels import Panel, Rows, layer_panels, ranking, vectors

LIKELIEST = 10  # next tokens that are shown


@dataclass(frozen=True)
class TextTrace:
    """A recorded reading of a text.

    Attributes:
        text: as given.
        tokens: (T,) in readable form, special tokens included.
        vocabulary: readable form of each token that may follow; empty for an encoder.
        trace: the arrays, as `nn.trace` names them.
    """

    text: str
    tokens: list[str]
    vocabulary: list[str]
    trace: Trace

    def next(self, count: int = LIKELIEST) -> list[tuple[str, float]]:
        """The likeliest next tokens and their probabilities; empty for an encoder."""
        if not self.vocabulary:
            return []
        shares = self.trace["probabilities"][-1]
        order = np.argsort(-shares, kind="stable")[:count]
        return [(self.vocabulary[i], float(shares[i])) for i in order]

    def panels(self, layer: int, head: int) -> Rows:
        """What is shown of the chain, with one layer and head, counted from 1.

        Raises:
            ModelError: the layer or the head does not exist.
        """
        trace, names = self.trace, self.tokens
        trace.check(layer, head)
        ids = [f"{number} {token}" for token, number in zip(self.tokens, trace["ids"], strict=True)]
        added = "summed" if "summed" in trace else "input"
        start = [
            vectors(
                "Ids, tokens, and their vectors",
                "a row of the embedding matrix for each id",
                trace["embedding"],
                ids,
            ),
            vectors("Position vectors", "one for each place", trace["positions"], names),
        ]
        formula = "vector of the token + vector of its position"
        if added == "summed":
            formula += " + vector of the segment, normalised"
        first = vectors("Input of the first layer", formula, trace["input"], names)
        output = vectors(
            "Output of the last layer", trace.steps["output"].about, trace["output"], names
        )
        rows = [start, [first], *layer_panels(trace, layer, head, names), [output]]
        if self.vocabulary:
            rows[-1].append(self._next_tokens())
        return rows

    def _next_tokens(self) -> Panel:
        logits = self.trace["logits"][-1]
        return ranking(
            f"Next token after “{self.tokens[-1]}”, and its logit",
            "logits = embedding matrix · last row; their softmax",
            [f"{name}  {logit:.2f}" for name, logit in zip(self.vocabulary, logits, strict=True)],
            self.trace["probabilities"][-1],
            "probability",
            LIKELIEST,
        )

    def as_json(self, layer: int | None = None) -> dict[str, Any]:
        """JSON values: text, tokens and the arrays of `Trace.as_json`."""
        likeliest = [{"token": token, "probability": p} for token, p in self.next()]
        facts = {"text": self.text, "tokens": self.tokens, "next": likeliest}
        return facts | self.trace.as_json(layer)


def trace_text(model: TextModel, text: str) -> TextTrace:
    """Record what a text model computes for a text.

    Raises:
        ModelError: the text is empty or longer than the context.
    """
    ids, spans = model.tokenizer.encode_spans(text, special=not model.causal)
    if all(start == end for start, end in spans):
        raise ModelError(f"the text {text!r} has no tokens; give at least one word")
    tokens = [model.tokenizer.show(i) for i in ids]
    if isinstance(model.network, GPT):
        trace = trace_gpt(model.network, torch.tensor(ids))
        return TextTrace(text, tokens, _vocabulary(model), trace)
    return TextTrace(text, tokens, [], trace_encoder(model.network, torch.tensor(ids)))


def _vocabulary(model: TextModel) -> list[str]:
    """Readable form of each id of the network, also of those without a token."""
    known = len(model.tokenizer)
    return [
        model.tokenizer.show(i) if i < known else f"<{i}>"
        for i in range(model.network.config["vocabulary"])
    ]
