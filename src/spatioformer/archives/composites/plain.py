"""The geometric median in numpy and float64, where numba is not installed.

Shapes: T dates, B bands, P pixels. Sums run over dates and bands in Python, so that numpy adds them
in the same order for any number of pixels. geomedian.py says what is computed.
"""

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.composites.blocks import Bools, Floats, is_value

Doubles = NDArray[np.float64]


def geomedian(values: Floats, eps: float, limit: int) -> Floats:
    """Geometric medians of (T, B, P) as (B, P)."""
    clear = all_bands(values)
    count = clear.sum(axis=0)
    x = np.where(clear[:, None], values, 0).astype(np.float64)
    centre = _total(x) / np.maximum(count, 1)
    x = np.where(clear[:, None], x - centre, 0)
    y = np.zeros_like(centre)
    rest = np.flatnonzero(count > 2)
    if rest.size:
        y[:, rest] = _iterate(x[..., rest], clear[:, rest], eps, limit)
    return np.where(count > 0, centre + y, np.nan).astype(np.float32)


def all_bands(values: Floats) -> Bools:
    """Whether a date has a value in each band: (T, B, ...) to (T, ...)."""
    clear = is_value(values[:, 0])
    for band in range(1, values.shape[1]):
        clear &= is_value(values[:, band])
    return clear


def _total(terms: Doubles) -> Doubles:
    """Sum over the first axis, in order."""
    total = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total


def _iterate(x: Doubles, clear: Bools, eps: float, limit: int) -> Doubles:
    """Minimise from 0; x (T, B, P), 0 where not clear, each pixel with three observations."""
    count = clear.sum(axis=0)
    y = np.zeros(x.shape[1:])
    result, old_y, old_force, safe = y.copy(), y.copy(), y.copy(), y.copy()
    best = np.full(y.shape[1], np.inf)
    trusted, live = np.ones(y.shape[1], bool), np.ones(y.shape[1], bool)
    for iteration in range(limit):
        step, length, total, on, weight = _weiszfeld(x, clear, y)
        bad = (total > best * (1 + 1e-12)) & ~trusted
        change = step - old_force / np.where(weight > 0, weight, 1)
        outer = _total(change * change)
        use = (iteration > 0) & (outer > 0) & (on == 0)
        secant = np.where(use, _total(change * step) / np.where(use, outer, 1), 0)
        jump = step - secant * (y - old_y + change)
        gap = np.sqrt(_total(jump * jump))
        allowed = eps * total / count
        small = (length <= allowed) & (gap <= allowed) & (iteration > 0)
        done = live & ~bad & (small | (length == 0))
        result = np.where(done, y + jump, result)
        live &= ~done
        if not live.any():
            return result
        good = live & ~bad
        before = np.where(good, y, old_y)
        y = np.where(bad, safe, y + jump)
        safe = np.where(good, before + step, safe)
        old_y, old_force = before, np.where(good, step * weight, old_force)
        best = np.where(good, total, best)
        trusted = bad | (iteration == 0)
        if iteration > 0 and iteration & (iteration + 1) == 0:
            nearest, weak = _nearest(x, clear, old_y, step * weight)
            y = np.where(weak & good, nearest, y)
            trusted &= ~(weak & good)
    return np.where(live, safe, result)


def _weiszfeld(
    x: Doubles, clear: Bools, y: Doubles
) -> tuple[Doubles, Doubles, Doubles, NDArray[np.int_], Doubles]:
    """Step r (B, P) at y and its length, sum of distances, observations at y, sum of weights."""
    pull, weight = np.zeros_like(y), np.zeros(y.shape[1])
    total, on = np.zeros(y.shape[1]), np.zeros(y.shape[1], int)
    for observation, here in zip(x, clear, strict=True):
        distance = np.sqrt(_total((observation - y) ** 2))
        away = here & (distance > 1e-18)
        inverse = away / np.where(away, distance, 1)
        on += here & ~away
        weight += inverse
        total += distance * away
        pull += inverse * observation
    step = np.where(weight > 0, pull / np.where(weight > 0, weight, 1) - y, 0)
    length = np.sqrt(_total(step * step))
    force = length * weight
    share = np.where(force > on, 1 - on / np.where(force > 0, force, 1), 0)
    share = np.where(on > 0, share, 1)
    return step * share, length * share, total, on, weight


def _nearest(x: Doubles, clear: Bools, y: Doubles, pull: Doubles) -> tuple[Doubles, Bools]:
    """The observation nearest to y, and whether the others pull weakly there."""
    nearest, closest = np.zeros_like(y), np.full(y.shape[1], np.inf)
    ties = np.zeros(y.shape[1])
    for observation, here in zip(x, clear, strict=True):
        distance = np.where(here, np.sqrt(_total((observation - y) ** 2)), np.inf)
        ties = np.where(distance < closest, 1, ties + (here & (distance == closest)))
        nearest = np.where(distance < closest, observation, nearest)
        closest = np.minimum(closest, distance)
    apart = closest > 1e-18
    rest = pull - (nearest - y) * ties / np.where(apart, closest, 1)
    return nearest, apart & (np.sqrt(_total(rest * rest)) <= 1.3 * ties)
