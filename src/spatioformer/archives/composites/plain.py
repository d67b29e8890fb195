"""The geometric median in numpy and float64, where numba is not installed.

Shapes: T dates, B bands, P pixels. Sums run over dates and bands in Python, so that numpy adds them
in the same order for any number of pixels. geomedian.py says what is computed.
"""

import numpy as np
from numpy.typing import NDArray

from spatioformer.archives.composites.blocks import Bools, Floats, is_value

Doubles = NDArray[np.float64]

TINY, RIDGE = 1e-18, 1e-4
REACH, NEAR = 1.2, 1.3


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
    total: Doubles = terms[0].copy()
    for term in terms[1:]:
        total += term
    return total


def _iterate(x: Doubles, clear: Bools, eps: float, limit: int) -> Doubles:
    """Minimise from 0; x (T, B, P), 0 where not clear, each pixel with three observations."""
    count = clear.sum(axis=0)
    y = np.zeros_like(x[0])
    result, safe = y.copy(), y.copy()
    best = np.full(len(y[0]), np.inf)
    trusted, live = count > 0, count > 0
    for iteration in range(limit):
        force, curve, weight, total, on = _sums(x, clear, y)
        pull = _length(force)
        excess = np.where(pull > on, 1 - on / np.where(pull > 0, pull, 1), 0)
        share = np.where(weight > 0, excess / np.where(weight > 0, weight, 1), 0)
        plain = force * share
        jump = np.where(on > 0, plain, _newton(force, curve, weight))
        gap = _length(jump)
        allowed = np.where(weight > 0, eps * count / np.where(weight > 0, weight, 1), 0)
        bad = live & (total > best * (1 + 1e-12)) & ~trusted
        done = live & ~bad & (_length(plain) <= allowed) & (gap <= allowed)
        result = np.where(done, y + jump, result)
        live &= ~done
        if not live.any():
            break
        good = live & ~bad
        before, y = y, np.where(bad, safe, y + jump)
        safe = np.where(good, before + plain, safe)
        best[good], trusted = total[good], bad
        even = iteration & ~1
        if iteration > 0 and even & (even - 1) == 0:
            nearest, chosen = _nearest(x, clear, before, force, gap)
            y = np.where(chosen & good, nearest, y)
    found: Doubles = np.where(live, safe, result)
    return found


def _length(vectors: Doubles) -> Doubles:
    """Lengths of (B, P)."""
    length: Doubles = np.sqrt(_total(vectors * vectors))
    return length


def _sums(x: Doubles, clear: Bools, y: Doubles) -> tuple[Doubles, ...]:
    """Sums over dates at y, as kernels.py has them, but with curve (B, B, P)."""
    force, curve = np.zeros_like(y), np.zeros((len(y), *y.shape))
    weight, total, on = np.zeros((3, y.shape[1]))
    for observation, here in zip(x, clear, strict=True):
        apart = observation - y
        distance = _length(apart)
        away = here & (distance > TINY)
        inverse = away / np.where(away, distance, 1)
        on += here & ~away
        weight += inverse
        total += distance * away
        unit = inverse * apart
        force += unit
        curve += inverse * unit[:, None] * unit[None]
    return force, curve, weight, total, on


def _newton(force: Doubles, curve: Doubles, weight: Doubles) -> Doubles:
    """Newton's step (B, P), with the ridge of kernels.py."""
    scale: Doubles = np.where(weight > 0, weight, 1.0)
    matrix = (1 + RIDGE) * np.eye(len(force)) - np.moveaxis(curve / scale, 2, 0)
    solved = np.linalg.solve(matrix, (force / scale).T[..., None])
    return np.asarray(solved[..., 0].T, dtype=np.float64)


def _nearest(
    x: Doubles, clear: Bools, y: Doubles, force: Doubles, gap: Doubles
) -> tuple[Doubles, Bools]:
    """The observation nearest to y, and whether to try it."""
    nearest, closest = np.zeros_like(y), np.full(y.shape[1], np.inf)
    ties = np.zeros(y.shape[1])
    for observation, here in zip(x, clear, strict=True):
        distance = np.where(here, _length(observation - y), np.inf)
        ties = np.where(distance < closest, 1, ties + (here & (distance == closest)))
        nearest = np.where(distance < closest, observation, nearest)
        closest = np.minimum(closest, distance)
    within = (closest > TINY) & (closest <= REACH * gap)
    rest = force - (nearest - y) * ties / np.where(within, closest, 1)
    return nearest, within & (_length(rest) <= NEAR * ties)
