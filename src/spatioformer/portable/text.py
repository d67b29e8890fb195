"""What is in the ONNX file of a text transformer: token ids in, logits of the next token out."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatioformer.nn import GPT
from spatioformer.portable.graph import Graph, Port
from spatioformer.text.model import TextModel


class Logits(nn.Module):
    """A GPT as a function of the token ids alone."""

    def __init__(self, network: GPT):
        super().__init__()
        self.network = network

    def forward(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n tokens V"]:
        return self.network(ids)


def text_graph(model: TextModel, licence: str | None) -> Graph:
    """The graph of a GPT; its tokenizer.json is in the metadata.

    Args:
        licence: SPDX name that the model folder states.
    """
    network = model.gpt.float()
    vocabulary, context = network.config["vocabulary"], network.config["context"]
    facts: dict[str, Any] = {
        "about": f"a text transformer of {sum(p.numel() for p in network.parameters()):,} "
        "parameters; it predicts the token after each token",
        "kind": "text",
        "vocabulary": vocabulary,
        "context": context,
        "licence": licence or "not stated",
        "tokenizer.json": model.tokenizer.to_json(),
    }

    def draw(count: int) -> tuple[Tensor]:
        generator = torch.Generator().manual_seed(count)
        # Several lengths, of which one may be a single token.
        tokens = min(context, 1 + 2 * (count - 1))
        return (torch.randint(vocabulary, (count, tokens), generator=generator),)

    return Graph(
        Logits(network),
        (
            Port(
                "ids",
                ("n", "tokens"),
                f"token ids in 0 .. {vocabulary - 1}, at most {context} a row; int64",
            ),
        ),
        Port(
            "logits",
            ("n", "tokens", vocabulary),
            "logits of the token after each token, no unit; their softmax is its probability",
        ),
        draw,
        facts,
        {"tokens": (1, context)},
    )
