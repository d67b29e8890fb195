"""Training steps of pre-norm transformer blocks on compiled kernels (extra `fast`), CPU, float32.

Shapes: B chips, T tokens, D width, F hidden width, L = LANES chips in a pack, G = ceil(B / L)
packs.

The default network asks `can_replace` in its own forward and then calls `transformed`, which
returns `transformer(tokens)` with gradients, up to rounding and to the numbers that dropout draws.
Gradients of gradients need the modules themselves. Its tokens are few and short, so that torch's
modules spend most of a step on copies and on the start of operations.
"""

from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spatioformer.nn.kernels import dispatch
from spatioformer.nn.transformer import Block, Transformer

HEAD_WIDTH = 8
"""The head width of the default network, the only one: each one more takes seconds to compile."""


def can_replace(
    network: nn.Module, transformer: Transformer, tokens: Float[Tensor, "B T D"]
) -> bool:
    """Whether `transformed` may stand in for the transformer of a network.

    True if all of this holds:
        - the network is being trained; otherwise predictions would depend on numba, and a process
          that only predicts would load the kernels for a few chips;
        - there is a chip, T is even, D is a multiple of LANES, and heads have HEAD_WIDTH;
        - what `dispatch.can_replace` asks of numba, types, hooks, tracing, modules and dropout;
        - all blocks are pre-norm, with GELU and biases, and not causal.
    """
    if torch.compiler.is_compiling() or not (network.training and torch.is_grad_enabled()):
        return False
    if not len(tokens) or tokens.shape[1] % 2:
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


def transformed(transformer: Transformer, tokens: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
    """`transformer(tokens)`, computed by the kernels where `can_replace` allows it."""
    x = dispatch.pack(tokens)
    blocks = cast(list[Block], list(transformer.blocks))
    weights = [_weights(block) for block in blocks]
    matrices = [matrix for own, _ in weights for matrix in own]
    vectors = [vector for _, own in weights for vector in own]
    eps = [(block.attention_norm.eps, block.mlp_norm.eps) for block in blocks]
    dropped, keys = dispatch.dropout(blocks[0], len(x), 2 * len(blocks))
    out = _Blocks.apply(x, eps, dropped, keys, *matrices, *vectors)
    # (G, T, D, L) -> (B, T, D)
    return transformer.norm(out.permute(0, 3, 1, 2).flatten(0, 1)[: len(tokens)])


def _weights(block: Block) -> tuple[list[Tensor], list[Tensor]]:
    """Matrices and vectors of a block, in the order in which the kernels take them.

    They are qkv, out, up and down (transposed); the biases of qkv and out, gain and shift; the
    biases of up and down, gain and shift.
    """
    attention, first, second = block.attention, block.attention_norm, block.mlp_norm
    up, up_bias, down, down_bias = dispatch.mlp_weights(block)
    return (
        [attention.qkv.weight, attention.out.weight, up, down],
        [attention.qkv.bias, attention.out.bias, first.weight, first.bias]
        + [up_bias, down_bias, second.weight, second.bias],
    )


class _Blocks(torch.autograd.Function):
    """All blocks in one operation, so that each of them costs no bookkeeping of torch."""

    @staticmethod
    def forward(ctx, x, eps, dropped, keys, *weights):
        from spatioformer.nn.kernels import pre_norm

        kernel, _ = pre_norm.attention(HEAD_WIDTH)
        blocks, flat, bits = _by_block(weights), dispatch.flat, keys.numpy().view("uint32")
        states = x.new_empty(len(blocks), 3, *x.shape)  # of each block: mixed, middle, out
        tokens = x.shape[1]

        def run(i: int, part: slice) -> None:
            inner = flat(x[part])
            for number, (matrices, vectors) in enumerate(blocks):
                (qkv, out, up, down), vectors = map(flat, matrices), [*map(flat, vectors)]
                mixed, middle, outer = map(flat, states[number, :, part])
                kernel(
                    *(inner, tokens, qkv, vectors[0], out, *vectors[1:4], eps[number][0], dropped),
                    *(bits[i, 2 * number], mixed, middle),
                )
                pre_norm.mlp_forward(
                    *(middle, up, vectors[4], down, *vectors[5:], eps[number][1], dropped),
                    *(bits[i, 2 * number + 1], outer),
                )
                inner = outer

        dispatch.share(run, len(x))
        ctx.save_for_backward(x, states, keys, *weights)
        ctx.constants = eps, dropped
        return states[-1, 2]

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        from spatioformer.nn.kernels import pre_norm

        _, kernel = pre_norm.attention(HEAD_WIDTH)
        x, states, keys, *weights = ctx.saved_tensors
        eps, dropped = ctx.constants
        blocks, flat, bits = _by_block(weights), dispatch.flat, keys.numpy().view("uint32")
        tokens, lanes = x.shape[1], x.shape[-1]
        gradient, x_gradient = gradient.contiguous(), torch.empty_like(x)
        matrices, vectors = weights[: 4 * len(blocks)], weights[4 * len(blocks) :]

        def run(i: int, part: slice) -> list[Tensor]:
            # Vectors have a sum for each lane.
            sums = [
                x.new_zeros(sum(matrix.numel() for matrix in matrices)),
                x.new_zeros(sum(map(len, vectors)), lanes),
            ]
            wholes = sums[0].split([matrix.numel() for matrix in matrices])
            by_lane = sums[1].split([*map(len, vectors)])
            outer, middle_gradient = flat(gradient[part]), flat(torch.empty_like(x[part]))
            for number in reversed(range(len(blocks))):
                (qkv, out, up, down), own = blocks[number]
                of_qkv, of_out, of_up, of_down = map(flat, wholes[4 * number : 4 * number + 4])
                of_own = [*map(flat, by_lane[8 * number : 8 * number + 8])]
                mixed, middle, _ = map(flat, states[number, :, part])
                inner = flat(states[number - 1, 2, part] if number else x[part])
                own = [*map(flat, own)]
                pre_norm.mlp_backward(
                    *(outer, middle, flat(up), own[4], flat(down), *own[6:], eps[number][1]),
                    *(dropped, bits[i, 2 * number + 1], middle_gradient, of_up, of_own[4]),
                    *(of_down, *of_own[5:]),
                )
                outer = flat(x_gradient[part])
                kernel(
                    *(middle_gradient, inner, mixed, tokens, flat(qkv), own[0], flat(qkv.T)),
                    *(flat(out.T), *own[2:4], eps[number][0], dropped, bits[i, 2 * number]),
                    *(outer, of_qkv, of_own[0], of_out, *of_own[1:4]),
                )
            return sums

        whole, by_lane = dispatch.summed(dispatch.share(run, len(x)))
        parts = whole.split([matrix.numel() for matrix in matrices])
        return (
            x_gradient,
            *[None] * 3,
            *(part.view_as(matrix) for part, matrix in zip(parts, matrices, strict=True)),
            *by_lane.sum(1).split([*map(len, vectors)]),
        )


def _by_block(
    weights: Sequence[Tensor],
) -> list[tuple[Sequence[Tensor], Sequence[Tensor]]]:
    """The four matrices and eight vectors of each block, of all matrices and then all vectors."""
    count = len(weights) // 12
    vectors = weights[4 * count :]
    return [(weights[4 * n : 4 * n + 4], vectors[8 * n : 8 * n + 8]) for n in range(count)]
