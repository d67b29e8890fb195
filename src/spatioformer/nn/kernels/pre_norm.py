"""The halves of a pre-norm block: x + dropout(out(attention(qkv(u)))) and
x + dropout(down(dropout(gelu(up(u))))), where u = LayerNorm(x).

Shapes: packs x T tokens (T even), D width (a multiple of UNITS and LANES), F hidden width (a
multiple of UNITS), L = LANES. Arrays are flat. The backward passes compute u, the projections and
the hidden layer again.
"""

from functools import cache

import numpy as np

from spatioformer.nn.kernels.attention import (
    add_outer_products,
    add_sums,
    attend,
    attend_backward,
    project,
)
from spatioformer.nn.kernels.parts import (
    ONE,
    TILE,
    UNITS,
    ZERO,
    add_outer,
    add_transposed,
    exponential,
    gain_and_shift_backward,
    inlined,
    kept_high,
    kept_low,
    kernel,
    normal_share,
    normalise,
    normalise_backward,
    random_bits,
    survivors_scale,
    tile,
    to_rows,
)
from spatioformer.nn.kernels.simd import LANES, fma, load, maximum, splat, spread, stack, store

ATTENTION, HIDDEN, OUTPUT = 5, 6, 7  # places of dropout; attention weights have one of their own
DENSITY = np.float32(1 / np.sqrt(2 * np.pi))
LEAST = np.float32(-50)  # exponent of the normal density; below it, products would be too small


@inlined
def _normalise(u, x, at, gain, shift, eps, tokens):
    """u = LayerNorm(x) for `tokens` token vectors of x at `at`; u starts at 0."""
    size = gain.size * LANES
    for t in range(tokens):
        normalise(u, t * size, x, at + t * size, gain, shift, eps)


@inlined
def _normalise_backward(u_gradient, stride, x, at, gain, eps, tokens, x_gradient, gain_gradient,
                        shift_gradient):  # fmt: skip
    """Add the gradients of `_normalise` to `x_gradient`, and to those of gain and shift.

    Args:
        u_gradient: of u[k, t], which stands at `k * stride[0] + t * stride[1]`.
        gain_gradient, shift_gradient: (width, L), one sum for each lane.
    """
    width = gain.size
    for t in range(tokens):
        start, place = at + t * width * LANES, t * stride[1]
        means = gain_and_shift_backward(
            u_gradient, place, stride[0], x, start, gain, eps, gain_gradient, shift_gradient
        )
        for k in range(width):
            here = start + k * LANES
            g = load(u_gradient, place + k * stride[0])
            g = normalise_backward(g, spread(gain, k), load(x, here), means)
            store(x_gradient, here, load(x_gradient, here) + g)


