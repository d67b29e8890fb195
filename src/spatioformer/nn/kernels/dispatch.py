"""Compiled kernels for a post-norm transformer and its head (extra `fast`: numba), CPU, float32.

Shapes: B chips, T tokens, D width, F hidden width, L = LANES chips in a pack, G = ceil(B / L)
packs.

A network asks `can_replace` in its own forward and then calls `head_of_transformer`, which returns
`head(transformer(tokens).flatten(1))` with gradients, up to rounding and to the numbers that
dropout draws. Gradients of gradients need the modules themselves.

Why it is fast: the MLP's hidden layer and the attention weights never leave the processor's
registers and first cache; the backward pass computes them again; the head's two linear layers,
with no activation between them, become one vector.

The results do not depend on the number of threads: threads take parts of a fixed number of packs,
each part has its own dropout key, and gradients are summed in the order of the parts.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules import module as torch_module

from spatioformer.common.compiled import has_numba
from spatioformer.nn.dropout import LEVELS, Dropout
from spatioformer.nn.transformer import MLP, Attention, Block, Transformer

PART = 8  # packs that a thread computes in one call of a kernel

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_GLOBAL_HOOKS = tuple(getattr(torch_module, f"_global{name}") for name in _HOOKS)
_REPLACEABLE = {
    *(Transformer, Block, Attention, MLP, Dropout),
    *(nn.Identity, nn.LayerNorm, nn.Linear, nn.ModuleList, nn.Sequential),
}


class _Kernels(NamedTuple):
    """The modules that need numba, and their sizes."""

    attention: ModuleType
    mlp: ModuleType
    lanes: int
    units: int


@cache
def _kernels() -> _Kernels | None:
    """Import the modules that need numba; None where numba is not installed."""
    if not has_numba():
        return None
    from spatioformer.nn.kernels import attention, mlp, parts, simd

    return _Kernels(attention, mlp, simd.LANES, parts.UNITS)


def _loaded() -> _Kernels:
    """The modules that need numba, for code that `can_replace` has allowed."""
    kernels = _kernels()
    assert kernels is not None, "can_replace is False without numba"
    return kernels


def can_replace(network: nn.Module, parts: Sequence[nn.Module], width: int, chips: Tensor) -> bool:
    """Whether kernels may stand in for submodules of a network, transformers and heads.

    True if all of this holds:
        - numba is installed, and the width D is a multiple of LANES;
        - the chips and all parameters are float32 on a CPU, without autocast;
        - no submodule of the network has a forward or backward hook, and no hook is global: the
          kernels call no modules, so such a hook would see nothing;
        - nothing traces or transforms the network (torch.compile, torch.jit, torch.func);
        - `parts` are made of this package's modules only, not of replacements;
        - all dropout has one rate, and is on everywhere or nowhere.
    """
    if not modules_are_plain(network, chips):
        return False
    kernels = _kernels()
    if kernels is None or width % kernels.lanes:
        return False
    replaced = [module for part in parts for module in part.modules()]
    dropouts = {(module.p, module.active) for module in replaced if isinstance(module, Dropout)}
    return len(dropouts) == 1 and all(type(module) in _REPLACEABLE for module in replaced)


def modules_are_plain(network: nn.Module, chips: Tensor) -> bool:
    """Whether no one would notice if a network's modules were not called.

    That is: float32 on a CPU, no autocast, no hooks below the network, no tracing or transforms.
    """
    if (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.is_autocast_enabled("cpu")
        or any(hooks for hooks in _GLOBAL_HOOKS)
        or not _is_plain(chips)
    ):
        return False
    for module in network.modules():
        if module is not network and any(getattr(module, name) for name in _HOOKS):
            return False
        if not all(p is None or _is_plain(p) for p in module._parameters.values()):
            return False
    return True


def _is_plain(tensor: Tensor) -> bool:
    """Whether its numbers are float32 in this process's memory; subclasses may hold none."""
    return (
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.dtype == torch.float32
        and tensor.device.type == "cpu"
    )


def head_of_transformer(
    transformer: Transformer, head: nn.Sequential, tokens: Float[Tensor, "B T D"]
) -> Float[Tensor, "B"]:
    """`head(transformer(tokens).flatten(1)).squeeze(-1)`, computed by the kernels.

    Args:
        transformer: post-norm blocks with ReLU and biases.
        head: two linear layers with no activation between them; the second has one output.
        tokens: B >= 1 chips.
    """
    x = pack(tokens)
    for block in transformer.blocks:
        assert isinstance(block, Block), "a Transformer has no other modules there"
        x = _mlp_half(block, _attention_half(block, x))
    return _head(head, x)[: len(tokens)]


def pack(tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "G T D L"]:
    """Lay chips into the lanes of packs; fill the last pack with zeros."""
    lanes = _loaded().lanes
    missing = -len(tokens) % lanes
    if missing:
        tokens = F.pad(tokens, (0, 0, 0, 0, 0, missing))
    return tokens.unflatten(0, (-1, lanes)).permute(0, 2, 3, 1).contiguous()


def _head(head: nn.Sequential, x: Float[Tensor, "G T D L"]) -> Float[Tensor, "G*L"]:
    """Compute u . (A x + a) + s as (u A) . x + (u . a + s)."""
    first, last = head
    assert isinstance(first, nn.Linear), "the head is two linear layers"
    assert isinstance(last, nn.Linear), "the head is two linear layers"
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
        *dropout(block, len(x)),
    )


