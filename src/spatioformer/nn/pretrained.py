"""Read and write weights on disk: `torch.save` checkpoints and Hugging Face folders.

Reading never runs code from a file: pickles are read with `weights_only=True`, folders only as
safetensors.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from spatioformer.common.errors import ModelError
from spatioformer.common.files import write_json, writing

ActivationName = TypeVar("ActivationName", bound=str)

CONFIG, WEIGHTS = "config.json", "model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
"""Names the file of each tensor when the weights are in several files."""


def read_checkpoint(source: str | Path | Mapping[str, Any]) -> dict[str, Tensor]:
    """A flat state dict from a `torch.save` file, or from a mapping of tensors or numpy arrays.

    Raises:
        ModelError: the file is missing, unreadable, or holds anything but named tensors.
    """
    if isinstance(source, Mapping):
        state, name = source, "the state dict"
    else:
        state, name = _unpickle(Path(source)), str(source)
    if not isinstance(state, Mapping):
        raise ModelError(f"{name} holds a {type(state).__name__}; save a flat state dict instead")
    try:
        return {key: torch.as_tensor(value) for key, value in state.items()}
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} holds more than named tensors ({error}); save a flat state dict instead"
        ) from error


def _unpickle(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; give the path of a checkpoint") from error
    except Exception as error:  # a file that is no pickle can raise any exception
        raise ModelError(
            f"{path} cannot be read as a checkpoint of tensors; save the state dict with torch.save"
        ) from error


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ModelError: the file is missing, truncated or of another format.
    """
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError as error:
        raise ModelError(
            f"{path} does not exist; only safetensors are read, so convert other weights first"
        ) from error
    except (OSError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{path} cannot be read as safetensors ({error}); fetch or save it again"
        ) from error


def write_weights(path: str | Path, state: Mapping[str, Tensor]) -> None:
    """Write a safetensors file whole or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    # Not save_file: its failures are no OSError, so a full disk would have no name.
    content = safetensors.torch.save(dict(state), metadata={"format": "pt"})
    with writing(path) as part:
        part.write_bytes(content)


def read_folder(folder: str | Path, model_type: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a Hugging Face model folder.

    Args:
        folder: holds config.json and model.safetensors, or its parts and their index.
        model_type: expected in the configuration, such as "gpt2".

    Raises:
        ModelError: a file is missing or unreadable, or the model is of another type.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read ({error}); give a folder with {CONFIG} and {WEIGHTS}"
        ) from error
    stated = config.get("model_type") if isinstance(config, dict) else None
    if stated != model_type:
        raise ModelError(
            f"{folder} holds a model of type {stated!r}; give one of type {model_type!r}"
        )
    return config, _weights_of(Path(folder))


def _weights_of(folder: Path) -> dict[str, Tensor]:
    """The tensors of a model folder, in one file or in the files that its index names.

    Raises:
        ModelError: a file is missing, unreadable, or outside the folder.
    """
    index = folder / INDEX
    if (folder / WEIGHTS).exists() or not index.exists():
        return read_weights(folder / WEIGHTS)
    try:
        places = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        parts = sorted(set(places.values()))
        outside = [part for part in parts if not re.fullmatch(r"[\w-][\w.-]*\.safetensors", part)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{index} cannot be read ({type(error).__name__}: {error}); fetch it again"
        ) from error
    if outside:
        raise ModelError(
            f"{index} names {outside[0][:100]!r}, which is not a safetensors file in its folder; "
            "fetch it again"
        )
    state: dict[str, Tensor] = {}
    for part in parts:
        state |= read_weights(folder / part)
    missing = sorted(places.keys() - state.keys())
    if missing:
        raise ModelError(
            f"{index} names {missing[0]!r}, which is not in {places[missing[0]]}; fetch both again"
        )
    return {name: state[name] for name in places}


def write_folder(
    folder: str | Path, config: Mapping[str, Any], state: Mapping[str, Tensor]
) -> None:
    """Write a Hugging Face model folder, the counterpart of `read_folder`.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_weights(Path(folder) / WEIGHTS, state)
    write_json(Path(folder) / CONFIG, config)


def size(config: Mapping[str, Any], key: str, model: str) -> int:
    """Read a whole number above 0 from a configuration.

    Raises:
        ModelError: it is missing or something else.
    """
    value = config.get(key)
    if type(value) is not int or value < 1:
        raise ModelError(
            f"the configuration of {model} has {key} = {value!r}; give a {CONFIG} in which it is a "
            "whole number above 0"
        )
    return value


def activation_of(name: str, known: Mapping[str, ActivationName], model: str) -> ActivationName:
    """Our name of an activation, from a table of their names.

    Raises:
        ModelError: the table does not have it.
    """
    if name not in known:
        raise ModelError(
            f"{model} with activation {name!r} is not supported; "
            f"choose a model with one of {', '.join(sorted(known))}"
        )
    return known[name]
