"""Which of the project's three models a folder holds."""

from pathlib import Path
from typing import Any, Literal

from spatioformer.common.errors import ModelError
from spatioformer.common.files import read_json

Kind = Literal["run", "text", "vision"]

CONFIG = "config.json"
RUN = "config.resolved.yaml"
TEXT = ("gpt2", "bert")


def kind_of(folder: str | Path) -> Kind:
    """Kind of a folder, from its files alone: no weights are read.

    Raises:
        ModelError: the folder is neither a run nor a text or vision model.
    """
    folder = Path(folder)
    if (folder / RUN).is_file():
        return "run"
    config = _config(folder / CONFIG)
    if config.get("model_type") in TEXT:
        return "text"
    if config.get("model_type") == "vit" or str(config.get("architecture", "")).startswith("vit_"):
        return "vision"
    raise ModelError(
        f"{folder} is neither a run folder nor a text or vision model; give a folder that "
        "`spatioformer run`, `text train` or `vision train` wrote"
    )


def holds_model(folder: str | Path) -> bool:
    """Whether a folder holds a text or vision model."""
    try:
        return kind_of(folder) != "run"
    except ModelError:
        return False


def _config(path: Path) -> dict[str, Any]:
    """Content of a config.json, or an empty dict."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
