"""Sign-flip tests of means of values that are correlated within units, for few units or many.

Null hypothesis: the sum of a unit is as likely S as -S, and units are independent. Then all
patterns of signs of the U sums are equally likely, and p is the share of the patterns whose
statistic is at least the observed one. The test keeps its level for any number of units and for
units of very different size, where a t-test with a cluster-robust standard error rejects too often
(Cameron, Gelbach & Miller 2008, Rev. Econ. Stat. 90:414; Canay, Romano & Shaikh 2017, Econometrica
85:1013). The smallest possible p is 2^-U: five units can reject nothing at the level .025.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from spatioformer.evaluation.checks import Floats

EXHAUSTIVE = 11
"""Largest number of units of which all patterns of signs are tried."""

PATTERNS = 2**EXHAUSTIVE
"""Number of patterns otherwise: the observed one, and random ones, the same in every test."""

CHUNK = 1024
"""Number of units whose signs are floats at a time, which takes 16 MB."""

ROUNDING = 1e-9
"""By how much a statistic may be below an equal one because of rounding."""


def p_values(sums: Floats, *, family: bool = False) -> Floats:
    """One-sided p-values (m,) of the null hypotheses that means of m variables are at most 0.

    Args:
        sums: (U, m), sums of the values of each unit.
        family: correct for m tests: compare each statistic with the largest of the m in each
            pattern, which uses their correlation (max-T, Westfall & Young 1993). Then the
            probability of any false rejection is at most the level.
    """
    scale = np.sqrt((sums**2).sum(axis=0))
    standardised = np.divide(sums, scale, out=np.zeros(sums.shape), where=scale > 0)
    patterns = _patterns(len(sums))
    statistics = np.zeros((len(patterns), sums.shape[1]))
    for start in range(0, len(sums), CHUNK):
        part = slice(start, start + CHUNK)
        statistics += patterns[:, part].astype(np.float64) @ standardised[part]
    rivals = statistics.max(axis=1, keepdims=True) if family else statistics
    reached: Floats = (rivals >= statistics[0] - ROUNDING).mean(axis=0)
    return reached


def _patterns(units: int) -> NDArray[np.int8]:
    """Patterns of signs, (P, U) of -1 and 1; the first one is all 1."""
    if units > EXHAUSTIVE:
        # A multiple, so that samples of a set of units share their patterns.
        return _random_patterns(-(-units // 64) * 64)[:, :units]
    bits = np.arange(2**units)[:, None] >> np.arange(units) & 1
    return np.asarray(1 - 2 * bits, np.int8)


@lru_cache(maxsize=4)
def _random_patterns(units: int) -> NDArray[np.int8]:
    signs = 1 - 2 * np.random.default_rng(0).integers(2, size=(PATTERNS, units), dtype=np.int8)
    signs[0] = 1
    return signs
