"""The attention half of a post-norm block: LayerNorm(x + dropout(out(attention(qkv(x))))).

Shapes: packs x T tokens (T even), D width (a multiple of UNITS and LANES), H heads, K = D / H head
width, L = LANES. Arrays are flat. Scores and weights exist for one query at a time; the backward
pass computes them again.

Arrays within a pack are laid out as (rows, T, L): the keys of a head are neighbours in memory.
"""

from functools import cache

import numpy as np

from spatioformer.nn.kernels.parts import (
    ONE,
    TILE,
    UNITS,
    ZERO,
    add_and_normalise,
    add_and_normalise_backward,
    add_outer,
    exponential,
    inlined,
    kept_high,
    kept_low,
    kernel,
    random_bits,
    survivors_scale,
    tile,
    to_rows,
)
from spatioformer.nn.kernels.simd import (
    LANES,
    fma,
    load,
    maximum,
    splat,
    spread,
    stack,
    store,
    where_positive,
)

WEIGHTS, OUTPUT = 3, 4  # places of dropout
FAR = np.float32(50)
"""Distance from the largest score of a query at which a token's weight is 0, not 2e-22 and less.

Such weights are lost in the rounding of the sums. Their products with gradients fall below 1e-38,
and a processor takes some hundred cycles for each number below it.
"""


@inlined
def project(projected, weights, bias, x, at, stride, columns, tokens, h):
    """projected[j, t] = bias[j] + sum_k weights[j, k] x[k, t], for all tokens of a pack.

    x[k, t] stands at `at + k * stride[0] + t * stride[1]`.
    """
    for t in range(0, tokens, 2):
        for j in range(0, bias.size, UNITS):
            for a in range(UNITS):
                h[2 * a] = h[2 * a + 1] = spread(bias, j + a)
            tile(h, weights, j, columns, x, at + t * stride[1], stride)
            for a in range(UNITS):
                place = ((j + a) * tokens + t) * LANES
                store(projected, place, h[2 * a])
                store(projected, place + LANES, h[2 * a + 1])


@inlined
def add_outer_products(gradient, left, rows, x, at, stride, columns, tokens, x_rows, products):
    """gradient[j, k] += sum over tokens and chips of left[j, t] x[k, t]; x as in `project`."""
    for t in range(0, tokens, 2):
        to_rows(x_rows, x, at + t * stride[1], stride, columns)
        for j in range(0, rows, UNITS):
            place = (j * tokens + t) * LANES
            add_outer(gradient, j, columns, left, place, tokens * LANES, x_rows, products)


@inlined
def _query(q, projected, row, t, tokens, components):
    """Load one head's query, scaled by 1 / sqrt(K)."""
    scale = splat(np.float32(1 / np.sqrt(components)))
    for c in range(components):
        q[c] = load(projected, ((row + c) * tokens + t) * LANES) * scale


@inlined
def _look(q, keys, at, tokens, components, looks):
    """looks[s] = exp(q . k_s - the largest of them), 0 from FAR on; returns one over their sum."""
    largest = splat(np.float32(-np.inf))
    for s in range(tokens):
        score = q[0] * load(keys, at + s * LANES)
        for c in range(1, components):
            score = fma(q[c], load(keys, at + (c * tokens + s) * LANES), score)
        store(looks, s * LANES, score)
        largest = maximum(score, largest)
    total = splat(ZERO)
    for s in range(tokens):
        score = load(looks, s * LANES) - largest
        look = where_positive(score + splat(FAR), exponential(score))
        store(looks, s * LANES, look)
        total = total + look
    return splat(ONE) / total


