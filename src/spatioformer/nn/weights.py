"""Load the weights of a network from a safetensors file, all of them or none."""

from collections.abc import Collection
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from spatioformer.common.errors import ModelError


def load_weights(
    network: nn.Module, path: Path, beside: Collection[str] = ()
) -> dict[str, torch.Tensor]:
    """Load a safetensors file into `network`.

    Args:
        beside: names of tensors that the file holds besides the network's.

    Returns:
        The tensors beside the network's, by name.

    Raises:
        ModelError: the file is damaged, or holds other tensors than the network.
    """
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(
            f"{path} is damaged or cut short ({error}); copy or train the model again"
        ) from error
    expected = network.state_dict()
    wrong = (
        [f"{k} is missing" for k in {*expected, *beside} - state.keys()]
        + [f"{k} is not part of it" for k in state.keys() - {*expected, *beside}]
        + [
            f"{k} is {tuple(state[k].shape)}, not {tuple(expected[k].shape)}"
            for k in expected.keys() & state.keys()
            if expected[k].shape != state[k].shape
        ]
    )
    if wrong:
        raise ModelError(
            f"{path} does not fit its config.json: {sorted(wrong)[0]} ({len(wrong)} such tensors); "
            "the two files belong to different models"
        )
    broken = sorted(k for k, v in state.items() if not torch.isfinite(v).all())
    if broken:
        raise ModelError(
            f"{path} holds values of {broken[0]} that are not finite; copy or train the model again"
        )
    network.load_state_dict({k: v for k, v in state.items() if k in expected})
    return {name: state[name] for name in beside}
