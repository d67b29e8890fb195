"""Parts that the kernels share: compilation, exponential, dropout, tiles of products, LayerNorm.

Shapes: L = LANES; a token vector is one token of every chip of a pack, (width, L). Arrays are flat;
`at` is the offset of the first number to use. Kernels work on pairs of tokens.
"""

import numpy as np
from numba import njit

from spatioformer.common.compiled import kernel as kernel
from spatioformer.nn.kernels.simd import (
    LANES,
    bits_of,
    fma,
    lane_numbers,
    load,
    maximum,
    minimum,
    of_bits,
    root,
    splat,
    splat_integer,
    spread,
    store,
    where_not_below,
)

UNITS = 8
"""Rows of a weight matrix in a tile of a product. Eight rows by two token vectors are sixteen
accumulators: they and their operands fill the registers of AVX-512."""

TILE = 2 * UNITS
LEVELS = 1 << 16
ONE, ZERO = np.float32(1), np.float32(0)

inlined = njit(forceinline=True, error_model="numpy")


@inlined
def exponential(x):
    """exp(x) for x <= 0, relative error below 2e-7; about 1e-38 below -87, where float32 ends.

    exp(x) = 2^n exp(f) with whole n and |f| <= log(2)/2. Adding 1.5 * 2^23 leaves n in the last
    bits. The polynomial is a minimax fit of this project, with an error of 2e-9 before rounding.
    """
    x = maximum(x, splat(np.float32(-87.0)))
    shifted = fma(x, splat(np.float32(1.4426950408889634)), splat(np.float32(12582912.0)))
    n = shifted - splat(np.float32(12582912.0))
    f = fma(n, splat(np.float32(-0.6931471805599453)), x)
    p = splat(np.float32(0.0013836787547916174))
    p = fma(p, f, splat(np.float32(0.00837485771626234)))
    p = fma(p, f, splat(np.float32(0.041668228805065155)))
    p = fma(p, f, splat(np.float32(0.16666419804096222)))
    p = fma(p, f, splat(np.float32(0.49999991059303284)))
    p = fma(p, f, splat(ONE))
    p = fma(p, f, splat(ONE))
    return of_bits(bits_of(p) + (bits_of(shifted) << splat_integer(np.uint32(23))))


@inlined
def normal_share(x):
    """Share of a standard normal distribution below x, so that GELU is x times it.

    The error of x times it is below 4e-7 max(1, |x|), as of torch's GELU in float32. Its difference
    from 1/2 is x P(x^2) / Q(x^2), a minimax fit of this project on |x| < 5.5, where it has come
    within 2e-8 of its limit.
    """
    edge = splat(np.float32(5.5))
    u = maximum(minimum(x, edge), splat(np.float32(-5.5)))
    t = u * u
    p = splat(np.float32(6.9447314672288485e-06))
    p = fma(p, t, splat(np.float32(0.0003872807137668133)))
    p = fma(p, t, splat(np.float32(0.0060096378438174725)))
    p = fma(p, t, splat(np.float32(0.05624186992645264)))
    p = fma(p, t, splat(np.float32(0.39894193410873413)))
    q = splat(np.float32(5.731883447879227e-07))
    q = fma(q, t, splat(np.float32(0.00013858251622878015)))
    q = fma(q, t, splat(np.float32(0.003134955884888768)))
    q = fma(q, t, splat(np.float32(0.04135160520672798)))
    q = fma(q, t, splat(np.float32(0.3076367974281311)))
    q = fma(q, t, splat(ONE))
    return fma(u, p / q, splat(np.float32(0.5)))


@inlined
def random_bits(key, site, counter):
    """32 random bits for each lane, a function of (key, site, counter, lane) alone.

    Args:
        key: uint32 (2,), drawn once for each call of a kernel.
        site: a number for each place of dropout.
        counter: an integer; its lowest 28 bits count (2^32 / LANES).

    Two multiplications and shifts as in C. Wellons' "hash-prospector" (lowbias32), with the second
    half of the key and the site between them.
    """
    x = splat_integer(np.uint32(counter * LANES & 0xFFFFFFFF)) + lane_numbers()
    x = x ^ splat_integer(key[0])
    x = x ^ (x >> splat_integer(np.uint32(16)))
    x = x * splat_integer(np.uint32(0x7FEB352D))
    x = x + splat_integer(np.uint32((key[1] + site * 0x9E3779B9) & 0xFFFFFFFF))
    x = x ^ (x >> splat_integer(np.uint32(15)))
    x = x * splat_integer(np.uint32(0x846CA68B))
    return x ^ (x >> splat_integer(np.uint32(16)))


