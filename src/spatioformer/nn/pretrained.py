"""Weights that others trained: strict reading, and the sentences that name what does not fit."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from spatioformer.errors import ModelError

NAMED = 4  # how many tensor names a message lists before it counts the rest


def read_checkpoint(source: str | Path | Mapping[str, Any]) -> dict[str, Tensor]:
    """A flat state dict from a `torch.save` file, or from a mapping of tensors or numpy arrays.

    Files are read with `weights_only=True`: nothing in them is run.

    Raises:
        ModelError: the file is missing, unreadable, or holds anything but named tensors.
    """
    if isinstance(source, Mapping):
        state, name = source, "the state dict"
    else:
        state, name = _load(Path(source)), str(source)
    if not isinstance(state, Mapping):
        raise ModelError(f"{name} holds a {type(state).__name__}; save a flat state dict instead")
    try:
        return {key: torch.as_tensor(value) for key, value in state.items()}
    except (TypeError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{name} holds more than named tensors ({error}); save a flat state dict instead"
        ) from error


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise ModelError(f"{path} does not exist; give the path of a checkpoint") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint of tensors; save the state dict with torch.save"
        ) from error


def check_tensors(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], model: str) -> None:
    """Compare names and shapes of two state dicts.

    Raises:
        ModelError: one sentence that names each missing, unexpected and misshapen tensor.
    """
    misshapen = [
        f"{name} {tuple(found[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    troubles = {
        "missing": [name for name in expected if name not in found],
        "unexpected": [name for name in found if name not in expected],
        "misshapen": misshapen,
    }
    said = "; ".join(f"{what}: {_listed(names)}" for what, names in troubles.items() if names)
    if said:
        raise ModelError(f"the weights do not fit {model} ({said}); give a checkpoint made for it")


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def tensor_of(state: Mapping[str, Tensor], name: str, dims: int, model: str) -> Tensor:
    """The tensor called `name`, from which a size is about to be read.

    Raises:
        ModelError: it is missing or does not have `dims` dimensions.
    """
    if name not in state:
        raise ModelError(
            f"the weights do not fit {model} (missing: {name}); give a checkpoint made for it"
        )
    if state[name].ndim != dims:
        raise ModelError(
            f"the weights do not fit {model} (misshapen: {name} {tuple(state[name].shape)} instead "
            f"of {dims} dimensions); give a checkpoint made for it"
        )
    return state[name]
