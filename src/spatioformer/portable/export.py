"""Export the model of a folder, whichever kind it is."""

from pathlib import Path
from typing import Any

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json
from spatioformer.models.licence import licence_in
from spatioformer.portable.graph import Graph, Written, write

CONFIG = "config.json"


def export_model(folder: str | Path, out: str | Path) -> Written:
    """Write the model of a folder as an ONNX file, and check the file with onnxruntime.

    Args:
        folder: of a model of plots, of `text train`, of `vision train`, or a Hugging Face folder of
            a GPT-2, a BERT encoder or a ViT.
        out: the file to write.

    Raises:
        ModelError: the model cannot be read or exported, or the file does not give its predictions.
        OutputError: the file cannot be written.
    """
    return write(_graph(Path(folder)), Path(out))


def _graph(folder: Path) -> Graph:
    config, licence = _config(folder), licence_in(folder)
    kind = config.get("model_type")
    if kind == "gpt2":
        from spatioformer.portable.text import text_graph
        from spatioformer.text.model import TextModel

        return text_graph(TextModel.open(folder), licence)
    if kind == "bert":
        from spatioformer.portable.text import encoder_graph
        from spatioformer.text.model import TextModel

        return encoder_graph(TextModel.open_encoder(folder), licence)
    if kind == "vit" or (kind is None and "architecture" in config):
        from spatioformer.portable.vision import vision_graph
        from spatioformer.vision.model import VisionModel

        return vision_graph(VisionModel.open(folder), licence)
    if kind is not None:
        raise ModelError(
            f"{folder} holds a model of type {kind!r}, which cannot be exported; give a model of "
            "plots, a gpt2, a bert or a vit"
        )
    from spatioformer.models.store import load
    from spatioformer.portable.network import network_graph

    return network_graph(load(folder), licence)


def _config(folder: Path) -> dict[str, Any]:
    """The content of config.json; empty where it cannot be read, so that the opener says why."""
    try:
        config = read_json(folder / CONFIG)
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}
