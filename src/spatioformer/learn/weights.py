"""Small models as JSON values, for the pages that run them (page/transformer.js).

Shapes: those of each tensor of the network.
"""

import base64
import json
from typing import Any

import numpy as np
from torch import nn

from spatioformer.models.network import NetworkModel
from spatioformer.nn.spatioformer import Spatioformer
from spatioformer.nn.transformer import BlockConfig
from spatioformer.text.model import TextModel
from spatioformer.text.trace import trace_text

Json = dict[str, Any]


def text_model(model: TextModel) -> Json:
    """A GPT of `text train` and its tokenizer."""
    config = model.gpt.config
    names = ("vocabulary", "context", "width", "heads", "layers", "activation", "eps")
    kept = {name: config[name] for name in names}  # type: ignore[literal-required]
    return {"config": kept, "tensors": _tensors(model.gpt), "tokenizer": _tokenizer(model)}


def place_model(model: NetworkModel) -> Json:
    """A Spatioformer that takes pixels, in their piecewise encoding, and sphere waves alone."""
    network, scaling = model.network, model.scaling
    assert isinstance(network, Spatioformer)
    assert scaling is not None
    location = network.config["location"]
    assert location is not None
    assert location["name"] == "sphere"
    assert network.config["edges"] is not None
    assert (scaling.link, scaling.quantiles) == ("log", None)
    assert (network.config["covariates"], network.config["tokens"]) == (0, "pixels")
    config = {
        "patch": network.config["patch"],
        "width": network.config["width"],
        "heads": network.config["heads"],
        "layers": network.config["layers"],
        "activation": "gelu",
        "eps": BlockConfig(1, 1, 1).eps,
        "wavelengths": list(location["wavelengths"]),
        "band_mean": list(scaling.band_mean),
        "band_sd": list(scaling.band_sd),
        "target_mean": scaling.target_mean,
    }
    return {"config": config, "tensors": _tensors(network)}


def _tensors(network: nn.Module) -> dict[str, str]:
    """Weights by their names: base64 of little-endian float32, row by row."""
    return {
        name: base64.b64encode(tensor.numpy().astype("<f4").tobytes()).decode()
        for name, tensor in network.state_dict().items()
    }


def _tokenizer(model: TextModel) -> Json:
    """What page/tokenizer.js reads."""
    inner = json.loads(model.tokenizer.to_json())["model"]
    kinds = {"BPE": "bpe", "WordLevel": "words"}
    pieces = sorted(inner["vocab"], key=inner["vocab"].__getitem__)
    assert [inner["vocab"][piece] for piece in pieces] == list(range(len(pieces)))
    return {
        "kind": kinds[inner["type"]],
        "pieces": pieces,
        "shown": trace_text(model, "a").vocabulary,
        "merges": [" ".join(pair) for pair in inner.get("merges", [])],
    }


def packed(values: np.ndarray) -> str:
    """Base64 of values of one byte, 0 to 255, row by row."""
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()
