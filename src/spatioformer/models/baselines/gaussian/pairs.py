"""Covariances of many pairs of plots, and gradients, in one pass each; compiled by numba.

numpy needs some twenty passes over all pairs. Formulas are those of `kernel` and `likelihood`,
whose numbers these functions return up to rounding (1e-13 of the largest).

Shapes: n and m plots, f features, p pairs (i, j) with i < j, row by row.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

from spatioformer.common.compiled import kernel
from spatioformer.models.baselines.gaussian.scales import COINCIDENT

BLOCK = 1024  # pairs of a plot that are handled together; their numbers fit the first cache
SMALLEST = -700.0  # exponent below which exp is set to exp(SMALLEST)

inlined = njit(error_model="numpy", forceinline=True, fastmath={"contract"})


def _bitcast(source: types.Type, target: types.Type, into: ir.Type):
    def build(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], into)

    return target(source), build


@intrinsic
def _bits_of(typingctx, x):
    """The 64 bits of a float64 as an integer."""
    return _bitcast(types.float64, types.int64, ir.IntType(64))


@intrinsic
def _of_bits(typingctx, bits):
    """The float64 with these 64 bits."""
    return _bitcast(types.int64, types.float64, ir.DoubleType())


@inlined
def _exponential(x):
    """exp(x) for x <= 0, relative error below 4e-16; LLVM computes several at once.

    exp(x) = 2^n exp(r) with whole n and |r| <= log(2) / 2; adding 1.5 * 2^52 leaves n in the last
    bits. exp(r) is its Taylor series, whose rest is below 5e-18.
    """
    x = SMALLEST if x < SMALLEST else x  # NaN stays NaN
    shifted = x * 1.4426950408889634 + 6755399441055744.0
    n = shifted - 6755399441055744.0
    r = (x - n * 0.6931471803691238) - n * 1.9082149292705877e-10
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return _of_bits(_bits_of(p) + (_bits_of(shifted) << 52))


@njit(error_model="numpy", fastmath={"contract"})
def _distances(place, others, start, stop, out):
    """out[j] = distance of `place` (k,) and others[:, start + j], (k, m)."""
    size = stop - start
    for j in range(size):
        out[j] = 0.0
    for k in range(len(place)):
        here, row = place[k], others[k, start:stop]
        for j in range(size):
            apart = here - row[j]
            out[j] += apart * apart
    for j in range(size):
        out[j] = np.sqrt(out[j])


@inlined
def _matern(d):
    """1 + d + d^2 / 3, which times exp(-d) is the covariance."""
    return 1.0 + d * (1.0 + d * (1.0 / 3.0))


@kernel
def covariances(places, features, other_places, other_features, scales, out):
    """Write the sum of the three fields, out (n, m), float32 or float64.

    Args:
        places, other_places: (3, n), (3, m), stretched.
        features, other_features: (2, f, n), (2, f, m), divided by the lengths of the second and the
            third field and multiplied by sqrt(5).
        scales: a_1, a_2, a_3, then one over the ranges r_1 and r_3; a variance of 0 leaves the
            field out.
    """
    count, others = out.shape
    place, second, third = np.zeros(BLOCK), np.zeros(BLOCK), np.zeros(BLOCK)
    a, b, c, near, far = scales
    for i in range(count):
        for start in range(0, others, BLOCK):
            stop = min(others, start + BLOCK)
            if a > 0 or c > 0:
                _distances(places[:, i], other_places, start, stop, place)
            if b > 0:
                _distances(features[0, :, i], other_features[0], start, stop, second)
            if c > 0:
                _distances(features[1, :, i], other_features[1], start, stop, third)
            row = out[i, start:stop]
            for j in range(stop - start):
                d, e = second[j], third[j]
                total = a * _exponential(-near * place[j])
                total += b * _matern(d) * _exponential(-d)
                total += c * _matern(e) * _exponential(-e - far * place[j])
                row[j] = total


@kernel
def fields(places, features, scales, matrix, distances, parts):
    """Write the covariances of all pairs to the upper triangle of `matrix` (n, n).

    Args:
        places, features, scales: as of `covariances`.
        distances: (3, p), written: between places, and scaled ones of the second and third field.
        parts: (3, p), written: covariances of the three fields.
    """
    count = len(matrix)
    a, b, c, near, far = scales
    first = 0
    for i in range(count - 1):
        end = first + count - i - 1
        place, second, third = (
            distances[0, first:end],
            distances[1, first:end],
            distances[2, first:end],
        )
        _distances(places[:, i], places, i + 1, count, place)
        if b > 0:
            _distances(features[0, :, i], features[0], i + 1, count, second)
        if c > 0:
            _distances(features[1, :, i], features[1], i + 1, count, third)
        row = matrix[i, i + 1 :]
        of_place, of_features, of_both = (
            parts[0, first:end],
            parts[1, first:end],
            parts[2, first:end],
        )
        for j in range(end - first):
            d, e = second[j], third[j]
            of_place[j] = a * _exponential(-near * place[j])
            of_features[j] = b * _matern(d) * _exponential(-d)
            of_both[j] = c * _matern(e) * _exponential(-e - far * place[j])
            row[j] = of_place[j] + of_features[j] + of_both[j]
        first = end


@njit(error_model="numpy", fastmath=True)
def _dot(a, b):
    """Sum of products."""
    total = 0.0
    for j in range(len(a)):
        total += a[j] * b[j]
    return total


@njit(error_model="numpy", fastmath=True)
def _squares(weights, place, others, start):
    """Sum of weights[j] times the squared difference of `place` and others[start + j]."""
    total = 0.0
    for j in range(len(weights)):
        apart = place - others[start + j]
        total += weights[j] * apart * apart
    return total


@kernel
def slopes(inverse, weights, unstretched, places, features, scales, distances, parts, out, lengths,
           outer):  # fmt: skip
    """Add up the slopes of the misfit with the hyperparameters, over all pairs.

    Args:
        inverse: of the covariance, (n, n); its upper triangle is read.
        weights: (n,), inverse times target.
        unstretched: places before the stretch, (3, n).
        places, features, scales, distances, parts: as of `fields`.
        out: (5,), added to: slopes with the logarithms of a_1, a_2, a_3, r_1, r_3.
        lengths: (2, f), added to: slopes with the logarithms of l_2 and l_3.
        outer: (3, 3), added to: slope with the squared stretch, M of `likelihood`.
    """
    count = len(weights)
    near, far = scales[3], scales[4]
    one, two, three = np.empty(count), np.empty(count), np.empty(count)
    east, north, up = np.empty(count), np.empty(count), np.empty(count)
    ones = np.ones(count)
    first = 0
    for i in range(count - 1):
        size = count - i - 1
        end = first + size
        place, second, third = (
            distances[0, first:end],
            distances[1, first:end],
            distances[2, first:end],
        )
        of_place, of_features, of_both = (
            parts[0, first:end],
            parts[1, first:end],
            parts[2, first:end],
        )
        row = inverse[i, i + 1 :]
        for j in range(size):
            slope = row[j] - weights[i] * weights[i + 1 + j]
            one[j], two[j], three[j] = (
                slope * of_place[j],
                slope * of_features[j],
                slope * of_both[j],
            )
        a, b, c, u = one[:size], two[:size], three[:size], ones[:size]  # views: they change below
        out[0] += _dot(a, u)
        out[1] += _dot(b, u)
        out[2] += _dot(c, u)
        out[3] += near * _dot(a, place)
        out[4] += far * _dot(c, place)
        for j in range(size):
            d = place[j]
            along = (near * one[j] + far * three[j]) * d
            apart = d * d if d > COINCIDENT else np.inf
            one[j] = along / (-2.0 * apart)
            d = second[j]
            two[j] *= (1.0 + d) / _matern(d)
            d = third[j]
            three[j] *= (1.0 + d) / _matern(d)
            east[j] = unstretched[0, i] - unstretched[0, i + 1 + j]
            north[j] = unstretched[1, i] - unstretched[1, i + 1 + j]
            up[j] = unstretched[2, i] - unstretched[2, i + 1 + j]
        for k in range(features.shape[1]):
            lengths[0, k] += _squares(b, features[0, k, i], features[0, k], i + 1) / 3.0
            lengths[1, k] += _squares(c, features[1, k, i], features[1, k], i + 1) / 3.0
        # From here on b, c and a are the weights of `outer` times steps to the east, north and up.
        for j in range(size):
            two[j], three[j] = one[j] * east[j], one[j] * north[j]
            one[j] *= up[j]
        outer[0, 0] += _dot(b, east[:size])
        outer[0, 1] += _dot(b, north[:size])
        outer[0, 2] += _dot(b, up[:size])
        outer[1, 1] += _dot(c, north[:size])
        outer[1, 2] += _dot(c, up[:size])
        outer[2, 2] += _dot(a, up[:size])
        first = end
    outer[1, 0], outer[2, 0], outer[2, 1] = outer[0, 1], outer[0, 2], outer[1, 2]