@inlined
def _mix(mean, looks, values, at, tokens, components, dropped, key, counter):
    """mean[c] = sum_s looks[s] v_s[c] over the tokens that dropout keeps."""
    for c in range(components):
        mean[c] = splat(ZERO)
    for s in range(0, tokens, 2):
        even, odd = load(looks, s * LANES), load(looks, (s + 1) * LANES)
        if dropped:
            bits = random_bits(key, WEIGHTS, counter + s // 2)
            even, odd = kept_low(bits, dropped, even), kept_high(bits, dropped, odd)
        for c in range(components):
            place = at + (c * tokens + s) * LANES
            mean[c] = fma(even, load(values, place), mean[c])
            mean[c] = fma(odd, load(values, place + LANES), mean[c])


@inlined
def _mix_backward(back, q, g, along, looks, norm, projected, keys, values, tokens, components,
                  dropped, key, counter, gradient):  # fmt: skip
    """Add the gradients of query, keys and values that come from one query.

    Args:
        back: receives the gradient of the query.
        g: gradient of the mean of the values.
        along: g . mean, which the softmax subtracts from the gradient of every score.
        keys, values: where this head's rows start in `projected` and in `gradient`, which is added
            to.
    """
    for c in range(components):
        back[c] = splat(ZERO)
    for s in range(0, tokens, 2):
        even, odd = splat(ZERO), splat(ZERO)
        for c in range(components):
            place = values + (c * tokens + s) * LANES
            even = fma(g[c], load(projected, place), even)
            odd = fma(g[c], load(projected, place + LANES), odd)
        look_even, look_odd = load(looks, s * LANES) * norm, load(looks, (s + 1) * LANES) * norm
        kept_even, kept_odd = look_even, look_odd
        if dropped:
            bits = random_bits(key, WEIGHTS, counter + s // 2)
            even, odd = kept_low(bits, dropped, even), kept_high(bits, dropped, odd)
            kept_even = kept_low(bits, dropped, look_even)
            kept_odd = kept_high(bits, dropped, look_odd)
        even, odd = look_even * (even - along), look_odd * (odd - along)
        for c in range(components):
            place = values + (c * tokens + s) * LANES
            store(gradient, place, fma(kept_even, g[c], load(gradient, place)))
            place += LANES
            store(gradient, place, fma(kept_odd, g[c], load(gradient, place)))
            place = keys + (c * tokens + s) * LANES
            back[c] = fma(even, load(projected, place), back[c])
            store(gradient, place, fma(even, q[c], load(gradient, place)))
            place += LANES
            back[c] = fma(odd, load(projected, place), back[c])
            store(gradient, place, fma(odd, q[c], load(gradient, place)))


@inlined
def _first_counter(at, row, t, width, tokens, components):
    """Counter of the first pair of weights of this pack, head and query, for `random_bits`."""
    head = (at // (tokens * LANES) + row) // components
    return (head * tokens + t) * tokens // 2


@inlined
def attend(mixed, projected, at, width, tokens, components, dropped, key, looks, q, mean):
    """Write the means of the values, mixed[k, t], of a pack at `at`, from its (3 D, T, L) products.

    Args:
        looks: scratch, (T, L); q, mean: stacks of `components` vectors.
    """
    size = width * tokens * LANES
    survive = splat(survivors_scale(dropped))
    for row in range(0, width, components):
        place = row * tokens * LANES
        for t in range(tokens):
            counter = _first_counter(at, row, t, width, tokens, components)
            _query(q, projected, row, t, tokens, components)
            norm = _look(q, projected, size + place, tokens, components, looks) * survive
            _mix(
                mean, looks, projected, 2 * size + place, tokens, components,
                dropped, key, counter,
            )  # fmt: skip
            for c in range(components):
                store(mixed, at + place + (c * tokens + t) * LANES, mean[c] * norm)


@inlined
def attend_backward(
    gradient, mixed_gradient, mixed, projected, at, width, tokens, components,
    dropped, key, looks, q, g, back,
):  # fmt: skip
    """Write the gradient of `projected`, (3 D, T, L), from that of `mixed` in one pack, (D, T, L).

    Args:
        looks: scratch, (T, L); q, g, back: stacks of `components` vectors.
    """
    size = width * tokens * LANES
    scale = splat(np.float32(1 / np.sqrt(components)))
    survive = splat(survivors_scale(dropped))
    gradient[:] = 0
    for row in range(0, width, components):
        place = row * tokens * LANES
        for t in range(tokens):
            counter = _first_counter(at, row, t, width, tokens, components)
            _query(q, projected, row, t, tokens, components)
            norm = _look(q, projected, size + place, tokens, components, looks)
            along = splat(ZERO)
            for c in range(components):
                here = place + (c * tokens + t) * LANES
                g[c] = load(mixed_gradient, here)
                along = fma(g[c], load(mixed, at + here), along)
                g[c] = g[c] * survive
            _mix_backward(
                back, q, g, along, looks, norm, projected, size + place, 2 * size + place,
                tokens, components, dropped, key, counter, gradient,
            )  # fmt: skip
            for c in range(components):
                store(gradient, place + (c * tokens + t) * LANES, back[c] * scale)


@cache
def kernels(head_width: int):
    """Compile (forward, backward) with the head width as a constant."""
    components = int(head_width)

    @kernel
    def forward(x, tokens, qkv, qkv_bias, out_weight, out_bias, gain, shift, eps, dropped, key,
                mixed, total, out):  # fmt: skip
        """Write `out`, and what `backward` needs: `total`, its value before LayerNorm, and `mixed`,
        the mean of the values.

        Args:
            x, total, out: float32 (packs, T, D, L).
            qkv: (3 D, D), queries, keys, values; qkv_bias (3 D,).
            out_weight: (D, D); out_bias (D,).
            mixed: (packs, D, T, L).

        All other arguments: see the package, `nn.kernels`.
        """
        width = gain.size
        size = width * tokens * LANES  # of a pack
        by_token, by_row = (LANES, width * LANES), (tokens * LANES, LANES)
        projected, sums = np.empty(3 * size, np.float32), np.empty(size, np.float32)
        nothing = np.zeros(width, np.float32)
        looks = np.empty(tokens * LANES, np.float32)
        h, q, mean = stack(TILE), stack(components), stack(components)
        for at in range(0, x.size, size):
            project(projected, qkv, qkv_bias, x, at, by_token, width, tokens, h)
            attend(mixed, projected, at, width, tokens, components, dropped, key, looks, q, mean)
            project(sums, out_weight, nothing, mixed, at, by_row, width, tokens, h)
            for t in range(0, tokens, 2):
                add_and_normalise(
                    sums, t * LANES, by_row, ONE, out_bias, x, at + t * width * LANES,
                    gain, shift, eps, dropped, key, OUTPUT, total, out,
                )  # fmt: skip

    @kernel
    def backward(out_gradient, x, mixed, total, tokens, qkv, qkv_bias, qkv_transposed,
                 out_transposed, gain, eps, dropped, key, x_gradient, qkv_gradient,
                 qkv_bias_gradient, out_weight_gradient, out_bias_gradient, gain_gradient,
                 shift_gradient):  # fmt: skip
        """Gradients of `forward`; see the package, `nn.kernels`.

        Args:
            qkv_transposed, out_transposed: the weights transposed, (D, 3 D) and (D, D).
        """
        width = gain.size
        size = width * tokens * LANES  # of a pack
        by_token, by_row = (LANES, width * LANES), (tokens * LANES, LANES)
        projected, gradient = np.empty(3 * size, np.float32), np.empty(3 * size, np.float32)
        sums_gradient, mixed_gradient = np.empty(size, np.float32), np.empty(size, np.float32)
        nothing = np.zeros(width, np.float32)
        looks = np.empty(tokens * LANES, np.float32)
        rows = np.empty(2 * LANES * width, np.float32)
        h, products = stack(TILE), stack(UNITS)
        q, g, back = stack(components), stack(components), stack(components)
        for at in range(0, x.size, size):
            project(projected, qkv, qkv_bias, x, at, by_token, width, tokens, h)
            for t in range(0, tokens, 2):
                add_and_normalise_backward(
                    out_gradient, t * LANES, by_row, ONE, total, at + t * width * LANES,
                    gain, eps, dropped, key, OUTPUT, x_gradient, sums_gradient,
                    out_bias_gradient, gain_gradient, shift_gradient,
                )  # fmt: skip
            add_outer_products(
                out_weight_gradient, sums_gradient, width, mixed, at, by_row, width, tokens,
                rows, products,
            )  # fmt: skip
            project(
                mixed_gradient, out_transposed, nothing, sums_gradient, 0, by_row, width, tokens, h
            )
            attend_backward(
                gradient, mixed_gradient, mixed, projected, at, width, tokens, components,
                dropped, key, looks, q, g, back,
            )  # fmt: skip
            add_outer_products(
                qkv_gradient, gradient, 3 * width, x, at, by_token, width, tokens, rows, products
            )
            add_sums(qkv_bias_gradient, gradient, tokens)
            project(
                mixed_gradient, qkv_transposed, nothing, gradient, 0, by_row, 3 * width, tokens, h
            )
            _add_transposed(x_gradient, at, mixed_gradient, width, tokens)

    return forward, backward


@inlined
def add_sums(sums, x, tokens):
    """sums[j] += sum_t x[j, t]."""
    for j in range(sums.size // LANES):
        total = load(sums, j * LANES)
        for t in range(tokens):
            total = total + load(x, (j * tokens + t) * LANES)
        store(sums, j * LANES, total)


@inlined
def _add_transposed(sums, at, x, width, tokens):
    """sums[t, k] += x[k, t], for the pack at `at` of sums."""
    for t in range(tokens):
        for k in range(width):
            place = at + (t * width + k) * LANES
            store(sums, place, load(sums, place) + load(x, (k * tokens + t) * LANES))
