"""The file that a training in progress leaves behind, to be taken up again."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from spatioformer.common.errors import ModelError
from spatioformer.common.files import writing


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`: tensors, numbers and text in dicts and lists.

    Raises:
        OutputError: the file cannot be written; an older one there is kept.
    """
    with writing(path) as part:
        # Through memory: torch's own writer turns a full disk into an unclear error.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        part.write_bytes(buffer.getbuffer())


@contextmanager
def restoring(path: Path, remedy: str) -> Iterator[dict[str, Any]]:
    """The state in a file, for a block that takes it up.

    Args:
        remedy: what to do besides deleting the file, ends the sentence.

    Raises:
        ModelError: reading it, or the block, fails in any way.
    """
    try:
        yield torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:  # what is no pickle, or another network's, can fail in any way
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"checkpoint {path} belongs to another training or is damaged ({said}); delete it, "
            f"or {remedy}"
        ) from error


def random_state() -> dict[str, torch.Tensor | None]:
    """Of torch's generators, CPU and (where there is one) CUDA."""
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, torch.Tensor | None]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
