"""The published network's blocks on compiled kernels (extra `fast`: numba), on a CPU in float32.

Shapes: B chips, P patch side, T tokens, D width, F hidden width, L = LANES chips in a pack,
G = ceil(B / L) packs.

`forward(network, chips, lon, lat)` gives what `network(chips, lon, lat)` gives, up to rounding and
to the numbers that dropout draws, with gradients. Where the kernels do not apply (see `applies`) it
calls the network itself. The network's own forward stays the reference.

What makes it fast: the MLP's hidden layer and the attention weights never leave the processor's
registers and first cache; the backward pass computes them again; the head's two linear layers,
with no activation between, are one vector.

The kernels' results depend on the number of threads in no bit: packs are shared out in parts of a
fixed size, each with a key of its own for dropout, and gradients are summed in the parts' order.
"""

import importlib.util
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spatioformer.nn.dropout import LEVELS
from spatioformer.nn.paper import PaperSpatioformer, check_chips
from spatioformer.nn.transformer import Block

PART = 8  # packs that one thread takes at a time


class _Kernels(NamedTuple):
    """The modules of `spatioformer.nn.kernels` and their sizes."""

    attention: ModuleType
    mlp: ModuleType
    lanes: int
    units: int


@cache
def _kernels() -> _Kernels | None:
    """None where numba is not installed."""
    if importlib.util.find_spec("numba") is None:
        return None
    from spatioformer.nn.kernels import attention, mlp, parts, simd

    return _Kernels(attention, mlp, simd.LANES, parts.UNITS)


def forward(
    network: nn.Module, chips: Float[Tensor, "B P P bands"], *others: Tensor
) -> Float[Tensor, "B"]:
    """`network(chips, *others)`, by the kernels where they apply.

    Args:
        others: what else the network takes: lon and lat (B, P, P), of some networks covariates.

    Raises:
        ModelError: the chips are not P x P pixels of `bands` bands.
    """
    if not len(chips) or not applies(network, chips):
        return network(chips, *others)
    lon, lat = others
    check_chips(chips, network.config["patch"], network.config["bands"])
    x = _pack(_tokens(network, chips, lon, lat))
    for block in network.transformer.blocks:
        x = _mlp_half(block, _attention_half(block, x))
    return _head(network.head, x)[: len(chips)]


def applies(network: nn.Module, chips: Tensor) -> bool:
    """Whether `forward` uses the kernels: a PaperSpatioformer in float32 on a CPU, its width a
    multiple of LANES, one state of dropout throughout, and numba installed."""
    if not isinstance(network, PaperSpatioformer) or torch.is_autocast_enabled("cpu"):
        return False
    kernels = _kernels()
    if kernels is None:
        return False
    places = {
        (module.p, module.active)
        for module in network.transformer.modules()
        if isinstance(module, nn.Dropout)
    }
    return (
        len(places) == 1
        and network.config["width"] % kernels.lanes == 0
        and all(
            tensor.dtype == torch.float32 and tensor.device.type == "cpu"
            for tensor in (chips, *network.parameters())
        )
    )


def _tokens(network: PaperSpatioformer, chips: Tensor, lon: Tensor, lat: Tensor) -> Tensor:
    """What enters the transformer, (B, T, D): the class token, then the located pixels."""
    width = network.config["width"]
    x = network.embedding(chips.flatten(1, 2)) * width**0.5
    if network.geolocation is not None:
        x = x + network.geolocation(lon.flatten(1), lat.flatten(1))
    return torch.cat([network.class_token.expand(len(chips), 1, width), x], dim=1)


def _pack(tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "G T D L"]:
    """Chips in the lanes of packs; the last pack is filled with zeros."""
    lanes = _kernels().lanes
    missing = -len(tokens) % lanes
    if missing:
        tokens = F.pad(tokens, (0, 0, 0, 0, 0, missing))
    return tokens.unflatten(0, (-1, lanes)).permute(0, 2, 3, 1).contiguous()


def _head(head: nn.Sequential, x: Float[Tensor, "G T D L"]) -> Float[Tensor, "G*L"]:
    """u . (A x + a) + s as (u A) . x + (u . a + s)."""
    first, last = head
    weight, bias = last.weight @ first.weight, last.weight @ first.bias + last.bias
    return (weight @ x.flatten(1, 2)).flatten() + bias  # (1, T*D) @ (G, T*D, L)


def _attention_half(block: Block, x: Tensor) -> Tensor:
    attention, norm = block.attention, block.attention_norm
    return _AttentionHalf.apply(
        x,
        attention.qkv.weight,
        attention.qkv.bias,
        attention.out.weight,
        attention.out.bias,
        norm.weight,
        norm.bias,
        norm.eps,
        attention.heads,
        *_dropout(block, len(x)),
    )


