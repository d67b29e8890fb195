"""Values of a covariate far outside all others: codes for missing data, and likely faults."""

import numpy as np

from spatioformer.geo.raster.tally import HUGE, USUAL

FEWEST = 3  # different values by which others are judged
FAR = 10  # ranges of all other values by which a likely fault lies outside them
MOST = 0.05  # share of the values that may be faults; more are a second group of plots


def missing_codes(values: np.ndarray) -> list[float]:
    """Codes for missing data among values (n,), such as -9999.

    A usual code (`raster.tally.USUAL`, or a value of 1e19 and more) is taken for one if it lies
    outside the other values by more than their range.

    Args:
        values: NaN where missing.
    """
    different = np.unique(values[np.isfinite(values)])
    coded = np.isin(different, USUAL) | (np.abs(different) >= HUGE)
    others = different[~coded]
    if len(others) < FEWEST:
        return []
    low, high = 2 * others[0] - others[-1], 2 * others[-1] - others[0]
    beyond = coded & ((different < low) | (different > high))
    return [float(value) for value in different[beyond]]


def far_rows(values: np.ndarray) -> np.ndarray:
    """Rows (n,) whose value lies outside all others by more than FAR times their range, bool.

    They are at most MOST of the values, all above or all below the others.

    Args:
        values: (n,), NaN where missing.
    """
    ordered = np.sort(values[np.isfinite(values)])
    most = int(MOST * len(ordered))
    if most == 0:
        return np.zeros(len(values), bool)
    for sign in (1, -1):
        ascending = ordered if sign == 1 else -ordered[::-1]
        steps = np.diff(ascending)
        different = 1 + np.cumsum(np.append(0, steps[:-1]) > 0)  # among the values up to each
        alone = steps > FAR * (ascending[:-1] - ascending[0])
        alone &= (different >= FEWEST) & (len(ascending) - np.arange(1, len(ascending)) <= most)
        if alone.any():
            return np.asarray(sign * values > ascending[alone.argmax()])
    return np.zeros(len(values), bool)