def _mlp_half(block: Block, x: Tensor) -> Tensor:
    norm = block.mlp_norm
    return _MLPHalf.apply(
        x,
        *mlp_weights(block),
        norm.weight,
        norm.bias,
        norm.eps,
        *dropout(block, len(x)),
    )


def mlp_weights(block: Block) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights (F, D) and biases (F,) up, weights (F, D) and biases (D,) down, of an MLP.

    Hidden units with zero weights are added, so that UNITS divides F.
    """
    up, down = block.mlp.up, block.mlp.down
    extra = -len(up.bias) % _loaded().units
    if not extra:
        return up.weight, up.bias, down.weight.T, down.bias
    return (
        F.pad(up.weight, (0, 0, 0, extra)),
        F.pad(up.bias, (0, extra)),
        F.pad(down.weight, (0, extra)).T,
        down.bias,
    )


def dropout(block: Block, packs: int, places: int = 1) -> tuple[int, Int[Tensor, "parts places 2"]]:
    """Dropout rate as a number of 65536, and keys for each part, from torch's generator.

    Args:
        places: number of keys of a part.
    """
    shape = (-(-packs // PART), places, 2)
    if not block.dropout.active:
        return 0, torch.zeros(shape, dtype=torch.int32)
    keys = torch.randint(-(2**31), 2**31, shape, dtype=torch.int32)
    return round(block.dropout.p * LEVELS), keys


class _AttentionHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, qkv, qkv_bias, out, out_bias, gain, shift, eps, heads, dropped, keys):
        kernel, _ = _loaded().attention.kernels(x.shape[2] // heads)
        mixed, total, result = (torch.empty_like(x) for _ in range(3))
        weights = [flat(tensor) for tensor in (qkv, qkv_bias, out, out_bias, gain, shift)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            kernel(
                flat(x[part]),
                tokens,
                *weights,
                eps,
                dropped,
                bits[i, 0],
                *(flat(array[part]) for array in (mixed, total, result)),
            )

        share(run, len(x))
        ctx.save_for_backward(x, mixed, total, qkv, qkv_bias, out, gain, keys)
        ctx.constants = eps, heads, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, mixed, total, qkv, qkv_bias, out, gain, keys = ctx.saved_tensors
        eps, heads, dropped = ctx.constants
        _, kernel = _loaded().attention.kernels(x.shape[2] // heads)
        width, lanes = x.shape[2:]
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [flat(tensor) for tensor in (qkv, qkv_bias, qkv.T, out.T, gain)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")
        shapes = [(3 * width, width), (3 * width, lanes), (width, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            kernel(
                *(flat(array[part]) for array in (gradient, x, mixed, total)),
                tokens,
                *weights,
                eps,
                dropped,
                bits[i, 0],
                flat(x_gradient[part]),
                *map(flat, sums),
            )
            return sums

        qkv, qkv_bias, out, *vectors = summed(share(run, len(x)))
        return x_gradient, qkv, qkv_bias.sum(1), out, *(v.sum(1) for v in vectors), *[None] * 4


class _MLPHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, up, up_bias, down, down_bias, gain, shift, eps, dropped, keys):
        kernel = _loaded().mlp.forward
        total, result = torch.empty_like(x), torch.empty_like(x)
        weights = [flat(tensor) for tensor in (up, up_bias, down, down_bias, gain, shift)]
        bits = keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            kernel(
                flat(x[part]),
                *weights,
                eps,
                dropped,
                bits[i, 0],
                flat(total[part]),
                flat(result[part]),
            )

        share(run, len(x))
        ctx.save_for_backward(x, total, up, up_bias, down, gain, keys)
        ctx.constants = eps, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        x, total, up, up_bias, down, gain, keys = ctx.saved_tensors
        eps, dropped = ctx.constants
        kernel = _loaded().mlp.backward
        (width, lanes), hidden = x.shape[2:], len(up)
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [flat(tensor) for tensor in (up, up_bias, down, gain)]
        bits = keys.numpy().view("uint32")
        shapes = [(hidden, width), (hidden, lanes), (hidden, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            kernel(
                *(flat(array[part]) for array in (gradient, x, total)),
                *weights,
                eps,
                dropped,
                bits[i, 0],
                flat(x_gradient[part]),
                *map(flat, sums),
            )
            return sums

        up, up_bias, down, *vectors = summed(share(run, len(x)))
        return x_gradient, up, up_bias.sum(1), down, *(v.sum(1) for v in vectors), *[None] * 3


def flat(tensor: Tensor):
    """View a tensor as a flat numpy array; copy it only if it is not contiguous."""
    return tensor.detach().contiguous().view(-1).numpy()


def share(run: Callable[[int, slice], object], packs: int) -> list:
    """Call run(i, part) for parts of PART packs, on torch's number of threads; results in order."""
    parts = [slice(start, start + PART) for start in range(0, packs, PART)]
    threads = min(torch.get_num_threads(), len(parts))
    if threads == 1:
        return [run(i, part) for i, part in enumerate(parts)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(len(parts)), parts))


def summed(parts: list[list[Tensor]]) -> list[Tensor]:
    """Sum over the parts, in their order."""
    return [sum(tensors[1:], start=tensors[0]) for tensors in zip(*parts, strict=True)]