def _mlp_half(block: Block, x: Tensor) -> Tensor:
    up, down, norm = block.mlp.up, block.mlp.down, block.mlp_norm
    extra = -len(up.bias) % _kernels().units  # units that stay silent
    return _MLPHalf.apply(
        x,
        F.pad(up.weight, (0, 0, 0, extra)),
        F.pad(up.bias, (0, extra)),
        F.pad(down.weight, (0, extra)).T,
        down.bias,
        norm.weight,
        norm.bias,
        norm.eps,
        *_dropout(block, len(x)),
    )


def _dropout(block: Block, packs: int) -> tuple[int, Int[Tensor, "parts 2"]]:
    """How many of 65536 are dropped, and a key a part that says which, from torch's generator."""
    parts = -(-packs // PART)
    if not block.dropout.active:
        return 0, torch.zeros(parts, 2, dtype=torch.int32)
    keys = torch.randint(-(2**31), 2**31, (parts, 2), dtype=torch.int32)
    return round(block.dropout.p * LEVELS), keys


class _AttentionHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, qkv, qkv_bias, out, out_bias, gain, shift, eps, heads, dropped, keys):
        kernel, _ = _kernels().attention.kernels(x.shape[2] // heads)
        mixed, total, result = (torch.empty_like(x) for _ in range(3))
        weights = [_flat(tensor) for tensor in (qkv, qkv_bias, out, out_bias, gain, shift)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            kernel(
                _flat(x[part]),
                tokens,
                *weights,
                eps,
                dropped,
                bits[i],
                *(_flat(array[part]) for array in (mixed, total, result)),
            )

        _share(run, len(x))
        ctx.save_for_backward(x, mixed, total, qkv, qkv_bias, out, gain, keys)
        ctx.constants = eps, heads, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, mixed, total, qkv, qkv_bias, out, gain, keys = ctx.saved_tensors
        eps, heads, dropped = ctx.constants
        _, kernel = _kernels().attention.kernels(x.shape[2] // heads)
        width, lanes = x.shape[2:]
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [_flat(tensor) for tensor in (qkv, qkv_bias, qkv.T, out.T, gain)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")
        shapes = [(3 * width, width), (3 * width, lanes), (width, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            kernel(
                *(_flat(array[part]) for array in (gradient, x, mixed, total)),
                tokens,
                *weights,
                eps,
                dropped,
                bits[i],
                _flat(x_gradient[part]),
                *map(_flat, sums),
            )
            return sums

        qkv, qkv_bias, out, *vectors = _summed(_share(run, len(x)))
        return x_gradient, qkv, qkv_bias.sum(1), out, *(v.sum(1) for v in vectors), *[None] * 4


class _MLPHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, up, up_bias, down, down_bias, gain, shift, eps, dropped, keys):
        kernel = _kernels().mlp.forward
        total, result = torch.empty_like(x), torch.empty_like(x)
        weights = [_flat(tensor) for tensor in (up, up_bias, down, down_bias, gain, shift)]
        bits = keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            kernel(
                _flat(x[part]),
                *weights,
                eps,
                dropped,
                bits[i],
                _flat(total[part]),
                _flat(result[part]),
            )

        _share(run, len(x))
        ctx.save_for_backward(x, total, up, up_bias, down, gain, keys)
        ctx.constants = eps, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, total, up, up_bias, down, gain, keys = ctx.saved_tensors
        eps, dropped = ctx.constants
        kernel = _kernels().mlp.backward
        (width, lanes), hidden = x.shape[2:], len(up)
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [_flat(tensor) for tensor in (up, up_bias, down, gain)]
        bits = keys.numpy().view("uint32")
        shapes = [(hidden, width), (hidden, lanes), (hidden, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            kernel(
                *(_flat(array[part]) for array in (gradient, x, total)),
                *weights,
                eps,
                dropped,
                bits[i],
                _flat(x_gradient[part]),
                *map(_flat, sums),
            )
            return sums

        up, up_bias, down, *vectors = _summed(_share(run, len(x)))
        return x_gradient, up, up_bias.sum(1), down, *(v.sum(1) for v in vectors), *[None] * 3


def _flat(tensor: Tensor):
    """Its numbers as a flat numpy array; a contiguous tensor's own memory."""
    return tensor.detach().contiguous().view(-1).numpy()


def _share(run: Callable[[int, slice], object], packs: int) -> list:
    """run(i, part) for parts of PART packs, on as many threads as torch may use; in order."""
    parts = [slice(start, start + PART) for start in range(0, packs, PART)]
    threads = min(torch.get_num_threads(), len(parts))
    if threads == 1:
        return [run(i, part) for i, part in enumerate(parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(len(parts)), parts))


def _summed(parts: list[list[Tensor]]) -> list[Tensor]:
    """Sums over the parts, in their order."""
    return [sum(those[1:], start=those[0]) for those in zip(*parts, strict=True)]
