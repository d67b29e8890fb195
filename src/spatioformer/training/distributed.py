"""Training shared by the processes that `torchrun` started; alone, everything here does nothing.

Each process holds all plots and computes its share of every batch. The first one leads: it alone
writes files.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import nn

PATIENCE = timedelta(hours=12)  # the others wait while the leader prepares imagery


def launched() -> bool:
    """Whether torchrun started this process together with others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def leads() -> bool:
    """Whether this process writes files."""
    return int(os.environ.get("RANK", "0")) == 0 if launched() else True


@contextmanager
def group() -> Iterator[None]:
    """Processes meet at the start of the block; the leader dismisses the others at its end.

    When the block fails, torchrun ends the processes that still wait.
    """
    if not launched():
        yield
        return
    import torch
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=PATIENCE)
    yield
    if leads():
        _tell(None)
    dist.destroy_process_group()


def leave(code: str | int | None) -> None:
    """End this process, if it is one of several and all went well.

    Gloo's threads outlive `destroy_process_group`, and once aborted a process that had done all its
    work ("terminate called without an active exception") while Python was taking itself down.
    """
    if launched() and not code:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def call_to_train(checkpoint: str) -> None:
    """The leader starts a training, in which the others join."""
    if _together():
        _tell(checkpoint)


def called() -> Iterator[str]:
    """The checkpoint of each training that the leader starts, until it dismisses this process."""
    while (checkpoint := _tell(None)) is not None:
        yield checkpoint


def _tell(word: str | None) -> str | None:
    """What the leader says, heard by all; the others' own `word` does not matter."""
    import torch
    import torch.distributed as dist

    words = [word]
    dist.broadcast_object_list(words, src=0, device=torch.device("cpu"))
    return words[0]


def _together() -> bool:
    if not launched():
        return False
    import torch.distributed as dist

    return dist.is_initialized()


def rank() -> int:
    import torch.distributed as dist

    return dist.get_rank() if _together() else 0


def processes() -> int:
    import torch.distributed as dist

    return dist.get_world_size() if _together() else 1


def own_device(name: str) -> "torch.device":
    """The device called `name`; of several GPUs in a machine the one that is this process's."""
    import torch

    if name == "cuda" and _together():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def share(rows: "torch.Tensor") -> "torch.Tensor":
    """This process's rows of a batch, none where there are fewer rows than processes."""
    return rows.tensor_split(processes())[rank()]


def wrapped(network: "nn.Module") -> "nn.Module":
    """The network, its gradients averaged over the processes as they are computed."""
    if not _together():
        return network
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, find_unused_parameters=True)


@contextmanager
def apart(network: "nn.Module", yes: bool) -> Iterator[None]:
    """With `yes`, gradients of a `wrapped` network stay this process's, until others follow."""
    with network.no_sync() if yes and _together() else nullcontext():
        yield


def average_gradients(module: "nn.Module") -> None:
    """The same for the few parameters of a module that is not `wrapped`."""
    if not _together():
        return
    import torch.distributed as dist

    for parameter in module.parameters():
        dist.all_reduce(parameter.grad)
        parameter.grad /= processes()


def summed(value: "torch.Tensor") -> float:
    """The sum of the processes' values, the same in each of them."""
    if _together():
        import torch.distributed as dist

        value = value.clone()
        dist.all_reduce(value)
    return float(value)