@inlined
def _add(out, x, at, sums, stride, scale, bias, pairs, dropped, key, site):
    """out = x + dropout(sums * scale + bias) for `2 * pairs` token vectors at `at`.

    Args:
        sums: sums[k, t] stands at `k * stride[0] + t * stride[1]`.
    """
    width = bias.size
    survive = splat(survivors_scale(dropped))
    for pair in range(pairs):
        start, place = at + 2 * pair * width * LANES, 2 * pair * stride[1]
        for k in range(width):
            shift = spread(bias, k)
            first = fma(load(sums, place + k * stride[0]), splat(scale), shift)
            second = fma(load(sums, place + k * stride[0] + stride[1]), splat(scale), shift)
            here, there = start + k * LANES, start + (width + k) * LANES
            if dropped:
                bits = random_bits(key, site, start // (2 * LANES) + k)
                first = kept_low(bits, dropped, first * survive)
                second = kept_high(bits, dropped, second * survive)
            store(out, here, load(x, here) + first)
            store(out, there, load(x, there) + second)


@inlined
def _add_backward(gradient, out_gradient, x_gradient, bias_gradient, at, stride, scale, pairs,
                  dropped, key, site):  # fmt: skip
    """Gradients of `_add`: `gradient` of sums, `x_gradient`; bias_gradient (width, L) is added to.

    The widths of `_add`'s arguments are those of bias_gradient.
    """
    width = bias_gradient.size // LANES
    survive = splat(survivors_scale(dropped))
    for pair in range(pairs):
        start, place = at + 2 * pair * width * LANES, 2 * pair * stride[1]
        for k in range(width):
            here, there = start + k * LANES, start + (width + k) * LANES
            first, second = load(out_gradient, here), load(out_gradient, there)
            store(x_gradient, here, first)
            store(x_gradient, there, second)
            if dropped:
                bits = random_bits(key, site, start // (2 * LANES) + k)
                first = kept_low(bits, dropped, first * survive)
                second = kept_high(bits, dropped, second * survive)
            both = first + second
            store(bias_gradient, k * LANES, both + load(bias_gradient, k * LANES))
            store(gradient, place + k * stride[0], first * splat(scale))
            store(gradient, place + k * stride[0] + stride[1], second * splat(scale))


@cache
def attention(head_width: int):
    """Compile (forward, backward) of the attention half with the head width as a constant."""
    components = int(head_width)

    @kernel
    def forward(x, tokens, qkv, qkv_bias, out_weight, out_bias, gain, shift, eps, dropped, key,
                mixed, out):  # fmt: skip
        """Write `out`, and `mixed`, the mean of the values, which `backward` needs.

        Args:
            x, out: float32 (packs, T, D, L).
            qkv: (3 D, D), queries, keys, values; qkv_bias (3 D,).
            out_weight: (D, D); out_bias (D,).
            mixed: (packs, D, T, L).

        All other arguments: see the package, `nn.kernels`.
        """
        width = gain.size
        size = width * tokens * LANES  # of a pack
        by_token, by_row = (LANES, width * LANES), (tokens * LANES, LANES)
        u, sums = np.empty(size, np.float32), np.empty(size, np.float32)
        projected, nothing = np.empty(3 * size, np.float32), np.zeros(width, np.float32)
        looks = np.empty(tokens * LANES, np.float32)
        h, q, mean = stack(TILE), stack(components), stack(components)
        for at in range(0, x.size, size):
            _normalise(u, x, at, gain, shift, eps, tokens)
            project(projected, qkv, qkv_bias, u, 0, by_token, width, tokens, h)
            attend(mixed, projected, at, width, tokens, components, dropped, key, looks, q, mean)
            project(sums, out_weight, nothing, mixed, at, by_row, width, tokens, h)
            _add(out, x, at, sums, by_row, ONE, out_bias, tokens // 2, dropped, key, ATTENTION)

    @kernel
    def backward(out_gradient, x, mixed, tokens, qkv, qkv_bias, qkv_transposed, out_transposed,
                 gain, shift, eps, dropped, key, x_gradient, qkv_gradient, qkv_bias_gradient,
                 out_weight_gradient, out_bias_gradient, gain_gradient,
                 shift_gradient):  # fmt: skip
        """Gradients of `forward`; see the package, `nn.kernels`.

        Args:
            qkv_transposed, out_transposed: the weights transposed, (D, 3 D) and (D, D).
        """
        width = gain.size
        size = width * tokens * LANES  # of a pack
        by_token, by_row = (LANES, width * LANES), (tokens * LANES, LANES)
        u, inner = np.empty(size, np.float32), np.empty(size, np.float32)
        sums_gradient, nothing = np.empty(size, np.float32), np.zeros(width, np.float32)
        projected, gradient = np.empty(3 * size, np.float32), np.empty(3 * size, np.float32)
        looks, rows = np.empty(tokens * LANES, np.float32), np.empty(2 * LANES * width, np.float32)
        h, products = stack(TILE), stack(UNITS)
        q, g, back = stack(components), stack(components), stack(components)
        for at in range(0, x.size, size):
            _normalise(u, x, at, gain, shift, eps, tokens)
            project(projected, qkv, qkv_bias, u, 0, by_token, width, tokens, h)
            _add_backward(
                sums_gradient, out_gradient, x_gradient, out_bias_gradient, at, by_row, ONE,
                tokens // 2, dropped, key, ATTENTION,
            )  # fmt: skip
            add_outer_products(
                out_weight_gradient, sums_gradient, width, mixed, at, by_row, width, tokens,
                rows, products,
            )  # fmt: skip
            project(inner, out_transposed, nothing, sums_gradient, 0, by_row, width, tokens, h)
            attend_backward(
                gradient, inner, mixed, projected, at, width, tokens, components,
                dropped, key, looks, q, g, back,
            )  # fmt: skip
            add_outer_products(
                qkv_gradient, gradient, 3 * width, u, 0, by_token, width, tokens, rows, products
            )
            add_sums(qkv_bias_gradient, gradient, tokens)
            project(inner, qkv_transposed, nothing, gradient, 0, by_row, 3 * width, tokens, h)
            _normalise_backward(
                inner, by_row, x, at, gain, eps, tokens, x_gradient, gain_gradient, shift_gradient
            )

    return forward, backward


@inlined
def _hidden(h, u, up, up_bias, j, width):
    """Compute a tile of the hidden layer before its activation."""
    for a in range(UNITS):
        h[2 * a] = h[2 * a + 1] = spread(up_bias, j + a)
    tile(h, up, j, width, u, 0, (LANES, width * LANES))


@inlined
def _drop(h, pair, j, hidden, dropped, key):
    """Dropout of a tile without its scale factor; `pair` is the number of the pair of tokens."""
    for v in range(2):
        counter = (2 * pair + v) * (hidden // 2) + j // 2
        for a in range(0, UNITS, 2):
            bits = random_bits(key, HIDDEN, counter + a // 2)
            h[2 * a + v] = kept_low(bits, dropped, h[2 * a + v])
            h[2 * (a + 1) + v] = kept_high(bits, dropped, h[2 * (a + 1) + v])


@kernel
def mlp_forward(x, up, up_bias, down, down_bias, gain, shift, eps, dropped, key, out):
    """Write `out` of the MLP half.

    Args:
        x, out: float32 (N, D, L), N even.
        up, down: float32 (F, D), down transposed; up_bias (F,); down_bias (D,).

    All other arguments: see the package, `nn.kernels`.
    """
    width = gain.size
    scale = survivors_scale(dropped)
    step, pairwise = 2 * width * LANES, (2 * LANES, LANES)
    u, sums = np.empty(step, np.float32), np.empty(step, np.float32)
    h = stack(TILE)
    for at in range(0, x.size, step):
        _normalise(u, x, at, gain, shift, eps, 2)
        sums[:] = 0
        for j in range(0, up_bias.size, UNITS):
            _hidden(h, u, up, up_bias, j, width)
            for a in range(TILE):
                h[a] = h[a] * normal_share(h[a])
            if dropped:
                _drop(h, at // step, j, up_bias.size, dropped, key)
            add_transposed(sums, down, j, width, h)
        _add(out, x, at, sums, pairwise, scale, down_bias, 1, dropped, key, OUTPUT)


@kernel
def mlp_backward(out_gradient, x, up, up_bias, down, gain, shift, eps, dropped, key, x_gradient,
                 up_gradient, up_bias_gradient, down_gradient, down_bias_gradient, gain_gradient,
                 shift_gradient):  # fmt: skip
    """Gradients of `mlp_forward`; see the package, `nn.kernels`."""
    width = gain.size
    scale = survivors_scale(dropped)
    step, pairwise = 2 * width * LANES, (2 * LANES, LANES)
    u, y = np.empty(step, np.float32), np.empty(step, np.float32)
    sums = np.empty(step, np.float32)
    u_rows, y_rows = np.empty(step, np.float32), np.empty(step, np.float32)
    hidden = np.empty(TILE * LANES, np.float32)
    hidden_gradient = np.empty(TILE * LANES, np.float32)
    h, g, products = stack(TILE), stack(TILE), stack(UNITS)
    for at in range(0, x.size, step):
        _add_backward(
            y, out_gradient, x_gradient, down_bias_gradient, at, pairwise, scale, 1,
            dropped, key, OUTPUT,
        )  # fmt: skip
        _normalise(u, x, at, gain, shift, eps, 2)
        to_rows(u_rows, u, 0, (LANES, width * LANES), width)
        to_rows(y_rows, y, 0, pairwise, width)
        sums[:] = 0
        for j in range(0, up_bias.size, UNITS):
            _hidden(h, u, up, up_bias, j, width)
            for a in range(TILE):
                share = normal_share(h[a])
                bell = exponential(maximum(h[a] * h[a] * splat(np.float32(-0.5)), splat(LEAST)))
                store(hidden_gradient, a * LANES, fma(h[a], bell * splat(DENSITY), share))
                h[a] = h[a] * share
            if dropped:
                _drop(h, at // step, j, up_bias.size, dropped, key)
            for a in range(TILE):
                store(hidden, a * LANES, h[a])
                g[a] = splat(ZERO)
            tile(g, down, j, width, y, 0, pairwise)
            for a in range(TILE):
                g[a] = g[a] * load(hidden_gradient, a * LANES)
            if dropped:
                _drop(g, at // step, j, up_bias.size, dropped, key)
            for a in range(TILE):
                store(hidden_gradient, a * LANES, g[a])
            add_transposed(sums, up, j, width, g)
            for a in range(UNITS):
                place = (j + a) * LANES
                both = g[2 * a] + g[2 * a + 1]
                store(up_bias_gradient, place, load(up_bias_gradient, place) + both)
            add_outer(up_gradient, j, width, hidden_gradient, 0, 2 * LANES, u_rows, products)
            add_outer(down_gradient, j, width, hidden, 0, 2 * LANES, y_rows, products)
        _normalise_backward(
            sums, pairwise, x, at, gain, eps, 2, x_gradient, gain_gradient, shift_gradient
        )
