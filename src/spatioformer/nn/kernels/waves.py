"""Sines and cosines of many waves at many places, in float64.

`numpy.sin` and `torch.sin` take about 5 ns a number. Here LLVM computes several pixels at once.
"""

import numpy as np
from numba import njit

from spatioformer.nn.kernels.parts import kernel

_ROUND = 1.5 * 2.0**52  # adding and subtracting it rounds to a whole number


@njit(error_model="numpy", inline="always")
def _wave(turns):
    """sin and cos (2 pi turns), error below 1e-15; the part after the point alone counts.

    The nearest quarter of a turn is taken off. The rest, at most pi / 4, goes into the Taylor
    series up to order 17, and quarters exchange both functions and their signs.
    """
    quarters = (4.0 * turns + _ROUND) - _ROUND
    angle = (turns - 0.25 * quarters) * 6.283185307179586
    t = angle * angle
    sine = 1.0 / 355687428096000.0
    sine = sine * t - 1.0 / 1307674368000.0
    sine = sine * t + 1.0 / 6227020800.0
    sine = sine * t - 1.0 / 39916800.0
    sine = sine * t + 1.0 / 362880.0
    sine = sine * t - 1.0 / 5040.0
    sine = sine * t + 1.0 / 120.0
    sine = sine * t - 1.0 / 6.0
    sine = angle + angle * (t * sine)
    cosine = 1.0 / 20922789888000.0
    cosine = cosine * t - 1.0 / 87178291200.0
    cosine = cosine * t + 1.0 / 479001600.0
    cosine = cosine * t - 1.0 / 3628800.0
    cosine = cosine * t + 1.0 / 40320.0
    cosine = cosine * t - 1.0 / 720.0
    cosine = cosine * t + 1.0 / 24.0
    cosine = cosine * t - 0.5
    cosine = 1.0 + t * cosine
    rest = quarters - 4.0 * ((0.25 * quarters + _ROUND) - _ROUND)  # -2, -1, 0, 1 or 2
    odd = rest * rest == 1.0
    upper = rest * rest < 2.0  # not two quarters, which turn both signs
    a, b = (cosine, sine) if odd else (sine, cosine)
    sine_sign = rest if odd else (1.0 if upper else -1.0)
    cosine_sign = -rest if odd else (1.0 if upper else -1.0)
    return a * sine_sign, b * cosine_sign


@kernel
def waves(lon, lat, on_sphere, directions, out):
    """Write the features of every pixel: the sines of all waves, then their cosines.

    Args:
        lon, lat: float64 (rows, columns), degrees.
        on_sphere: whether a place is its unit vector in degrees of arc, not (lon, lat, 0).
        directions: float64 (waves, 3), turns a degree.
        out: float32 (2 waves, rows, columns or more).
    """
    rows, columns = lon.shape
    x, y, z = np.empty(columns), np.empty(columns), np.zeros(columns)
    degrees, number = 180.0 / np.pi, len(directions)
    for row in range(rows):
        if on_sphere:
            for i in range(columns):
                sine, cosine = _wave(lat[row, i] / 360.0)
                east, north = _wave(lon[row, i] / 360.0)
                x[i], y[i], z[i] = degrees * cosine * north, degrees * cosine * east, degrees * sine
        else:
            for i in range(columns):
                x[i], y[i] = lon[row, i], lat[row, i]
        for j in range(number):
            a, b, c = directions[j]
            for i in range(columns):
                sine, cosine = _wave(a * x[i] + b * y[i] + c * z[i])
                out[j, row, i] = sine
                out[number + j, row, i] = cosine
