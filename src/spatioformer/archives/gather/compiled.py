"""Values of a raster at places, compiled by numba; see `plain`."""

import math

import numpy as np

from spatioformer.archives.compiling import kernel

NAN = np.float32(np.nan)


@kernel
def nearest(values, u, v):
    bands, height, width = values.shape
    out = np.full((bands, *u.shape), NAN, np.float32)
    for y in range(u.shape[0]):
        for x in range(u.shape[1]):
            if math.isnan(u[y, x]):
                continue
            row, col = math.floor(v[y, x]), math.floor(u[y, x])
            if 0 <= row < height and 0 <= col < width:
                for b in range(bands):
                    out[b, y, x] = values[b, row, col]
    return out


@kernel
def bilinear(values, u, v):
    bands, height, width = values.shape
    out = np.full((bands, *u.shape), NAN, np.float32)
    for y in range(u.shape[0]):
        for x in range(u.shape[1]):
            if math.isnan(u[y, x]):
                continue
            near, beside = math.floor(v[y, x]), math.floor(u[y, x])
            if not (0 <= near < height and 0 <= beside < width):
                continue
            row, col = math.floor(v[y, x] - 0.5), math.floor(u[y, x] - 0.5)
            across, down = u[y, x] - 0.5 - col, v[y, x] - 0.5 - row
            for b in range(bands):
                if not math.isfinite(values[b, near, beside]):
                    continue
                total, weights = 0.0, 0.0
                for i in range(2):
                    for j in range(2):
                        r, c = row + i, col + j
                        if 0 <= r < height and 0 <= c < width:
                            value = np.float64(values[b, r, c])
                            if math.isfinite(value):
                                a = down if i else 1 - down
                                weight = a * (across if j else 1 - across)
                                total += value * weight
                                weights += weight
                out[b, y, x] = total / weights
    return out


@kernel
def average(values, u, v, width, height, least):
    bands, rows, cols = values.shape
    out = np.full((bands, *u.shape), NAN, np.float32)
    tall, wide = int(math.ceil(height)) + 1, int(math.ceil(width)) + 1
    for y in range(u.shape[0]):
        for x in range(u.shape[1]):
            if math.isnan(u[y, x]):
                continue
            left, top = u[y, x] - width / 2, v[y, x] - height / 2
            row, col = math.floor(top), math.floor(left)
            for b in range(bands):
                total, weights = 0.0, 0.0
                for i in range(tall):
                    r = row + i
                    if not 0 <= r < rows:
                        continue
                    down = max(min(r + 1, top + height) - max(r, top), 0.0)
                    for j in range(wide):
                        c = col + j
                        if not 0 <= c < cols:
                            continue
                        value = np.float64(values[b, r, c])
                        if math.isfinite(value):
                            across = max(min(c + 1, left + width) - max(c, left), 0.0)
                            weight = down * across
                            total += value * weight
                            weights += weight
                if weights >= least:
                    out[b, y, x] = total / weights
    return out
