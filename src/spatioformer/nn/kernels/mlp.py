"""The MLP half of a post-norm block: LayerNorm(x + dropout(down(dropout(relu(up(x)))))).

Shapes: N token vectors (packs x tokens, even), D width, F hidden width (a multiple of UNITS),
L = LANES. Arrays are flat. Only a tile of the hidden layer exists at a time, in registers; the
backward pass computes it again.
"""

import numpy as np

from spatioformer.nn.kernels.parts import (
    TILE,
    UNITS,
    ZERO,
    add_and_normalise,
    add_and_normalise_backward,
    add_outer,
    add_transposed,
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
    load,
    maximum,
    splat,
    spread,
    stack,
    store,
    where_positive,
)

HIDDEN, OUTPUT = 1, 2  # places of dropout
PAIR = (2 * LANES, LANES)  # strides of (rows, 2, L)


@inlined
def _hidden(h, x, at, up, up_bias, j, width, dropped, key):
    """Compute a tile of the hidden layer: ReLU, then dropout without its scale factor."""
    for a in range(UNITS):
        h[2 * a] = h[2 * a + 1] = spread(up_bias, j + a)
    tile(h, up, j, width, x, at, (LANES, width * LANES))
    for a in range(TILE):
        h[a] = maximum(h[a], splat(ZERO))
    if dropped:
        half = up_bias.size // 2
        for v in range(2):
            counter = (at // (width * LANES) + v) * half + j // 2
            for a in range(0, UNITS, 2):
                bits = random_bits(key, HIDDEN, counter + a // 2)
                h[2 * a + v] = kept_low(bits, dropped, h[2 * a + v])
                h[2 * (a + 1) + v] = kept_high(bits, dropped, h[2 * (a + 1) + v])


@kernel
def forward(x, up, up_bias, down, down_bias, gain, shift, eps, dropped, key, total, out):
    """Write `out`, and `total`, its value before LayerNorm, which `backward` needs.

    Args:
        x, total, out: float32 (N, D, L).
        up, down: float32 (F, D), down transposed; up_bias (F,); down_bias (D,).

    All other arguments: see the package, `nn.kernels`.
    """
    width = gain.size
    scale = survivors_scale(dropped)
    sums = np.empty(2 * width * LANES, np.float32)
    h = stack(TILE)
    for at in range(0, x.size, 2 * width * LANES):
        sums[:] = 0
        for j in range(0, up_bias.size, UNITS):
            _hidden(h, x, at, up, up_bias, j, width, dropped, key)
            add_transposed(sums, down, j, width, h)
        add_and_normalise(
            sums, 0, PAIR, scale, down_bias, x, at, gain, shift, eps, dropped, key, OUTPUT,
            total, out,
        )  # fmt: skip


@kernel
def backward(
    out_gradient,
    x,
    total,
    up,
    up_bias,
    down,
    gain,
    eps,
    dropped,
    key,
    x_gradient,
    up_gradient,
    up_bias_gradient,
    down_gradient,
    down_bias_gradient,
    gain_gradient,
    shift_gradient,
):
    """Gradients of `forward`; see the package, `nn.kernels`."""
    width = gain.size
    scale = survivors_scale(dropped)
    sums = np.empty(2 * width * LANES, np.float32)
    y = np.empty(2 * width * LANES, np.float32)
    x_rows = np.empty(2 * LANES * width, np.float32)
    y_rows = np.empty(2 * LANES * width, np.float32)
    hidden = np.empty(TILE * LANES, np.float32)
    hidden_gradient = np.empty(TILE * LANES, np.float32)
    h, g, products = stack(TILE), stack(TILE), stack(UNITS)
    for at in range(0, x.size, 2 * width * LANES):
        add_and_normalise_backward(
            out_gradient, 0, PAIR, scale, total, at, gain, eps, dropped, key, OUTPUT,
            x_gradient, y, down_bias_gradient, gain_gradient, shift_gradient,
        )  # fmt: skip
        to_rows(x_rows, x, at, (LANES, width * LANES), width)
        to_rows(y_rows, y, 0, PAIR, width)
        sums[:] = 0
        for j in range(0, up_bias.size, UNITS):
            _hidden(h, x, at, up, up_bias, j, width, dropped, key)
            for a in range(TILE):
                store(hidden, a * LANES, h[a])
                g[a] = splat(ZERO)
            tile(g, down, j, width, y, 0, PAIR)
            for a in range(TILE):
                g[a] = where_positive(load(hidden, a * LANES), g[a])
                store(hidden_gradient, a * LANES, g[a])
            add_transposed(sums, up, j, width, g)
            for a in range(UNITS):
                place = (j + a) * LANES
                both = g[2 * a] + g[2 * a + 1]
                store(up_bias_gradient, place, load(up_bias_gradient, place) + both)
            add_outer(up_gradient, j, width, hidden_gradient, 0, 2 * LANES, x_rows, products)
            add_outer(down_gradient, j, width, hidden, 0, 2 * LANES, y_rows, products)
        for k in range(width):
            for v in range(2):
                place = at + (v * width + k) * LANES
                through = load(sums, (2 * k + v) * LANES)
                store(x_gradient, place, load(x_gradient, place) + through)