@inlined
def kept_low(bits, dropped, value):
    """`value` where the lower sixteen bits are at least `dropped`, else 0."""
    return where_not_below(
        bits & splat_integer(np.uint32(0xFFFF)), splat_integer(np.uint32(dropped)), value
    )


@inlined
def kept_high(bits, dropped, value):
    """`value` where the upper sixteen bits are at least `dropped`, else 0."""
    return where_not_below(
        bits >> splat_integer(np.uint32(16)), splat_integer(np.uint32(dropped)), value
    )


@inlined
def survivors_scale(dropped):
    """Factor for the numbers that dropout keeps, so that the expectation stays the same."""
    return np.float32(LEVELS / (LEVELS - dropped))


@inlined
def tile(out, weights, row, columns, x, at, stride):
    """out[a, v] += sum_k weights[row + a, k] x[k, v] for UNITS rows and a pair of tokens.

    Args:
        weights: (rows, columns).
        x: x[k, v] stands at `at + k * stride[0] + v * stride[1]`.
    """
    for k in range(columns):
        first = load(x, at + k * stride[0])
        second = load(x, at + k * stride[0] + stride[1])
        for a in range(UNITS):
            weight = spread(weights, (row + a) * columns + k)
            out[2 * a] = fma(weight, first, out[2 * a])
            out[2 * a + 1] = fma(weight, second, out[2 * a + 1])


@inlined
def add_transposed(sums, weights, row, columns, h):
    """sums[k, v] += sum_a weights[row + a, k] h[a, v]; sums is (columns, 2, L)."""
    for k in range(columns):
        first, second = load(sums, 2 * k * LANES), load(sums, (2 * k + 1) * LANES)
        for a in range(UNITS):
            weight = spread(weights, (row + a) * columns + k)
            first = fma(weight, h[2 * a], first)
            second = fma(weight, h[2 * a + 1], second)
        store(sums, 2 * k * LANES, first)
        store(sums, (2 * k + 1) * LANES, second)


@inlined
def add_outer(gradient, row, columns, left, at, stride, right, products):
    """gradient[row + a, k] += sum_i left[a, i] right[i, k], over the 2 L chips of a pair of tokens.

    Args:
        left: left[a, i] stands at `at + a * stride + i`.
        right: (2 L, columns), columns a multiple of L.
        products: a stack of UNITS vectors.
    """
    for k in range(0, columns, LANES):
        for a in range(UNITS):
            products[a] = load(gradient, (row + a) * columns + k)
        for i in range(2 * LANES):
            row_values = load(right, i * columns + k)
            for a in range(UNITS):
                products[a] = fma(spread(left, at + a * stride + i), row_values, products[a])
        for a in range(UNITS):
            store(gradient, (row + a) * columns + k, products[a])


@inlined
def to_rows(rows, x, at, stride, width):
    """rows[i, k] = x[k, i] for the 2 L chips of a pair of tokens; addresses as in `tile`."""
    for v in range(2):
        for k in range(width):
            for i in range(LANES):
                rows[(v * LANES + i) * width + k] = x[at + k * stride[0] + v * stride[1] + i]


@inlined
def moments(total, start, width, eps):
    """Mean over the width of one token vector, and 1 / sqrt(variance + eps)."""
    mean = splat(ZERO)
    for k in range(width):
        mean = mean + load(total, start + k * LANES)
    mean = mean * splat(np.float32(1 / width))
    square = splat(ZERO)
    for k in range(width):
        centred = load(total, start + k * LANES) - mean
        square = fma(centred, centred, square)
    variance = fma(square, splat(np.float32(1 / width)), splat(np.float32(eps)))
    return mean, splat(ONE) / root(variance)


