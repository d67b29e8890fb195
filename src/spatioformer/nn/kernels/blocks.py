"""Training steps of pre-norm transformer blocks on compiled kernels (extra `fast`), CPU, float32.

Shapes: B chips, T tokens, D width, F hidden width, L = LANES chips in a pack, G = ceil(B / L)
packs.

The default network asks `can_replace` in its own forward and then calls `transformed`, which
returns `transformer(tokens)` with gradients, up to rounding and to the numbers that dropout draws.
Gradients of gradients need the modules themselves. Its tokens are few and short, so that torch's
modules spend most of a step on copies and on the start of operations.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spatioformer.nn.kernels import dispatch
from spatioformer.nn.transformer import Block, Transformer

HEAD_WIDTH = 8
"""The head width of the default network, the only one: each one more takes seconds to compile."""


def can_replace(network: nn.Module, transformer: Transformer, tokens: Float[Tensor, "B T D"]) -> bool:
    """Whether `transformed` may stand in for the transformer of a network.

    True if all of this holds:
        - the network is being trained; otherwise predictions would depend on numba, and a process
          that only predicts would load the kernels for a few chips;
        - there is a chip, T is even, D is a multiple of LANES, and heads have HEAD_WIDTH;
        - what `dispatch.can_replace` asks of numba, types, hooks, tracing, modules and dropout;
        - all blocks are pre-norm, with GELU and biases, and not causal.
    """
    if not (network.training and torch.is_grad_enabled()) or not len(tokens) or tokens.shape[1] % 2:
        return False
    return all(map(_fits, transformer.blocks)) and dispatch.can_replace(
        network, [transformer], tokens.shape[2], tokens
    )


def _fits(block: nn.Module) -> bool:
    """Whether the kernels compute a block of this form."""
    return (
        type(block) is Block
        and block.pre_norm
        and block.mlp.activation == "gelu"
        and not block.attention.causal
        and block.attention.qkv.bias is not None
        and block.attention.qkv.in_features == HEAD_WIDTH * block.attention.heads
    )


def transformed(
    transformer: Transformer, tokens: Float[Tensor, "B T D"]
) -> Float[Tensor, "B T D"]:
    """`transformer(tokens)`, computed by the kernels where `can_replace` allows it."""
    x = dispatch.pack(tokens)
    for block in transformer.blocks:
        assert isinstance(block, Block), "`can_replace` saw to it"
        x = _mlp_half(block, _attention_half(block, x))
    # (G, T, D, L) -> (B, T, D)
    return transformer.norm(x.permute(0, 3, 1, 2).flatten(0, 1)[: len(tokens)])


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
        *dispatch.dropout(block, len(x)),
    )


def _mlp_half(block: Block, x: Tensor) -> Tensor:
    norm = block.mlp_norm
    return _MLPHalf.apply(
        x,
        *dispatch.mlp_weights(block),
        norm.weight,
        norm.bias,
        norm.eps,
        *dispatch.dropout(block, len(x)),
    )


class _AttentionHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, qkv, qkv_bias, out, out_bias, gain, shift, eps, dropped, keys):
        from spatioformer.nn.kernels import pre_norm

        kernel, _ = pre_norm.attention(HEAD_WIDTH)
        mixed, result = torch.empty_like(x), torch.empty_like(x)
        weights = [dispatch.flat(part) for part in (qkv, qkv_bias, out, out_bias, gain, shift)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            arrays = (dispatch.flat(array[part]) for array in (mixed, result))
            kernel(dispatch.flat(x[part]), tokens, *weights, eps, dropped, bits[i], *arrays)

        dispatch.share(run, len(x))
        ctx.save_for_backward(x, mixed, qkv, qkv_bias, out, gain, shift, keys)
        ctx.constants = eps, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        from spatioformer.nn.kernels import pre_norm

        x, mixed, qkv, qkv_bias, out, gain, shift, keys = ctx.saved_tensors
        _, kernel = pre_norm.attention(HEAD_WIDTH)
        width, lanes = x.shape[2:]
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [dispatch.flat(part) for part in (qkv, qkv_bias, qkv.T, out.T, gain, shift)]
        tokens, bits = x.shape[1], keys.numpy().view("uint32")
        shapes = [(3 * width, width), (3 * width, lanes), (width, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            kernel(
                *(dispatch.flat(array[part]) for array in (gradient, x, mixed)),
                tokens,
                *weights,
                *ctx.constants,
                bits[i],
                dispatch.flat(x_gradient[part]),
                *map(dispatch.flat, sums),
            )
            return sums

        qkv, qkv_bias, out, *vectors = dispatch.summed(dispatch.share(run, len(x)))
        return x_gradient, qkv, qkv_bias.sum(1), out, *(v.sum(1) for v in vectors), *[None] * 3


class _MLPHalf(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, up, up_bias, down, down_bias, gain, shift, eps, dropped, keys):
        from spatioformer.nn.kernels import pre_norm

        result = torch.empty_like(x)
        weights = [dispatch.flat(part) for part in (up, up_bias, down, down_bias, gain, shift)]
        bits = keys.numpy().view("uint32")

        def run(i: int, part: slice) -> None:
            here, there = dispatch.flat(x[part]), dispatch.flat(result[part])
            pre_norm.mlp_forward(here, *weights, eps, dropped, bits[i], there)

        dispatch.share(run, len(x))
        ctx.save_for_backward(x, up, up_bias, down, gain, shift, keys)
        ctx.constants = eps, dropped
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        from spatioformer.nn.kernels import pre_norm

        x, up, up_bias, down, gain, shift, keys = ctx.saved_tensors
        (width, lanes), hidden = x.shape[2:], len(up)
        x_gradient, gradient = torch.empty_like(x), gradient.contiguous()
        weights = [dispatch.flat(part) for part in (up, up_bias, down, gain, shift)]
        bits = keys.numpy().view("uint32")
        shapes = [(hidden, width), (hidden, lanes), (hidden, width), *[(width, lanes)] * 3]

        def run(i: int, part: slice) -> list[Tensor]:
            sums = [x.new_zeros(shape) for shape in shapes]
            pre_norm.mlp_backward(
                *(dispatch.flat(array[part]) for array in (gradient, x)),
                *weights,
                *ctx.constants,
                bits[i],
                dispatch.flat(x_gradient[part]),
                *map(dispatch.flat, sums),
            )
            return sums

        up, up_bias, down, *vectors = dispatch.summed(dispatch.share(run, len(x)))
        return x_gradient, up, up_bias.sum(1), down, *(v.sum(1) for v in vectors), *[None] * 3
