"""What is in the ONNX file of a text transformer: token ids in, logits or vectors out."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from spatioformer.nn import GPT, TextEncoder
from spatioformer.portable.graph import Graph, Port
from spatioformer.text.model import TextModel


class Logits(nn.Module):
    """A GPT as a function of the token ids alone."""

    def __init__(self, network: GPT):
        super().__init__()
        self.network = network

    def forward(self, ids: Int[Tensor, "n tokens"]) -> Float[Tensor, "n tokens V"]:
        return self.network(ids)


class Vectors(nn.Module):
    """An encoder as a function of the token ids and their mask."""

    def __init__(self, network: TextEncoder):
        super().__init__()
        self.network = network

    def forward(
        self, ids: Int[Tensor, "n tokens"], mask: Int[Tensor, "n tokens"]
    ) -> Float[Tensor, "n tokens D"]:
        return self.network(ids, mask)


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


def encoder_graph(model: TextModel, licence: str | None) -> Graph:
    """The graph of a BERT encoder; its tokenizer.json is in the metadata.

    Args:
        licence: SPDX name that the model folder states.
    """
    network = model.network.float()
    assert isinstance(network, TextEncoder), "`TextModel.open_encoder` opens no other network"
    vocabulary, context, width = (network.config[k] for k in ("vocabulary", "context", "width"))
    facts: dict[str, Any] = {
        "about": f"a text encoder of {sum(p.numel() for p in network.parameters()):,} parameters; "
        "it gives each token a vector that depends on all tokens",
        "kind": "encoder",
        "vocabulary": vocabulary,
        "context": context,
        "licence": licence or "not stated",
        "tokenizer.json": model.tokenizer.to_json(),
    }

    def draw(count: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(count)
        tokens = min(context, 1 + 2 * (count - 1))
        ids = torch.randint(vocabulary, (count, tokens), generator=generator)
        lengths = 1 + torch.arange(count) % tokens  # rows of several lengths
        return ids, (torch.arange(tokens) < lengths[:, None]).long()

    axes = ("n", "tokens")
    return Graph(
        Vectors(network),
        (
            Port(
                "ids",
                axes,
                f"token ids in 0 .. {vocabulary - 1}, at most {context} a row, with the special "
                "tokens of the tokenizer; int64",
            ),
            Port("mask", axes, "1 for a token, 0 for what fills a shorter row at its end; int64"),
        ),
        Port(
            "vectors",
            (*axes, width),
            "vector of each token after the last layer, no unit; leave out those with mask 0",
        ),
        draw,
        facts,
        {"tokens": (1, context)},
    )
