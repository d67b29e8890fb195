"""Train in several processes that `torchrun` started; in one process, everything here does nothing.

Each process holds all plots and computes its share of every batch. The first process is the leader:
it alone writes files.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

TIMEOUT = timedelta(hours=12)  # the other processes wait while the leader prepares imagery


def launched() -> bool:
    """Whether torchrun started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leads() -> bool:
    """Whether this process writes files."""
    return int(os.environ.get("RANK", "0")) == 0 if launched() else True


@contextmanager
def group() -> Iterator[None]:
    """Connect the processes during the block; at its end the leader dismisses the others.

    If the block fails, torchrun ends the processes that still wait.
    """
    if not launched():
        yield
        return
    import torch
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=TIMEOUT)
    yield
    if leads():
        _broadcast(None)
    dist.destroy_process_group()


def leave(code: str | int | None) -> None:
    """End this process at once if it is one of several and `code` reports no error.

    Gloo's threads outlive `destroy_process_group`. While Python shut down, they once aborted a
    process that had done all its work ("terminate called without an active exception").
    """
    if launched() and not code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def call_to_train(checkpoint: str) -> None:
    """As the leader, tell the other processes to join the training of this checkpoint."""
    if _connected():
        _broadcast(checkpoint)


def called() -> Iterator[str]:
    """Yield the checkpoint of each training of the leader, until it dismisses this process."""
    while (checkpoint := _broadcast(None)) is not None:
        yield checkpoint


def _broadcast(message: str | None) -> str | None:
    """Return the leader's message in every process; the messages of the others are ignored."""
    import torch
    import torch.distributed as dist

    messages = [message]
    dist.broadcast_object_list(messages, src=0, device=torch.device("cpu"))
    return messages[0]


def _connected() -> bool:
    """Whether this process is inside `group` together with others."""
    if not launched():
        return False
    import torch.distributed as dist

    return dist.is_initialized()


def rank() -> int:
    """Number of this process, counted from 0; the leader's is 0."""
    import torch.distributed as dist

    return dist.get_rank() if _connected() else 0


def processes() -> int:
    """Number of processes that train together."""
    import torch.distributed as dist

    return dist.get_world_size() if _connected() else 1


def process_device(name: str) -> "torch.device":
    """Return the device called `name`; "cuda" is the GPU with this process's number."""
    import torch

    if name == "cuda" and _connected():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def share(rows: "torch.Tensor") -> "torch.Tensor":
    """Return this process's rows of a batch: none if there are fewer rows than processes."""
    return rows.tensor_split(processes())[rank()]


def data_parallel(network: "nn.Module") -> "nn.Module":
    """Wrap a network so that each backward pass averages its gradients over the processes."""
    if not _connected():
        return network
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, find_unused_parameters=True)


@contextmanager
def without_sync(network: "nn.Module", active: bool) -> Iterator[None]:
    """If `active`, do not average the gradients of a `data_parallel` network in the block.

    They add up, and the next backward pass outside averages their sum.
    """
    wrapped: Any = network  # by `data_parallel`, and perhaps by torch.compile
    with wrapped.no_sync() if active and _connected() else nullcontext():
        yield


def average_gradients(module: "nn.Module") -> None:
    """Average the gradients of a module that is not `data_parallel` over the processes."""
    if not _connected():
        return
    import torch.distributed as dist

    for parameter in module.parameters():
        assert parameter.grad is not None, "average after the backward pass"
        dist.all_reduce(parameter.grad)
        parameter.grad /= processes()


def summed(value: "torch.Tensor") -> float:
    """Return the sum of the values of all processes."""
    if _connected():
        import torch.distributed as dist

        value = value.clone()
        dist.all_reduce(value)
    return float(value)
