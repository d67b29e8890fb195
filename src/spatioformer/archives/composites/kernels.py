"""Kernels that numba compiles: the geometric median, and sorting dates. float32.

Shapes: T dates, B bands, P pixels, L = LANES pixels of a pack. Each loop over the lanes of a pack
is one the compiler turns into vector instructions; a lane never sees another one, and it stops when
its own criterion holds. No option lets the compiler change the order of sums.

geomedian.py says what is computed; plain.py is the same in numpy.
"""

import numpy as np

from spatioformer.archives.compiling import kernel

LANES = 64
TINY = np.float32(1e-36)
"""Squared distance below which a point lies on an observation: float32 ends at 1e-38."""
LARGEST = np.float32(1e18)
SLACK = np.float32(1e-6)
"""Relative error of a sum of distances: a smaller rise of it is rounding."""
REACH = np.float32(1.44)
"""Largest squared distance of an observation that is tried, in squared lengths of Newton's step."""
NEAR = np.float32(1.3)
"""Pull of the other observations, in unit vectors, below which the nearest one is tried."""
RIDGE = np.float32(1e-4)
"""Of the sum of weights, added to the second derivative, whose error in float32 is 1e-6 of it."""
ZERO, ONE, INFINITE = np.float32(0), np.float32(1), np.float32(np.inf)
ENDS, KEPT, TAKEN_BACK, GOES_ON = np.float32(-1), np.float32(0), np.float32(1), np.float32(2)
"""States of a lane in an iteration: y is final, was final, is taken back, is accepted."""


@kernel
def _load(values, first, used, x, mask, centre, count):
    """Copy a pack's observations, less their mean: x (T, B, L), mask (T, L), centre (B, L).

    A date without an observation in any lane is left out. Returns the number of dates kept.
    """
    times, bands = values.shape[0], values.shape[1]
    count[:] = ZERO
    centre[:] = ZERO
    kept = 0
    for t in range(times):
        here = mask[kept]
        for lane in range(LANES):
            here[lane] = ONE if lane < used else ZERO
        for b in range(bands):
            source, target = values[t, b, first : first + used], x[kept, b]
            for lane in range(used):
                value = source[lane]
                target[lane] = value
                here[lane] = here[lane] if abs(value) <= LARGEST else ZERO
        some = ZERO
        for lane in range(LANES):
            some += here[lane]
            count[lane] += here[lane]
        if some > ZERO:
            for b in range(bands):
                target, total = x[kept, b], centre[b]
                for lane in range(LANES):
                    value = target[lane] if here[lane] > ZERO else ZERO
                    target[lane] = value
                    total[lane] += value
            kept += 1
    for b in range(bands):
        total = centre[b]
        for lane in range(LANES):
            total[lane] = total[lane] / count[lane] if count[lane] > ZERO else ZERO
    for t in range(kept):
        for b in range(bands):
            target, total, here = x[t, b], centre[b], mask[t]
            for lane in range(LANES):
                target[lane] = target[lane] - total[lane] if here[lane] > ZERO else ZERO
    return kept


@kernel
def _sums(x, mask, kept, y, sums):
    """Sums over the dates at y (B, L), into the arrays of `sums`.

    force (B, L) = sum of (x - y) / d, the unit vectors; curve (B (B + 1) / 2, L) = sum of
    (x - y)(x - y)' / d^3, its lower triangle by rows; weight (L) = sum of 1 / d; total (L) = sum of
    d; on (L) = number of observations at y.
    """
    force, curve, weight, total, on, apart, square, cube, scaled = sums
    bands = y.shape[0]
    force[:] = ZERO
    curve[:] = ZERO
    weight[:] = ZERO
    total[:] = ZERO
    on[:] = ZERO
    for t in range(kept):
        here = mask[t]
        square[:] = ZERO
        for b in range(bands):
            value, at, way = x[t, b], y[b], apart[b]
            for lane in range(LANES):
                difference = value[lane] - at[lane]
                way[lane] = difference
                square[lane] += difference * difference
        for lane in range(LANES):
            d2 = square[lane]
            away = d2 > TINY
            inverse = here[lane] / np.sqrt(d2 if away else ONE)
            inverse = inverse if away else ZERO
            on[lane] += ZERO if away else here[lane]
            weight[lane] += inverse
            total[lane] += d2 * inverse
            square[lane] = inverse
            cube[lane] = inverse * inverse * inverse
        row = 0
        for b in range(bands):
            way, pull = apart[b], force[b]
            for lane in range(LANES):
                pull[lane] += square[lane] * way[lane]
                scaled[lane] = cube[lane] * way[lane]
            for k in range(b + 1):
                other, product = apart[k], curve[row + k]
                for lane in range(LANES):
                    product[lane] += scaled[lane] * other[lane]
            row += b + 1


