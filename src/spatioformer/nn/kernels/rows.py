"""The dense network in one pass over the rows of a tile.

Shapes: D width (a multiple of UNITS), H heads, K = D / H head width, F location features, L =
LANES. A *pair* is 2 L neighbouring pixels of a row; its channels lie in scratch memory as
(channels, 2, L). Arrays are flat. Images are (channels, rows, S): S, the stride, is a little more
than the columns.

A level is a layer with attention. The rows that it needs at once, n = 2 radius + 1 of them, stay in
a ring: (n, 3 D, S) with the tokens, their keys and their values. So a row passes through all levels
while it lies in the second cache, and nothing is computed twice. Every number depends on its own
pixel and the neighbours alone, in one order of operations, so a value is the same to the last bit
in every tile, block and thread.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

from spatioformer.nn.kernels.parts import (
    ONE,
    TILE,
    UNITS,
    ZERO,
    exponential,
    kernel,
    normal_share,
)
from spatioformer.nn.kernels.simd import (
    LANES,
    fma,
    load,
    maximum,
    minimum,
    root,
    splat,
    spread,
    stack,
    store,
)

PAIR = 2 * LANES
PLAIN, GELU, ADD = 0, 1, 2  # what `_product` does with a product

called = njit(error_model="numpy")
pasted = njit(error_model="numpy", inline="always")  # called at one place: compiles once


class Sizes(NamedTuple):
    """Sizes of a network and of a tile, and where its weights start in the packed array.

    Attributes:
        rows, columns: of the tile with its halo; `stride` of an image's row.
        bands, intervals: intervals of each band, 0 for bands that are used unchanged.
        place: F, 0 without location.
        hidden, head_hidden: multiples of UNITS.
        edges: start of `low`, then 1 / width, of every interval.
        norm: start of the gain, then the shift, of the last norm.
    """

    rows: int
    columns: int
    stride: int
    halo: int
    bands: int
    intervals: int
    place: int
    width: int
    hidden: int
    head_hidden: int
    outputs: int
    edges: int
    embedding: int
    token_film: int
    norm: int
    head_film: int
    head_up: int
    head_down: int
    eps: float
    norm_eps: float


@called
def _product(out, at, stride, weights, w, rows, columns, x, kind):
    """out[j] = bias[j] + sum_k weights[j, k] x[k] for a pair; GELU of it, or add it to `out`.

    Args:
        out: row j stands at `at + j * stride`.
        weights: from w on, for UNITS rows at a time: their biases, then their weights for each k.
        x: scratch.
    """
    h = stack(TILE)
    for j in range(0, rows, UNITS):
        for a in range(UNITS):
            h[2 * a] = h[2 * a + 1] = spread(weights, w + a)
        for k in range(columns):
            w += UNITS
            first, second = load(x, 2 * k * LANES), load(x, (2 * k + 1) * LANES)
            for a in range(UNITS):
                weight = spread(weights, w + a)
                h[2 * a] = fma(weight, first, h[2 * a])
                h[2 * a + 1] = fma(weight, second, h[2 * a + 1])
        w += UNITS
        if kind == GELU:
            for a in range(TILE):
                h[a] = h[a] * normal_share(h[a])
        for a in range(UNITS):
            place = at + (j + a) * stride
            if kind == ADD:
                h[2 * a] = h[2 * a] + load(out, place)
                h[2 * a + 1] = h[2 * a + 1] + load(out, place + LANES)
            store(out, place, h[2 * a])
            store(out, place + LANES, h[2 * a + 1])


@called
def _normalise(out, x, width, eps):
    """Subtract the mean over the channels of each pixel, and divide by the standard deviation."""
    share = splat(np.float32(1 / width))
    for v in range(0, PAIR, LANES):
        mean = splat(ZERO)
        for k in range(width):
            mean = mean + load(x, k * PAIR + v)
        mean = mean * share
        square = splat(ZERO)
        for k in range(width):
            centred = load(x, k * PAIR + v) - mean
            square = fma(centred, centred, square)
        inverse = splat(ONE) / root(fma(square, share, splat(np.float32(eps))))
        for k in range(width):
            store(out, k * PAIR + v, (load(x, k * PAIR + v) - mean) * inverse)


@called
def _copy(out, at, stride, x, x_at, x_stride, channels):
    """Copy a pair."""
    for k in range(channels):
        store(out, at + k * stride, load(x, x_at + k * x_stride))
        store(out, at + k * stride + LANES, load(x, x_at + k * x_stride + LANES))


@pasted
def _intervals(out, bands, at, stride, count, intervals, weights, edges):
    """The piecewise linear encoding of the bands of a pair, see `nn.piecewise`."""
    one, zero = splat(ONE), splat(ZERO)
    inverses = edges + count * intervals
    for b in range(count):
        for v in range(0, PAIR, LANES):
            value = load(bands, at + b * stride + v)
            for i in range(b * intervals, (b + 1) * intervals):
                part = (value - spread(weights, edges + i)) * spread(weights, inverses + i)
                # In this order, so that NaN stays NaN.
                store(out, i * PAIR + v, maximum(zero, minimum(one, part)))


@pasted
def _affine(x, weights, w, width):
    """x * gain + shift, of each channel."""
    for k in range(width):
        gain, shift = spread(weights, w + k), spread(weights, w + width + k)
        for v in range(k * PAIR, (k + 1) * PAIR, LANES):
            store(x, v, fma(load(x, v), gain, shift))


@called
def _film(x, film, width):
    """x * scale + shift; film holds the scales of all channels, then the shifts."""
    for i in range(0, width * PAIR, LANES):
        store(x, i, fma(load(x, i), load(film, i), load(film, width * PAIR + i)))


@called
def _locate(x, place, here, weights, w, s, hidden, near):
    """Scale and shift a pair by the location features at `here` of the image, if there are any."""
    if s.place:
        _copy(near, 0, PAIR, place, here, s.rows * s.stride, s.place)
        _product(hidden, 0, PAIR, weights, w, 2 * s.width, s.place, near, PLAIN)
        _film(x, hidden, s.width)


@pasted
def _outputs(out, at, stride, weights, w, count, columns, x):
    """The head's last layer, for a pair: `count` numbers from each pixel's `columns` in `x`."""
    for o in range(count):
        first = second = spread(weights, w)
        for k in range(columns):
            weight = spread(weights, w + 1 + k)
            first = fma(weight, load(x, k * PAIR), first)
            second = fma(weight, load(x, k * PAIR + LANES), second)
        w += columns + 1
        store(out, at + o * stride, first)
        store(out, at + o * stride + LANES, second)


def stride(columns: int, halo: int) -> int:
    """S: whole pairs and what their neighbours need, an odd number of vectors.

    With an even number, the channels of a pixel would compete for few places in the first cache.
    """
    pairs = -(-columns // PAIR) * PAIR
    return (-(-(pairs + 2 * halo) // LANES) | 1) * LANES


@pasted
def _attend(
    mixed, query, rings, start, row, column, stride, width, radius, weights, bias, penalty,
    penalty_at, masked, scores, q, mean, components,
):  # fmt: skip
    """Mix the values of the neighbours of a pair, by the softmax of their scores.

    Args:
        mixed, query: scratch (D, 2, L); the query is scaled.
        start: of the level's ring; `row` is the first of the n rows to use.
        bias: start of (H, n * n) in the weights.
        penalty: image, 0 or -inf; `penalty_at` is that of the first neighbour.
        scores: n * n vectors.
        q, mean: stacks of K vectors; components: K.
    """
    side = 2 * radius + 1
    size = 3 * width * stride
    for v in range(0, PAIR, LANES):
        for head in range(0, width, components):
            for c in range(components):
                q[c] = load(query, (head + c) * PAIR + v)
            largest = splat(np.float32(-np.inf))
            o = 0
            for dy in range(side):
                at = start + (row + dy) % side * size + (width + head) * stride + column + v
                hidden = penalty_at + dy * stride + v
                for dx in range(side):
                    score = spread(weights, bias + o)
                    for c in range(components):
                        score = fma(q[c], load(rings, at + dx + c * stride), score)
                    if masked and (dy != radius or dx != radius):
                        score = score + load(penalty, hidden + dx)
                    store(scores, o * LANES, score)
                    largest = maximum(score, largest)
                    o += 1
            total = splat(ZERO)
            for c in range(components):
                mean[c] = splat(ZERO)
            o = 0
            for dy in range(side):
                at = start + (row + dy) % side * size + (2 * width + head) * stride + column + v
                for dx in range(side):
                    share = exponential(load(scores, o * LANES) - largest)
                    total = total + share
                    for c in range(components):
                        mean[c] = fma(share, load(rings, at + dx + c * stride), mean[c])
                    o += 1
            bias += side * side
            inverse = splat(ONE) / total
            for c in range(components):
                store(mixed, (head + c) * PAIR + v, mean[c] * inverse)
        bias -= side * side * (width // components)


@pasted
def _token(x, bands, place, here, weights, s, hidden, near):
    """Compute the tokens of a pair of the tile, at `here` of the images."""
    image = s.rows * s.stride
    features = s.bands
    if s.intervals:
        features = s.bands * s.intervals
        _intervals(hidden, bands, here, image, s.bands, s.intervals, weights, s.edges)
    else:
        _copy(hidden, 0, PAIR, bands, here, image, s.bands)
    _product(x, 0, PAIR, weights, s.embedding, s.width, features, hidden, PLAIN)
    _locate(x, place, here, weights, s.token_film, s, hidden, near)


@pasted
def _attention(
    x, column, row, here, level, penalty, masked, weights, s, rings, start, scratch, q, mean,
    components,
):  # fmt: skip
    """Take the tokens of a pair from the ring of `level`, and add their attention."""
    radius, query_at, _, out_at, bias = level
    unit, query, mixed, scores = scratch
    line = (row + radius) % (2 * radius + 1) * 3 * s.width
    _copy(x, 0, PAIR, rings, start + line * s.stride + column + radius, s.stride, s.width)
    _normalise(unit, x, s.width, s.eps)
    _product(query, 0, PAIR, weights, query_at, s.width, s.width, unit, PLAIN)
    _attend(
        mixed, query, rings, start, row, column, s.stride, s.width, radius, weights, bias,
        penalty, here - radius * (s.stride + 1), masked, scores, q, mean, components,
    )  # fmt: skip
    _product(x, 0, PAIR, weights, out_at, s.width, s.width, mixed, ADD)


@cache
def dense(components: int):
    """Compile the network's kernel for heads of `components` channels."""

    @kernel
    def run(bands, place, penalty, masked, weights, s, levels, mlps, rings, starts, out):
        """Predict all pixels of a tile but those of its halo.

        Args:
            bands, place, penalty: images of the standardised bands, of the location features and
                of 0 (valid) or -inf. place is empty without location.
            masked: whether any pixel is invalid; if not, penalty may be empty.
            weights: packed, see `Sizes`.
            s: `Sizes`.
            levels: int64 (levels, 5): radius, and starts of query, keys and values, output, bias.
            mlps: int64 (n, 3): the number of levels before it, and starts of its two products.
            rings: zeros, for the rings of the levels, which begin at `starts`.
            out: (outputs, y, S), written.
        """
        x, unit = np.empty(s.width * PAIR, np.float32), np.empty(s.width * PAIR, np.float32)
        query, mixed = np.empty(s.width * PAIR, np.float32), np.empty(s.width * PAIR, np.float32)
        most = max(s.hidden, s.head_hidden, 2 * s.width, s.bands * max(s.intervals, 1))
        hidden, near = np.empty(most * PAIR, np.float32), np.empty(s.place * PAIR, np.float32)
        scores = np.empty((2 * s.halo + 1) ** 2 * LANES, np.float32)
        q, mean = stack(components), stack(components)
        for y in range(s.rows):
            # Row y of the tile enters; each level then has one more row to give, or waits.
            row, columns, margin = y, s.columns, 0
            for done in range(len(levels) + 1):
                if done:
                    radius = levels[done - 1, 0]
                    row, columns, margin = row - 2 * radius, columns - 2 * radius, margin + radius
                if row < 0:
                    break
                for column in range(0, columns, PAIR):
                    here = (row + margin) * s.stride + column + margin
                    if done:
                        level = levels[done - 1]
                        _attention(
                            x, column, row, here,
                            (level[0], level[1], level[2], level[3], level[4]), penalty, masked,
                            weights, s, rings, starts[done - 1],
                            (unit, query, mixed, scores), q, mean, components,
                        )  # fmt: skip
                    else:
                        _token(x, bands, place, here, weights, s, hidden, near)
                    for before, up, down in mlps:
                        if before == done:
                            _normalise(unit, x, s.width, s.eps)
                            _product(hidden, 0, PAIR, weights, up, s.hidden, s.width, unit, GELU)
                            _product(x, 0, PAIR, weights, down, s.width, s.hidden, hidden, ADD)
                    if done < len(levels):
                        line = row % (2 * levels[done, 0] + 1) * 3 * s.width
                        at = starts[done] + line * s.stride + column
                        _copy(rings, at, s.stride, x, 0, PAIR, s.width)
                        _normalise(unit, x, s.width, s.eps)
                        at += s.width * s.stride
                        key_values = levels[done, 2]
                        _product(
                            rings, at, s.stride, weights, key_values, 2 * s.width, s.width, unit,
                            PLAIN,
                        )  # fmt: skip
                        continue
                    _normalise(x, x, s.width, s.norm_eps)
                    _affine(x, weights, s.norm, s.width)
                    _locate(x, place, here, weights, s.head_film, s, hidden, near)
                    _product(hidden, 0, PAIR, weights, s.head_up, s.head_hidden, s.width, x, GELU)
                    image = (s.rows - 2 * s.halo) * s.stride
                    _outputs(
                        out, row * s.stride + column, image, weights, s.head_down, s.outputs,
                        s.head_hidden, hidden,
                    )  # fmt: skip

    return run
