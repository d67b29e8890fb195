"""Checkpoints: files from which an interrupted training continues."""

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spatioformer.common.errors import ModelError
from spatioformer.common.files import hash_value, writing

MARK = b"sha256:"
ENDING = len(MARK) + 32
"""Bytes of a checkpoint's checksum, which stands behind its content."""

RandomState = dict[str, torch.Tensor | None]


def identity(settings: Sequence[Any], data: Iterable[torch.Tensor | NDArray[Any] | None]) -> str:
    """Hash all that decides what a training ends with; a checkpoint belongs to one identity.

    Args:
        settings: of the network, the loss and the recipe, ready for JSON.
        data: every tensor or array of the training and the validation set. None, an absent one,
            counts too.

    Returns:
        SHA-256, hexadecimal.
    """
    return hash_value([*settings, [None if part is None else _hash(part) for part in data]])


def _hash(data: torch.Tensor | NDArray[Any]) -> list[Any]:
    """Type, shape and SHA-256 of the values."""
    array = data.cpu().numpy() if isinstance(data, torch.Tensor) else data
    array = np.ascontiguousarray(array)
    return [str(array.dtype), array.shape, hashlib.sha256(array.data).hexdigest()]


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state`: tensors, numbers and text in dicts and lists.

    Raises:
        OutputError: the file cannot be written; an older one there is kept.
    """
    with writing(path) as part:
        # Through memory: torch's own writer turns a full disk into an unclear error.
        buffer = io.BytesIO()
        torch.save(state, buffer)
        buffer.write(MARK + hashlib.sha256(buffer.getvalue()).digest())
        part.write_bytes(buffer.getbuffer())


def is_intact(path: Path) -> bool:
    """Whether a checkpoint is as it was written; True also for one of an older version."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return _body(content) is not None


def _is_zip(content: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            return parts.testzip() is None
    except (zipfile.BadZipFile, ValueError, OSError):
        return False


def _body(content: bytes) -> bytes | None:
    """A checkpoint's content without its checksum; None where the checksum is another."""
    body, end = content[:-ENDING], content[-ENDING:]
    if not end.startswith(MARK):  # versions before 0.2 wrote none
        return content if _is_zip(content) else None
    return body if hashlib.sha256(body).digest() == end[len(MARK) :] else None


@contextmanager
def restoring(path: Path) -> Iterator[dict[str, Any]]:
    """Read a checkpoint and hand its state to the block, which restores a training from it.

    Raises:
        ModelError: the file cannot be read, or the block raises any exception.
    """
    try:
        body = _body(path.read_bytes())
        if body is None:
            raise ValueError("its checksum is wrong")
        yield torch.load(io.BytesIO(body), weights_only=True, map_location="cpu")
    except Exception as error:  # a damaged file, or one of another network, can fail in any way
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"checkpoint {path} belongs to another training or is damaged ({reason}); delete it, "
            "or train with --no-resume"
        ) from error


def random_state(device: torch.device) -> RandomState:
    """State of torch's generators: the CPU's, and the one of `device` if it is a GPU."""
    cuda = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: RandomState, device: torch.device) -> None:
    """Set the generators to a `random_state`; a GPU's part is used on a GPU only."""
    cpu, cuda = state["cpu"], state["cuda"]
    assert cpu is not None, "every state has the CPU's part"
    torch.set_rng_state(cpu)
    if cuda is not None and device.type == "cuda":
        torch.cuda.set_rng_state(cuda, device)