@kernel
def _solve(curve, weight, step):
    """Solve (weight I - curve) z = step in place, by elimination; curve is destroyed.

    The matrix is the second derivative of the sum of distances. RIDGE keeps it regular where all
    observations lie on a line.
    """
    bands = step.shape[0]
    first = 0
    for i in range(bands):
        for k in range(i + 1):
            entry = curve[first + k]
            diagonal = ONE + RIDGE if k == i else ZERO
            for lane in range(LANES):
                entry[lane] = weight[lane] * diagonal - entry[lane]
        first += i + 1
    for j in range(bands):
        pivot, solved = curve[j * (j + 1) // 2 + j], step[j]
        for lane in range(LANES):
            least = RIDGE * weight[lane]
            value = pivot[lane] if pivot[lane] > least else least
            pivot[lane] = ONE / value if value > ZERO else ZERO
        for i in range(j + 1, bands):
            row = i * (i + 1) // 2
            column, right = curve[row + j], step[i]
            for k in range(j + 1, i + 1):
                entry, other = curve[row + k], curve[k * (k + 1) // 2 + j]
                for lane in range(LANES):
                    entry[lane] -= column[lane] * pivot[lane] * other[lane]
            for lane in range(LANES):
                right[lane] -= column[lane] * pivot[lane] * solved[lane]
    for j in range(bands - 1, -1, -1):
        solved = step[j]
        for i in range(j + 1, bands):
            column, later = curve[i * (i + 1) // 2 + j], step[i]
            for lane in range(LANES):
                solved[lane] -= column[lane] * later[lane]
        pivot = curve[j * (j + 1) // 2 + j]
        for lane in range(LANES):
            solved[lane] *= pivot[lane]


@kernel
def _nearest(x, mask, kept, y, force, gap, point, chosen, square, closest, ties):
    """Find each lane's observation nearest to y, point (B, L), and whether to try it, chosen (L).

    force (B, L) is the sum of all unit vectors at y. Without those of the nearest observation, and
    of its ties, it is about the pull of the others there.
    """
    bands = y.shape[0]
    closest[:] = INFINITE
    point[:] = ZERO
    ties[:] = ZERO
    for t in range(kept):
        here = mask[t]
        for lane in range(LANES):
            square[lane] = ZERO if here[lane] > ZERO else INFINITE
        for b in range(bands):
            value, at = x[t, b], y[b]
            for lane in range(LANES):
                apart = value[lane] - at[lane]
                square[lane] += apart * apart
        for b in range(bands):
            value, nearest = x[t, b], point[b]
            for lane in range(LANES):
                nearest[lane] = value[lane] if square[lane] < closest[lane] else nearest[lane]
        for lane in range(LANES):
            same = ties[lane] + (here[lane] if square[lane] == closest[lane] else ZERO)
            ties[lane] = ONE if square[lane] < closest[lane] else same
            closest[lane] = square[lane] if square[lane] < closest[lane] else closest[lane]
    for lane in range(LANES):
        apart = closest[lane] > TINY and closest[lane] <= REACH * gap[lane]
        closest[lane] = ties[lane] / np.sqrt(closest[lane]) if apart else ZERO
        square[lane] = ZERO
    for b in range(bands):
        nearest, at, pull = point[b], y[b], force[b]
        for lane in range(LANES):
            rest = pull[lane] - (nearest[lane] - at[lane]) * closest[lane]
            square[lane] += rest * rest
    for lane in range(LANES):
        weak = np.sqrt(square[lane]) <= NEAR * ties[lane] and closest[lane] > ZERO
        chosen[lane] = ONE if weak else ZERO


@kernel
def geomedian(values, result, start, stop, eps, limit):
    """Geometric medians of pixels start ... stop - 1 of values (T, B, P), into result (B, P).

    Returns the number of pixels that reached the limit of iterations before the criterion.
    """
    times, bands = values.shape[0], values.shape[1]
    x = np.zeros((times, bands, LANES), np.float32)
    mask = np.zeros((times, LANES), np.float32)
    planes = np.empty((8, bands, LANES), np.float32)
    centre, y, safe, jump = planes[0], planes[1], planes[2], planes[3]
    force, apart, point, before = planes[4], planes[5], planes[6], planes[7]
    curve = np.empty((bands * (bands + 1) // 2, LANES), np.float32)
    rows = np.empty((15, LANES), np.float32)
    count, weight, total, on, square, cube = rows[0], rows[1], rows[2], rows[3], rows[4], rows[5]
    length, gap, best, share, state = rows[6], rows[7], rows[8], rows[9], rows[10]
    trusted, live, chosen, ties = rows[11], rows[12], rows[13], rows[14]
    sums = (force, curve, weight, total, on, apart, square, cube, ties)
    unfinished = 0
    for first in range(start, stop, LANES):
        used = min(LANES, stop - first)
        kept = _load(values, first, used, x, mask, centre, count)
        y[:] = ZERO
        safe[:] = ZERO
        best[:] = INFINITE
        trusted[:] = ONE
        for lane in range(LANES):
            live[lane] = ONE if count[lane] > 2 else ZERO
        for iteration in range(limit):
            alive = ZERO
            for lane in range(LANES):
                alive += live[lane]
            if alive == ZERO:
                break
            _sums(x, mask, kept, y, sums)
            length[:] = ZERO
            for b in range(bands):
                pull, ahead = force[b], jump[b]
                for lane in range(LANES):
                    ahead[lane] = pull[lane]
                    length[lane] += pull[lane] * pull[lane]
            _solve(curve, weight, jump)
            for lane in range(LANES):
                pull = np.sqrt(length[lane])
                excess = ONE - on[lane] / pull if pull > on[lane] else ZERO
                excess = excess if on[lane] > ZERO else ONE
                share[lane] = excess / weight[lane] if weight[lane] > ZERO else ZERO
                length[lane] = pull * share[lane]
                gap[lane] = ZERO
            for b in range(bands):
                pull, ahead = force[b], jump[b]
                for lane in range(LANES):
                    ahead[lane] = pull[lane] * share[lane] if on[lane] > ZERO else ahead[lane]
                    gap[lane] += ahead[lane] * ahead[lane]
            for lane in range(LANES):
                allowed = eps * count[lane] / weight[lane] if weight[lane] > ZERO else ZERO
                small = length[lane] <= allowed and np.sqrt(gap[lane]) <= allowed
                worse = total[lane] > best[lane] * (ONE + SLACK) and trusted[lane] == ZERO
                now = ENDS if small else GOES_ON
                now = TAKEN_BACK if worse else now
                now = now if live[lane] > ZERO else KEPT
                state[lane] = now
                live[lane] = ONE if now > KEPT else ZERO
                best[lane] = total[lane] if now == GOES_ON else best[lane]
                trusted[lane] = ONE if now == TAKEN_BACK else ZERO
            for b in range(bands):
                pull, ahead, at, sure, old = force[b], jump[b], y[b], safe[b], before[b]
                for lane in range(LANES):
                    now, here = state[lane], at[lane]
                    old[lane] = here
                    moved = here + ahead[lane] if now != KEPT else here
                    at[lane] = sure[lane] if now == TAKEN_BACK else moved
                    plain = here + pull[lane] * share[lane]
                    sure[lane] = plain if now == GOES_ON else sure[lane]
            # On an observation the sum of distances has a kink that Newton's steps jump over.
            even = iteration & ~1
            if iteration > 0 and even & (even - 1) == 0:
                _nearest(x, mask, kept, before, force, gap, point, chosen, square, cube, ties)
                for b in range(bands):
                    nearest, at = point[b], y[b]
                    for lane in range(LANES):
                        tried = chosen[lane] > ZERO and state[lane] == GOES_ON
                        at[lane] = nearest[lane] if tried else at[lane]
        for lane in range(used):
            unfinished += 1 if live[lane] > ZERO else 0
        for b in range(bands):
            target, middle = result[b, first : first + used], centre[b]
            at, sure = y[b], safe[b]
            for lane in range(used):
                value = middle[lane] + (sure[lane] if live[lane] > ZERO else at[lane])
                target[lane] = value if count[lane] > ZERO else np.float32(np.nan)
    return unfinished


@kernel
def sort_dates(columns):
    """Sort each column of (T, P) in place: Batcher's merge exchange, Knuth 5.2.2 M.

    The network of comparisons is the same for every pixel, so pixels are compared in vectors.
    """
    times, pixels = columns.shape
    top = 1
    while 2 * top < times:
        top *= 2
    p = top
    while p > 0 and times > 1:
        q, r, d = top, 0, p
        while True:
            for i in range(times - d):
                if i & p == r:
                    low, high = columns[i], columns[i + d]
                    for pixel in range(pixels):
                        a, b = low[pixel], high[pixel]
                        low[pixel] = a if a < b else b
                        high[pixel] = b if a < b else a
            if q == p:
                break
            d, q, r = q - p, q // 2, p
        p //= 2