@inlined
def normalise(out, place, x, start, gain, shift, eps):
    """out = LayerNorm(x) for one token vector, at `place` of out and at `start` of x.

    Args:
        gain, shift: (width,).
    """
    width = gain.size
    mean, inverse = moments(x, start, width, eps)
    for k in range(width):
        unit = (load(x, start + k * LANES) - mean) * inverse
        store(out, place + k * LANES, fma(unit, spread(gain, k), spread(shift, k)))


@inlined
def gain_and_shift_backward(
    out_gradient, place, stride, x, start, gain, eps, gain_gradient, shift_gradient
):
    """Add the gradients of gain and shift of `normalise`, for one token vector of x at `start`.

    Args:
        out_gradient: of out[k], which stands at `place + k * stride`.
        gain_gradient, shift_gradient: (width, L).

    Returns:
        What `normalise_backward` needs: the two `moments` of x, and the means over the width of g
        and of g times the normalised x, where g is the gradient of the normalised x.
    """
    width = gain.size
    share = splat(np.float32(1 / width))
    mean, inverse = moments(x, start, width, eps)
    along, along_unit = splat(ZERO), splat(ZERO)
    for k in range(width):
        unit = (load(x, start + k * LANES) - mean) * inverse
        g = load(out_gradient, place + k * stride)
        store(gain_gradient, k * LANES, fma(g, unit, load(gain_gradient, k * LANES)))
        store(shift_gradient, k * LANES, g + load(shift_gradient, k * LANES))
        g = g * spread(gain, k)
        along = along + g
        along_unit = fma(g, unit, along_unit)
    return mean, inverse, along * share, along_unit * share


@inlined
def normalise_backward(g, gain, x, means):
    """Gradient of x[k] from that of out[k] in `normalise`; `gain` is that of k, for all lanes.

    Args:
        g, gain, x: vectors of L numbers.
        means: what `gain_and_shift_backward` returns for the token vector.
    """
    mean, inverse, along, along_unit = means
    unit = (x - mean) * inverse
    return (g * gain - along - unit * along_unit) * inverse


@inlined
def add_and_normalise(
    sums, place, stride, scale, bias, x, at, gain, shift, eps, dropped, key, site, total, out
):
    """out = LayerNorm(total), total = x + dropout(sums * scale + bias), for a pair of tokens.

    Args:
        sums: sums[k, v] stands at `place + k * stride[0] + v * stride[1]`.
        x, total, out: two token vectors at `at`.
    """
    width = gain.size
    survive = survivors_scale(dropped)
    for v in range(2):
        start = at + v * width * LANES
        for k in range(width):
            y = load(sums, place + k * stride[0] + v * stride[1])
            y = fma(y, splat(scale), spread(bias, k))
            if dropped:
                bits = random_bits(key, site, start // LANES + k)
                y = kept_low(bits, dropped, y * splat(survive))
            store(total, start + k * LANES, y + load(x, start + k * LANES))
        normalise(out, start, total, start, gain, shift, eps)


@inlined
def add_and_normalise_backward(
    out_gradient, place, stride, scale, total, at, gain, eps, dropped, key, site,
    x_gradient, gradient, bias_gradient, gain_gradient, shift_gradient,
):  # fmt: skip
    """Gradients of `add_and_normalise` from the gradient of `out`, for a pair of tokens.

    Args:
        x_gradient: two token vectors at `at`, written.
        gradient: of `sums`, written with the same addresses.
        bias_gradient, gain_gradient, shift_gradient: (width, L), added to, one sum for each lane.
    """
    width = gain.size
    survive = survivors_scale(dropped)
    for v in range(2):
        start = at + v * width * LANES
        means = gain_and_shift_backward(
            out_gradient, start, LANES, total, start, gain, eps, gain_gradient, shift_gradient
        )
        for k in range(width):
            here = start + k * LANES
            g = load(out_gradient, here)
            g = normalise_backward(g, spread(gain, k), load(total, here), means)
            store(x_gradient, here, g)
            if dropped:
                bits = random_bits(key, site, start // LANES + k)
                g = kept_low(bits, dropped, g * splat(survive))
            store(bias_gradient, k * LANES, g + load(bias_gradient, k * LANES))
            store(gradient, place + k * stride[0] + v * stride[1], g * splat(scale))
