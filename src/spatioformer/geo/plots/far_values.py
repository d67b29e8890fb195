"""Values of a covariate far outside all others: codes for missing data, and likely faults."""

from typing import NamedTuple

import numpy as np

from spatioformer.geo.raster.tally import HUGE, USUAL

FEWEST = 3  # different values by which others are judged
FAR = 10  # ranges of all other values by which a likely fault lies outside them
MOST = 0.05  # share of the values that may be faults; more are a second group of plots


class FarValues(NamedTuple):
    """Which values of a covariate (n,) are codes for missing data, and which likely faults.

    Attributes:
        codes: the codes, such as -9999, in ascending order.
        coded: bool (n,), rows with one of the codes.
        faults: bool (n,), rows whose value lies outside all others by more than FAR times their
            range. They are at most MOST of the values that are no codes, all above or all below the
            others.
    """

    codes: list[float]
    coded: np.ndarray
    faults: np.ndarray


def far_values(values: np.ndarray) -> FarValues:
    """Find codes for missing data and likely faults among values (n,), NaN where missing.

    A usual code (`raster.tally.USUAL`, or a value of 1e19 and more) is taken for one if it lies
    outside the other values by more than their range.
    """
    ordered = np.sort(values[np.isfinite(values)])
    codes = _codes(ordered)
    coded = np.isin(values, codes)
    faults = _faults(values, ordered[~np.isin(ordered, codes)]) & ~coded
    return FarValues(codes, coded, faults)


def _codes(ordered: np.ndarray) -> list[float]:
    """Codes for missing data among values in ascending order."""
    first = np.append(True, ordered[1:] != ordered[:-1])  # of equal values
    different = ordered[first[: len(ordered)]]
    usual = np.isin(different, USUAL) | (np.abs(different) >= HUGE)
    others = different[~usual]
    if len(others) < FEWEST:
        return []
    low, high = 2 * others[0] - others[-1], 2 * others[-1] - others[0]
    beyond = usual & ((different < low) | (different > high))
    return [float(value) for value in different[beyond]]


def _faults(values: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Rows of values (n,) with likely faults, by the values without codes in ascending order."""
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
